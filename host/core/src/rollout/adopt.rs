//! What a plan makes of an upgrade: batches, members with their parts, and who is left out.
//!
//! Decides nothing: the planner has.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{BatchProgress, BatchState};
use super::member::Member;
use super::part::{Part, PartState};
use super::state::{Extent, Stage, Upgrade};
use super::surge::{Way, whole};
use crate::domain::{Change, Checkpoints, Goal, Health, InstanceId, PhaseName};
use crate::plan::{Batch, Candidate, Hold, HoldReason, Plan, Standing};

/// What is remembered of what ran before.
const RAN_MAX: usize = 8;

impl Upgrade {
    /// Takes over a plan made from `candidates`.
    pub fn adopt(&mut self, plan: Plan, candidates: &[Candidate]) {
        self.digest = Some(plan.digest);
        let running: BTreeMap<&InstanceId, &Candidate> = candidates.iter().map(|c| (&c.id, c)).collect();
        self.already = plan.already.len();
        self.find_unproven(&plan, candidates);
        self.hold(plan.holds, &running);
        self.insert(plan.batches, &running);
        self.stage = Stage::Between { resume_at: self.started_at };
    }

    /// Leaves instances out; those that said "not now" are remembered.
    pub(super) fn hold(&mut self, holds: Vec<Hold>, candidates: &BTreeMap<&InstanceId, &Candidate>) {
        for hold in holds.iter().filter(|hold| hold.reason.is_for_now()) {
            let phase = candidates.get(&hold.instance).and_then(|candidate| candidate.standing.phase());
            self.deferred.insert(hold.instance.clone(), phase.into());
        }
        // Who is gone is planned no more, and was planned once.
        // One that has come back is there like any other.
        let is_gone =
            |hold: &&Hold| hold.reason == HoldReason::Vanished && !candidates.contains_key(&hold.instance);
        let gone = self.holds.iter().filter(is_gone).cloned();
        self.holds = gone.chain(holds).collect();
        self.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    }

    /// Finds phases with a checkpoint that prove nothing by themselves.
    pub(super) fn find_unproven(&mut self, plan: &Plan, candidates: &[Candidate]) {
        self.unproven = unproven(&self.policy.checkpoints, plan, candidates);
    }

    /// Whether a phase with a checkpoint has no batch and is proven by nobody.
    pub fn is_unproven(&self, phase: PhaseName) -> bool {
        self.unproven.contains(&phase)
            && !self.batches.iter().any(|batch| PhaseName::from(batch.phase) == phase)
    }

    /// Puts batches in where their phase comes next, before others of that phase, and gives who joined.
    pub(super) fn insert(
        &mut self,
        batches: Vec<Batch>,
        candidates: &BTreeMap<&InstanceId, &Candidate>,
    ) -> Vec<InstanceId> {
        let phase = |batch: &BatchProgress| PhaseName::from(batch.phase);
        let ahead: Vec<PhaseName> = self.batches.iter().skip(self.current).map(phase).collect();
        let mut joined = Vec::new();
        for (index, batch) in batches.into_iter().enumerate() {
            let phase = PhaseName::from(batch.phase);
            let earlier = ahead.iter().take_while(|before| **before < phase).count();
            let number = self.new_number();
            for (position, id) in batch.instances.into_iter().enumerate() {
                let Some(candidate) = candidates.get(&id) else { continue };
                let mut parts = parts(&self.open_goal(), self.extent, candidate);
                let way = Way::of(self, &parts);
                if way == Way::Surge {
                    parts = whole(&self.goal, candidate, parts);
                }
                let member = Member::pending((number, position), way, parts);
                joined.push(id.clone());
                self.remember_what_ran(&member);
                self.members.insert(id, member);
            }
            let progress = BatchProgress {
                number,
                phase: batch.phase,
                zone: batch.zone,
                update_domain: batch.update_domain,
                state: BatchState::Pending,
                started_at: None,
                ended_at: None,
                set_aside_at: None,
            };
            self.batches.insert(self.current + earlier + index, progress);
        }
        joined
    }

    /// For people: a fleet in which everybody has another version is not listed.
    fn remember_what_ran(&mut self, member: &Member) {
        for part in &member.parts {
            let Some(previous) = part.previous.clone().filter(|_| self.ran.len() < RAN_MAX) else { return };
            self.ran.insert(Change { component: part.component.clone(), to: previous });
        }
    }

    /// A number that no batch has had.
    pub(super) fn new_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

/// What one instance gets, in the order of the goal: what it does not have yet, all of it, or again what it has.
pub(super) fn parts(goal: &Goal, extent: Extent, candidate: &Candidate) -> Vec<Part> {
    let part = |change: &Change| {
        let runs = candidate.runs_of(&change.component);
        let target = match extent {
            Extent::Missing if runs.version() == Some(&change.to) => return None,
            Extent::Missing | Extent::Everything => change.to.clone(),
            // Of what nobody knows nothing can be there again.
            Extent::Repair => runs.last()?.clone(),
        };
        let previous = runs.way_back().cloned();
        Some(Part { component: change.component.clone(), previous, target, state: PartState::Waiting })
    };
    goal.changes().filter_map(part).collect()
}

/// Phases with a checkpoint of which somebody is left out, or is there and not Healthy. Who has not been judged may be of
/// any phase.
#[must_use]
pub fn unproven(checkpoints: &Checkpoints, plan: &Plan, candidates: &[Candidate]) -> BTreeSet<PhaseName> {
    let Checkpoints { pause_after, approval_before } = checkpoints;
    let named: BTreeSet<PhaseName> = pause_after.union(approval_before).copied().collect();
    if named.is_empty() {
        return named;
    }
    let held: BTreeSet<&InstanceId> = plan.holds.iter().map(|hold| &hold.instance).collect();
    let there: BTreeSet<&InstanceId> = plan.already.iter().collect();
    let proves_nothing = |one: &&Candidate| {
        held.contains(&one.id) || (there.contains(&one.id) && one.health != Health::Healthy)
    };
    let phases = candidates.iter().filter(proves_nothing).map(|one| match &one.standing {
        Standing::Decided { phase, .. } => Some(PhaseName::from(*phase)),
        Standing::PluginFailed { phase, .. } | Standing::Unknown { phase, .. } => {
            phase.map(PhaseName::Number)
        }
        Standing::Undecided => None,
    });
    let phases: BTreeSet<Option<PhaseName>> = phases.collect();
    if phases.contains(&None) {
        return named;
    }
    named.into_iter().filter(|phase| phases.contains(&Some(*phase))).collect()
}
