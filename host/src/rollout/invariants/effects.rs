//! What must hold for everything that is in flight and for each effect: invariants 2, 4, 5, 7 and
//! 13.

use std::collections::BTreeSet;

use super::{Check, History, Rule, Seen};
use crate::domain::{Health, InstanceId, OperationId, Version};
use crate::rollout::{Action, Event, MemberState, Stage};

/// Effects on one instance in one upgrade: there, back, and back once more when a breach finds that
/// the first way back failed.
const ATTEMPTS_MAX: u32 = 3;

impl Check<'_> {
    /// After a limit was passed, everything that failed goes back at the same time: it is down
    /// anyway, so there is no border left to keep.
    pub(super) fn in_flight(&mut self) {
        let after = self.seen.after;
        if after.stage == Stage::Undoing {
            return;
        }
        let flying = after.members.iter().filter(|(_, member)| member.state.is_in_flight());
        let facts: Vec<_> = flying.filter_map(|(id, _)| self.fact(id)).collect();
        let zones: BTreeSet<_> = facts.iter().map(|fact| fact.zone.clone()).collect();
        let domains: BTreeSet<_> = facts.iter().map(|fact| fact.update_domain).collect();
        if zones.len() > 1 && !after.policy.enable_cross_zone_upgrade {
            self.report(Rule::Borders, format!("in flight in zones {zones:?}"));
        }
        if domains.len() > 1 {
            self.report(Rule::Borders, format!("in flight in update domains {domains:?}"));
        }
    }

    pub(super) fn effects(&mut self) {
        if !self.seen.before.is_active() {
            if !self.seen.step.actions.is_empty() || self.seen.before != self.seen.after {
                self.report(Rule::Ending, "something happened after the end".to_owned());
            }
            return;
        }
        let mut here = BTreeSet::new();
        for Action::Apply { instance, version, operation } in &self.seen.step.actions {
            if !here.insert(operation) {
                self.report(Rule::OneEffect, format!("{operation} twice in one step"));
            }
            self.effect(instance, version, operation);
        }
        self.settled();
    }

    fn effect(&mut self, instance: &InstanceId, version: &Version, operation: &OperationId) {
        let after = self.seen.after;
        let Some(member) = after.members.get(instance) else {
            self.report(Rule::OneEffect, format!("{operation} on `{instance}`, which is not planned"));
            return;
        };
        if !member.state.is_with_driver() {
            self.report(Rule::OneEffect, format!("{operation} while `{instance}` is {:?}", member.state));
        }
        if *operation != after.operation(instance, member.attempt) {
            self.report(Rule::OneEffect, format!("{operation} is not attempt {}", member.attempt));
        }
        if member.attempt > ATTEMPTS_MAX {
            self.report(Rule::OneEffect, format!("attempt {} on `{instance}`", member.attempt));
        }
        if let Some((_, recorded)) = self.history.effects.get(operation) {
            if *self.seen.event != Event::Resumed {
                self.report(Rule::OneEffect, format!("{operation} was asked for again"));
            }
            if recorded != version {
                self.report(Rule::OneEffect, format!("{operation} meant {recorded} and now {version}"));
            }
            return;
        }
        let former = self.seen.before.members.get(instance).map_or(0, |member| member.attempt);
        if member.attempt != former + 1 {
            self.report(Rule::OneEffect, format!("attempt {} after {former}", member.attempt));
        }
        match (self.former, &member.state) {
            (Some(former), _) => self.way_back(instance, version, former),
            (None, MemberState::Restoring { .. }) => self.way_back(instance, version, self.history),
            (None, _) => self.way_there(instance, version),
        }
    }

    fn way_there(&mut self, instance: &InstanceId, version: &Version) {
        if *version != self.seen.after.to {
            self.report(Rule::WayBack, format!("`{instance}` gets {version}, which nobody wanted"));
        }
        if !self.admitted.contains(instance) {
            self.report(Rule::Stopped, format!("`{instance}` gets {version} without admission"));
        }
        if self.fact(instance).is_none_or(|fact| fact.consent.is_err()) {
            self.report(Rule::Consent, format!("`{instance}` gets {version} and did not consent"));
        }
    }

    /// `there` is the history of the way there.
    fn way_back(&mut self, instance: &InstanceId, version: &Version, there: &History) {
        let recorded = self.fact(instance).and_then(|fact| fact.version.clone());
        if recorded.as_ref() != Some(version) {
            let detail = format!("`{instance}` goes back to {version}, it ran {recorded:?}");
            self.report(Rule::WayBack, detail);
        }
        if !there.touched.contains(instance) {
            self.report(Rule::WayBack, format!("`{instance}` goes back and was never touched"));
        }
    }

    /// Who passed the health gate in this step must be Healthy now, after the wait.
    fn settled(&mut self) {
        let Seen { before, after, fleet, now, .. } = *self.seen;
        for (id, member) in &after.members {
            let MemberState::Succeeded { .. } = member.state else { continue };
            let former = before.members.get(id).map(|member| &member.state);
            match former {
                Some(MemberState::Succeeded { .. }) => continue,
                // The answer and the health gate may come in one step when there is no wait.
                Some(MemberState::Applying { .. }) if after.gate.wait.is_zero() => {}
                Some(MemberState::Settling { applied_at, .. }) if now >= *applied_at + after.gate.wait => {}
                other => self.report(Rule::Health, format!("`{id}` succeeded out of {other:?}")),
            }
            let health = fleet.health(id);
            if health != Health::Healthy {
                self.report(Rule::Health, format!("`{id}` succeeded while {}", health.name()));
            }
        }
    }
}
