//! What readers are told of releases: plans, and how each set stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::estate::{self, Estate, standing, tally};
use super::{commands, turn};
use crate::domain::{Component, ExtensionType, Location, Now, ReleaseVersion, ScaleSetName, Version};
use crate::kernel::refusal::Refusal;
use crate::kernel::state::{Fleet, SetState};
use crate::plan::PlanInput;
use crate::release::EstateView as _;
use crate::release::{
    End, Facts, Moves, NotBegun, Part, PlannedSet, Release, ReleasePlan, ReleaseState, Run, Tally, Well,
    held, plan, why_held, why_not_begun,
};
use crate::rollout::FleetView as _;

/// What a release would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Region phases and sets.
    pub plan: ReleasePlan,
    /// How many batches each set would take, and how long one of them takes at least.
    pub batches: BTreeMap<ScaleSetName, (usize, Duration)>,
    /// How long a region phase is looked at.
    pub bake: Duration,
}

impl Planned {
    /// How many sets it would move.
    pub(super) fn moves(&self) -> usize {
        let sets = self.plan.phases.iter().flat_map(|phase| &phase.sets);
        sets.filter(|set| set.has_to_move()).count()
    }

    /// The regions of all of its sets.
    pub(super) fn regions(&self) -> BTreeSet<Location> {
        self.plan.phases.iter().flat_map(|phase| &phase.sets).map(|set| set.location.clone()).collect()
    }

    /// Why its sets are not moved, counted.
    pub(super) fn reasons(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for set in self.plan.phases.iter().flat_map(|phase| &phase.sets) {
            *counts.entry(set.standing.map_or_else(|left| left.code(), |_| "already")).or_default() += 1;
        }
        counts.into_iter().map(|(code, count)| format!("{count} {code}")).collect()
    }

    /// How long it takes at least, where every batch does well: sets of a region phase side by side, their zones one
    /// after the other.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let mut all = Duration::ZERO;
        for phase in &self.plan.phases {
            let moved = phase.sets.iter().filter(|set| set.standing == Ok(Moves::Up));
            let longest = moved.filter_map(|set| {
                let (batches, one) = self.batches.get(&set.name)?;
                Some(one.saturating_mul(u32::try_from(*batches).unwrap_or(u32::MAX)))
            });
            if let Some(longest) = longest.max() {
                all = all.saturating_add(longest).saturating_add(self.bake);
            }
        }
        all
    }
}

/// What a release of a version would do at this moment.
pub(super) fn planned(fleet: &Fleet, subject: &ExtensionType, version: &ReleaseVersion, now: Now) -> Planned {
    let mut batches = BTreeMap::new();
    let mut sets = Vec::new();
    for set in fleet.sets.values() {
        let Some(enrolment) = set.spec.estate.enrolment(subject) else { continue };
        // Who is unhealthy now stays as it is, as where the set begins now.
        let part = Part {
            held_unhealthy: estate::unhealthy(set),
            ..Part::waiting(set.spec.estate.location.clone(), 0, enrolment.component.clone())
        };
        let tally = tally(set, &part, version, now);
        let standing = standing(fleet, set, enrolment, version);
        if standing == Ok(Moves::Up) {
            let change = crate::domain::Change {
                component: enrolment.component.clone(),
                to: version.version().clone(),
            };
            let candidates = set.view(now).candidates();
            let planned = crate::plan::plan(&PlanInput {
                scale_set: &set.spec.name,
                goal: &crate::domain::Goal::new([change]),
                policy: &set.spec.policy,
                candidates: &candidates,
                total: candidates.len(),
                there: crate::plan::There::Stays,
                batches_before: 0,
            });
            let rules = &set.spec.policy;
            let one = rules.gate.wait + rules.gate.stable_for + rules.rolling.pause_time_between_batches;
            batches.insert(set.spec.name.clone(), (planned.batches.len(), one));
        }
        sets.push(PlannedSet {
            name: set.spec.name.clone(),
            location: set.spec.estate.location.clone(),
            from: set.model.of(&enrolment.component).cloned(),
            runs: runs(set, &enrolment.component),
            machines_of: turn::machines_of(set),
            after: set.spec.estate.after.clone(),
            standing,
            held_unhealthy: estate::is_too_unhealthy(fleet, set),
            tally,
        });
    }
    let strategy = &fleet.releases.rules.strategy;
    Planned { plan: plan(subject, version, strategy, sets), batches, bake: strategy.bake }
}

