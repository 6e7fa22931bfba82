//! The catalogue and releases as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use phasegate_core::domain::{Digest, ExtensionType, Now, ReleaseVersion, ScaleSetName, Version};
use phasegate_core::kernel::released::{self, Standing};
use phasegate_core::kernel::{Fleet, Planned};
use phasegate_core::release::{
    End, How, Left, Moves, Part, PlannedPhase, PlannedSet, Release, ReleaseState, Run, Strategy, Tally,
    waits_for_people,
};
use phasegate_wire as wire;

/// One type of the catalogue.
pub(crate) fn extension_type(fleet: &Fleet, subject: &ExtensionType) -> wire::ExtensionType {
    let published = fleet.releases.catalogue.get(subject);
    let versions = published.iter().flat_map(|published| &published.versions);
    let version = |(version, entry): (&ReleaseVersion, &phasegate_core::release::PublishedVersion)| {
        wire::ExtensionVersion {
            version: version.to_string(),
            digest: entry.digest.as_ref().map(Digest::to_string),
            published_at: entry.at.to_string(),
            published_by: entry.by.to_string(),
            withdrawn: entry.withdrawn.is_some(),
            withdrawn_reason: entry.withdrawn.as_ref().and_then(|withdrawn| withdrawn.reason.clone()),
            quarantined: entry.quarantined.clone(),
        }
    };
    let uses = fleet.sets().filter_map(|set| {
        let enrolment = set.spec.estate.enrolment(subject)?;
        let key = (set.spec.name.clone(), subject.clone());
        Some(wire::ExtensionUse {
            scale_set: set.spec.name.to_string(),
            component: enrolment.component.to_string(),
            version: set.model.of(&enrolment.component).map(ToString::to_string),
            type_handler_version: enrolment.handler.to_string(),
            auto_upgrade_minor_version: enrolment.minor,
            enable_automatic_upgrade: enrolment.automatic,
            opted_out: fleet.releases.opted_out.contains_key(&key),
        })
    });
    wire::ExtensionType {
        publisher: subject.publisher().to_owned(),
        name: subject.name().to_owned(),
        newest: published.and_then(|it| it.newest(|_| true)).map(ToString::to_string),
        versions: versions.map(version).collect(),
        scale_sets: uses.collect(),
        source: None,
    }
}

/// Every type that anybody knows.
pub(crate) fn extension_types(fleet: &Fleet) -> wire::ExtensionTypes {
    let of_sets =
        fleet.sets().flat_map(|set| set.spec.estate.enrolments.iter().map(|one| one.subject.clone()));
    let mut all: Vec<ExtensionType> = of_sets.chain(fleet.releases.rules.types.keys().cloned()).collect();
    all.extend(fleet.releases.catalogue.keys().cloned());
    all.sort();
    all.dedup();
    let extension_types = all.iter().map(|subject| extension_type(fleet, subject)).collect();
    wire::ExtensionTypes { extension_types }
}

fn state(release: &Release) -> wire::ReleaseState {
    match release.state {
        ReleaseState::Running if release.paused => wire::ReleaseState::Paused,
        ReleaseState::Running => wire::ReleaseState::Running,
        ReleaseState::Halted => wire::ReleaseState::Halted,
        ReleaseState::Ending(_) => wire::ReleaseState::Ending,
        ReleaseState::Ended(End::Completed, _) => wire::ReleaseState::Completed,
        ReleaseState::Ended(End::Stopped, _) => wire::ReleaseState::Stopped,
        ReleaseState::Ended(End::Superseded, _) => wire::ReleaseState::Superseded,
        ReleaseState::Ended(End::Withdrawn, _) => wire::ReleaseState::Withdrawn,
        ReleaseState::Ended(End::RolledBack, _) => wire::ReleaseState::RolledBack,
        ReleaseState::Ended(End::PartlyRolledBack, _) => wire::ReleaseState::PartlyRolledBack,
    }
}

fn set_state(part: &Part) -> wire::ReleaseSetState {
    match &part.run {
        Run::Waits => wire::ReleaseSetState::Waiting,
        Run::Left(_) => wire::ReleaseSetState::Left,
        Run::Runs => wire::ReleaseSetState::Running,
        Run::Done => wire::ReleaseSetState::Done,
        Run::Ended { how: How::Faulted, .. } => wire::ReleaseSetState::Failed,
        Run::Ended { how: How::Incomplete, .. } => wire::ReleaseSetState::Incomplete,
        Run::Ended { how: How::Cancelled, .. } => wire::ReleaseSetState::Cancelled,
        Run::Ended { how: How::NotApproved, .. } => wire::ReleaseSetState::NotApproved,
        Run::GoesBack => wire::ReleaseSetState::GoingBack,
        Run::Back => wire::ReleaseSetState::Back,
        Run::NotBack { .. } => wire::ReleaseSetState::NotBack,
    }
}

