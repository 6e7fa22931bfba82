//! A faulted upgrade that is tried again by itself, with a fresh snapshot.

use super::command::{Quarantined, StartOptions, Wanted};
use super::memory::Memories;
use super::modes;
use super::out::{About, Out};
use super::start::{self, Attempt};
use super::state::{Fleet, SetState};
use crate::domain::{Backoff, By, Now, ScaleSetName, Urgency};
use crate::record::audit::{RetryNote, StartWhy, What};
use crate::record::{Retry, RetryWhy, Write};
use crate::rollout::{Extent, UpgradeState};

/// Between two tries to begin a try, while something speaks against it.
const BEGIN_AGAIN: Backoff =
    Backoff { first: std::time::Duration::from_secs(5), max: std::time::Duration::from_secs(5) };

/// Plans the next try of an upgrade that has just ended, where the configuration wants one.
pub(super) fn plan(set: &mut SetState, now: Now, out: &mut Out) {
    let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| upgrade.is_forward()) else { return };
    let (Some(rule), UpgradeState::Faulted) = (set.spec.retry, upgrade.state) else { return };
    if set.retry.is_some() {
        // Something else is wanted since.
        return;
    }
    if !upgrade.releases.is_empty()
        || upgrade.cancel_requested
        || upgrade.extent != Extent::Missing
        || upgrade.expects.is_some()
    {
        // Its release tries it again, a person wanted it to stop, or exactly this plan or nothing.
        return;
    }
    let about = About::upgrade(upgrade, None);
    if upgrade.attempt > rule.limit {
        let what = What::Retry { note: RetryNote::LimitReached { limit: rule.limit } };
        out.audit(about, By::host(), what, now);
        return;
    }
    let at = upgrade.ended_at().unwrap_or(upgrade.started_at) + rule.after;
    out.audit(about, By::host(), What::Retry { note: RetryNote::Planned { at } }, now);
    let retry =
        Retry { at, goal: upgrade.goal.clone(), attempt: upgrade.attempt + 1, why: RetryWhy::Faulted };
    set.retry = Some(retry.clone());
    out.writes.push(Write::Retry(set.spec.name.clone(), Some(retry)));
}

/// Drops the planned try: something else was decided.
pub(super) fn drop_planned(set: &mut SetState, note: RetryNote, by: &By, now: Now, out: &mut Out) {
    if set.retry.take().is_none() {
        return;
    }
    out.writes.push(Write::Retry(set.spec.name.clone(), None));
    if let Some(upgrade) = &set.upgrade {
        out.audit(About::upgrade(upgrade, None), by.clone(), What::Retry { note }, now);
    }
}

/// Starts a try whose time has come.
pub(super) fn begin_due(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    now: Now,
    out: &mut Out,
) {
    let due = |set: &SetState| set.retry_at().is_some_and(|at| at <= now.at);
    let Some(retry) = fleet.set(name).ok().filter(|set| due(set)).and_then(|set| set.retry.clone()) else {
        return;
    };
    if retry.why == RetryWhy::Wanted {
        if modes::begin(fleet, memories, name, now, out).is_err()
            && let Some(planned) = fleet.change(name).and_then(|set| set.retry.as_mut())
        {
            planned.at = now.at + BEGIN_AGAIN.after(1, out.numbers.audit);
            out.writes.push(Write::Retry(name.clone(), Some(planned.clone())));
        }
        return;
    }
    // It is the same upgrade again, as urgent as it was.
    let before = fleet.set(name).ok().and_then(|set| set.upgrade.clone());
    let urgency = before.map_or(Urgency::Routine, |before| before.policy.urgency);
    let wanted = Wanted { urgency, ..Wanted::default() };
    let options = StartOptions { quarantined: Quarantined::Allow, wanted, ..StartOptions::default() };
    let attempt = Attempt { number: retry.attempt, why: StartWhy::Again { attempt: retry.attempt } };
    if start::begin(fleet, memories, name, retry.goal, &options, attempt, &By::host(), now, out).is_err()
        && let Some(planned) = fleet.change(name).and_then(|set| set.retry.as_mut())
    {
        planned.at = now.at + BEGIN_AGAIN.after(1, out.numbers.audit);
        out.writes.push(Write::Retry(name.clone(), Some(planned.clone())));
    }
}
