//! Wishes that a running upgrade cannot grant at this moment, and why.
//!
//! Changes nothing: a wish that is not refused is granted by the next step.

use crate::domain::{ReleaseId, Timestamp, UpgradeId};

use super::state::Upgrade;
use super::step::Wish;
use super::view::{FleetView, Stop};
use super::waiting::{Waiting, approval_before, waiting_now};

/// Why a wish makes no sense now. Each names the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishRefusal {
    /// It was cancelled, and takes no other wish.
    #[error(
        "upgrade `{0}` was cancelled and ends after the batch in flight; wait for its end, then start another one"
    )]
    Ending(UpgradeId),
    /// There is nothing to resume.
    #[error("upgrade `{0}` is not paused, and none of its phases waits for `resume`")]
    NotPaused(UpgradeId),
    /// There is nothing to approve.
    #[error("upgrade `{0}` does not stand before a phase that waits for an approval")]
    NoApproval(UpgradeId),
    /// There is nothing to pass.
    #[error(
        "upgrade `{0}` waits for no pause, no checkpoint, no approval and no bake that a person could pass"
    )]
    NothingToPass(UpgradeId),
    /// What runs is not started again.
    #[error("upgrade `{0}` is still running; wait for it or cancel it first")]
    StillRuns(UpgradeId),
    /// There is nothing to take back.
    #[error(
        "upgrade `{0}` has touched nothing, so there is nothing to take back; `phasegate upgrade cancel` ends it"
    )]
    TouchedNothing(UpgradeId),
    /// There is nothing to bypass.
    #[error("neither a freeze window nor a stopped line holds upgrade `{0}`")]
    NotStopped(UpgradeId),
    /// Only its release holds it, and that goes on as a whole.
    #[error(
        "upgrade `{upgrade}` is held by its release, which no bypass of one set passes; `phasegate release status \
         {release}` says why, and `phasegate release resume {release}` or, where an earlier region phase is waited for, \
         `phasegate release approve {release} --region-phase N` lets it go on"
    )]
    HeldByRelease {
        /// Which.
        upgrade: UpgradeId,
        /// One of the releases that it is part of.
        release: ReleaseId,
    },
}

/// Why a wish makes no sense now; none when it does.
#[must_use]
pub fn refusal(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp, wish: Wish) -> Option<WishRefusal> {
    let id = || upgrade.id.clone();
    match wish {
        Wish::RollBack | Wish::RollBackOn if !upgrade.left_a_trace() => {
            Some(WishRefusal::TouchedNothing(id()))
        }
        Wish::Cancel | Wish::CancelNow | Wish::RollBack | Wish::RollBackOn => None,
        Wish::Pause | Wish::Resume | Wish::Approve | Wish::Bypass | Wish::Promote
            if upgrade.cancel_requested =>
        {
            Some(WishRefusal::Ending(id()))
        }
        Wish::Pause => None,
        Wish::Resume => {
            let at_checkpoint = || matches!(waiting_now(upgrade, fleet, now), Some(Waiting::Resume { .. }));
            (!upgrade.paused && !at_checkpoint()).then(|| WishRefusal::NotPaused(id()))
        }
        Wish::Approve => approval_before(upgrade).is_none().then(|| WishRefusal::NoApproval(id())),
        Wish::Bypass => {
            let stops = fleet.stops();
            let only_its_release = stops.iter().all(|stop| matches!(stop, Stop::Release));
            match upgrade.releases.first() {
                _ if stops.is_empty() => Some(WishRefusal::NotStopped(id())),
                Some(release) if only_its_release => {
                    Some(WishRefusal::HeldByRelease { upgrade: id(), release: release.clone() })
                }
                Some(_) | None => None,
            }
        }
        Wish::Retry => Some(WishRefusal::StillRuns(id())),
        Wish::Promote => {
            let passes = matches!(
                waiting_now(upgrade, fleet, now),
                Some(
                    Waiting::Paused
                        | Waiting::Resume { .. }
                        | Waiting::Approval { .. }
                        | Waiting::Pause { .. }
                        | Waiting::Bake { .. }
                )
            );
            (!passes).then(|| WishRefusal::NothingToPass(id()))
        }
    }
}
