//! The state of one upgrade: everything that a restart needs to go on.

use std::collections::{BTreeMap, BTreeSet};

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Digest, Goal, InstanceId, OperationId, Phase, PhaseName, ScaleSetName, Timestamp, UpgradeId,
    UpgradePolicy,
};
use crate::plan::{Batch, Candidate, Hold, HoldReason, Plan};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::member::{Member, MemberState, Part, PartState};
use super::members::Members;
use super::surge::{Way, whole};

/// How an upgrade stands, in Azure's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeState {
    /// Under way.
    RollingForward,
    /// Every planned instance was dealt with.
    Completed,
    /// Stopped by a person.
    Cancelled,
    /// Stopped by a limit.
    Faulted,
}

impl UpgradeState {
    /// As Azure and our JSON write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RollingForward => "RollingForward",
            Self::Completed => "Completed",
            Self::Cancelled => "Cancelled",
            Self::Faulted => "Faulted",
        }
    }
}

/// Where in its life an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "camelCase")]
pub enum Stage {
    /// Waits until every instance has been judged once and none is Initializing, so that the
    /// snapshot rests on answers; at most until the given time.
    Preparing {
        /// When the snapshot is taken whatever is missing.
        until: Timestamp,
    },
    /// Between batches; the next one may start at the given time.
    Between {
        /// End of the pause.
        resume_at: Timestamp,
    },
    /// A batch is in flight.
    InBatch,
    /// A limit was passed; instances that failed get their previous version back before the end.
    Undoing,
    /// Over.
    Ended {
        /// When.
        at: Timestamp,
    },
}

/// What an upgrade is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Purpose {
    /// Bring instances to a new version, behind all limits.
    Forward,
    /// Bring the instances that a person named to a new version, now: no phases, no batches, no
    /// limits, and a skip is overridden.
    Manual,
    /// Bring the instances of an earlier upgrade back, newest first: no phases, no pauses, and no
    /// limit that could stop half-way.
    Rollback {
        /// The earlier upgrade.
        of: UpgradeId,
        /// What that one was to bring.
        from: Goal,
        /// Why it ended, when a limit ended it; one line for people.
        because: Option<String>,
    },
}

/// How one batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchState {
    /// Not started.
    Pending,
    /// In flight.
    InProgress,
    /// Over; every member came back healthy.
    Completed,
    /// Over; at least one member did not.
    Failed,
}

impl BatchState {
    /// As JSON writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }
}

/// One planned batch and how it went. Its members are in [`Upgrade::members`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchProgress {
    /// Its name within the upgrade; stays when batches are put in before it, so that members need
    /// not be told.
    pub number: u32,
    /// As in the plan.
    pub phase: Option<Phase>,
    /// As in the plan.
    pub zone: Option<String>,
    /// As in the plan.
    pub update_domain: Option<u32>,
    /// How it stands.
    pub state: BatchState,
    /// When it was admitted.
    pub started_at: Option<Timestamp>,
    /// When its last member was dealt with.
    pub ended_at: Option<Timestamp>,
}

/// Counts of planned instances, in Azure's four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Healthy at the new version.
    pub successful: usize,
    /// Failed.
    pub failed: usize,
    /// With the driver or in the health gate.
    pub in_progress: usize,
    /// Waiting for their batch.
    pub pending: usize,
}

/// One upgrade of one scale set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// Unique within a data directory.
    pub id: UpgradeId,
    /// Rises with each upgrade of a data directory: the latest one has the highest.
    pub number: u64,
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// What is wanted.
    pub goal: Goal,
    /// What it is for.
    pub purpose: Purpose,
    /// What it goes by, as it was configured when it started.
    #[serde(alias = "rules")]
    pub policy: UpgradePolicy,
    /// What was wanted of the scale set before; what a rollback makes wanted again.
    pub before: Goal,
    /// When a person wanted it in spite of freeze windows and of the line as it was stopped then. A
    /// line that is stopped later holds it.
    pub bypass: Option<Timestamp>,
    /// Which try it is; 1 unless it faulted before and was tried again by itself.
    pub attempt: u32,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// How it stands.
    pub state: UpgradeState,
    /// Where in its life it is.
    pub stage: Stage,
    /// After a restart of the host: until then, instances that are not healthy are waited for and
    /// not counted, because the restart itself may have taken them down.
    pub recovering_until: Option<Timestamp>,
    /// A person asked to stop; it stops after the batch in flight.
    pub cancel_requested: bool,
    /// Once it has stopped, it is rolled back.
    pub then_roll_back: bool,
    /// A person asked to admit nothing more until `resume`.
    pub paused: bool,
    /// Phases behind which a person let it go on.
    pub resumed: BTreeSet<PhaseName>,
    /// Phases that a person approved.
    pub approved: BTreeSet<PhaseName>,
    /// Digest of the plan, once there is one.
    pub digest: Option<Digest>,
    /// Batches in order. See [`super::record`] for how this and what is left out are kept.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub batches: Vector<BatchProgress>,
    /// Number of the next batch that is made.
    pub next_number: u32,
    /// Index of the batch in flight, or of the next one.
    pub current: usize,
    /// Instances that are left out, by id.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub holds: Vector<Hold>,
    /// Those of them that said "not now" and are to be asked again, with their phase.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred: BTreeMap<InstanceId, PhaseName>,
    /// How many instances had all that is wanted when it was planned.
    pub already: usize,
    /// What went wrong.
    pub error: Option<UpgradeError>,
    /// Planned instances. Kept apart by the store, one row each, so that a step writes only the
    /// rows that it changed.
    #[serde(skip)]
    pub members: Members,
}

