//! The pieces in which an upgrade is recorded, so that a step writes what it changed and not what exists.
//!
//! ```text
//! head       small: everything but the rest               Step::head_changed
//! order      numbers of the batches, in order             Step::order_changed
//! batches    one row each                                 Step::batches_changed
//! left out   instances that are held back, and why        Step::left_out_changed
//! members    one row each                                 Step::changed
//! ```
//!
//! Knows no store and no format. What was kept apart is put together again by [`Upgrade::assemble`].

use std::collections::{BTreeMap, BTreeSet};

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::domain::{InstanceId, PhaseName};
use crate::plan::Hold;

use super::batch::BatchProgress;
use super::members::Members;
use super::state::{Purpose, Upgrade};

/// Instances that an upgrade leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Which, and why, by id.
    pub holds: Vector<Hold>,
    /// Those of them that are asked again, with their phase.
    pub deferred: BTreeMap<InstanceId, PhaseName>,
    /// Those of them that were silent, and are planned when they answer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unheard: BTreeSet<InstanceId>,
}

/// Everything of an upgrade but its head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// Numbers of the batches, in order.
    pub order: Vec<u32>,
    /// The batches by number. Others than those in the order are of no account.
    pub batches: BTreeMap<u32, BatchProgress>,
    /// Instances that are left out.
    pub left_out: LeftOut,
    /// Planned instances.
    pub members: Members,
}

impl Upgrade {
    /// Whether it did anything: one that found all instances there already does not hide the one before it from a
    /// rollback.
    #[must_use]
    pub fn left_a_trace(&self) -> bool {
        let is_rollback = matches!(self.purpose, Purpose::Rollback { .. });
        // Of one that has vanished nobody knows any more how far it had come, also where it has come back since. Earlier
        // builds have recorded no more of it than that it is left out.
        let has_lost_one = || self.holds.iter().any(|hold| hold.reason.is_of_one_gone());
        is_rollback
            || self.lost_one
            || self.members.values().any(|member| member.attempt > 0)
            || has_lost_one()
    }

    /// Whether its end says anything of the version: somebody has it, or there was nobody. Where everybody was left out,
    /// for a skip or a hold, nobody has ever run it.
    #[must_use]
    pub fn has_shown_something(&self) -> bool {
        let is_back = matches!(self.purpose, Purpose::Rollback { .. });
        let is_empty = self.members.is_empty() && self.holds.is_empty();
        is_back || is_empty || self.already > 0 || self.members.progress().successful > 0
    }

    /// A copy without batches, members and those left out: as small for a large fleet as for a small one.
    #[must_use]
    pub fn head(&self) -> Self {
        // Named one by one: a copy of everything would cost what exists.
        Self {
            id: self.id.clone(),
            number: self.number,
            scale_set: self.scale_set.clone(),
            goal: self.goal.clone(),
            purpose: self.purpose.clone(),
            policy: self.policy.clone(),
            before: self.before.clone(),
            bypass: self.bypass,
            bypassed_freeze: self.bypassed_freeze,
            not_before: self.not_before,
            reask: self.reask.clone(),
            attempt: self.attempt,
            started_at: self.started_at,
            state: self.state,
            stage: self.stage,
            recovering_until: self.recovering_until,
            evidence_from: self.evidence_from,
            spent: self.spent,
            cancel_requested: self.cancel_requested,
            then_roll_back: self.then_roll_back,
            asked_back: self.asked_back.clone(),
            past_brake: self.past_brake,
            then_to: self.then_to.clone(),
            paused: self.paused,
            resumed: self.resumed.clone(),
            approved: self.approved.clone(),
            digest: self.digest,
            expects: self.expects,
            named: self.named.clone(),
            batches: Vector::new(),
            next_number: self.next_number,
            current: self.current,
            tripped: self.tripped,
            hooked: self.hooked.clone(),
            holds: Vector::new(),
            deferred: BTreeMap::new(),
            unheard: BTreeSet::new(),
            ran: self.ran.clone(),
            extent: self.extent,
            already: self.already,
            unproven: self.unproven.clone(),
            lost_one: self.lost_one,
            ended: self.ended.clone(),
            releases: self.releases.clone(),
            error: self.error.clone(),
            members: Members::default(),
        }
    }

    /// Numbers of the batches, in order.
    #[must_use]
    pub fn order(&self) -> Vec<u32> {
        self.batches.iter().map(|batch| batch.number).collect()
    }

    /// One batch by its number; none when it is no longer in the order.
    #[must_use]
    pub fn batch(&self, number: u32) -> Option<&BatchProgress> {
        // Those that change are near the one in flight.
        let near = self.batches.iter().skip(self.current.saturating_sub(1)).take(2);
        let mut found = near.chain(&self.batches).filter(|batch| batch.number == number);
        found.next()
    }

    /// Instances that are left out.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        LeftOut { holds: self.holds.clone(), deferred: self.deferred.clone(), unheard: self.unheard.clone() }
    }

    /// Puts an upgrade together again. A number in the order without its batch is passed over.
    #[must_use]
    pub fn assemble(head: Self, course: Course) -> Self {
        let Course { order, mut batches, left_out, members } = course;
        let LeftOut { holds, deferred, unheard } = left_out;
        let batches = order.iter().filter_map(|number| batches.remove(number)).collect();
        Self { batches, holds, deferred, unheard, members, ..head }
    }
}
