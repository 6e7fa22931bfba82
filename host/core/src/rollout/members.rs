//! The planned instances, by id and by batch, so that a step looks at one batch and not at the
//! whole fleet.

use std::collections::BTreeMap;

use crate::domain::InstanceId;

use super::member::Member;

/// Planned instances. They lie side by side in the order in which they were put in, which is that
/// of the batches: whoever looks at a large batch again and again reads on instead of searching.
#[derive(Debug, Clone, Default)]
pub struct Members {
    slots: Vec<Option<(InstanceId, Member)>>,
    /// Slots that are empty.
    free: Vec<usize>,
    by_id: BTreeMap<InstanceId, usize>,
    /// Number of the batch, place within it.
    by_batch: BTreeMap<u32, BTreeMap<usize, usize>>,
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

    /// One of them; its batch and place stay as they are.
    pub(super) fn get_mut(&mut self, id: &InstanceId) -> Option<&mut Member> {
        let slot = *self.by_id.get(id)?;
        self.slots.get_mut(slot)?.as_mut().map(|(_, member)| member)
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
        let slots = self.by_batch.get(&batch).into_iter().flat_map(BTreeMap::values);
        slots.filter_map(|slot| self.slot(*slot)).map(|(id, _)| id)
    }

    /// Visits those of one batch, in order; their batch and place stay as they are.
    pub(super) fn visit_batch(&mut self, batch: u32, mut visit: impl FnMut(&InstanceId, &mut Member)) {
        for slot in self.by_batch.get(&batch).into_iter().flat_map(BTreeMap::values) {
            if let Some(Some((id, member))) = self.slots.get_mut(*slot) {
                visit(id, member);
            }
        }
    }

    /// Puts one in, or in the place of its former self.
    pub fn insert(&mut self, id: InstanceId, member: Member) {
        self.unlist(&id);
        let known = self.by_id.get(&id).copied();
        let slot = known.or_else(|| self.free.pop()).unwrap_or(self.slots.len());
        self.by_batch.entry(member.batch).or_default().insert(member.position, slot);
        if known.is_none() {
            self.by_id.insert(id.clone(), slot);
        }
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some((id, member)),
            None => self.slots.push(Some((id, member))),
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &InstanceId) -> Option<Member> {
        self.unlist(id);
        let slot = self.by_id.remove(id)?;
        self.free.push(slot);
        self.slots.get_mut(slot)?.take().map(|(_, member)| member)
    }

    /// Gives one another batch and place.
    pub(super) fn place(&mut self, id: &InstanceId, batch: u32, position: usize) {
        self.unlist(id);
        let Some(slot) = self.by_id.get(id).copied() else { return };
        if let Some(Some((_, member))) = self.slots.get_mut(slot) {
            (member.batch, member.position) = (batch, position);
            self.by_batch.entry(batch).or_default().insert(position, slot);
        }
    }

    fn slot(&self, slot: usize) -> Option<&(InstanceId, Member)> {
        self.slots.get(slot)?.as_ref()
    }

    fn unlist(&mut self, id: &InstanceId) {
        let Some(slot) = self.by_id.get(id).copied() else { return };
        let Some(Some((_, member))) = self.slots.get(slot) else { return };
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