/// What starts an upgrade.
#[derive(Debug, Clone)]
pub struct StartUpgrade {
    /// Unique within a data directory.
    pub id: UpgradeId,
    /// Rises with each upgrade of a data directory.
    pub number: u64,
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// What is wanted.
    pub goal: Goal,
    /// What it goes by.
    pub policy: UpgradePolicy,
    /// What was wanted before.
    pub before: Goal,
    /// Whether freeze windows and a stopped line do not hold it.
    pub bypass: bool,
}

impl Upgrade {
    /// A new upgrade that has decided nothing yet.
    #[must_use]
    pub fn new(start: StartUpgrade, now: Timestamp) -> Self {
        let StartUpgrade { id, number, scale_set, goal, policy, before, bypass } = start;
        let until = now + policy.prepare_max;
        Self {
            id,
            number,
            scale_set,
            goal,
            purpose: Purpose::Forward,
            policy,
            before,
            bypass: bypass.then_some(now),
            attempt: 1,
            started_at: now,
            state: UpgradeState::RollingForward,
            stage: Stage::Preparing { until },
            recovering_until: None,
            cancel_requested: false,
            then_roll_back: false,
            paused: false,
            resumed: BTreeSet::new(),
            approved: BTreeSet::new(),
            digest: None,
            batches: Vector::new(),
            next_number: 0,
            current: 0,
            holds: Vector::new(),
            deferred: BTreeMap::new(),
            already: 0,
            error: None,
            members: Members::default(),
        }
    }

    /// Whether it still has something to do.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == UpgradeState::RollingForward
    }

    /// Whether it goes forward behind all limits.
    #[must_use]
    pub fn is_forward(&self) -> bool {
        self.purpose == Purpose::Forward
    }

    /// Whether it has not gone through its plan: a batch or a deferred instance is left, or it has
    /// not even begun.
    #[must_use]
    pub(super) fn has_more(&self) -> bool {
        self.current == 0 || self.current < self.batches.len() || !self.deferred.is_empty()
    }

    /// Until when instances that say "not now" are asked again.
    #[must_use]
    pub fn defer_until(&self) -> Timestamp {
        self.started_at + self.policy.defer_max
    }

    /// When it ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Ended { at } => Some(at),
            Stage::Preparing { .. } | Stage::Between { .. } | Stage::InBatch | Stage::Undoing => None,
        }
    }

    /// Counts.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let before = UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade;
        if self.error.as_ref().is_some_and(|error| error.code == before) {
            // Azure: an upgrade that was refused at the door has counted nothing.
            return Progress::default();
        }
        self.members.progress()
    }

    /// Members of one batch by its index, in the order of the plan.
    #[must_use]
    pub fn batch_members(&self, index: usize) -> Vec<&InstanceId> {
        let number = self.batches.get(index).map(|batch| batch.number);
        number.into_iter().flat_map(|number| self.members.of_batch(number)).collect()
    }

    /// Index of the batch with a number.
    #[must_use]
    pub fn batch_index(&self, number: u32) -> Option<usize> {
        self.batches.iter().position(|batch| batch.number == number)
    }

    /// Identity of the effect on one instance: the same for a repeat after a restart.
    #[must_use]
    pub fn operation(&self, instance: &InstanceId, attempt: u32) -> OperationId {
        OperationId(format!("{}/{}/{}", self.id, instance, attempt))
    }

    /// After a change of the configuration: what it no longer has can never settle. Planned
    /// instances that are gone or protected now leave the plan; one in flight that is gone has
    /// failed. Gives those that changed.
    pub fn reconfigured(
        &mut self,
        is_there: impl Fn(&InstanceId) -> bool,
        is_protected: impl Fn(&InstanceId) -> bool,
        now: Timestamp,
    ) -> Vec<InstanceId> {
        if !self.is_active() {
            return Vec::new();
        }
        let protected = self.leave_out_protected(is_protected);
        self.deferred.retain(|id, _| is_there(id));
        let open = |(id, member): &(&InstanceId, &Member)| !is_there(id) && !member.state.is_terminal();
        let gone: Vec<InstanceId> = self.members.iter().filter(open).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            if self.members.get(id).is_some_and(|member| member.state == MemberState::Pending) {
                self.members.remove(id);
            } else {
                self.members.update(id, |member| {
                    member.open_have_failed("was removed from the configuration");
                    member.state = MemberState::Failed { at: now };
                });
            }
        }
        gone.into_iter().chain(protected).collect()
    }

    /// A way back and a person who names instances touch only what was touched or named.
    fn leave_out_protected(&mut self, is_protected: impl Fn(&InstanceId) -> bool) -> Vec<InstanceId> {
        if !self.is_forward() {
            return Vec::new();
        }
        let waits =
            |(id, member): &(&InstanceId, &Member)| member.state == MemberState::Pending && is_protected(id);
        let protected: Vec<InstanceId> =
            self.members.iter().filter(waits).map(|(id, _)| id.clone()).collect();
        for id in &protected {
            self.members.remove(id);
            self.holds.push_back(Hold { instance: id.clone(), reason: HoldReason::Protected });
        }
        self.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
        protected
    }

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
        for hold in holds.iter().filter(|hold| matches!(hold.reason, HoldReason::Defer(_))) {
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
        previous: candidate.version_of(&change.component).cloned(),
        target: change.to.clone(),
        state: PartState::Waiting,
    };
    missing.map(part).collect()
}
