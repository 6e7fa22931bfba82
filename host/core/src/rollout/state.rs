//! The state of one upgrade: everything that a restart needs to go on.

use std::collections::{BTreeMap, BTreeSet};

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::domain::{
    By, Change, Digest, Goal, InstanceId, OnInstanceFailure, OperationId, PhaseName, ReleaseId, ScaleSetName,
    Timestamp, UpgradeId, UpgradePolicy,
};
use crate::plan::{Hold, There};

use super::back_to::BackTo;
use super::batch::BatchProgress;
use super::error::{UpgradeError, UpgradeErrorCode};
use super::hooks::{BatchHook, BatchesHooked};
use super::members::Members;
use super::timeouts::Spent;
use super::verdict::EndedExtension;
use super::view::{FleetView, Stop};

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
    /// A hook round a batch is being run.
    Hooking {
        /// Which.
        hook: BatchHook,
        /// A person wants it to end, and whether the batch in flight is brought back then.
        stop: Option<OnInstanceFailure>,
    },
    /// A limit was passed; instances that failed get their previous version back before the end.
    Undoing,
    /// Every batch has ended; what was upgraded is looked at for a while before it is called good.
    Baking {
        /// Since when.
        since: Timestamp,
        /// How often everybody has been asked since.
        rounds: u32,
        /// Since when a person's pause holds it; that time does not count.
        #[serde(default)]
        held: Option<Timestamp>,
    },
    /// A person wants it to end at once: what drivers have in hand is being ended.
    Stopping {
        /// Whether the batch in flight is brought back; it is left where a rollback of everything follows.
        batch: OnInstanceFailure,
    },
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
    /// Bring the instances of an earlier upgrade back, newest first: no phases, no pauses, and of the limits only
    /// that on those that it has brought back.
    Rollback {
        /// The earlier upgrade.
        of: UpgradeId,
        /// What that one was to bring.
        from: Goal,
        /// Why it ended, when a limit ended it; one line for people.
        because: Option<String>,
        /// The upgrade whose versions are brought back, where it is not simply what was there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<UpgradeId>,
    },
}

/// What of the instances an upgrade is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Extent {
    /// What they do not have yet.
    #[default]
    Missing,
    /// Also what they have: the driver runs again for it.
    Everything,
    /// What they have, and nothing else: the driver runs again for the version that is there.
    Repair,
}

