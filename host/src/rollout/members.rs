//! The planned instances, by id and by batch, so that a step looks at one batch and not at the
//! whole fleet.

use std::collections::BTreeMap;

use crate::domain::InstanceId;

use super::member::Member;

/// Planned instances.
#[derive(Debug, Clone, Default)]
pub struct Members {
    by_id: BTreeMap<InstanceId, Member>,
    /// Number of the batch, place within it.
    by_batch: BTreeMap<u32, BTreeMap<usize, InstanceId>>,
}

/// The index follows from the members.
impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id
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
        self.by_id.get(id)
    }

    /// One of them; its batch and place stay as they are.
    pub(super) fn get_mut(&mut self, id: &InstanceId) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    /// All by id.
    pub fn iter(&self) -> impl Iterator<Item = (&InstanceId, &Member)> {
        self.by_id.iter()
    }

    /// All by id.
    pub fn keys(&self) -> impl Iterator<Item = &InstanceId> {
        self.by_id.keys()
    }

    /// All by id.
    pub fn values(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// Those of one batch, in order.
    pub fn of_batch(&self, batch: u32) -> impl DoubleEndedIterator<Item = &InstanceId> {
        self.by_batch.get(&batch).into_iter().flat_map(BTreeMap::values)
    }

    /// Puts one in, or in the place of its former self.
    pub fn insert(&mut self, id: InstanceId, member: Member) {
        self.unlist(&id);
        self.by_batch.entry(member.batch).or_default().insert(member.position, id.clone());
        self.by_id.insert(id, member);
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &InstanceId) -> Option<Member> {
        self.unlist(id);
        self.by_id.remove(id)
    }

    /// Gives one another batch and place.
    pub(super) fn place(&mut self, id: &InstanceId, batch: u32, position: usize) {
        self.unlist(id);
        if let Some(member) = self.by_id.get_mut(id) {
            (member.batch, member.position) = (batch, position);
            self.by_batch.entry(batch).or_default().insert(position, id.clone());
        }
    }

    fn unlist(&mut self, id: &InstanceId) {
        let Some(member) = self.by_id.get(id) else { return };
        let Some(batch) = self.by_batch.get_mut(&member.batch) else { return };
        if batch.get(&member.position) == Some(id) {
            batch.remove(&member.position);
        }
        if batch.is_empty() {
            self.by_batch.remove(&member.batch);
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