/// A release in a line.
pub(crate) fn brief(release: &Release) -> wire::ReleaseInBrief {
    let mut scale_sets: BTreeMap<String, usize> = BTreeMap::new();
    for part in release.parts.values() {
        *scale_sets.entry(set_state(part).to_string()).or_default() += 1;
    }
    let begun = release.parts.values().filter(|part| part.tries > 0);
    wire::ReleaseInBrief {
        id: release.id.to_string(),
        subject: release.subject.to_string(),
        version: release.version.to_string(),
        state: state(release),
        started_at: release.started_on.to_string(),
        actor: release.by.to_string(),
        reason: release.reason.clone(),
        region_phase: begun.map(|part| part.phase + 1).max().unwrap_or(0),
        region_phases: release.phases.len(),
        scale_sets,
        waits_for_people: waits_for_people(release).map(|(name, part)| stuck(release, name, part)),
    }
}

/// What a release waits for, and the commands that help.
fn stuck(release: &Release, name: &ScaleSetName, part: &Part) -> String {
    let (id, state) = (&release.id, set_state(part));
    let again = match &part.run {
        Run::Ended { how: How::Incomplete | How::NotApproved, .. } => {
            format!("`phasegate upgrade retry {name}` tries it again")
        }
        _ => format!("`phasegate upgrade start {name}` brings it there"),
    };
    let last = release.phases.len();
    let next = if part.phase + 1 < last {
        format!(", `phasegate release approve {id} --region-phase {}` goes on without it", part.phase + 2)
    } else {
        String::new()
    };
    format!("scale set `{name}` is {state} and is not tried again by itself: {again}{next}")
}

/// All releases, the latest first.
pub(crate) fn releases(fleet: &Fleet) -> wire::Releases {
    wire::Releases { releases: fleet.releases.all.values().rev().map(|release| brief(release)).collect() }
}

fn strategy(strategy: &Strategy, allowed: usize) -> wire::ReleaseStrategy {
    wire::ReleaseStrategy {
        name: strategy.name.clone(),
        version: strategy.version,
        bake_seconds: strategy.bake.as_secs(),
        max_failed_sets: allowed,
        retry_after_seconds: strategy.retry_after.as_secs(),
        retry_limit: strategy.retry_limit,
        digest: strategy.digest().to_string(),
    }
}

/// A release in full.
pub(crate) fn detail(fleet: &Fleet, release: &Release, now: Now) -> wire::ReleaseDetail {
    let standings = released::sets(fleet, release, now);
    let phases = release.phases.iter().enumerate().map(|(index, regions)| wire::ReleasePhase {
        region_phase: index + 1,
        regions: regions.iter().map(ToString::to_string).collect(),
        scale_sets: standings
            .iter()
            .filter(|(_, standing)| standing.part.phase == index)
            .map(|(name, standing)| set(name.to_string(), standing))
            .collect(),
    });
    wire::ReleaseDetail {
        brief: brief(release),
        digest: release.digest.to_string(),
        strategy: strategy(&release.strategy, release.allowed),
        approved: release
            .excused
            .iter()
            .filter(|(_, sets)| !sets.is_empty())
            .map(|(phase, _)| phase + 1)
            .collect(),
        phases: phases.collect(),
    }
}

fn set(name: String, standing: &Standing) -> wire::ReleaseSet {
    let Standing { part, tally, runs, why } = standing;
    let (code, text) = match &part.run {
        Run::Left(left) => (Some(left.code().to_owned()), Some(left.text().to_owned())),
        Run::Ended { why: ended, .. } => {
            let then = why.as_ref().map_or_else(String::new, |why| format!("; {}", why.text()));
            (why.as_ref().map(|why| why.code().to_owned()), Some(format!("{ended}{then}")))
        }
        Run::NotBack { why } => (Some("not-back".to_owned()), Some(why.clone())),
        Run::Waits | Run::Runs | Run::Done | Run::GoesBack | Run::Back => {
            (why.as_ref().map(|why| why.code().to_owned()), why.as_ref().map(|why| why.text()))
        }
    };
    let tally = tally.clone().unwrap_or_default();
    let Tally { total, eligible, at_version, healthy, not_eligible, zones } = tally;
    wire::ReleaseSet {
        scale_set: name,
        location: part.location.to_string(),
        state: set_state(part),
        code,
        text,
        from: part.from.as_ref().map(ToString::to_string),
        runs: counted(runs),
        group: part.machines_of.as_ref().map(|of| format!("{of}/{}", part.location)),
        after: part.after.iter().map(ToString::to_string).collect(),
        upgrade: part.upgrade.as_ref().map(ToString::to_string),
        tries: part.tries,
        well_since: part.well_since.map(|at| at.to_string()),
        instances: total,
        eligible,
        at_version,
        healthy,
        not_eligible,
        zones,
    }
}

