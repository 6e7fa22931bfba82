//! The state of one upgrade: everything that a restart needs to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Checkpoints, Digest, FailureRules, HealthGate, InstanceId, OperationId, Phase, PhaseName,
    RollingUpgradePolicy, ScaleSetName, Timestamp, UpgradeId, Version,
};
use crate::plan::{Batch, Candidate, Hold, HoldReason, Plan};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::member::{Member, MemberState, Restored};

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
    /// Bring the instances of an earlier upgrade back, newest first: no phases, no pauses, and no
    /// limit that could stop half-way.
    Rollback {
        /// The earlier upgrade.
        of: UpgradeId,
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

/// One rolling upgrade of one scale set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// Unique within a data directory.
    pub id: UpgradeId,
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The wanted version.
    pub to: Version,
    /// What it is for.
    pub purpose: Purpose,
    /// What happens beyond a failure.
    pub failure: FailureRules,
    /// Where it stops by itself.
    pub checkpoints: Checkpoints,
    /// The limits that were in force at the start.
    pub policy: RollingUpgradePolicy,
    /// The health gate that was in force at the start.
    pub gate: HealthGate,
    /// How long to wait for instances that have not been judged yet; anew after a restart.
    #[serde(default)]
    pub prepare_max: Duration,
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
    /// The batch before which a `resume` passed a checkpoint.
    pub resumed_at: Option<usize>,
    /// The batch before which a person approved.
    pub approved_at: Option<usize>,
    /// Digest of the plan, once there is one.
    pub digest: Option<Digest>,
    /// Batches in order.
    pub batches: Vec<BatchProgress>,
    /// Index of the batch in flight, or of the next one.
    pub current: usize,
    /// Instances that the snapshot left out.
    pub holds: Vec<Hold>,
    /// Those of them that said "not now" and are to be asked again, with their phase.
    pub deferred: BTreeMap<InstanceId, PhaseName>,
    /// How long after the start they are asked.
    pub defer_max: Duration,
    /// What went wrong.
    pub error: Option<UpgradeError>,
    /// Planned instances. Kept apart by the store, one row each, so that a step writes only the
    /// rows that it changed.
    #[serde(skip)]
    pub members: BTreeMap<InstanceId, Member>,
}

/// What starts an upgrade.
#[derive(Debug, Clone)]
pub struct StartUpgrade {
    /// Unique within a data directory.
    pub id: UpgradeId,
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The wanted version.
    pub to: Version,
    /// Azure's limits.
    pub policy: RollingUpgradePolicy,
    /// The health gate.
    pub gate: HealthGate,
    /// What happens beyond a failure.
    pub failure: FailureRules,
    /// Where it stops by itself.
    pub checkpoints: Checkpoints,
    /// How long instances that say "not now" are asked again.
    pub defer_max: Duration,
    /// How long to wait for instances that have not been judged yet.
    pub prepare_max: Duration,
}

impl Upgrade {
    /// A new upgrade that has decided nothing yet.
    #[must_use]
    pub fn new(start: StartUpgrade, now: Timestamp) -> Self {
        let StartUpgrade { id, scale_set, to, policy, gate, failure, checkpoints, defer_max, prepare_max } =
            start;
        Self {
            id,
            scale_set,
            to,
            purpose: Purpose::Forward,
            failure,
            checkpoints,
            policy,
            gate,
            prepare_max,
            started_at: now,
            state: UpgradeState::RollingForward,
            stage: Stage::Preparing { until: now + prepare_max },
            recovering_until: None,
            cancel_requested: false,
            then_roll_back: false,
            paused: false,
            resumed_at: None,
            approved_at: None,
            digest: None,
            batches: Vec::new(),
            current: 0,
            holds: Vec::new(),
            deferred: BTreeMap::new(),
            defer_max,
            error: None,
            members: BTreeMap::new(),
        }
    }

