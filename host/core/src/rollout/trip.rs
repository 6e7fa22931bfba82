//! The round trip: the first instance of an upgrade goes up, back and up again before anybody else.
//!
//! ```text
//!  Up:    Applying ─> Settling ─ good ─┐
//!  Back:  Restoring ─> Settling ─ good ┤   a version whose way back fails is refused
//!  Again: Applying ─> Settling ─ good ─┴─> Succeeded
//! ```
//!
//! Each way has the health gate and hooks of its own. Whatever fails on it ends the upgrade: what was to be proved is
//! not. Deliberately for one instance: what it proves is a property of the version.

use serde::{Deserialize, Serialize};

use crate::domain::{Goal, InstanceId, RollingUpgradePolicy, Runs, Timestamp};
use crate::plan::{Candidate, PlanInput, plan};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::hooks;
use super::member::{Member, MemberState};
use super::part::{Part, PartState, Restored};
use super::state::{Extent, Upgrade};
use super::step::{Step, fault, go};
use super::view::FleetView;

/// Which way of its round trip a member is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trip {
    /// It makes none.
    #[default]
    None,
    /// To the new version, for the first time.
    Up,
    /// Back to the one before.
    Back,
    /// To the new version again.
    Again,
}

impl Trip {
    /// Whether it makes none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What is said of the parts that go back on it.
const GOES_BACK: &str = "round trip: healthy with it, and goes back";

/// Why an instance cannot go up, back and up again; none where it can.
#[must_use]
pub fn no_round_trip(candidate: &Candidate, goal: &Goal, rolling: &RollingUpgradePolicy) -> Option<String> {
    if rolling.max_surge {
        return Some("with maxSurge a new instance takes its place, and nothing goes back".to_owned());
    }
    goal.changes().find_map(|change| match candidate.runs_of(&change.component) {
        Runs::Version { .. } => None,
        Runs::Nothing { .. } => {
            Some(format!("there is no {} on it yet that it could go back to", change.component))
        }
        Runs::Unknown { .. } => Some(format!("nobody knows which {} it could go back to", change.component)),
    })
}

impl Upgrade {
    /// On which way of its round trip an instance is.
    #[must_use]
    pub fn trip(&self) -> Trip {
        let in_hand = self.members.in_flight().filter_map(|id| self.members.get(id));
        in_hand.map(|member| member.trip).find(|trip| !trip.is_none()).unwrap_or_default()
    }

    /// Whether a member has to make the round trip before anybody else is admitted.
    #[must_use]
    pub fn is_trip_due(&self) -> bool {
        self.policy.round_trip && self.is_forward() && self.extent == Extent::Missing && !self.tripped
    }
}

impl Member {
    /// Whether another way of its round trip follows once it is healthy.
    pub(super) fn turns(&self) -> bool {
        match self.trip {
            Trip::Up => !self.has_failed_part(),
            Trip::Back => true,
            Trip::None | Trip::Again => false,
        }
    }

    /// It is healthy on the way up, and goes back.
    fn turns_back(&mut self, now: Timestamp) -> MemberState {
        self.trip = Trip::Back;
        for part in &mut self.parts {
            part.state = PartState::Failed { reason: GOES_BACK.to_owned(), restored: Restored::NotTried };
        }
        self.last_to_restore()
            .map_or(MemberState::Failed { at: now }, |part| MemberState::Restoring { since: now, part })
    }

    /// It is healthy with what was there before, and goes up again.
    fn goes_again(&mut self, now: Timestamp) -> MemberState {
        self.trip = Trip::Again;
        for part in &mut self.parts {
            part.state = PartState::Waiting;
        }
        MemberState::Applying { since: now, part: 0 }
    }

    /// It came up with what was there before, and stays there.
    fn stays_back(&mut self, why: &str, now: Timestamp) -> MemberState {
        for part in &mut self.parts {
            if let PartState::Failed { reason, .. } = &mut part.state {
                *reason = format!("went up and back, and may not go up again: {why}");
            }
        }
        MemberState::Failed { at: now }
    }

    /// What follows for one that was brought back on its round trip, once the driver has nothing in hand.
    pub(super) fn next_on_the_way_back(&self, now: Timestamp) -> Option<MemberState> {
        if self.trip != Trip::Back || self.last_to_restore().is_some() {
            return None;
        }
        let is_back = |part: &Part| {
            matches!(part.state, PartState::Failed { restored: Restored::Yes, .. })
                || part.way_back().is_none()
        };
        let all = self.parts.iter().all(is_back);
        Some(if all {
            MemberState::Settling { applied_at: now, healthy_since: None }
        } else {
            MemberState::Failed { at: now }
        })
    }

