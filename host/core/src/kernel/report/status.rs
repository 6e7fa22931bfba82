//! How the latest upgrade of a scale set stands.

use crate::domain::{InstanceId, Now, PluginName, Timestamp, WallTime};
use crate::kernel::state::{Fleet, SetState};
use crate::rollout::{Estimate, Progress, Upgrade, Waiting, WhyNot, estimate, waiting_now, why_not_yet};

use super::waiting::{Then, WaitsFor, then, waits_for};

/// How an upgrade stands, and what people ask next.
#[derive(Debug, Clone)]
pub struct StatusReport<'a> {
    /// The upgrade.
    pub upgrade: &'a Upgrade,
    /// Which plugin judges the set; none of an upgrade of the past.
    pub plugin: Option<&'a PluginName>,
    /// Counts of planned instances.
    pub progress: Progress,
    /// What it waits for right now; none when it has ended, or waits for nothing.
    pub waiting: Option<WaitsFor<'a>>,
    /// What a person wished for once that is over.
    pub then: Option<Then>,
    /// Why not yet, for every instance that does not have what is wanted.
    pub not_yet: Vec<(InstanceId, WhyNot)>,
    /// How long it will still take.
    pub expected: Option<Expected>,
    /// When it is tried again by itself.
    pub retry_at: Option<Timestamp>,
}

/// What the batches so far let expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It ends at that time.
    By(Estimate),
    /// It takes so long once a person has let it go on.
    AfterAPerson(Estimate),
}

/// Looks at the latest upgrade of a set; none when there has been none.
#[must_use]
pub fn status<'a>(fleet: &'a Fleet, set: &'a SetState, now: Now) -> Option<StatusReport<'a>> {
    let upgrade = set.upgrade.as_deref()?;
    let view = set.view(now);
    let stopped = waiting_now(upgrade, &view, now.at);
    let waiting = of_all(fleet, (set, upgrade), stopped, now);
    // What the record says replaces the sentence, so nothing follows it.
    let then = then(upgrade).filter(|_| fleet.refusing.is_none() && fleet.held.is_none());
    Some(StatusReport {
        upgrade,
        plugin: Some(&set.spec.plugin),
        progress: upgrade.progress(),
        waiting,
        then,
        not_yet: why_not_yet(upgrade, &view),
        expected: expected(upgrade, set, stopped, now),
        retry_at: set.retry.as_ref().map(|retry| retry.at),
    })
}

/// An upgrade that is over and was followed by others: it waits for nothing, and nothing is expected of it.
#[must_use]
pub fn past(upgrade: &Upgrade) -> StatusReport<'_> {
    let progress = upgrade.progress();
    let not_yet = Vec::new();
    let plugin = None;
    StatusReport {
        upgrade,
        plugin,
        progress,
        waiting: None,
        then: None,
        not_yet,
        expected: None,
        retry_at: None,
    }
}

/// What the latest upgrade of a set waits for: less work than a whole [`status`].
#[must_use]
pub fn waiting<'a>(fleet: &'a Fleet, set: &'a SetState, now: Now) -> Option<WaitsFor<'a>> {
    let upgrade = set.upgrade.as_deref()?;
    let stopped = waiting_now(upgrade, &set.view(now), now.at);
    of_all(fleet, (set, upgrade), stopped, now)
}

/// What the whole host waits for goes before what one upgrade does.
fn of_all<'a>(
    fleet: &'a Fleet,
    (set, upgrade): (&'a SetState, &'a Upgrade),
    stopped: Option<Waiting>,
    now: Now,
) -> Option<WaitsFor<'a>> {
    let held = fleet.held.as_deref().filter(|_| upgrade.is_active());
    match (&fleet.refusing, held) {
        (Some(why), _) => Some(WaitsFor::Record(why)),
        (None, Some(hold)) => Some(WaitsFor::Adoption(hold)),
        (None, None) => waits_for(upgrade, set, stopped, now),
    }
}

fn expected(upgrade: &Upgrade, set: &SetState, stopped: Option<Waiting>, now: Now) -> Option<Expected> {
    // Freezes go by the date, estimates by the fleet's own time.
    let frozen_until = |at: Timestamp| {
        let date = WallTime(now.wall.0 + (at.0 - now.at.0));
        set.frozen_until(date).map(|until| at + until.since(date.date()))
    };
    let estimate = estimate(upgrade, frozen_until, now.at)?;
    let for_a_person =
        stopped.is_some_and(|waiting| waiting.until().is_none() && waiting != Waiting::Initializing);
    Some(if for_a_person { Expected::AfterAPerson(estimate) } else { Expected::By(estimate) })
}
