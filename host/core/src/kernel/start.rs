//! How an upgrade starts, unless something speaks against it.

use std::sync::Arc;

use super::command::{Quarantined, Selection, StartOptions, Stops, Wanted};
use super::memory::Memories;
use super::modes;
use super::out::{About, Out};
use super::perform::announce;
use super::refusal::Refusal;
use super::sight;
use super::state::{Fleet, SetState};
use super::trail;
use super::{look, rollback};
use crate::domain::{
    By, Change, Checkpoints, Component, Creation, Digest, Goal, InstanceId, Now, Percent, ReleaseVersion,
    ScaleSetName, UpgradePolicy, Urgency,
};
use crate::plan::{Candidate, Plan, PlanInput, plan};
use crate::record::Write;
use crate::record::audit::{RetryNote, StartWhy, What};
use crate::rollout::{Brake, Extent, FleetView, Purpose, StartUpgrade, Upgrade, manual, no_round_trip};

/// Which try of an upgrade, and why it is made.
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) why: StartWhy,
}

/// Starts what a person or a program asks for.
pub(super) fn start(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    options: &StartOptions,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let goal = wanted(fleet.set(name)?, &options.wanted)?;
    let why = match (options.extent, options.stops) {
        (Extent::Repair, _) => StartWhy::Repair,
        (Extent::Everything, _) => StartWhy::Everything,
        (Extent::Missing, Stops::Hold) => StartWhy::Asked,
        (Extent::Missing, Stops::Bypassed) => StartWhy::Bypass,
    };
    begin(fleet, memories, name, goal, options, Attempt { number: 1, why }, by, now, out)
}

/// Starts again with what the latest upgrade has left: those that failed, that were left out or that it did not come
/// to. A version that is in quarantine because of it is tried again, because a person wants that.
pub(super) fn again(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    let ended = set.upgrade.clone().ok_or_else(|| Refusal::NoRunningUpgrade(name.clone()))?;
    if matches!(ended.purpose, Purpose::Rollback { .. }) {
        return rollback::go_on(fleet, memories, &ended, Brake::On, by, now, out);
    }
    let view = set.view(now);
    let lacks = |candidate: &Candidate| {
        let named = ended.purpose != Purpose::Manual || ended.members.get(&candidate.id).is_some();
        named && !candidate.is_at(&ended.goal)
    };
    let left: Vec<InstanceId> =
        view.candidates().into_iter().filter(lacks).map(|candidate| candidate.id).collect();
    if left.is_empty() {
        return Err(Refusal::NothingToRetry(ended.id.clone()));
    }
    let options = StartOptions {
        quarantined: Quarantined::Allow,
        manual: (ended.purpose == Purpose::Manual).then_some(Selection::These(left)),
        // What was urgent still is.
        wanted: Wanted { urgency: ended.policy.urgency, ..Wanted::default() },
        ..StartOptions::default()
    };
    let attempt = Attempt { number: 1, why: StartWhy::Left { of: ended.id.clone() } };
    begin(fleet, memories, name, ended.goal.clone(), &options, attempt, by, now, out)
}

/// What was wanted before an upgrade. Where the file has said something else already, that is what last Completed.
fn wanted_before(set: &SetState, why: &StartWhy) -> Goal {
    if *why != StartWhy::Wanted {
        return set.model.clone();
    }
    let before = |change: &Change| {
        let to = set.good.get(&change.component).unwrap_or(&change.to).clone();
        Change { component: change.component.clone(), to }
    };
    Goal::new(set.model.changes().map(before).collect::<Vec<_>>())
}