impl Extent {
    /// What becomes of an instance that has what is wanted.
    #[must_use]
    pub fn there(self) -> There {
        match self {
            Self::Missing => There::Stays,
            Self::Everything => There::Again,
            Self::Repair => There::Repaired,
        }
    }
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
    /// When a person wanted it in spite of the line as it was stopped then. A line that is stopped later holds it.
    pub bypass: Option<Timestamp>,
    /// The date on which the freeze had begun that it goes on in spite of; one that begins later holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypassed_freeze: Option<Timestamp>,
    /// The date before which it does not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Instances about which a person has said something since they were asked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reask: BTreeSet<InstanceId>,
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
    /// A batch is admitted on answers to probes that began at this time or later: the end of the batch before,
    /// the start of the upgrade or that of the host, whichever was last.
    #[serde(default)]
    pub evidence_from: Timestamp,
    /// How much time has counted for its limits of time.
    #[serde(default)]
    pub spent: Spent,
    /// A person asked to stop; it stops after the batch in flight.
    pub cancel_requested: bool,
    /// Once it has stopped, it is rolled back.
    pub then_roll_back: bool,
    /// Who asked for that, if a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_back: Option<By>,
    /// That rollback goes on whatever becomes of what it has brought back.
    #[serde(default)]
    pub past_brake: bool,
    /// Once it has stopped, instances go to what a former upgrade had brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then_to: Option<Box<BackTo>>,
    /// A person asked to admit nothing more until `resume`.
    pub paused: bool,
    /// Phases behind which a person let it go on.
    pub resumed: BTreeSet<PhaseName>,
    /// Phases that a person approved.
    pub approved: BTreeSet<PhaseName>,
    /// Digest of the plan, once there is one.
    pub digest: Option<Digest>,
    /// The plan that a person was shown: this one, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<Digest>,
    /// Instances that a person named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named: BTreeSet<InstanceId>,
    /// Batches in order. See [`super::record`] for how this and what is left out are kept.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub batches: Vector<BatchProgress>,
    /// Number of the next batch that is made.
    pub next_number: u32,
    /// Index of the batch in flight, or of the next one.
    pub current: usize,
    /// Whether an instance has made its round trip.
    #[serde(default)]
    pub tripped: bool,
    /// What the hooks round batches have come to.
    #[serde(default)]
    pub hooked: BatchesHooked,
    /// Instances that are left out, by id.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub holds: Vector<Hold>,
    /// Those of them that said "not now" and are to be asked again, with their phase.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred: BTreeMap<InstanceId, PhaseName>,
    /// Those of the instances left out that were silent when the upgrade was planned: who answers while it runs is
    /// planned then.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unheard: BTreeSet<InstanceId>,
    /// What its members had before, each once, and no more than a few; empty where nothing is known of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ran: BTreeSet<Change>,
    /// What of the instances it is about.
    #[serde(default)]
    pub extent: Extent,
    /// How many instances had all that is wanted when it was planned.
    pub already: usize,
    /// Phases with a checkpoint that nobody proves where they have no batch: instances of theirs were left out, or have
    /// what is wanted and are not Healthy.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unproven: BTreeSet<PhaseName>,
    /// One that was planned is gone, or was and has come back as something else: nobody knows how far it had come.
    #[serde(default)]
    pub lost_one: bool,
    /// Extensions that ended for themselves while the rest went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedExtension>,
    /// The releases that it is part of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub releases: BTreeSet<ReleaseId>,
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
            bypassed_freeze: None,
            not_before: None,
            reask: BTreeSet::new(),
            attempt: 1,
            started_at: now,
            state: UpgradeState::RollingForward,
            stage: Stage::Preparing { until },
            recovering_until: None,
            evidence_from: now,
            spent: Spent::default(),
            cancel_requested: false,
            then_roll_back: false,
            asked_back: None,
            past_brake: false,
            then_to: None,
            paused: false,
            resumed: BTreeSet::new(),
            approved: BTreeSet::new(),
            digest: None,
            expects: None,
            named: BTreeSet::new(),
            batches: Vector::new(),
            next_number: 0,
            current: 0,
            tripped: false,
            hooked: BatchesHooked::default(),
            holds: Vector::new(),
            deferred: BTreeMap::new(),
            unheard: BTreeSet::new(),
            ran: BTreeSet::new(),
            extent: Extent::Missing,
            already: 0,
            unproven: BTreeSet::new(),
            lost_one: false,
            ended: Vec::new(),
            releases: BTreeSet::new(),
            error: None,
            members: Members::default(),
        }
    }

    /// Goes on in spite of what is stopped now, and of nothing that is stopped later.
    pub fn bypass_stops(&mut self, fleet: &dyn FleetView, now: Timestamp) {
        self.bypass = Some(now);
        for stop in fleet.stops() {
            match stop {
                Stop::Freeze { since, .. } => self.bypassed_freeze = Some(since),
                Stop::Line { .. } | Stop::NotAsked | Stop::Suspicion | Stop::Release => {}
            }
        }
    }

    /// Waits for a date before it takes its snapshot; the time for that begins then.
    pub fn wait_for(&mut self, date: Timestamp, at: Timestamp) {
        self.not_before = Some(date);
        self.stage = Stage::Preparing { until: at + self.policy.prepare_max };
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

    /// Whether its last batch has ended.
    #[must_use]
    pub fn is_through(&self) -> bool {
        self.digest.is_some() && self.current >= self.batches.len()
    }

    /// Whether the last phase that it was planned with has begun.
    #[must_use]
    pub fn is_in_its_last_phase(&self) -> bool {
        let Some(last) = self.batches.last().map(|batch| batch.phase) else { return false };
        let ahead = self.batches.iter().rev().take_while(|batch| batch.phase == last);
        ahead.into_iter().any(|batch| batch.started_at.is_some())
    }

    /// Since when everybody has to have been asked before it goes on; none where it waits for nobody, or for
    /// a batch in flight.
    #[must_use]
    pub fn waits_for_evidence(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Preparing { .. } | Stage::Between { .. } | Stage::Baking { .. } if self.is_forward() => {
                Some(self.evidence_from)
            }
            Stage::Preparing { .. }
            | Stage::Between { .. }
            | Stage::Baking { .. }
            | Stage::InBatch
            | Stage::Hooking { .. }
            | Stage::Undoing
            | Stage::Stopping { .. }
            | Stage::Ended { .. } => None,
        }
    }

    /// Until when instances that say "not now" are asked again, as things go on now: in a pause, a freeze or before
    /// its date that time stands still.
    #[must_use]
    pub fn defer_until(&self, now: Timestamp) -> Timestamp {
        now + self.policy.defer_max.saturating_sub(self.spent.asking(now))
    }

    /// When it ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Ended { at } => Some(at),
            Stage::Preparing { .. }
            | Stage::Between { .. }
            | Stage::InBatch
            | Stage::Hooking { .. }
            | Stage::Undoing
            | Stage::Baking { .. }
            | Stage::Stopping { .. } => None,
        }
    }

    /// Counts.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.counted(self.members.progress())
    }

    /// What counts of these counts of its members.
    #[must_use]
    pub fn counted(&self, members: Progress) -> Progress {
        let before = UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade;
        if self.error.as_ref().is_some_and(|error| error.code == before) {
            // Azure: an upgrade that was refused at the door has counted nothing.
            return Progress::default();
        }
        members
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
}
