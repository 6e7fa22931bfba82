//! A record in memory: what any store must make of the same commits. For simulations and tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use super::audit::Entry;
use super::{Commit, Doubt, Stored, Write, left_a_trace};
use crate::domain::{Fence, Membership, UpgradeId};
use crate::rollout::{Course, Members, Upgrade};

/// What survives the end of a host, however it ends.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// All but the upgrades.
    stored: Stored,
    upgrades: BTreeMap<UpgradeId, (Upgrade, Course)>,
    /// Shared, so that a copy of the record does not cost its past.
    trail: OrdMap<u64, Arc<Entry>>,
}

impl Disk {
    /// What a host that starts now finds. Each start is another generation.
    pub fn open(&mut self) -> Stored {
        // A fence that has no next one stays: no simulation starts sixteen million hosts.
        let next = Fence::new(self.stored.fence.incarnation() + 1, self.stored.fence.term());
        self.stored.fence = next.unwrap_or(self.stored.fence);
        let mut stored = self.stored.clone();
        stored.audit_seq = self.trail.get_max().map_or(0, |(seq, _)| *seq);
        let mut all: Vec<Upgrade> = self.upgrades().collect();
        all.sort_by_key(|upgrade| upgrade.number);
        for upgrade in all {
            stored.upgrade_number = stored.upgrade_number.max(upgrade.number);
            if left_a_trace(&upgrade) {
                stored.touched.insert(upgrade.scale_set.clone(), upgrade.clone());
            }
            stored.upgrades.insert(upgrade.scale_set.clone(), upgrade);
        }
        stored
    }

    /// Something speaks against it from the next start on, as whatever keeps it has found.
    pub fn doubt(&mut self, doubt: Doubt) {
        self.stored.hold.get_or_insert_default().add(doubt);
    }

    /// Makes a commit durable; one that was applied before changes nothing.
    pub fn apply(&mut self, commit: &Commit) {
        if commit.seq <= self.stored.seq {
            return;
        }
        self.stored.seq = commit.seq;
        self.stored.anchor = Some(commit.anchor.clone());
        for write in &commit.writes {
            self.write(write.clone());
        }
    }

    fn write(&mut self, write: Write) {
        let stored = &mut self.stored;
        match write {
            Write::Upgrade(head) => {
                let course =
                    self.upgrades.remove(&head.id).map_or_else(Course::default, |(_, course)| course);
                self.upgrades.insert(head.id.clone(), (*head, course));
            }
            Write::UpgradeGone(id) => drop(self.upgrades.remove(&id)),
            Write::Order(id, order) => self.course(&id, |course| course.order = order),
            Write::Batch(id, number, batch) => {
                self.course(&id, |course| put(&mut course.batches, number, batch.map(|batch| *batch)));
            }
            Write::LeftOut(id, left_out) => self.course(&id, |course| course.left_out = *left_out),
            Write::Member(upgrade, id, member) => {
                self.course(&upgrade, |course| course.members.insert(id, *member));
            }
            Write::MemberLeft(upgrade, id) => {
                self.course(&upgrade, |course| drop(course.members.remove(&id)));
            }
            Write::Runs(set, id, component, runs) => {
                stored.versions.insert((set, id, component), runs);
            }
            Write::Membership(set, id, membership) => {
                put(&mut stored.memberships, (set, id), membership.map(|m| *m))
            }
            Write::Memory(set, id, memory) => put(&mut stored.memories, (set, id), memory),
            Write::Model(set, component, model) => drop(stored.models.insert((set, component), model)),
            Write::Plugin(name, plugin) => drop(stored.plugins.insert(name, *plugin)),
            Write::Quarantine(set, change, reason) => put(&mut stored.quarantined, (set, change), reason),
            Write::Word(set, id, word) => put(&mut stored.words, (set, id), word),
            Write::Retry(set, retry) => put(&mut stored.retries, set, retry),
            Write::Line(line) => stored.line = line,
            Write::Hold(hold) => stored.hold = hold,
            Write::Fence(fence) => stored.fence = fence,
            Write::Request(key, request) => put(&mut stored.requests, key, request),
            Write::Audit(entry) => drop(self.trail.insert(entry.seq, Arc::from(entry))),
            Write::TrailEnds(seq) => self.trail = self.trail.split(&(seq + 1)).0,
        }
    }

    /// The trail, oldest first.
    pub fn trail(&self) -> impl Iterator<Item = &Entry> {
        self.trail.values().map(Arc::as_ref)
    }

    /// One line of the trail.
    #[must_use]
    pub fn line(&self, seq: u64) -> Option<&Entry> {
        self.trail.get(&seq).map(Arc::as_ref)
    }

    /// The recorded head of an upgrade and its members.
    #[must_use]
    pub fn upgrade(&self, id: &UpgradeId) -> Option<(&Upgrade, &Members)> {
        self.upgrades.get(id).map(|(head, course)| (head, &course.members))
    }

    fn course(&mut self, id: &UpgradeId, change: impl FnOnce(&mut Course)) {
        if let Some((_, course)) = self.upgrades.get_mut(id) {
            change(course);
        }
    }

    /// All upgrades.
    pub fn upgrades(&self) -> impl Iterator<Item = Upgrade> {
        self.upgrades.values().map(|(head, course)| Upgrade::assemble(head.clone(), course.clone()))
    }

    /// Everything else that is recorded.
    #[must_use]
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Instances that were deleted for good.
    #[must_use]
    pub fn deleted(&self) -> usize {
        let memberships = self.stored.memberships.values();
        memberships.filter(|membership| matches!(membership, Membership::Deleted { .. })).count()
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}