/// What instances are known to have of a component.
fn runs(set: &SetState, component: &Component) -> BTreeMap<Version, usize> {
    let mut runs = BTreeMap::new();
    for version in set.members().filter_map(|one| one.runs_of(component).version()) {
        match runs.get_mut(version) {
            Some(count) => *count += 1,
            None => _ = runs.insert(version.clone(), 1),
        }
    }
    runs
}

/// What readers are told.
pub mod released {
    use super::*;

    /// One set of a release, for readers.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Standing {
        /// Its row.
        pub part: Part,
        /// Its instances now; none when the configuration has it no longer.
        pub tally: Option<Tally>,
        /// What they are known to have, with how many.
        pub runs: BTreeMap<Version, usize>,
        /// Why it has not begun, where it is part and has not.
        pub why: Option<NotBegun>,
    }

    /// What a release of a version would do at this moment.
    ///
    /// # Errors
    /// When nobody knows the type.
    pub fn plan(
        fleet: &Fleet,
        subject: &ExtensionType,
        version: &ReleaseVersion,
        now: Now,
    ) -> Result<Planned, Refusal> {
        commands::known(fleet, subject).map_err(|refusal| Refusal::Release(Box::new(refusal)))?;
        Ok(planned(fleet, subject, version, now))
    }

    /// How each set of a release stands.
    #[must_use]
    pub fn sets(fleet: &Fleet, release: &Release, now: Now) -> BTreeMap<ScaleSetName, Standing> {
        let estate = Estate::new(fleet, release, now);
        let of = |(name, part): (&ScaleSetName, &Part)| {
            let facts: Option<Facts> = estate.facts(name, part);
            let open = match &part.run {
                Run::Waits | Run::Ended { .. } => true,
                // It is to go back.
                Run::Done => part.was_touched() && release.state == ReleaseState::Ending(End::RolledBack),
                Run::Left(_) | Run::Runs | Run::GoesBack | Run::Back | Run::NotBack { .. } => false,
            };
            let holding =
                fleet.held.as_ref().filter(|_| release.is_active() && (open || part.is_in_flight()));
            let why = holding.map(|hold| NotBegun::Holding { why: hold.to_string() });
            let not_begun = || why_not_begun(release, (name, facts.as_ref()), &estate, now.at);
            let why = why.or_else(|| open.then(not_begun));
            let why = why.or_else(|| unwell(release, part, facts.as_ref()?));
            let why = why.or_else(|| held_back(fleet, release, (name, part), now));
            let set = fleet.sets.get(name);
            let tally = set.map(|set| tally(set, part, &release.version, now));
            let runs = set.map(|set| super::runs(set, &part.component)).unwrap_or_default();
            (name.clone(), Standing { part: part.clone(), tally, runs, why })
        };
        release.parts.iter().map(of).collect()
    }
}

/// Why later region phases wait for a set that was through.
fn unwell(release: &Release, part: &Part, facts: &Facts) -> Option<NotBegun> {
    let is_unwell = release.is_active() && part.run == Run::Done && facts.well == Well::No;
    is_unwell.then_some(NotBegun::Unwell { lacks: facts.lacks, unhealthy: facts.unhealthy.len() })
}

/// Why the upgrade of a set that is under way begins no other batch, where a release is the reason.
fn held_back(
    fleet: &Fleet,
    release: &Release,
    (name, part): (&ScaleSetName, &Part),
    now: Now,
) -> Option<NotBegun> {
    if part.run != Run::Runs || !fleet.releases.holding.contains(name) {
        return None;
    }
    if held(release, now.at).contains(name) {
        return Some(why_held(release, part, now.at));
    }
    let shares = |other: &&Arc<Release>| {
        let theirs = other.parts.get(name).and_then(|theirs| theirs.upgrade.as_ref());
        other.number != release.number
            && theirs == part.upgrade.as_ref()
            && held(other, now.at).contains(name)
    };
    let other = fleet.releases.active().find(shares)?;
    Some(NotBegun::Shared { release: other.id.clone() })
}
