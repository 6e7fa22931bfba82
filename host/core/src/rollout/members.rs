//! The planned instances, by id and by batch, so that a step looks at one batch and not at the
//! whole fleet; counted, so that it need not look at all to know how many there are of a kind.
//!
//! A member changes only in [`Members::update`] and its like: what is counted cannot go astray.

mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use imbl::{OrdMap, Vector};

use crate::domain::InstanceId;

use super::member::{Member, MemberState};
use super::state::Progress;
use tally::Tally;

/// One member in its place; shared with copies of the whole until it changes.
type Slot = Arc<(InstanceId, Member)>;

/// Planned instances. A copy costs nothing and shares what does not change.
///
/// They lie side by side in the order in which they were put in, which is that of the batches: a look at a
/// large batch, which happens again and again, reads on instead of searching.
#[derive(Debug, Clone, Default)]
pub struct Members {
    slots: Vector<Option<Slot>>,
    /// Slots that are empty.
    free: Vector<usize>,
    by_id: OrdMap<InstanceId, usize>,
    /// Number of the batch, place within it.
    by_batch: OrdMap<u32, OrdMap<usize, usize>>,
    tally: Tally,
}

/// Where they lie follows from how they came to be there.
impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Members {}

impl Members {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &InstanceId) -> Option<&Member> {
        self.slot(*self.by_id.get(id)?).map(|(_, member)| member)
    }

    /// The member that an instance is, or whose place it takes or has taken.
    #[must_use]
    pub fn behind(&self, instance: &InstanceId) -> Option<(&InstanceId, &Member)> {
        let id = self.tally.replaced_by(instance).unwrap_or(instance);
        self.slot(*self.by_id.get(id)?).map(|(id, member)| (id, member))
    }

    /// How many there are of each kind.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.tally.all()
    }

    /// How many there are of each kind in one batch, by its number.
    #[must_use]
    pub fn progress_of(&self, batch: u32) -> Progress {
        self.tally.of_batch(batch)
    }

    /// Those that the driver or the health gate is busy with, by id.
    pub fn in_flight(&self) -> impl Iterator<Item = &InstanceId> {
        self.tally.in_flight().iter()
    }

    /// Those that have failed, by id.
    pub fn failed(&self) -> impl Iterator<Item = &InstanceId> {
        self.tally.failed().iter()
    }

    /// Changes one of them; its batch and place stay as they are. None when it is not there.
    pub(super) fn update<R>(&mut self, id: &InstanceId, change: impl FnOnce(&mut Member) -> R) -> Option<R> {
        let slot = *self.by_id.get(id)?;
        let (id, member) = Arc::make_mut(self.slots.get_mut(slot)?.as_mut()?);
        Some(self.tally.watch(id, member, change))
    }

    /// All by id.
    pub fn iter(&self) -> impl Iterator<Item = (&InstanceId, &Member)> {
        self.by_id.values().filter_map(|slot| self.slot(*slot)).map(|(id, member)| (id, member))
    }

    /// All by id.
    pub fn keys(&self) -> impl Iterator<Item = &InstanceId> {
        self.by_id.keys()
    }

    /// All by id.
    pub fn values(&self) -> impl Iterator<Item = &Member> {
        self.iter().map(|(_, member)| member)
    }

    /// Those of one batch, in order.
    pub fn of_batch(&self, batch: u32) -> impl DoubleEndedIterator<Item = &InstanceId> {
        let slots = self.by_batch.get(&batch).into_iter().flat_map(OrdMap::values);
        slots.filter_map(|slot| self.slot(*slot)).map(|(id, _)| id)
    }

    /// How many one batch has.
    pub(super) fn count_of(&self, batch: u32) -> usize {
        self.by_batch.get(&batch).map_or(0, OrdMap::len)
    }

    /// Visits those of one batch, in order, and brings each to the state that the visit gives. Those that
    /// stay as they are stay shared with copies of the whole: a large batch is looked at again and again.
    pub(super) fn visit_batch(
        &mut self,
        batch: u32,
        mut visit: impl FnMut(&InstanceId, &Member) -> Option<MemberState>,
    ) {
        for slot in self.by_batch.get(&batch).into_iter().flat_map(OrdMap::values) {
            let Some(Some(seen)) = self.slots.get(*slot) else { continue };
            let Some(state) = visit(&seen.0, &seen.1) else { continue };
            if let Some(Some(slot)) = self.slots.get_mut(*slot) {
                let (id, member) = Arc::make_mut(slot);
                self.tally.watch(id, member, |member| member.state = state);
            }
        }
    }

    /// Puts one in, or in the place of its former self.
    pub fn insert(&mut self, id: InstanceId, member: Member) {
        self.unlist(&id);
        let known = self.by_id.get(&id).copied();
        if let Some((_, former)) = known.and_then(|slot| self.slot(slot)) {
            let former = former.clone();
            self.tally.leave(&id, &former);
        }
        self.tally.enter(&id, &member);
        let slot = known.or_else(|| self.free.pop_back()).unwrap_or(self.slots.len());
        self.by_batch.entry(member.batch).or_default().insert(member.position, slot);
        if known.is_none() {
            self.by_id.insert(id.clone(), slot);
        }
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some(Arc::new((id, member))),
            None => self.slots.push_back(Some(Arc::new((id, member)))),
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &InstanceId) -> Option<Member> {
        self.unlist(id);
        let slot = self.by_id.remove(id)?;
        self.free.push_back(slot);
        let (id, member) = Arc::unwrap_or_clone(self.slots.get_mut(slot)?.take()?);
        self.tally.leave(&id, &member);
        Some(member)
    }

    /// Gives one another batch and place.
    pub(super) fn place(&mut self, id: &InstanceId, batch: u32, position: usize) {
        self.unlist(id);
        let Some(slot) = self.by_id.get(id).copied() else { return };
        if let Some(Some(place)) = self.slots.get_mut(slot) {
            let (id, member) = Arc::make_mut(place);
            self.tally.watch(id, member, |member| (member.batch, member.position) = (batch, position));
            self.by_batch.entry(batch).or_default().insert(position, slot);
        }
    }

    /// Whether the counts are those of a recount. Costs what exists; for checks.
    #[must_use]
    pub(super) fn is_counted_right(&self) -> bool {
        let mut recount = Tally::default();
        self.iter().for_each(|(id, member)| recount.enter(id, member));
        recount == self.tally
    }

    fn slot(&self, slot: usize) -> Option<&(InstanceId, Member)> {
        self.slots.get(slot)?.as_deref()
    }

    fn unlist(&mut self, id: &InstanceId) {
        let Some(slot) = self.by_id.get(id).copied() else { return };
        let Some((_, member)) = self.slot(slot) else { return };
        let (number, position) = (member.batch, member.position);
        let Some(batch) = self.by_batch.get_mut(&number) else { return };
        if batch.get(&position) == Some(&slot) {
            batch.remove(&position);
        }
        if batch.is_empty() {
            self.by_batch.remove(&number);
        }
    }
}

impl FromIterator<(InstanceId, Member)> for Members {
    fn from_iter<T: IntoIterator<Item = (InstanceId, Member)>>(all: T) -> Self {
        let mut members = Self::default();
        all.into_iter().for_each(|(id, member)| members.insert(id, member));
        members
    }
}