/// Starts an upgrade, unless something speaks against it.
#[expect(clippy::too_many_arguments, reason = "each is one part of the state, or of the wish")]
pub(super) fn begin(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    goal: Goal,
    options: &StartOptions,
    attempt: Attempt,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    if let Some(running) = set.active() {
        return Err(still_running(running));
    }
    let quarantined = if options.extent == Extent::Repair { Quarantined::Allow } else { options.quarantined };
    check_quarantine(set, &goal, quarantined)?;
    check_catalogue(fleet, set, &goal, quarantined)?;
    check_creation(set)?;
    let (number, id) = out.upgrade(name)?;
    let mut start = StartUpgrade {
        id,
        number,
        scale_set: name.clone(),
        goal: goal.clone(),
        policy: modes::policy(set, &attempt.why).at(options.wanted.urgency),
        before: wanted_before(set, &attempt.why),
        bypass: options.stops == Stops::Bypassed,
    };
    // What begins by itself begins, and says so in its end.
    if options.manual.is_none()
        && attempt.why.is_a_persons()
        && let Some((instance, why)) = no_round_trip_now(set, &goal, options.extent, now)
    {
        return Err(Refusal::RoundTrip { scale_set: name.clone(), instance, why });
    }
    if let Some(at) = options.not_before.filter(|at| *at <= now.wall.date()) {
        return Err(Refusal::StartInThePast { at, now: now.wall.date() });
    }
    let releases = attempt.why.releases();
    if !releases.is_empty() {
        in_a_release(&mut start.policy);
    }
    let mut upgrade = match &options.manual {
        Some(selection) => {
            // Everybody has been named: nothing is waited for, and no plugin is asked.
            start.policy.checkpoints = Checkpoints::default();
            manual(start, options.extent, &selected(set, selection, now)?, now.at)
        }
        None => {
            let mut upgrade = Upgrade::new(start, now.at);
            upgrade.attempt = attempt.number;
            upgrade.extent = options.extent;
            if let Some(wanted) = options.plan {
                let plan = plan_now(set, &goal, options.extent, options.wanted.urgency, now);
                check_digest(&plan, wanted)?;
                // Everybody is asked before its first batch, as before any other's; then it is this plan or nothing.
                upgrade.expects = Some(wanted);
            }
            upgrade
        }
    };
    upgrade.releases = releases;
    let view = set.view(now);
    if options.stops == Stops::Bypassed {
        upgrade.bypass_stops(&view, now.at);
    }
    if let Some(date) = options.not_before {
        upgrade.wait_for(date, view.moment(date));
    }
    let Some(set) = fleet.change(name) else { return Ok(()) };
    let lifted = goal.changes().filter(|_| options.extent != Extent::Repair);
    for change in lifted {
        set.quarantined.remove(change);
        out.writes.push(Write::Quarantine(name.clone(), change.clone(), None));
    }
    out.writes.push(Write::Retry(name.clone(), None));
    if let (Some(_), Some(ended)) = (set.retry.take(), &set.upgrade) {
        let note = RetryNote::Overtaken { by: upgrade.id.clone() };
        out.audit(About::upgrade(ended, None), by.clone(), What::Retry { note }, now);
    }
    install(fleet, memories, upgrade, attempt.why, by, now, out);
    Ok(())
}

/// What a release changes of a set's policy: zones are never crossed, and never all of the set is one batch.
fn in_a_release(policy: &mut UpgradePolicy) {
    policy.rolling.enable_cross_zone_upgrade = false;
    // 99 % rounded down leaves one of any number, and one of one stays one.
    policy.rolling.max_batch_instance_percent =
        policy.rolling.max_batch_instance_percent.min(Percent::clamped(99));
}

