//! A faulted upgrade that is tried again by itself, with a fresh snapshot.

use super::lifecycle::Attempt;
use super::run::{Control, RETRY_AFTER};
use super::{Quarantined, StartOptions, audit};
use phasegate_core::domain::{ScaleSetName, Timestamp};
use phasegate_core::record::{Retry, Write};
use phasegate_core::rollout::UpgradeState;

impl Control {
    /// Plans the next try of an upgrade that has just ended, where the configuration wants one.
    pub(super) fn plan_retry(&mut self, name: &ScaleSetName) {
        let Some(set) = self.sets.get_mut(name) else { return };
        let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_forward()) else { return };
        let (Some(rule), UpgradeState::Faulted) = (set.spec.retry, upgrade.state) else { return };
        if upgrade.cancel_requested {
            // A person wanted it to stop.
            return;
        }
        if upgrade.attempt > rule.limit {
            let text = format!("not tried again: retryLimit = {} is reached", rule.limit);
            self.writes.push(audit::line(upgrade, None, "retry", text, self.clock.now()));
            return;
        }
        let at = upgrade.ended_at().unwrap_or(upgrade.started_at) + rule.after;
        let text = format!("is tried again at {}", super::rfc3339(at));
        self.writes.push(audit::line(upgrade, None, "retry", text, self.clock.now()));
        let retry = Retry { at, goal: upgrade.goal.clone(), attempt: upgrade.attempt + 1 };
        set.retry = Some(retry.clone());
        self.writes.push(Write::Retry(name.clone(), Some(retry)));
    }

    /// A person has decided otherwise.
    pub(super) fn drop_retry(&mut self, name: &ScaleSetName, why: &str) {
        let now = self.clock.now();
        let Some(set) = self.sets.get_mut(name) else { return };
        if set.retry.take().is_none() {
            return;
        }
        self.writes.push(Write::Retry(name.clone(), None));
        if let Some(upgrade) = &set.upgrade {
            let text = format!("is not tried again: {why}");
            self.writes.push(audit::line(upgrade, None, "retry", text, now));
        }
    }

    /// Starts the tries whose time has come.
    pub(super) fn retry_upgrades(&mut self, now: Timestamp) {
        let due = |set: &super::state::SetState| set.retry_at().is_some_and(|at| at <= now);
        let names: Vec<ScaleSetName> =
            self.sets.iter().filter(|(_, set)| due(set)).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(retry) = self.sets.get(&name).and_then(|set| set.retry.clone()) else { continue };
            let options = StartOptions { quarantined: Quarantined::Allow, ..StartOptions::default() };
            let why = format!("try {} of the upgrade to {}", retry.attempt, retry.goal);
            let attempt = Attempt { number: retry.attempt, why };
            if let Err(error) = self.begin(&name, retry.goal, &options, attempt) {
                tracing::warn!(scale_set = %name, "the upgrade cannot be tried again now: {error}");
                if let Some(retry) = self.sets.get_mut(&name).and_then(|set| set.retry.as_mut()) {
                    retry.at = now + RETRY_AFTER;
                }
            }
        }
    }
}