    /// Whether it still has something to do.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == UpgradeState::RollingForward
    }

    /// Whether it has not gone through its plan: a batch or a deferred instance is left, or it has
    /// not even begun.
    #[must_use]
    pub(super) fn has_more(&self) -> bool {
        self.current == 0 || self.current < self.batches.len() || !self.deferred.is_empty()
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
        let mut progress = Progress::default();
        let before = UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade;
        if self.error.as_ref().is_some_and(|error| error.code == before) {
            // Azure: an upgrade that was refused at the door has counted nothing.
            return progress;
        }
        for member in self.members.values() {
            match member.state {
                MemberState::Pending => progress.pending += 1,
                MemberState::Applying { .. }
                | MemberState::Settling { .. }
                | MemberState::Restoring { .. } => {
                    progress.in_progress += 1;
                }
                MemberState::Succeeded { .. } => progress.successful += 1,
                MemberState::Failed { .. } => progress.failed += 1,
            }
        }
        progress
    }

    /// Members of one batch, in the order of the plan.
    #[must_use]
    pub fn batch_members(&self, batch: usize) -> Vec<&InstanceId> {
        let mut members: Vec<(usize, &InstanceId)> = self
            .members
            .iter()
            .filter(|(_, member)| member.batch == batch)
            .map(|(id, member)| (member.position, id))
            .collect();
        members.sort();
        members.into_iter().map(|(_, id)| id).collect()
    }

    /// Members of all batches, in the order of the plan; one pass over the members.
    #[must_use]
    pub fn members_by_batch(&self) -> Vec<Vec<&InstanceId>> {
        let mut batches: Vec<Vec<(usize, &InstanceId)>> = vec![Vec::new(); self.batches.len()];
        for (id, member) in &self.members {
            if let Some(batch) = batches.get_mut(member.batch) {
                batch.push((member.position, id));
            }
        }
        let ordered = |mut batch: Vec<(usize, _)>| {
            batch.sort();
            batch.into_iter().map(|(_, id)| id).collect()
        };
        batches.into_iter().map(ordered).collect()
    }

    /// Identity of the effect on one instance: the same for a repeat after a restart.
    #[must_use]
    pub fn operation(&self, instance: &InstanceId, attempt: u32) -> OperationId {
        OperationId(format!("{}/{}/{}", self.id, instance, attempt))
    }

    /// After a restart with another configuration: what it no longer has can never settle. Planned
    /// instances leave the plan; one in flight has failed.
    pub fn forget_missing(&mut self, is_there: impl Fn(&InstanceId) -> bool, now: Timestamp) {
        self.deferred.retain(|id, _| is_there(id));
        self.members.retain(|id, member| is_there(id) || member.state != MemberState::Pending);
        for (_, member) in
            self.members.iter_mut().filter(|(id, member)| !is_there(id) && !member.state.is_terminal())
        {
            let reason = "was removed from the configuration".to_owned();
            member.state = MemberState::Failed { at: now, reason, restored: Restored::NotTried };
        }
    }

    /// Takes over a plan made from `candidates`.
    pub fn adopt(&mut self, plan: Plan, candidates: &[Candidate]) {
        self.digest = Some(plan.digest);
        let of = |id: &InstanceId| candidates.iter().find(|candidate| candidate.id == *id);
        for hold in plan.holds.iter().filter(|hold| matches!(hold.reason, HoldReason::Defer(_))) {
            let phase = of(&hold.instance).and_then(|candidate| candidate.standing.phase());
            self.deferred.insert(hold.instance.clone(), phase.into());
        }
        self.holds = plan.holds;
        let versions: BTreeMap<&InstanceId, &Option<Version>> =
            candidates.iter().map(|candidate| (&candidate.id, &candidate.version)).collect();
        self.insert(plan.batches, |id| versions.get(id).copied().cloned().flatten());
        self.stage = Stage::Between { resume_at: self.started_at };
    }

    /// Puts batches before the one that is next, and gives whose rows changed. `previous` gives what
    /// an instance runs now.
    pub(super) fn insert(
        &mut self,
        batches: Vec<Batch>,
        previous: impl Fn(&InstanceId) -> Option<Version>,
    ) -> Vec<InstanceId> {
        let (at, count) = (self.current, batches.len());
        let mut changed = Vec::new();
        for (id, member) in self.members.iter_mut().filter(|(_, member)| member.batch >= at) {
            member.batch += count;
            changed.push(id.clone());
        }
        for (index, batch) in batches.into_iter().enumerate() {
            for (position, id) in batch.instances.into_iter().enumerate() {
                let member = Member {
                    batch: at + index,
                    position,
                    previous: previous(&id),
                    target: self.to.clone(),
                    attempt: 0,
                    state: MemberState::Pending,
                };
                changed.push(id.clone());
                self.members.insert(id, member);
            }
            let progress = BatchProgress {
                phase: batch.phase,
                zone: batch.zone,
                update_domain: batch.update_domain,
                state: BatchState::Pending,
                started_at: None,
                ended_at: None,
            };
            self.batches.insert(at + index, progress);
        }
        changed
    }
}
