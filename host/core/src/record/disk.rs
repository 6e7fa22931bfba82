//! A record in memory: what any store must make of the same commits. For simulations and tests.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;

use super::audit::Entry;
use super::retention::{LOOKED_AT, Past, Retention, Seen, needed_from};
use super::{Commit, Doubt, Stored, Write, left_a_trace};
use crate::domain::{Fence, InstanceId, Membership, ScaleSetName, UpgradeId, WallTime};
use crate::release::{Part, Release};
use crate::rollout::{Course, Members, Progress, Upgrade};

/// What survives the end of a host, however it ends.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// All but the upgrades.
    stored: Stored,
    upgrades: BTreeMap<UpgradeId, (Upgrade, Course)>,
    /// Counts of upgrades whose members are no longer kept.
    summaries: BTreeMap<UpgradeId, Progress>,
    /// Shared, so that a copy of the record does not cost its past.
    trail: OrdMap<u64, Arc<Entry>>,
    /// From this line on none is missing.
    whole_from: u64,
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

    /// Removes what is no longer to be kept.
    pub fn tend(&mut self, retention: &Retention, now: WallTime) {
        let of_lines = self.trail.values().map(|entry| entry.scale_set.clone());
        let of_upgrades = self.upgrades.values().map(|(head, _)| head.scale_set.clone());
        let sets: BTreeSet<ScaleSetName> = of_lines.chain(of_upgrades).collect();
        for set in sets {
            self.tend_set(retention, &set, now);
        }
    }

    fn tend_set(&mut self, retention: &Retention, set: &ScaleSetName, now: WallTime) {
        let mut latest: Vec<Upgrade> = self.upgrades().filter(|upgrade| upgrade.scale_set == *set).collect();
        latest.sort_by_key(|upgrade| Reverse(upgrade.number));
        let place = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(1);
        let looked_at: Vec<Past> = latest.iter().take(place(LOOKED_AT) + 1).map(Past::of).collect();
        let needed = needed_from(&looked_at);
        let first_line = |id: &UpgradeId| {
            let of = |entry: &&Arc<Entry>| entry.upgrade.as_ref() == Some(id);
            self.trail.values().find(of).map(|entry| entry.seq)
        };
        let oldest = WallTime(now.0.saturating_sub_unsigned(millis(retention.audit)));
        let young = |entry: &&Arc<Entry>| entry.scale_set == *set && entry.at >= oldest;
        let seen = Seen {
            needed,
            needed_line: latest
                .iter()
                .find(|upgrade| Some(upgrade.number) == needed)
                .and_then(|upgrade| first_line(&upgrade.id)),
            upgrade: latest.get(place(retention.upgrades)).map(|upgrade| upgrade.number),
            with_members: latest.get(place(retention.members)).map(|upgrade| upgrade.number),
            young_line: self.trail.values().find(young).map(|entry| entry.seq),
            last_line: self.trail.get_max().map_or(0, |(seq, _)| *seq),
        };
        let cut = retention.cut(&seen);
        for upgrade in latest {
            if upgrade.number < cut.upgrades {
                self.upgrades.remove(&upgrade.id);
                self.summaries.remove(&upgrade.id);
            } else if upgrade.number < cut.members && !self.summaries.contains_key(&upgrade.id) {
                self.summaries.insert(upgrade.id.clone(), upgrade.progress());
                self.course(&upgrade.id, |course| *course = Course::default());
            }
        }
        let goes = |entry: &&Arc<Entry>| entry.scale_set == *set && entry.seq < cut.lines;
        let gone: Vec<u64> = self.trail.values().filter(goes).map(|entry| entry.seq).collect();
        for seq in gone {
            self.trail.remove(&seq);
            self.whole_from = self.whole_from.max(seq + 1);
        }
    }

    /// Counts of an upgrade whose members are no longer kept.
    #[must_use]
    pub fn summary(&self, id: &UpgradeId) -> Option<Progress> {
        self.summaries.get(id).copied()
    }

    /// From which line on none is missing.
    #[must_use]
    pub fn whole_from(&self) -> u64 {
        self.whole_from
    }

    /// Everything of an instance goes.
    fn forget(&mut self, set: &ScaleSetName, id: &InstanceId) {
        let stored = &mut self.stored;
        let is_other = |of: &ScaleSetName, one: &InstanceId| (of, one) != (set, id);
        stored.versions.retain(|(of, one, _), _| is_other(of, one));
        stored.memberships.retain(|(of, one), _| is_other(of, one));
        stored.memories.retain(|(of, one), _| is_other(of, one));
        stored.words.retain(|(of, one), _| is_other(of, one));
        stored.provisions.retain(|(of, one), _| is_other(of, one));
    }

    fn write(&mut self, write: Write) {
        let stored = &mut self.stored;
        match write {
            Write::Upgrade(head) => {
                let course =
                    self.upgrades.remove(&head.id).map_or_else(Course::default, |(_, course)| course);
                self.upgrades.insert(head.id.clone(), (*head, course));
            }
            Write::UpgradeGone(id) => {
                self.upgrades.remove(&id);
                self.summaries.remove(&id);
            }
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
            Write::Forgotten(set, id) => self.forget(&set, &id),
            Write::Discovered(set, id, found) => {
                put(&mut stored.discovered, (set, id), found.map(Arc::from));
            }
            Write::Memory(set, id, memory) => put(&mut stored.memories, (set, id), memory),
            Write::Model(set, component, model) => drop(stored.models.insert((set, component), model)),
            Write::Plugin(name, plugin) => drop(stored.plugins.insert(name, *plugin)),
            Write::Quarantine(set, change, reason) => put(&mut stored.quarantined, (set, change), reason),
            Write::Word(set, id, word) => put(&mut stored.words, (set, id), word),
            Write::Provision(set, id, provision) => {
                put(&mut stored.provisions, (set, id), provision.map(|provision| *provision));
            }
            Write::Retry(set, retry) => put(&mut stored.retries, set, retry),
            Write::Line(line) => stored.line = line,
            Write::Hold(hold) => stored.hold = hold,
            Write::Fence(fence) => stored.fence = fence,
            Write::Request(key, request) => put(&mut stored.requests, key, request),
            Write::Published(subject, published) => {
                put(&mut stored.published, subject, published.map(|published| *published));
            }
            Write::Release(number, Some(head)) => {
                let parts = stored.releases.remove(&number).map(|known| known.parts).unwrap_or_default();
                stored.releases.insert(number, Release { parts, ..*head });
            }
            Write::Release(number, None) => drop(stored.releases.remove(&number)),
            Write::ReleaseSet(number, set, part) => {
                let Some(release) = stored.releases.get_mut(&number) else { return };
                match part {
                    Some(part) => release.parts.insert(set, Part { seen_well: false, ..*part }),
                    None => release.parts.remove(&set),
                };
            }
            Write::OptOut(set, subject, said) => put(&mut stored.opted_out, (set, subject), said),
            Write::Feature(subscription, said) => put(&mut stored.registered, subscription, said),
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

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}
