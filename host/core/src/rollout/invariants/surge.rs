//! What must hold when instances are created and deleted: invariant 15.

use super::{Check, Rule};
use crate::domain::{Health, InstanceId};
use crate::rollout::{Action, Event, MemberState};

impl Check<'_> {
    pub(super) fn surge(&mut self) {
        let (total, capacity) = (self.seen.fleet.total(), self.history.capacity);
        if self.seen.after.policy.rolling.max_surge && self.is_forward() && total < capacity {
            self.report(Rule::Surge, format!("{total} instances are left of {capacity}"));
        }
        for action in &self.seen.step.actions {
            match action {
                Action::Apply { .. } | Action::End { .. } | Action::Hook(_) | Action::EndHook { .. } => {}
                Action::Create { instance, replaces, .. } => self.creates(instance, replaces),
                Action::Delete { instance, successor: Some(by), .. } => self.replaces(instance, by),
                Action::Delete { instance, successor: None, .. } => self.removes(instance),
            }
        }
    }

    fn is_repeat(&self) -> bool {
        self.seen.events.contains(&Event::Resumed)
    }

    fn creates(&mut self, instance: &InstanceId, replaces: &InstanceId) {
        if self.history.created.get(instance) == Some(replaces) {
            return;
        }
        let used = self.seen.fleet.is_used(instance);
        if used || self.history.created.contains_key(instance) {
            self.report(Rule::Surge, format!("`{instance}` was used before"));
        }
        if self.history.created.values().any(|before| before == replaces) {
            self.report(Rule::Surge, format!("a second instance for the place of `{replaces}`"));
        }
    }

    /// Only a healthy instance lets the one before it go.
    fn replaces(&mut self, instance: &InstanceId, by: &InstanceId) {
        if self.history.created.get(by) != Some(instance) {
            self.report(Rule::Surge, format!("`{instance}` goes, and `{by}` was not made for its place"));
        }
        let began = self.seen.before.members.get(instance);
        let repeat = began.is_some_and(|member| matches!(member.state, MemberState::Deleting { .. }));
        let health = self.seen.fleet.health(by);
        if health != Health::Healthy && !(repeat && self.is_repeat()) {
            self.report(Rule::Surge, format!("`{instance}` goes while `{by}` is {}", health.name()));
        }
    }

    /// Only what the upgrade made is taken away without another one in its place.
    fn removes(&mut self, instance: &InstanceId) {
        if !self.history.created.contains_key(instance) {
            self.report(Rule::Surge, format!("`{instance}` goes, and this upgrade did not make it"));
        }
    }
}
