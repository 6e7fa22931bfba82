//! What a plan makes of an upgrade: batches, members with their parts, and who is left out.
//!
//! Decides nothing: the planner has.

use std::collections::BTreeMap;

use super::batch::{BatchProgress, BatchState};
use super::member::{Member, MemberState};
use super::part::{Part, PartState};
use super::state::{Stage, Upgrade};
use super::surge::{Way, whole};
use crate::domain::{Goal, InstanceId, PhaseName};
use crate::plan::{Batch, Candidate, Hold, Plan};

impl Upgrade {
    /// Takes over a plan made from `candidates`.
    pub fn adopt(&mut self, plan: Plan, candidates: &[Candidate]) {
        self.digest = Some(plan.digest);
        let running: BTreeMap<&InstanceId, &Candidate> = candidates.iter().map(|c| (&c.id, c)).collect();
        self.already = plan.already.len();
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
        self.holds = holds.into();
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
                let mut parts = parts(&self.goal, candidate);
                let way = Way::of(self, &parts);
                if way == Way::Surge {
                    parts = whole(&self.goal, candidate, parts);
                }
                let state = MemberState::Pending;
                let member = Member { batch: number, position, way, parts, attempt: 0, state };
                joined.push(id.clone());
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

    /// A number that no batch has had.
    pub(super) fn new_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

/// What one instance gets: what it does not have yet, in the order of the goal.
pub(super) fn parts(goal: &Goal, candidate: &Candidate) -> Vec<Part> {
    let missing = goal.changes().filter(|change| candidate.version_of(&change.component) != Some(&change.to));
    let part = |change: &crate::domain::Change| Part {
        component: change.component.clone(),
        previous: candidate.runs_of(&change.component).way_back().cloned(),
        target: change.to.clone(),
        state: PartState::Waiting,
    };
    missing.map(part).collect()
}