/// Records a new upgrade, makes it the set's own, tells every plugin of the new wanted version, and lets it
/// look.
pub(super) fn install(
    fleet: &mut Fleet,
    memories: &mut Memories,
    upgrade: Upgrade,
    why: StartWhy,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    let name = upgrade.scale_set.clone();
    let Some(set) = fleet.change(&name) else { return };
    out.begun(upgrade.number);
    if upgrade.purpose != Purpose::Manual {
        let model = set.model.changes().chain(upgrade.goal.changes()).cloned();
        set.model = Goal::new(model.collect::<Vec<_>>());
        for change in upgrade.goal.changes() {
            // A component that left the configuration belongs to no model any more.
            let Some(model) = set.stored_model(&change.component) else { continue };
            out.writes.push(Write::Model(name.clone(), change.component.clone(), model));
        }
    }
    look::record_all(&upgrade, out);
    let what = What::Start { goal: upgrade.goal.clone(), why, urgency: upgrade.policy.urgency };
    out.audit(About::upgrade(&upgrade, None), by.clone(), what, now);
    if upgrade.digest.is_some() {
        trail::plan(&upgrade, set, now, out);
    }
    if upgrade.is_forward() && upgrade.digest.is_none() {
        sight::look_before(set, &upgrade.goal, |_| true, now, out);
    }
    if upgrade.purpose == Purpose::Manual {
        sight::look_before(set, &upgrade.goal, |id| upgrade.named.contains(id), now, out);
    }
    set.upgrade = Some(Arc::new(upgrade));
    set.dirty = true;
    let ids: Vec<InstanceId> = set.instances().map(|instance| instance.spec.id.clone()).collect();
    ids.iter().for_each(|id| announce(set, id, out));
    look::look(fleet, memories, &name, &[], now, out);
}

/// What an upgrade is to bring: what was named, or the whole model.
///
/// # Errors
/// When the model has no such extension, or one is named twice.
pub fn wanted(set: &SetState, wanted: &Wanted) -> Result<Goal, Refusal> {
    if wanted.to.is_none() && wanted.extensions.is_empty() {
        return Ok(set.model.clone());
    }
    let application = wanted.to.iter().map(|to| Change { component: Component::Application, to: to.clone() });
    let mut changes: Vec<Change> = application.collect();
    for (name, version) in &wanted.extensions {
        let component = Component::Extension(name.clone());
        let Some(model) = set.model.of(&component) else {
            let components = set.model.changes().map(|change| &change.component);
            let extensions = components.filter(|component| **component != Component::Application);
            let known = extensions.map(|component| component.as_str().to_owned()).collect();
            let scale_set = set.spec.name.clone();
            return Err(Refusal::NoExtension { scale_set, name: name.clone(), known });
        };
        let to = version.as_ref().unwrap_or(model).clone();
        if changes.iter().any(|change| change.component == component) {
            return Err(Refusal::ExtensionTwice(name.clone()));
        }
        changes.push(Change { component, to });
    }
    // An instance gets them in the order of the model, however they were named.
    let place = |change: &Change| set.model.changes().position(|model| model.component == change.component);
    changes.sort_by_key(place);
    Ok(Goal::new(changes))
}

/// The instance that would make the round trip, and why it cannot; none where it can, or where that is not known yet.
pub(super) fn no_round_trip_now(
    set: &SetState,
    goal: &Goal,
    extent: Extent,
    now: Now,
) -> Option<(InstanceId, String)> {
    if !set.spec.policy.round_trip || extent != Extent::Missing || !set.looking.is_empty() {
        return None;
    }
    let plan = plan_now(set, goal, extent, Urgency::Routine, now);
    let first = plan.batches.first()?.instances.first()?.clone();
    let candidates = set.view(now).candidates();
    let candidate = candidates.iter().find(|candidate| candidate.id == first)?;
    let why = no_round_trip(candidate, goal, &set.spec.policy.rolling)?;
    Some((first, why))
}

/// What an upgrade would do at this moment.
pub fn plan_now(set: &SetState, goal: &Goal, extent: Extent, urgency: Urgency, now: Now) -> Plan {
    let candidates = set.view(now).candidates();
    let policy = set.spec.policy.clone().at(urgency);
    plan(&PlanInput {
        scale_set: &set.spec.name,
        goal,
        policy: &policy,
        candidates: &candidates,
        total: candidates.len(),
        there: extent.there(),
        batches_before: 0,
    })
}

pub(super) fn still_running(upgrade: &Upgrade) -> Refusal {
    Refusal::StillRunning {
        scale_set: upgrade.scale_set.clone(),
        id: upgrade.id.clone(),
        goal: upgrade.goal.clone(),
    }
}

