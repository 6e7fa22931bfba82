//! Who was heard again and said the same: a settled member costs a store of two times, in a row of its own beside the
//! members, so that neither its state nor the index of evidence is touched and no copy of them is made for a view.
//!
//! Deliberately no rule of health. What is kept here is what a round taken in whole would have brought, and nothing
//! else: [`InstanceState::says_the_same`] is where that is so. Whatever changes a member takes it in first
//! ([`SetState::change`]), and whatever reads a time reads both ([`SetState::settled_at`], [`SetState::answered_at`]).

use std::sync::Arc;

use imbl::Vector;

use super::evidence::NEVER;
use super::instance::InstanceState;
use super::{Evidence, SetState};
use crate::domain::{Decided, InstanceId, Outcome, Timestamp};
use crate::health::Settled;
use crate::plan::is_answered;

/// The place of a member in the row; free ones are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::kernel) struct Seat(u32);

/// Rounds that said the same again, since a member was changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again {
    /// How many; none where nothing is kept.
    rounds: u32,
    /// When the probe of the latest one began.
    pub(super) began_at: Timestamp,
    /// When that ended.
    pub(super) ended_at: Timestamp,
}

const NOT: Again = Again { rounds: 0, began_at: NEVER, ended_at: NEVER };

/// The row of a set.
#[derive(Debug, Clone, Default)]
pub(in crate::kernel) struct Seats {
    row: Vector<Again>,
    free: Vector<Seat>,
}

impl Seats {
    /// A place for a new member.
    pub(super) fn take(&mut self) -> Seat {
        self.free.pop_back().unwrap_or_else(|| {
            let seat = Seat(u32::try_from(self.row.len()).unwrap_or(u32::MAX));
            self.row.push_back(NOT);
            seat
        })
    }

    /// Its member has gone.
    pub(super) fn give_back(&mut self, seat: Seat) {
        self.clear(seat);
        self.free.push_back(seat);
    }

    fn get(&self, seat: Seat) -> Option<Again> {
        self.row.get(index(seat)).copied().filter(|again| again.rounds > 0)
    }

    fn set(&mut self, seat: Seat, again: Again) {
        if let Some(place) = self.row.get_mut(index(seat)) {
            *place = again;
        }
    }

    fn clear(&mut self, seat: Seat) {
        if self.get(seat).is_some() {
            self.set(seat, NOT);
        }
    }

    /// Takes out what is kept of a member.
    pub(super) fn taken(&mut self, seat: Seat) -> Option<Again> {
        let again = self.get(seat)?;
        self.set(seat, NOT);
        Some(again)
    }
}

fn index(seat: Seat) -> usize {
    usize::try_from(seat.0).unwrap_or(usize::MAX)
}

impl SetState {
    /// Takes in a round of a member that says what is known of it already; gives whether that is all of it. Only while
    /// nothing goes on that counts rounds or waits for somebody.
    pub(in crate::kernel) fn heard_the_same(&mut self, decided: &Decided) -> bool {
        if self.active().is_some() || self.suspicion.is_some() {
            return false;
        }
        // It might wait for this word although it has ended.
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.deferred.contains_key(&decided.instance)) {
            return false;
        }
        let Some(instance) = self.instance(&decided.instance) else { return false };
        // One that is asked again so soon is no further probe for the health.
        let counted_at = self.settled_at(instance).max(instance.word.counted_at());
        let is_in_rhythm = decided.started_at.since(counted_at) >= self.spec.health.interval / 2;
        if !is_in_rhythm || !instance.says_the_same(decided) {
            return false;
        }
        let seat = instance.seat;
        let rounds = self.seats.get(seat).map_or(0, |again| again.rounds).saturating_add(1);
        let (began_at, ended_at) = (decided.started_at, decided.finished_at);
        self.seats.set(seat, Again { rounds, began_at, ended_at });
        true
    }

    /// Makes what was kept beside a member part of it.
    pub(in crate::kernel) fn take_in(&mut self, id: &InstanceId) {
        if self.instance(id).is_some_and(|instance| self.seats.get(instance.seat).is_some()) {
            self.change(id, |_| ());
        }
    }

    /// Start of the latest round that settled what is known of a member.
    #[must_use]
    pub fn settled_at(&self, instance: &InstanceState) -> Timestamp {
        let again = self.seats.get(instance.seat).map_or(NEVER, |again| again.began_at);
        instance.word.settled_at().max(again)
    }

    /// Whether the application of a member has answered a probe that began at this time or later, and has said nothing
    /// less since.
    #[must_use]
    pub fn has_answered(&self, instance: &InstanceState, since: Timestamp) -> bool {
        instance.word.is_answer() && self.settled_at(instance) >= since
    }

    /// When the probe had ended in which the application of a member gave its last word.
    #[must_use]
    pub fn answered_at(&self, instance: &InstanceState) -> Option<Timestamp> {
        let answered = instance.answered.as_ref()?;
        let again = self.seats.get(instance.seat).filter(|_| instance.is_latest_answered());
        Some(again.map_or(answered.at, |again| again.ended_at))
    }

    /// Whether every member has been asked in a round that began at this time or later.
    #[must_use]
    pub fn is_evidence_complete(&self, since: Timestamp) -> bool {
        self.evidence.is_complete(since) || self.unasked_since(since).next().is_none()
    }

    /// Members that have not; costs no more than those, and those that have said the same again.
    pub fn unasked_since(&self, since: Timestamp) -> impl Iterator<Item = &InstanceId> {
        let is_old = move |id: &&InstanceId| {
            self.instance(id).is_some_and(|instance| self.settled_at(instance) < since)
        };
        self.evidence.missing(since).filter(is_old)
    }

    /// Members by what is known of them, but for when they were asked last.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

impl InstanceState {
    /// Whether a round says what is known already: taken in whole it would move the times at which this instance was
    /// asked and has answered, and nothing that anybody can see or that decides anything.
    fn says_the_same(&self, decided: &Decided) -> bool {
        let Decided { epoch, again, heard, outcome, .. } = decided;
        let Ok(decision) = &outcome.result else { return false };
        let is_quiet = self.unasked.is_none()
            && self.deferring.is_none()
            && self.trouble.is_none()
            && !self.down
            && !self.is_provisioned_first();
        is_quiet
            && !again
            && *epoch == self.epoch
            && self.latest.as_ref().is_some_and(|latest| is_same(latest, outcome))
            && (!is_answered(decision) || self.is_latest_answered())
            // Neither a streak of claims nor a grace period is under way.
            && self.fold.settled(decision.claim) == Settled::Forever
            && self.word.would_repeat(*heard, decision)
            && self.memory.as_deref() == decision.memory.as_deref()
    }

    /// Whether its latest decision is a word of its application.
    fn is_latest_answered(&self) -> bool {
        let answered = self.answered.as_ref().zip(self.latest.as_ref());
        answered.is_some_and(|(answered, latest)| is_same(&answered.outcome, latest))
    }

    /// Takes in the rounds that were kept beside it, as if they had been taken in when they came.
    pub(super) fn take_in(&mut self, again: Again) {
        self.word.repeated(again.rounds, again.began_at);
        if self.is_latest_answered()
            && let Some(answered) = &mut self.answered
        {
            answered.at = again.ended_at;
        }
    }
}

fn is_same(one: &Arc<Outcome>, other: &Arc<Outcome>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

#[cfg(test)]
mod tests;
