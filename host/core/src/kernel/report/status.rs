//! How the latest upgrade of a scale set stands.

use std::collections::BTreeMap;

use crate::domain::{Change, Component, InstanceId, Now, PluginName, Provision, Runs, Timestamp, WallTime};
use crate::kernel::state::{Fleet, SetState};
use crate::plan::{Hold, HoldReason};
use crate::rollout::{
    Estimate, Limit, Progress, Upgrade, UpgradeState, Waiting, WhyNot, estimate, nearest, waiting_now,
    why_not_yet,
};

use super::waiting::{Few, Then, WaitsFor, then, waits_for};

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
    /// When it has looked last: since then at the latest it waits for that; none of an upgrade of the past.
    pub stepped_at: Option<Timestamp>,
    /// A new instance that it waits for, and what is being done to it.
    pub new: Option<(&'a InstanceId, &'a Provision)>,
    /// What a person wished for once that is over.
    pub then: Option<Then>,
    /// Why not yet, for every instance that does not have what is wanted.
    pub not_yet: Vec<(InstanceId, WhyNot)>,
    /// How long it will still take.
    pub expected: Option<Expected>,
    /// When it is tried again by itself.
    pub retry_at: Option<Timestamp>,
    /// What runs where; told where an upgrade has not ended as it was meant to.
    pub runs: Vec<(Component, Runs, Few<'a>)>,
    /// What of its goal is in quarantine.
    pub quarantined: Vec<&'a Change>,
    /// The limit of time that ends it first; none where none is in force.
    pub limit: Option<Limit>,
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
    let quarantined =
        set.quarantined.keys().filter(|change| upgrade.goal.of(&change.component) == Some(&change.to));
    // What the record says replaces the sentence, so nothing follows it.
    let then = then(upgrade).filter(|_| fleet.refusing.is_none() && fleet.held.is_none());
    Some(StatusReport {
        upgrade,
        plugin: Some(&set.spec.plugin),
        progress: upgrade.progress(),
        new: new_one(set, waiting.as_ref()),
        waiting,
        stepped_at: Some(set.stepped_at),
        then,
        not_yet: why_not_yet(upgrade, &view, now.at),
        expected: expected(upgrade, set, stopped, now),
        retry_at: set
            .retry
            .as_ref()
            .filter(|retry| retry.why == crate::record::RetryWhy::Faulted)
            .map(|retry| retry.at),
        runs: if ended_otherwise(upgrade) { runs(set, upgrade) } else { Vec::new() },
        quarantined: quarantined.collect(),
        limit: nearest(upgrade, now.at),
    })
}

/// The first instance that is waited for because it is new; costs no more than those that are Initializing.
fn new_one<'a>(set: &'a SetState, waiting: Option<&WaitsFor<'_>>) -> Option<(&'a InstanceId, &'a Provision)> {
    let is_it = matches!(waiting, Some(WaitsFor::FirstDecision(_) | WaitsFor::Initializing(_)));
    let mut initializing = set.census().initializing().iter().filter(|_| is_it);
    initializing.find_map(|id| {
        let provision = set.instance(id)?.provision.as_deref()?;
        provision.is_open().then_some((id, provision))
    })
}

/// Whether an upgrade has ended, and not as it was meant to: somebody asks what runs now.
fn ended_otherwise(upgrade: &Upgrade) -> bool {
    match upgrade.state {
        UpgradeState::RollingForward => false,
        UpgradeState::Faulted | UpgradeState::Cancelled => true,
        UpgradeState::Completed => upgrade.progress().failed > 0 || upgrade.holds.iter().any(is_unjudged),
    }
}

/// Whether an instance was left out because nobody could judge it.
fn is_unjudged(hold: &Hold) -> bool {
    match hold.reason {
        HoldReason::Undecided
        | HoldReason::PluginFailed(_)
        | HoldReason::Unknown(_)
        | HoldReason::Vanished
        | HoldReason::Replaced
        | HoldReason::NoWayBack(_) => true,
        HoldReason::Skip(_)
        | HoldReason::Defer(_)
        | HoldReason::Protected
        | HoldReason::PersonHold(_)
        | HoldReason::PersonSkip(_) => false,
    }
}

/// What the members of a set have of each thing that the upgrade was about, the same together.
fn runs<'a>(set: &'a SetState, upgrade: &Upgrade) -> Vec<(Component, Runs, Few<'a>)> {
    let mut rows = Vec::new();
    for Change { component, to: _ } in upgrade.goal.changes() {
        let mut all: BTreeMap<String, (Runs, Vec<&InstanceId>)> = BTreeMap::new();
        for instance in set.members() {
            let runs = instance.runs_of(component);
            let same = all.entry(runs.to_string()).or_insert_with(|| (runs.clone(), Vec::new()));
            same.1.push(&instance.spec.id);
        }
        rows.extend(all.into_values().map(|(runs, ids)| (component.clone(), runs, Few::of(ids))));
    }
    rows
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
        stepped_at: None,
        new: None,
        then: None,
        not_yet,
        expected: None,
        retry_at: None,
        runs: Vec::new(),
        quarantined: Vec::new(),
        limit: None,
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