    /// It was brought back and did not come up: that is no way back.
    pub(super) fn way_back_has_failed(&mut self, reason: &str) {
        for part in &mut self.parts {
            if let PartState::Failed { restored, .. } = &mut part.state {
                *restored = Restored::No(reason.to_owned());
            }
        }
    }

    /// Whether it has failed on its way back.
    #[must_use]
    pub fn has_no_way_back(&self) -> bool {
        let lost = |state: &PartState| matches!(state, PartState::Failed { restored: Restored::No(_), .. });
        self.trip == Trip::Back && self.parts.iter().any(|part| lost(&part.state))
    }
}

/// A member that has passed its gate goes the next way. It goes up for the second time only while it may: what it said
/// before it went for the first time was said by another life of it.
pub(super) fn turn(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    id: &InstanceId,
    now: Timestamp,
    out: &mut Step,
) {
    let Some(member) = upgrade.members.get(id) else { return };
    let MemberState::Settling { applied_at, .. } = member.state else { return };
    let refused = if member.trip == Trip::Back { may_not(upgrade, fleet, id) } else { None };
    let deadline = applied_at + upgrade.policy.gate.deadline;
    if refused.is_some() && now < deadline {
        out.wake(deadline);
        return;
    }
    let next = upgrade.members.update(id, |member| match (member.trip, refused) {
        (Trip::Back, Some(why)) => Some(member.stays_back(&why, now)),
        (Trip::Back, None) => Some(member.goes_again(now)),
        (Trip::Up, _) => Some(member.turns_back(now)),
        (Trip::None | Trip::Again, _) => None,
    });
    if let Some(Some(next)) = next {
        go(upgrade, id, next, out);
    }
}

/// Why an instance may not be upgraded now, by the rules of the plan.
fn may_not(upgrade: &Upgrade, fleet: &dyn FleetView, id: &InstanceId) -> Option<String> {
    let Some(candidate) = fleet.candidate(id) else { return Some("it is gone".to_owned()) };
    let plan = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        goal: &upgrade.open_goal(),
        policy: &upgrade.policy,
        candidates: &[candidate],
        total: fleet.total(),
        there: upgrade.extent.there(),
        batches_before: upgrade.current,
    });
    plan.holds.first().map(|hold| hold.reason.to_string())
}

/// The next batch is one instance that makes the round trip; gives whether the upgrade ended, because it cannot.
pub(super) fn begin(
    upgrade: &mut Upgrade,
    admitted: &[InstanceId],
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    if !upgrade.is_trip_due() {
        return false;
    }
    let Some(id) = admitted.first().cloned() else { return false };
    if upgrade.members.get(&id).is_some_and(|member| member.trip == Trip::Up) {
        return false;
    }
    let candidate = fleet.candidate(&id);
    let why = candidate.and_then(|found| no_round_trip(&found, &upgrade.goal, &upgrade.policy.rolling));
    if let Some(why) = why {
        // What was run before the batch has what is run after it.
        if hooks::close(upgrade, out) {
            return true;
        }
        let message = format!("roundTrip: `{id}` cannot go up and back: {why}");
        let code = UpgradeErrorCode::RollingUpgradeRoundTripImpossible;
        fault(upgrade, UpgradeError { code, message, details: vec![(id, why)] }, now);
        out.head_changed = true;
        return true;
    }
    upgrade.members.update(&id, |member| member.trip = Trip::Up);
    out.changed.insert(id);
    false
}

/// The batch of the round trip has ended; gives whether the upgrade ended with it.
pub(super) fn judge(upgrade: &mut Upgrade, now: Timestamp) -> bool {
    let travelled: Vec<InstanceId> = upgrade.batch_members(upgrade.current).into_iter().cloned().collect();
    let travels = |id: &&InstanceId| upgrade.members.get(id).is_some_and(|member| !member.trip.is_none());
    let Some(id) = travelled.iter().find(travels).cloned() else { return false };
    let Some(member) = upgrade.members.get(&id) else { return false };
    if matches!(member.state, MemberState::Succeeded { .. }) {
        upgrade.tripped = true;
        return false;
    }
    // Ends for another reason, or nothing was brought to it: that says nothing of the version.
    if upgrade.error.is_some() || upgrade.cancel_requested || member.attempt == 0 {
        return false;
    }
    let why = member.failure().unwrap_or_default();
    let stays = member.trip == Trip::Back && !member.has_no_way_back();
    let (code, what) = if stays {
        (UpgradeErrorCode::RollingUpgradeRoundTripImpossible, "is not over")
    } else {
        (UpgradeErrorCode::RollingUpgradeRoundTripFailed, "has failed")
    };
    let message = format!("the round trip of `{id}` {what}, and nobody else was touched: {why}");
    fault(upgrade, UpgradeError { code, message, details: vec![(id, why)] }, now);
    true
}
