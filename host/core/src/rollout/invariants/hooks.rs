//! What must hold for hooks: invariant 22.
//!
//! Goes by what was asked for and what was answered, by the identities of hooks alone.

use std::collections::BTreeMap;

use super::{Check, Rule};
use crate::domain::{HookKind, OperationId};
use crate::rollout::{Action, Event, HookAbout, HookAction};

impl Check<'_> {
    /// A hook is there, is asked for under one name, and again only after a restart.
    pub(super) fn hook(&mut self, action: &HookAction) {
        let after = self.seen.after;
        if !after.policy.hooks.has(action.hook) {
            self.report(Rule::Hooks, format!("{} is run and is none of its hooks", action.operation));
        }
        let known = self.history.hooks_asked.contains(&action.operation);
        if known && !self.seen.events.contains(&Event::Resumed) {
            self.report(Rule::OneEffect, format!("{} was asked for again", action.operation));
        }
        if self.history.hooks_over.get(&action.operation).is_some_and(|_| !known) {
            self.report(Rule::Hooks, format!("{} is over and is asked for", action.operation));
        }
        if !after.hooks_in_hand().any(|(_, mine)| mine == action.operation) {
            self.report(
                Rule::Record,
                format!("{} goes out and the upgrade does not say so", action.operation),
            );
        }
        if let HookAbout::Instance { instance, .. } = &action.about
            && after.members.behind(instance).is_none()
        {
            self.report(Rule::Hooks, format!("{} of `{instance}`, which is not planned", action.operation));
        }
    }

    /// A hook round a batch is ended only while it is run, and only because a person wants it or its time is over;
    /// in the step in which it began at the earliest.
    pub(super) fn hook_ended(&mut self, operation: &OperationId) {
        let begins = |action: &Action| matches!(action, Action::Hook(hook) if hook.operation == *operation);
        let is_run = self.seen.before.hooks_in_hand().any(|(_, mine)| mine == *operation)
            || self.seen.step.actions.iter().any(begins);
        if !is_run {
            self.report(Rule::Hooks, format!("{operation} is ended, and is not being run"));
        }
        if !self.seen.after.cancel_requested && !self.is_late() {
            self.report(Rule::Stopped, format!("{operation} is ended, and nobody wanted that"));
        }
    }

    /// A driver that is asked for a version goes on, or the hook before has just done well.
    pub(super) fn hook_comes_first(&mut self, action: &Action) {
        let brings = matches!(action, Action::Apply { .. } | Action::Create { .. });
        let is_repeat = self.seen.events.contains(&Event::Resumed);
        if !brings || is_repeat || !self.seen.after.policy.hooks.has(HookKind::BeforeInstance) {
            return;
        }
        let Some(member) = self.member_of(action) else { return };
        let before = self.seen.before.members.get(&member);
        let done_well = before.and_then(|before| {
            let (kind, operation) = self.seen.before.instance_hook(&member, before)?;
            let well = self.history.hooks_over.get(&operation) == Some(&Ok(()));
            Some(kind == HookKind::BeforeInstance && well)
        });
        let goes_on =
            before.is_some_and(|before| before.state.is_with_driver()) || self.is_between_parts(&member);
        if !goes_on && done_well != Some(true) {
            let operation = action.operation();
            self.report(Rule::Hooks, format!("{operation} of `{member}` without the hook before it"));
        }
    }

    /// In the end each hook before that is over has one after it.
    pub(super) fn hooks(&mut self) {
        let after = self.seen.after;
        if after.is_active() || !self.seen.before.is_active() {
            return;
        }
        let mut balance: BTreeMap<String, i64> = BTreeMap::new();
        for operation in self.history.hooks_over.keys() {
            let Some((round, kind)) =
                operation.0.rsplit_once('/').and_then(|(rest, _)| rest.rsplit_once('/'))
            else {
                continue;
            };
            let counts = balance.entry(round.to_owned()).or_default();
            for (name, count) in [("before", 1), ("after", -1)] {
                *counts += if kind.starts_with(name) { count } else { 0 };
            }
        }
        for (before, next) in [
            (HookKind::BeforeInstance, HookKind::AfterInstance),
            (HookKind::BeforeBatch, HookKind::AfterBatch),
        ] {
            if !after.policy.hooks.has(before) || !after.policy.hooks.has(next) {
                continue;
            }
            for (round, _) in balance.iter().filter(|(_, balance)| **balance > 0) {
                let name = round.rsplit_once('/').map_or("", |(_, name)| name);
                let is_batch = name.starts_with("batch-");
                if is_batch == (before == HookKind::BeforeBatch) {
                    self.report(Rule::Hooks, format!("{round}: a {before} without its {next}"));
                }
            }
        }
    }
}
