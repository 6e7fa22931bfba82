//! What must hold for everything that is in flight and for each effect: invariants 2, 4, 5, 7 and
//! 13.

use std::collections::BTreeSet;

use super::{Check, History, Rule, Seen};
use crate::domain::{Change, Component, Health, InstanceId, OperationId, Version};
use crate::rollout::{Action, Event, Extent, Member, MemberState, PartState, Purpose, Stage, Trip};

/// Effects for one part of an instance in one upgrade: there, back, and back once more when a breach finds that
/// the first way back failed.
const ATTEMPTS_MAX: u32 = 3;

/// Up, back and up again before those.
const TRIP_MAX: u32 = 2;

impl Check<'_> {
    /// After a limit was passed, everything that failed goes back at the same time: it is down
    /// anyway, so there is no border left to keep.
    pub(super) fn in_flight(&mut self) {
        let after = self.seen.after;
        if matches!(after.stage, Stage::Undoing | Stage::Stopping { .. }) || self.is_by_hand() {
            return;
        }
        let flying = after.members.iter().filter(|(_, member)| member.state.is_in_flight());
        let facts: Vec<_> = flying.filter_map(|(id, _)| self.fact(id)).collect();
        let zones: BTreeSet<_> = facts.iter().map(|fact| fact.zone.clone()).collect();
        let domains: BTreeSet<_> = facts.iter().map(|fact| fact.update_domain).collect();
        if zones.len() > 1 && !after.policy.rolling.enable_cross_zone_upgrade {
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
        for action in &self.seen.step.actions {
            if let Action::Hook(hook) = action {
                if !here.insert(&hook.operation) {
                    self.report(Rule::OneEffect, format!("{} twice in one step", hook.operation));
                }
                self.hook(hook);
                continue;
            }
            if let Action::EndHook { operation } = action {
                self.hook_ended(operation);
                continue;
            }
            if let Action::End { instance, operation } = action {
                // What began in this very step a driver has got before it hears of the end.
                if !here.contains(operation) {
                    self.ended(instance, operation);
                }
                continue;
            }
            let operation = action.operation();
            if !here.insert(operation) {
                self.report(Rule::OneEffect, format!("{operation} twice in one step"));
            }
            self.hook_comes_first(action);
            let Some(member) = self.member_of(action) else { continue };
            let change = |component: &Component, version: &Version| Change {
                component: component.clone(),
                to: version.clone(),
            };
            let change = match action {
                Action::Apply { component, version, .. } => Some(change(component, version)),
                Action::Create { version, .. } => Some(change(&Component::Application, version)),
                Action::Delete { .. } | Action::End { .. } | Action::Hook(_) | Action::EndHook { .. } => None,
            };
            self.effect(&member, change.as_ref(), operation);
        }
        self.settled();
    }

    /// The member to which an effect belongs: that of a new instance to the one that it replaces.
    pub(super) fn member_of(&self, action: &Action) -> Option<InstanceId> {
        if let Action::Create { replaces, .. } = action {
            return Some(replaces.clone());
        }
        let instance = action.instance()?;
        let here = self.seen.after.members.get(instance).map(|_| instance);
        Some(here.unwrap_or_else(|| self.history.first(instance)).clone())
    }

    /// Whether the upgrade is ending because its time is over.
    pub(super) fn is_late(&self) -> bool {
        let late = crate::rollout::UpgradeErrorCode::RollingUpgradeTimeoutError;
        self.seen.after.error.as_ref().is_some_and(|error| error.code == late)
    }

    /// Only what a driver has in hand is ended, and only because a person wants it.
    fn ended(&mut self, instance: &InstanceId, operation: &OperationId) {
        let before = self.seen.before;
        let member = before.members.get(instance).map(|member| (instance, member));
        let member = member.or_else(|| before.members.behind(instance));
        let is_in_hand = |(id, member): &(&InstanceId, &Member)| {
            let hook = before.instance_hook(id, member).is_some_and(|(_, hook)| hook == *operation);
            hook || (member.state.is_with_driver() && before.operation(id, member.attempt) == *operation)
        };
        if !member.is_some_and(|one| is_in_hand(&one)) {
            self.report(
                Rule::OneEffect,
                format!("{operation} of `{instance}` is ended, and no driver has it in hand"),
            );
        }
        if !self.seen.after.cancel_requested && !self.is_late() {
            self.report(Rule::Stopped, format!("{operation} is ended, and nobody wanted that"));
        }
    }

    fn effect(&mut self, instance: &InstanceId, change: Option<&Change>, operation: &OperationId) {
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
        let each = if after.policy.round_trip { ATTEMPTS_MAX + TRIP_MAX } else { ATTEMPTS_MAX };
        // Parts that will not be brought any more were once.
        let parts = member.parts.len().max(after.goal.changes().count());
        let most = each * u32::try_from(parts).unwrap_or(u32::MAX / each);
        let surges = member.is_surge();
        if member.attempt > most {
            self.report(Rule::OneEffect, format!("attempt {} on `{instance}`", member.attempt));
        }
        if let Some((_, meant)) = self.history.effects.get(operation) {
            let meant = meant.clone().map(|(component, to)| Change { component, to });
            if !self.seen.events.contains(&Event::Resumed) {
                self.report(Rule::OneEffect, format!("{operation} was asked for again"));
            }
            if meant.as_ref() != change {
                let detail = format!("{operation} meant {meant:?} and now {change:?}");
                self.report(Rule::OneEffect, detail);
            }
            return;
        }
        let former = self.seen.before.members.get(instance).map_or(0, |member| member.attempt);
        if member.attempt != former + 1 {
            self.report(Rule::OneEffect, format!("attempt {} after {former}", member.attempt));
        }
        let Some(change) = change else { return };
        self.not_too_often(member.watched(instance), change, member);
        if surges && after.goal.of(&change.component).is_none() {
            self.what_the_one_before_had(instance, change);
            return;
        }
        match (self.former, &member.state) {
            (Some(former), _) => self.way_back(instance, change, former),
            (None, MemberState::Restoring { .. }) => self.way_back(instance, change, self.history),
            (None, _) => self.way_there(instance, change),
        }
    }

    /// A new instance gets of what the upgrade is not about what the one had whose place it takes.
    fn what_the_one_before_had(&mut self, instance: &InstanceId, change: &Change) {
        let had = self.fact(instance).and_then(|fact| fact.before.get(&change.component).cloned());
        if had.as_ref() != Some(&change.to) {
            let detail = format!("the new instance for `{instance}` gets {change}, and it had {had:?}");
            self.report(Rule::Surge, detail);
        }
    }

    /// Each part goes there once, and back once, or twice when a breach finds that the first way back
    /// failed.
    fn not_too_often(&mut self, instance: &InstanceId, change: &Change, member: &Member) {
        let same = |(id, meant): &&(InstanceId, Option<(Component, Version)>)| {
            let (component, to) = (&change.component, &change.to);
            id == instance && meant.as_ref().is_some_and(|meant| (&meant.0, &meant.1) == (component, to))
        };
        let before = self.history.effects.values().filter(same).count();
        let most = if matches!(member.state, MemberState::Restoring { .. }) { 2 } else { 1 };
        let most = if member.trip.is_none() { most } else { most + 1 };
        if before >= most {
            self.report(Rule::OneEffect, format!("`{instance}` gets {change} for the {}th time", before + 1));
        }
    }

    fn way_there(&mut self, instance: &InstanceId, change: &Change) {
        let Seen { before, after, .. } = *self.seen;
        let repair = after.extent == Extent::Repair;
        if !repair && after.goal.of(&change.component) != Some(&change.to) {
            self.report(Rule::WayBack, format!("`{instance}` gets {change}, which was not wanted"));
        }
        let found = self.fact(instance).and_then(|fact| fact.versions.get(&change.component));
        // A new instance gets all of it, also what the one before it had.
        let surges = after.members.get(instance).is_some_and(Member::is_surge);
        if found == Some(&change.to) && !surges && after.extent == Extent::Missing {
            self.report(Rule::OneEffect, format!("`{instance}` gets {change}, which it has"));
        }
        let goes_on = self.turns_again(instance)
            || self.is_between_parts(instance)
            || before
                .members
                .get(instance)
                .is_some_and(|member| member.state.is_with_driver() || member.state.is_hooking());
        if !self.admitted.contains(instance) && !goes_on {
            self.report(Rule::Stopped, format!("`{instance}` gets {change} without admission"));
        }
        let consented = self.fact(instance).is_some_and(|fact| fact.consent.is_ok());
        if !consented && after.purpose == Purpose::Forward {
            self.report(Rule::Consent, format!("`{instance}` gets {change} and did not consent"));
        }
    }

    /// Whether it is healthy again with what it had, on its round trip.
    fn turns_again(&self, instance: &InstanceId) -> bool {
        let before = self.seen.before.members.get(instance);
        before.is_some_and(|member| member.trip == Trip::Back)
    }

    /// It was admitted, and gets one part after the other.
    pub(super) fn is_between_parts(&self, instance: &InstanceId) -> bool {
        let before = self.seen.before.members.get(instance);
        before.is_some_and(|member| member.state.is_settling() && member.is_between_parts())
    }

    /// `there` is the history of the way there.
    fn way_back(&mut self, instance: &InstanceId, change: &Change, there: &History) {
        let recorded = self.fact(instance).and_then(|fact| fact.before.get(&change.component).cloned());
        if recorded.as_ref() != Some(&change.to) {
            let detail = format!("`{instance}` goes back to {change}, it had {recorded:?}");
            self.report(Rule::WayBack, detail);
        }
        if !there.touched.contains(there.first(instance)) {
            self.report(Rule::WayBack, format!("`{instance}` goes back and was never touched"));
        }
    }

    /// Whether something that an instance got has passed the health gate in this step.
    fn is_newly_proven(&self, id: &InstanceId, member: &Member) -> bool {
        let proven =
            |member: &Member| member.parts.iter().filter(|part| part.state == PartState::Proven).count();
        let before = self.seen.before.members.get(id).map_or(0, proven);
        // A copy that was repaired, or one that goes another way of its round trip, may have fewer.
        proven(member) > before
    }

    /// Who passed the health gate in this step must be Healthy now, after the wait.
    fn settled(&mut self) {
        let Seen { before, after, fleet, now, .. } = *self.seen;
        for (id, member) in after.members.iter() {
            let is_good = matches!(member.state, MemberState::Succeeded { .. });
            if !is_good && !self.is_newly_proven(id, member) {
                continue;
            }
            let former = before.members.get(id).map(|member| &member.state);
            match former {
                Some(MemberState::Succeeded { .. }) => continue,
                // The answer and the health gate may come in one step when there is no wait.
                Some(MemberState::Applying { .. } | MemberState::Hooking { .. })
                    if after.policy.gate.wait.is_zero() => {}
                Some(MemberState::Settling { applied_at, .. })
                    if now >= *applied_at + after.policy.gate.wait => {}
                // It was Healthy when the old one was about to be deleted.
                Some(MemberState::Deleting { .. }) => continue,
                other => self.report(Rule::Health, format!("`{id}` succeeded out of {other:?}")),
            }
            let health = fleet.health(id);
            if health != Health::Healthy {
                self.report(Rule::Health, format!("`{id}` succeeded while {}", health.name()));
            }
        }
    }
}
