//! One verdict for each extension: one that fails too often ends for itself, and everything else of the upgrade goes on.
//!
//! The application is what the set is for: where it fails, all of it ends, as where nothing else is left. What has an
//! ended extension keeps it where it went well. With maxSurge an instance comes as a whole, and is judged as one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{Change, Component, Goal, InstanceId, Timestamp};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::gate;
use super::member::{Member, MemberState};
use super::part::{Part, PartState};
use super::state::{Purpose, Upgrade, UpgradeState};
use super::step::Step;
use super::view::FleetView;

/// An extension whose part of an upgrade has ended before the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedExtension {
    /// Which, and to which version it was to be brought.
    pub change: Change,
    /// Why, one line for people.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// How many instances one component of an upgrade is about, and how it stands with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// It is there, and its instance has been judged.
    pub successful: usize,
    /// It failed.
    pub failed: usize,
    /// A driver or the health gate has its instance.
    pub in_progress: usize,
    /// Its turn has not come.
    pub pending: usize,
}

impl Upgrade {
    /// What of the goal has not ended for itself.
    #[must_use]
    pub fn open_goal(&self) -> Goal {
        Goal::new(self.goal.changes().filter(|change| !self.has_ended(&change.component)).cloned())
    }

    /// Whether a component has ended for itself.
    #[must_use]
    pub fn has_ended(&self, component: &Component) -> bool {
        self.ended.iter().any(|ended| ended.change.component == *component)
    }

    /// How it stands with one component. Costs what exists.
    #[must_use]
    pub fn tally_of(&self, component: &Component) -> Tally {
        let mut tally = Tally::default();
        for member in self.members.values() {
            let Some(part) = member.parts.iter().find(|part| part.component == *component) else { continue };
            match (&part.state, &member.state) {
                (PartState::Failed { .. }, _) => tally.failed += 1,
                (_, MemberState::Pending) => tally.pending += 1,
                (PartState::Proven, _) => tally.successful += 1,
                (PartState::Applied, state) if state.is_terminal() => tally.successful += 1,
                (PartState::Applied | PartState::Waiting, _) => tally.in_progress += 1,
            }
        }
        tally
    }
}

/// Whether a failed member counts against the whole: something of it failed whose upgrade goes on.
pub(super) fn counts(upgrade: &Upgrade, member: &Member) -> bool {
    let failed = |part: &Part| matches!(part.state, PartState::Failed { .. });
    upgrade.ended.is_empty()
        || member.parts.iter().any(|part| failed(part) && !upgrade.has_ended(&part.component))
}

/// How many failed members count against the whole.
pub(super) fn failed(upgrade: &Upgrade) -> usize {
    if upgrade.ended.is_empty() {
        return upgrade.members.progress().failed;
    }
    let members = upgrade.members.failed().filter_map(|id| upgrade.members.get(id));
    members.filter(|member| counts(upgrade, member)).count()
}

/// Ends those extensions that are over the limit by themselves; gives whether there were any, and something is left.
pub(super) fn end_guilty(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    let surges = upgrade.policy.rolling.max_surge;
    if upgrade.purpose != Purpose::Forward || surges {
        return false;
    }
    let limit = upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent;
    let open = upgrade.open_goal();
    let mut guilty = Vec::new();
    for change in open.changes().filter(|change| change.component != Component::Application) {
        let Tally { successful, failed, .. } = upgrade.tally_of(&change.component);
        // Whoever has all that is wanted has this, too.
        let others = gate::beside_of(upgrade, &change.component, fleet);
        let all = successful + failed + gate::brought_before(upgrade) + others.upgraded;
        let failed = failed + others.bad;
        if limit.is_exceeded_by(failed, all) {
            let why = format!(
                "{change} failed on {failed} of {all} instances (maxUnhealthyUpgradedInstancePercent = {}), and goes no \
                 further; the rest goes on",
                limit.get(),
            );
            guilty.push(EndedExtension { change: change.clone(), why, at: now });
        }
    }
    if guilty.is_empty() || guilty.len() == open.changes().count() {
        return false;
    }
    let before = upgrade.ended.clone();
    upgrade.ended.extend(guilty);
    let progress = upgrade.members.progress();
    let others = gate::beside(upgrade, fleet);
    let judged = progress.successful + progress.failed + gate::brought_before(upgrade) + others.upgraded;
    if limit.is_exceeded_by(failed(upgrade) + others.bad, judged) {
        // The others are over it as well: it is one end for all.
        upgrade.ended = before;
        return false;
    }
    drop_parts(upgrade, out);
    out.head_changed = true;
    true
}

/// Those whose turn has not come do not get what has ended; who was to get nothing else leaves the plan.
fn drop_parts(upgrade: &mut Upgrade, out: &mut Step) {
    let ended: BTreeSet<Component> =
        upgrade.ended.iter().map(|ended| ended.change.component.clone()).collect();
    let waits = |(_, member): &(&InstanceId, &Member)| member.state == MemberState::Pending;
    let waiting: Vec<InstanceId> = upgrade.members.iter().filter(waits).map(|(id, _)| id.clone()).collect();
    for id in waiting {
        let left = upgrade.members.update(&id, |member| {
            member.parts.retain(|part| !ended.contains(&part.component));
            member.parts.len()
        });
        if left == Some(0) {
            upgrade.members.remove(&id);
        }
        out.changed.insert(id);
    }
    let members = &upgrade.members;
    let ahead = upgrade.batches.iter().skip(upgrade.current).map(|batch| batch.number);
    let empty: BTreeSet<u32> = ahead.filter(|number| members.count_of(*number) == 0).collect();
    upgrade.batches.retain(|batch| !empty.contains(&batch.number));
    out.order_changed |= !empty.is_empty();
    out.batches_changed.extend(empty);
}

/// The end of an upgrade that went through its plan: Faulted where an extension has ended before.
pub(super) fn state_at_the_end(upgrade: &mut Upgrade, state: UpgradeState) -> UpgradeState {
    let texts: Vec<&str> = upgrade.ended.iter().map(|ended| ended.why.as_str()).collect();
    if state != UpgradeState::Completed || texts.is_empty() {
        return state;
    }
    let details = upgrade.error.take().map(|error| error.details).unwrap_or_default();
    upgrade.error = Some(UpgradeError {
        code: UpgradeErrorCode::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade,
        message: texts.join("; "),
        details,
    });
    UpgradeState::Faulted
}
