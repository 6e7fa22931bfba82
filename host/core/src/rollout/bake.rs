//! The bake: after the last batch an upgrade stays in progress and looks on, for a time and for a number of probes of
//! everybody, before it is called good.
//!
//! Counted in evidence as well as in time: a night in which nobody could be asked proves nothing.

use std::time::Duration;

use crate::domain::Timestamp;

use super::state::{Stage, Upgrade, UpgradeState};
use super::step::{Step, end};
use super::view::{Evidence, FleetView};
use super::{evidence, gate};

/// How soon to look again where answers do not come.
const LOOK: Duration = Duration::from_secs(5);

/// Begins the bake where one is wanted and something was upgraded; gives whether it did.
pub(super) fn begin(upgrade: &mut Upgrade, now: Timestamp) -> bool {
    let is_wanted = upgrade.policy.bake.is_some() && upgrade.is_forward() && !upgrade.cancel_requested;
    if !is_wanted || upgrade.members.progress().successful == 0 {
        return false;
    }
    // Whoever paused the upgrade in its last batch has paused what comes next.
    upgrade.stage = Stage::Baking { since: now, rounds: 0, held: upgrade.paused.then_some(now) };
    upgrade.evidence_from = now + evidence::MOMENT;
    true
}

/// After a restart: nobody looked since the last round that counted, and what counts is seen in a row from now on.
pub(super) fn resume(upgrade: &mut Upgrade, now: Timestamp) {
    let unseen = now.since(upgrade.evidence_from);
    if let Stage::Baking { since, rounds, held: None } = &mut upgrade.stage {
        *since = *since + unseen;
        *rounds = 0;
    }
}

/// A person pauses: the bake is neither called good nor undone before that person says go.
pub(super) fn hold(upgrade: &mut Upgrade, now: Timestamp) {
    if let Stage::Baking { held, .. } = &mut upgrade.stage {
        *held = held.or(Some(now));
    }
}

/// The pause is over: its time does not count, and what counts is seen in a row from now on.
pub(super) fn go_on(upgrade: &mut Upgrade, now: Timestamp) {
    if let Stage::Baking { since, held: Some(held), .. } = upgrade.stage {
        upgrade.stage = Stage::Baking { since: since + now.since(held), rounds: 0, held: None };
        upgrade.evidence_from = now + evidence::MOMENT;
    }
}

/// Looks on. Gives whether the stage changed.
pub(super) fn baking(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    (since, rounds): (Timestamp, u32),
    now: Timestamp,
    out: &mut Step,
) -> bool {
    let Some(bake) = upgrade.policy.bake else {
        end(upgrade, UpgradeState::Completed, now);
        return true;
    };
    if upgrade.cancel_requested {
        end(upgrade, UpgradeState::Cancelled, now);
        return true;
    }
    if upgrade.paused {
        return false;
    }
    if let Some(until) = fleet.silence_goes_round() {
        out.wake(until);
        return false;
    }
    let is_over = gate::is_over_limit(upgrade, fleet);
    if is_over && upgrade.recovering_until.is_none_or(|until| until <= now) {
        gate::judge_upgraded(upgrade, fleet, now, out);
        return true;
    }
    // After a restart nobody is judged for a while; what was seen of them then is no good evidence either.
    let is_good = !is_over && !gate::upgraded_come_up(upgrade, fleet);
    if !is_good && rounds > 0 {
        // What counts was seen in a row.
        upgrade.stage = Stage::Baking { since, rounds: 0, held: None };
        upgrade.evidence_from = now + evidence::MOMENT;
        return true;
    }
    let complete = is_good && fleet.evidence(upgrade.evidence_from) == Evidence::Complete;
    if complete && rounds < bake.probes {
        upgrade.stage = Stage::Baking { since, rounds: rounds + 1, held: None };
        upgrade.evidence_from = now + evidence::MOMENT;
        return true;
    }
    let over_at = since + bake.duration;
    if is_good && rounds >= bake.probes && over_at <= now && !evidence::is_in_doubt(upgrade, fleet) {
        end(upgrade, UpgradeState::Completed, now);
        return true;
    }
    out.wake(if over_at > now { over_at } else { now + LOOK });
    upgrade.recovering_until.filter(|until| now < *until).into_iter().for_each(|until| out.wake(until));
    false
}
