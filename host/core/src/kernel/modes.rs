//! Upgrades that begin by themselves, because something else is wanted since the file was read: when that is so, and by
//! which rules they go.
//!
//! What is planned is recorded, so that a restart begins it. One that runs is never ended for a newer one, and a
//! quarantine is never lifted. A person who starts something else meanwhile has said what is wanted last.

use super::command::StartOptions;
use super::memory::Memories;
use super::out::{About, Out};
use super::start::{self, Attempt};
use super::state::{Fleet, SetState};
use crate::domain::{By, Goal, Now, Percent, ScaleSetName, UpgradeMode, UpgradePolicy};
use crate::record::audit::{RetryNote, StartWhy, What};
use crate::record::{Retry, RetryWhy, Write};
use crate::rollout::UpgradeState;

/// How soon it is tried again where the plugin of the set does not decide yet.
const UNTIL_IT_DECIDES: std::time::Duration = std::time::Duration::from_secs(2);

/// The file has said something of the model: an upgrade to what is wanted now begins by itself, where the mode says so.
pub(super) fn said_anew(set: &mut SetState, now: Now, out: &mut Out) {
    if set.spec.mode == UpgradeMode::Manual {
        return;
    }
    let goal = set.model.clone();
    let brings_it = |upgrade: &crate::rollout::Upgrade| {
        upgrade.is_forward() && upgrade.goal == goal && !upgrade.cancel_requested
    };
    if set.active().is_some_and(|upgrade| brings_it(upgrade)) {
        // What was to follow it is not wanted any more.
        return take_back(set, out);
    }
    plan(set, goal, now, out);
}

/// The file was read and nothing of it had changed: what has stopped short of what is wanted begins again.
pub(super) fn read_again(fleet: &mut Fleet, now: Now, out: &mut Out) {
    let stopped = |set: &SetState| {
        let short = |upgrade: &crate::rollout::Upgrade| {
            let state = upgrade.state;
            (state == UpgradeState::Cancelled || state == UpgradeState::Faulted)
                && upgrade.is_forward()
                && upgrade.goal.changes().all(|change| set.model.of(&change.component) == Some(&change.to))
        };
        set.spec.mode != UpgradeMode::Manual
            && set.active().is_none()
            && set.upgrade.as_deref().is_some_and(short)
    };
    for name in fleet.names(stopped) {
        let Some(set) = fleet.change(&name) else { continue };
        let goal = set.model.clone();
        if quarantined(set, &goal).is_none() {
            plan(set, goal, now, out);
        }
    }
}

fn plan(set: &mut SetState, goal: Goal, now: Now, out: &mut Out) {
    let planned = Retry { at: now.at, goal, attempt: 1, why: RetryWhy::Wanted };
    if set.retry.as_ref().is_some_and(|before| before.why == planned.why && before.goal == planned.goal) {
        return;
    }
    set.retry = Some(planned.clone());
    set.dirty = true;
    out.writes.push(Write::Retry(set.spec.name.clone(), Some(planned)));
}

fn take_back(set: &mut SetState, out: &mut Out) {
    if set.retry.take_if(|planned| planned.why == RetryWhy::Wanted).is_some() {
        out.writes.push(Write::Retry(set.spec.name.clone(), None));
    }
}

/// Begins what is planned, unless something speaks against it for good.
pub(super) fn begin(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    now: Now,
    out: &mut Out,
) -> Result<(), super::Refusal> {
    let decides =
        |set: &SetState| fleet.plugins.get(&set.spec.plugin).is_none_or(|life| life.in_force().is_some());
    let is_too_soon = !fleet.set(name).is_ok_and(|set| decides(set));
    let Some(set) = fleet.change(name) else { return Ok(()) };
    let Some(mut planned) = set.retry.take() else { return Ok(()) };
    if is_too_soon {
        // Nobody has a word yet by which anything could begin.
        planned.at = now.at + UNTIL_IT_DECIDES;
        set.retry = Some(planned.clone());
        out.writes.push(Write::Retry(name.clone(), Some(planned)));
        return Ok(());
    }
    let why_not = match set.spec.mode {
        UpgradeMode::Manual => Some("mode is Manual now".to_owned()),
        UpgradeMode::Rolling | UpgradeMode::Automatic => quarantined(set, &planned.goal),
    };
    if let Some(why) = why_not {
        out.writes.push(Write::Retry(name.clone(), None));
        let what = What::Retry { note: RetryNote::NotByItself { goal: planned.goal, why } };
        out.audit(About::set(name), By::host(), what, now);
        return Ok(());
    }
    let (goal, options) = (planned.goal.clone(), StartOptions::default());
    let attempt = Attempt { number: 1, why: StartWhy::Wanted };
    let begun = start::begin(fleet, memories, name, goal, &options, attempt, &By::host(), now, out);
    if begun.is_err()
        && let Some(set) = fleet.change(name)
    {
        set.retry = Some(planned);
    }
    begun
}

/// What of a goal is in quarantine, and why.
fn quarantined(set: &SetState, goal: &Goal) -> Option<String> {
    goal.changes().find_map(|change| {
        let why = set.quarantined.get(change)?;
        Some(format!("{change} is in quarantine: {why}"))
    })
}

/// By which rules an upgrade goes. What begins by itself in mode Automatic goes to all at once: without limits of
/// batches and of who is unhealthy before, without pauses, over the borders of zones. How many may fail is heeded, so that
/// a version that works nowhere is blamed.
pub(super) fn policy(set: &SetState, why: &StartWhy) -> UpgradePolicy {
    let mut policy = set.spec.policy.clone();
    let by_itself = match why {
        StartWhy::Wanted | StartWhy::Again { .. } => true,
        StartWhy::Asked
        | StartWhy::Everything
        | StartWhy::Repair
        | StartWhy::Bypass
        | StartWhy::Left { .. }
        | StartWhy::Release { .. }
        | StartWhy::TakesBack { .. }
        | StartWhy::BackTo { .. } => false,
    };
    if !by_itself || set.spec.mode != UpgradeMode::Automatic {
        return policy;
    }
    let all = Percent::clamped(100);
    let rolling = &mut policy.rolling;
    rolling.max_batch_instance_percent = all;
    rolling.max_unhealthy_instance_percent = all;
    rolling.pause_time_between_batches = std::time::Duration::ZERO;
    rolling.enable_cross_zone_upgrade = true;
    rolling.batches.clear();
    policy
}

#[cfg(test)]
mod tests;