fn counted(runs: &BTreeMap<Version, usize>) -> BTreeMap<String, usize> {
    runs.iter().map(|(version, count)| (version.to_string(), *count)).collect()
}

/// What a release would do, and how long that takes as a simulation has it.
pub(crate) fn plan(fleet: &Fleet, planned: &Planned, simulated: Option<Duration>) -> wire::ReleasePlan {
    let plan = &planned.plan;
    let published = fleet.releases.catalogue.get(&plan.subject);
    let rules = &fleet.releases.rules.strategy;
    let allowed = usize::try_from(rules.max_failed_sets).unwrap_or(usize::MAX);
    let phases = plan.phases.iter().enumerate().map(|(index, phase)| wire::ReleasePhase {
        region_phase: index + 1,
        regions: phase.regions.iter().map(ToString::to_string).collect(),
        scale_sets: phase.sets.iter().map(|set| planned_set(set, (index, phase))).collect(),
    });
    wire::ReleasePlan {
        subject: plan.subject.to_string(),
        version: plan.version.to_string(),
        published: published.is_some_and(|it| it.versions.contains_key(&plan.version)),
        digest: plan.digest.to_string(),
        duration_seconds: simulated.unwrap_or_else(|| planned.duration()).as_secs(),
        duration_from: match simulated {
            Some(_) => wire::DurationFrom::Simulation,
            None => wire::DurationFrom::Formula,
        },
        strategy: strategy(rules, allowed),
        phases: phases.collect(),
    }
}

fn planned_set(set: &PlannedSet, (index, phase): (usize, &PlannedPhase)) -> wire::ReleaseSet {
    let left = |left: Left| (wire::ReleaseSetState::Left, Some(left.code()), Some(left.text().to_owned()));
    let first: Vec<String> = set.waits_for(phase).map(|name| format!("`{name}`")).collect();
    let first = (!first.is_empty()).then(|| format!("after scale set {}", first.join(", ")));
    let waits = |code, text| (wire::ReleaseSetState::Waiting, Some(code), text);
    let (state, code, text) = match set.standing {
        // Also where the version is wanted already, and somebody does not have it.
        Ok(_) if set.has_to_move() && index > 0 => {
            let then = first.map_or_else(String::new, |first| format!(", then {first}"));
            waits("region-phase", Some(format!("after region phase {index} and its bake{then}")))
        }
        Ok(_) if set.has_to_move() && first.is_some() => waits("after", first),
        Ok(_) if set.has_to_move() && set.held_unhealthy => {
            waits(Left::HeldUnhealthy.code(), Some(Left::HeldUnhealthy.text().to_owned()))
        }
        Ok(_) if set.has_to_move() => waits("now", None),
        Ok(Moves::Up | Moves::There) => (
            wire::ReleaseSetState::Done,
            Some("already"),
            Some("the version is wanted there already".to_owned()),
        ),
        Err(why) => left(why),
    };
    let Tally { total, eligible, at_version, healthy, not_eligible, zones } = set.tally.clone();
    wire::ReleaseSet {
        scale_set: set.name.to_string(),
        location: set.location.to_string(),
        state,
        code: code.map(str::to_owned),
        text,
        from: set.from.as_ref().map(ToString::to_string),
        runs: counted(&set.runs),
        group: set.machines_of.as_ref().map(|of| format!("{of}/{}", set.location)),
        after: set.after.iter().map(ToString::to_string).collect(),
        upgrade: None,
        tries: 0,
        well_since: None,
        instances: total,
        eligible,
        at_version,
        healthy,
        not_eligible,
        zones,
    }
}

/// What a release tells of itself.
pub(crate) fn log(release: &Release) -> wire::ReleaseLog {
    wire::ReleaseLog { id: release.id.to_string(), entries: release.log.iter().map(entry).collect() }
}

/// A line of a release's log.
pub(crate) fn entry(line: &phasegate_core::release::Line) -> wire::ReleaseLogEntry {
    wire::ReleaseLogEntry {
        at: line.at.to_string(),
        actor: line.by.to_string(),
        code: line.code.clone(),
        text: line.text.clone(),
    }
}

/// Who has registered the feature.
pub(crate) fn features(fleet: &Fleet) -> wire::Features {
    let of_sets = fleet.sets().map(|set| set.spec.estate.subscription.clone());
    let mut all: Vec<_> = of_sets.chain(fleet.releases.registered.keys().cloned()).collect();
    all.sort();
    all.dedup();
    let one = |subscription: &phasegate_core::domain::Subscription| {
        let registered = fleet.releases.registered.get(subscription);
        wire::Feature {
            subscription: subscription.to_string(),
            feature: "AutomaticExtensionUpgradePreview".to_owned(),
            registered: registered.is_some(),
            since: registered.map(|it| it.at.to_string()),
        }
    };
    wire::Features {
        required: fleet.releases.rules.require_feature,
        subscriptions: all.iter().map(one).collect(),
    }
}
