//! An upgrade ends for its time when that is over, and not before: invariant 23.
//!
//! Reckons in the fleet's own time, from outside: time that counts is never more than time that has passed.

use std::time::Duration;

use super::{Check, Rule};
use crate::domain::{Timestamp, Urgency};
use crate::rollout::{Stage, Upgrade, UpgradeErrorCode, nearest};

impl Check<'_> {
    pub(super) fn time(&mut self) {
        let (before, after, now) = (self.seen.before, self.seen.after, self.seen.now);
        let is_late = |upgrade: &Upgrade| {
            upgrade
                .error
                .as_ref()
                .is_some_and(|error| error.code == UpgradeErrorCode::RollingUpgradeTimeoutError)
        };
        if let Some(waits) = waits_for_its_own_sake(after) {
            self.report(Rule::Time, format!("is an emergency and waits for {waits}"));
        }
        if after.policy.urgency != before.policy.urgency {
            self.report(Rule::Time, "is of another urgency than it was".to_owned());
        }
        if is_late(after) && !is_late(before) {
            let timeouts = after.policy.timeouts;
            let passed = |limit: Option<Duration>, since: Option<Timestamp>| {
                limit.zip(since).is_some_and(|(limit, since)| now.since(since) >= limit)
            };
            let batch = after.batches.get(before.current).filter(|_| before.stage == Stage::InBatch);
            let behind = before.current.checked_sub(1).and_then(|last| after.batches.get(last));
            let asked_since = behind.map_or(Some(after.started_at), |batch| batch.ended_at);
            let over = passed(timeouts.upgrade, Some(after.started_at))
                || passed(timeouts.batch, batch.and_then(|batch| batch.started_at))
                || passed(timeouts.approval, asked_since);
            if !over {
                self.report(Rule::Time, "ended for its time, and no limit can be over".to_owned());
            }
            if !self.is_forward() {
                self.report(Rule::Time, "a way back was stopped for its time".to_owned());
            }
        }
        if let Some(limit) = nearest(after, now).filter(|limit| limit.until.is_some_and(|until| until <= now))
        {
            self.report(Rule::Time, format!("goes on although {} is over", limit.name.name()));
        }
    }
}

/// What an emergency must not wait for: it is not about health.
fn waits_for_its_own_sake(upgrade: &Upgrade) -> Option<&'static str> {
    let policy = &upgrade.policy;
    let is_emergency = policy.urgency == Urgency::Emergency;
    let waits = [
        ("a pause", !policy.rolling.pause_time_between_batches.is_zero()),
        ("a bake", policy.bake.is_some()),
        ("deferred instances", !policy.defer_max.is_zero()),
    ];
    waits.into_iter().find(|(_, waits)| is_emergency && *waits).map(|(what, _)| what)
}
