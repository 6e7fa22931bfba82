//! Places for running probes, shared fairly by scale set: what one set lets hang is not what another one lacks.
//!
//! A set may take more than its share as long as enough is left for what the others are known to need, by what
//! their probes took, within their shares. Places that nobody needs are anybody's. Counts only; knows no probe and
//! no time.

use std::collections::BTreeMap;

use crate::probe::schedule::{Group, Members, WHOLE};

/// Kept for a group beyond twice what it needs on average: instances may be due together.
const KEPT_MIN: usize = 2;

/// So many places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: usize,
    groups: BTreeMap<Group, Room>,
    /// What is kept for groups that have not taken it.
    kept: usize,
}

/// What one group has of them.
#[derive(Debug, Default, Clone, Copy)]
struct Room {
    members: usize,
    /// As many as it needs at once, unless it is unlucky.
    needed: usize,
    taken: usize,
}

impl Room {
    /// Places that are kept for it, within its share.
    fn kept(self, share: usize) -> usize {
        self.needed.min(share).saturating_sub(self.taken)
    }
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: 0, groups: BTreeMap::new(), kept: 0 }
    }

    /// Each group's part; at least one.
    fn share(&self) -> usize {
        let groups = self.groups.len().max(1);
        (self.most / groups).max(1)
    }

    /// A group has these members. One that has none, and nothing under way, has no share.
    pub(super) fn wanted(&mut self, group: Group, members: Members) {
        let on_average = usize::try_from(members.busy.div_ceil(WHOLE)).unwrap_or(usize::MAX);
        let needed = on_average.saturating_mul(2).saturating_add(KEPT_MIN).min(members.count);
        self.change(group, |room| (room.members, room.needed) = (members.count, needed));
    }

    fn count_anew(&mut self) {
        let share = self.share();
        self.kept = self.groups.values().map(|room| room.kept(share)).sum();
    }

    /// Whether there is any.
    pub(super) fn are_free(&self) -> bool {
        self.taken < self.most
    }

    /// Whether one of this group may take one.
    pub(super) fn admit(&self, group: Group) -> bool {
        let free = self.most.saturating_sub(self.taken);
        let room = self.groups.get(&group).copied().unwrap_or_default();
        free > 0 && (room.kept(self.share()) > 0 || free > self.kept)
    }

    pub(super) fn take(&mut self, group: Group) {
        self.taken += 1;
        self.change(group, |room| room.taken += 1);
    }

    pub(super) fn give_back(&mut self, group: Group) {
        self.taken = self.taken.saturating_sub(1);
        self.change(group, |room| room.taken = room.taken.saturating_sub(1));
    }

    fn change(&mut self, group: Group, change: impl FnOnce(&mut Room)) {
        let before = self.groups.len();
        let room = self.groups.entry(group).or_default();
        let was = *room;
        change(room);
        let is = *room;
        if is.members == 0 && is.taken == 0 {
            self.groups.remove(&group);
        }
        if self.groups.len() == before {
            let share = self.share();
            self.kept = (self.kept + is.kept(share)).saturating_sub(was.kept(share));
        } else {
            self.count_anew();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Group = Group(1);
    const B: Group = Group(2);

    fn members(count: usize, busy: u64) -> Members {
        Members { count, busy: busy * WHOLE / 10 }
    }

    #[test]
    fn one_group_may_have_them_all() {
        let mut places = Places::new(3);
        places.wanted(A, members(10, 1));
        for _ in 0..3 {
            assert!(places.admit(A));
            places.take(A);
        }
        assert!(!places.admit(A) && !places.are_free());
    }

    #[test]
    fn what_others_need_is_left_to_them() {
        let mut places = Places::new(20);
        places.wanted(A, members(100, 1_000));
        // Twice one and a half, and two more.
        places.wanted(B, members(50, 15));
        for _ in 0..14 {
            assert!(places.admit(A));
            places.take(A);
        }
        assert!(!places.admit(A) && places.admit(B) && places.are_free());
        (0..6).for_each(|_| places.take(B));
        assert!(!places.are_free());
        places.give_back(B);
        assert!(!places.admit(A) && places.admit(B));
        // B needs more than its half: no more is kept for it.
        places.wanted(B, members(50, 500));
        for _ in 0..9 {
            places.give_back(A);
            assert!(!places.admit(A) || places.groups[&A].taken < 10);
        }
        // B is gone: all is A's.
        (0..5).for_each(|_| places.give_back(B));
        places.wanted(B, members(0, 0));
        for _ in 0..15 {
            assert!(places.admit(A));
            places.take(A);
        }
    }

    #[test]
    fn more_groups_than_places_take_turns() {
        let mut places = Places::new(2);
        (0..5).for_each(|group| places.wanted(Group(group), members(4, 0)));
        assert!(places.admit(Group(0)));
        places.take(Group(0));
        assert!(!places.admit(Group(0)), "it has its share");
        places.take(Group(1));
        assert!((0..5).all(|group| !places.admit(Group(group))));
    }

    #[test]
    fn the_count_of_what_is_kept_is_that_of_a_count_anew() {
        let mut places = Places::new(50);
        let mut word = 7_u64;
        let mut under_way: Vec<Group> = Vec::new();
        for _ in 0..20_000 {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            let group = Group(u32::try_from(word % 6).unwrap());
            match word >> 60 {
                0..=2 => {
                    let count = usize::try_from((word >> 20) % 40).unwrap();
                    places.wanted(group, members(count, (word >> 30) % 100));
                }
                3..=9 if places.admit(group) => {
                    places.take(group);
                    under_way.push(group);
                }
                10.. if !under_way.is_empty() => {
                    let index = usize::try_from(word >> 8).unwrap() % under_way.len();
                    places.give_back(under_way.swap_remove(index));
                }
                _ => {}
            }
            let kept = places.kept;
            places.count_anew();
            assert_eq!((kept, places.taken), (places.kept, under_way.len()));
            assert!(places.taken <= places.most);
        }
    }
}
