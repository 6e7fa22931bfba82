//! No upgrade stands still: a kernel that goes to sleep wakes in time for whatever is due of it, and what it waits for
//! without a time is on its way in this world.

use crate::domain::{OperationId, Timestamp};
use crate::kernel::{SetState, report};
use crate::rollout::invariants::Rule;

use super::world::{Happening, World};

impl World {
    /// After a turn that was recorded, when there is nothing that the kernel has not heard.
    pub(super) fn stays_awake(&mut self, wake_at: Option<Timestamp>) {
        let Some(kernel) = self.kernel.as_ref().filter(|_| self.held.is_none() && self.inbox.is_empty())
        else {
            return;
        };
        let fleet = kernel.fleet();
        if fleet.held.is_some() || fleet.refusing.is_some() {
            return;
        }
        let now = self.moment();
        let mut asleep = Vec::new();
        for set in fleet.sets().filter(|set| set.active().is_some()) {
            let name = &set.spec.name;
            let due = set.next_due();
            if due.is_some_and(|due| wake_at.is_none_or(|at| at > due.max(now.at))) {
                asleep.push(format!(
                    "`{name}` has something due at {due:?}, and the kernel sleeps to {wake_at:?}"
                ));
            }
            if due.is_some() {
                continue;
            }
            if report::waiting(fleet, set, now).is_none() {
                asleep.push(format!("`{name}` has no time, and nothing that it waits for"));
            }
            if let Some(operation) = in_hand(set).find(|operation| !self.is_on_its_way(operation)) {
                asleep.push(format!("`{name}` waits for {operation}, which nobody has in hand"));
            }
        }
        asleep.into_iter().for_each(|detail| self.violation(Rule::Ending, detail));
    }

    fn is_on_its_way(&self, operation: &OperationId) -> bool {
        // One that was told to end answers, too.
        let ends = |what: &Happening| matches!(what, Happening::Done(call) if call.operation == *operation);
        self.open.contains_key(operation)
            || self.hooks.contains_key(operation)
            || self.ahead.values().any(ends)
    }
}

/// What drivers and hooks have in hand for an upgrade.
fn in_hand(set: &SetState) -> impl Iterator<Item = OperationId> {
    let upgrade = set.active();
    let hooks = upgrade.into_iter().flat_map(|upgrade| upgrade.hooks_in_hand().map(|(_, hook)| hook));
    let drivers = upgrade.into_iter().flat_map(|upgrade| {
        upgrade.members.in_flight().filter_map(|id| {
            let member = upgrade.members.get(id).filter(|member| member.state.is_with_driver())?;
            Some(upgrade.operation(id, member.attempt))
        })
    });
    hooks.chain(drivers)
}