fn check_quarantine(set: &SetState, goal: &Goal, quarantined: Quarantined) -> Result<(), Refusal> {
    let bad = goal.changes().find_map(|change| set.quarantined.get(change).map(|reason| (change, reason)));
    match (quarantined, bad) {
        (Quarantined::Allow, _) | (Quarantined::Refuse, None) => Ok(()),
        (Quarantined::Refuse, Some((change, reason))) => Err(Refusal::Quarantined {
            scale_set: set.spec.name.clone(),
            change: change.to_string(),
            reason: reason.clone(),
        }),
    }
}

/// A version of the catalogue that nobody gets any more, or that a halted release has put into quarantine everywhere.
fn check_catalogue(
    fleet: &Fleet,
    set: &SetState,
    goal: &Goal,
    quarantined: Quarantined,
) -> Result<(), Refusal> {
    if quarantined == Quarantined::Allow {
        return Ok(());
    }
    for change in goal.changes() {
        let mut enrolments = set.spec.estate.enrolments.iter();
        let Some(enrolment) = enrolments.find(|one| one.component == change.component) else { continue };
        let Ok(version) = ReleaseVersion::parse(change.to.as_str()) else { continue };
        let published = fleet.releases.catalogue.get(&enrolment.subject);
        let Some(entry) = published.and_then(|it| it.versions.get(&version)) else { continue };
        let withdrawn = entry.withdrawn.as_ref().map(|withdrawn| {
            let why = withdrawn.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            format!("it was withdrawn by {}{why}", withdrawn.by)
        });
        if let Some(reason) = withdrawn.or_else(|| entry.quarantined.clone()) {
            let (scale_set, change) = (set.spec.name.clone(), change.to_string());
            return Err(Refusal::Unreleased { scale_set, change, reason });
        }
    }
    Ok(())
}

/// The configuration is checked before; a driver that cannot create must all the same never be taken for one
/// that changes instances in place.
fn check_creation(set: &SetState) -> Result<(), Refusal> {
    if set.spec.policy.rolling.max_surge && set.driver.creation == Creation::NotTold {
        return Err(Refusal::CannotCreate(set.spec.name.clone()));
    }
    Ok(())
}

/// The instances that a person named; a name that is none, or that is protected, is refused.
fn selected(set: &SetState, selection: &Selection, now: Now) -> Result<Vec<Candidate>, Refusal> {
    const SHOWN: usize = 20;
    let all = set.view(now).candidates();
    let Selection::These(ids) = selection else { return Ok(all) };
    if ids.is_empty() {
        return Err(Refusal::NoInstanceNamed);
    }
    let is_known = |id: &&InstanceId| all.iter().any(|candidate| candidate.id == **id);
    let unknown: Vec<InstanceId> = ids.iter().filter(|id| !is_known(id)).cloned().collect();
    let scale_set = set.spec.name.clone();
    if !unknown.is_empty() {
        let ids = set.instances().map(|instance| instance.spec.id.clone());
        let known: Vec<InstanceId> = ids.take(SHOWN).collect();
        let more = set.instances().count().saturating_sub(known.len());
        return Err(Refusal::NoInstances { scale_set, unknown, known, more });
    }
    let named: Vec<Candidate> = all.into_iter().filter(|candidate| ids.contains(&candidate.id)).collect();
    match named.iter().find(|candidate| candidate.protection.from_scale_set_actions) {
        Some(candidate) => Err(Refusal::Protected { scale_set, instance: candidate.id.clone() }),
        None => match named.iter().find_map(|one| Some((one.id.clone(), one.held.as_ref()?.to_string()))) {
            Some((instance, word)) => Err(Refusal::HeldByPerson { scale_set, instance, word }),
            None => Ok(named),
        },
    }
}

/// Refuses a plan that is no longer the one that was shown.
fn check_digest(plan: &Plan, wanted: Digest) -> Result<(), Refusal> {
    if plan.digest == wanted {
        return Ok(());
    }
    let planned: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
    let (batches, held) = (plan.batches.len(), plan.holds.len());
    Err(Refusal::PlanChanged { wanted, now: plan.digest, planned, batches, held })
}

#[cfg(test)]
mod tests;
