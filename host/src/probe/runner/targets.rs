//! What the thread of the probes knows of its targets, each in a place of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Name;
use super::lines::Place;
use crate::probe::Target;
use crate::probe::line::Question;
use crate::probe::raw::Raw;
use crate::probe::schedule::Slot;
use phasegate_core::domain::{Answer, HealthSettings, Observation, Timestamp};

/// One target.
pub(super) struct Known {
    pub(super) target: Arc<Target>,
    /// None when a task has to ask.
    pub(super) question: Option<Arc<Question>>,
    /// What it said last.
    pub(super) said: Option<Arc<Observation>>,
    /// The bytes in which it did, where the same can be known by them.
    pub(super) raw: Option<Arc<Raw>>,
    /// The connection for its next probe.
    pub(super) kept: Option<Place>,
    /// Since when somebody waits for an answer to a probe that begins from then on.
    pub(super) waited_since: Option<Timestamp>,
}

impl Known {
    /// One that has said nothing yet.
    pub(super) fn new(target: Target, question: Option<Arc<Question>>) -> Self {
        Self { target: Arc::new(target), question, said: None, raw: None, kept: None, waited_since: None }
    }
}

/// What one of a scale set had last, to be shared by those that have the same.
#[derive(Default)]
pub(super) struct Common {
    settings: Option<Arc<HealthSettings>>,
    raw: Option<Arc<Raw>>,
    answers: Option<Arc<[Answer]>>,
}

impl Common {
    /// Settings of this value.
    pub(super) fn settings(&mut self, new: Arc<HealthSettings>) -> Arc<HealthSettings> {
        shared(&mut self.settings, new, HealthSettings::eq)
    }

    /// The same bytes.
    pub(super) fn raw(&mut self, new: Raw) -> Arc<Raw> {
        shared(&mut self.raw, Arc::new(new), Raw::is_like)
    }

    /// The same answers.
    pub(super) fn answers(&mut self, new: Arc<[Answer]>) -> Arc<[Answer]> {
        shared(&mut self.answers, new, <[Answer]>::eq)
    }
}

fn shared<T: ?Sized>(last: &mut Option<Arc<T>>, new: Arc<T>, is_same: impl Fn(&T, &T) -> bool) -> Arc<T> {
    match last {
        Some(known) if is_same(known, &new) => Arc::clone(known),
        _ => Arc::clone(last.insert(new)),
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Targets {
    names: BTreeMap<Name, Slot>,
    all: Vec<Option<Known>>,
    free: Vec<Slot>,
}

impl Targets {
    pub(super) fn slot(&self, name: &Name) -> Option<Slot> {
        self.names.get(name).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Known> {
        self.all.get(slot.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Known> {
        self.all.get_mut(slot.index())?.as_mut()
    }

    /// Takes one in that is not known.
    pub(super) fn add(&mut self, name: Name, known: Known) -> Slot {
        let next = || Slot(u64::try_from(self.all.len()).unwrap_or(u64::MAX));
        let slot = self.free.pop().unwrap_or_else(next);
        if slot.index() == self.all.len() {
            self.all.push(None);
        }
        self.put(slot, known);
        self.names.insert(name, slot);
        slot
    }

    /// Exchanges one, and gives the one before.
    pub(super) fn put(&mut self, slot: Slot, known: Known) -> Option<Known> {
        self.all.get_mut(slot.index())?.replace(known)
    }

    /// Drops one.
    pub(super) fn remove(&mut self, name: &Name) -> Option<(Slot, Known)> {
        let slot = self.names.remove(name)?;
        let known = self.all.get_mut(slot.index())?.take()?;
        self.free.push(slot);
        Some((slot, known))
    }
}
