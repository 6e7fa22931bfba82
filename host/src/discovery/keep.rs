//! What a look at a source changes, and what of it is held: nobody goes because a source has lost its memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::entries::{Found, Instances};
use phasegate_core::domain::{Instance, InstanceId, Percent};

/// What is another than before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Those that are new.
    pub added: Vec<Arc<Instance>>,
    /// Those of which something is another.
    pub changed: Vec<Arc<Instance>>,
    /// Those that are gone.
    pub removed: Vec<InstanceId>,
}

impl Delta {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Those that a source does not name any more, and that stay all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whom.
    pub gone: BTreeSet<InstanceId>,
    /// Of how many.
    pub of: usize,
    /// Why.
    pub why: Why,
}

/// Why they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// They are too many at once.
    TooMany(Percent),
    /// Nobody is named any more.
    Empty,
    /// It is not known whom some of the entries mean.
    Unclear(usize),
}

/// What becomes of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// What is to be changed.
    pub(super) delta: Delta,
    /// Who stays although nobody names it.
    pub(super) held: Option<Held>,
}

/// Compares what was found with what was there. Whom a person has `accepted` to go counts for no limit.
pub(super) fn keep(before: &Instances, found: &Found, max: Percent, accepted: &BTreeSet<InstanceId>) -> Kept {
    let mut delta = Delta::default();
    for (id, instance) in &found.instances {
        match before.get(id) {
            None => delta.added.push(Arc::clone(instance)),
            Some(known) if Arc::ptr_eq(known, instance) || known == instance => {}
            Some(_) => delta.changed.push(Arc::clone(instance)),
        }
    }
    let gone: BTreeSet<InstanceId> =
        before.keys().filter(|id| !found.instances.contains_key(*id)).cloned().collect();
    let of = before.len();
    // An empty source has forgotten them, whoever says that they may go.
    let is_empty = found.instances.is_empty();
    let unasked: BTreeSet<InstanceId> = gone.difference(accepted).cloned().collect();
    let why = if gone.is_empty() {
        None
    } else if is_empty {
        Some(Why::Empty)
    } else if found.refused.unknown > 0 && !unasked.is_empty() {
        Some(Why::Unclear(found.refused.unknown))
    } else if exceeds(unasked.len(), of, max) {
        Some(Why::TooMany(max))
    } else {
        None
    };
    match why {
        None => {
            delta.removed = gone.into_iter().collect();
            Kept { delta, held: None }
        }
        Some(Why::Empty) => Kept { delta, held: Some(Held { gone, of, why: Why::Empty }) },
        Some(why) => {
            delta.removed = gone.intersection(accepted).cloned().collect();
            Kept { delta, held: Some(Held { gone: unasked, of, why }) }
        }
    }
}

/// Whether so many of so many are more than a share.
fn exceeds(count: usize, of: usize, max: Percent) -> bool {
    (count as u128) * 100 > (of as u128) * u128::from(max.get())
}

/// What there is after a change.
pub(super) fn apply(before: &Instances, delta: &Delta) -> Instances {
    let mut after = before.clone();
    for instance in delta.added.iter().chain(&delta.changed) {
        after.insert(instance.id.clone(), Arc::clone(instance));
    }
    for id in &delta.removed {
        after.remove(id);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::super::entries::Refused;
    use super::super::testing::*;
    use super::*;

    fn look(before: &Instances, instances: Instances, refused: Refused) -> Kept {
        keep(before, &Found { instances, refused }, Percent::clamped(20), &BTreeSet::new())
    }

    fn lengths(kept: &Kept) -> (usize, usize, usize, Option<usize>) {
        let Delta { added, changed, removed } = &kept.delta;
        (added.len(), changed.len(), removed.len(), kept.held.as_ref().map(|held| held.gone.len()))
    }

    #[test]
    fn a_share_may_go_and_more_is_held_while_others_come() {
        let before = so_many(10);
        let mut next = so_many(8);
        assert_eq!(lengths(&look(&before, next.clone(), Refused::default())), (0, 0, 2, None), "20 of 100");
        next = so_many(7);
        next.extend(some(&["new:1"]));
        let kept = look(&before, next.clone(), Refused::default());
        assert_eq!(lengths(&kept), (1, 0, 0, Some(3)), "nobody goes, and who is new comes");
        let after = apply(&before, &kept.delta);
        assert_eq!(after.len(), 11);
        // Another look at the same finds the same, again and again: no slow bleeding.
        let again = look(&after, next.clone(), Refused::default());
        assert_eq!(lengths(&again), (0, 0, 0, Some(3)));
        // They come back, or most of them.
        let back = look(
            &after,
            {
                next.extend(so_many(9));
                next
            },
            Refused::default(),
        );
        assert_eq!(lengths(&back), (0, 0, 1, None));
    }

    #[test]
    fn an_empty_source_removes_nobody_whatever_a_person_says() {
        let before = so_many(2);
        let all = before.keys().cloned().collect();
        for accepted in [BTreeSet::new(), all] {
            for max in [20, 100] {
                let kept = keep(&before, &Found::default(), Percent::clamped(max), &accepted);
                assert_eq!(lengths(&kept), (0, 0, 0, Some(2)));
                assert_eq!(kept.held.unwrap().why, Why::Empty);
            }
        }
        assert_eq!(lengths(&look(&Instances::new(), Instances::new(), Refused::default())), (0, 0, 0, None));
    }

    #[test]
    fn an_entry_that_may_mean_anybody_keeps_everybody() {
        let before = so_many(10);
        let refused = Refused { count: 1, unknown: 1, told: Vec::new() };
        assert_eq!(lengths(&look(&before, so_many(9), refused)), (0, 0, 0, Some(1)));
        let named = Refused { count: 1, unknown: 0, told: Vec::new() };
        assert_eq!(lengths(&look(&before, so_many(9), named)), (0, 0, 1, None));
    }

    #[test]
    fn a_person_accepts_those_that_were_held_and_nobody_else() {
        let before = so_many(10);
        let held = look(&before, so_many(5), Refused::default()).held.unwrap();
        let found = Found { instances: so_many(5), ..Found::default() };
        assert_eq!(lengths(&keep(&before, &found, Percent::clamped(20), &held.gone)), (0, 0, 5, None));
        let fewer = Found { instances: so_many(2), ..Found::default() };
        let kept = keep(&before, &fewer, Percent::clamped(20), &held.gone);
        assert_eq!(lengths(&kept), (0, 0, 5, Some(3)), "three more were never asked about");
    }

    #[test]
    fn what_is_the_same_changes_nothing_and_another_zone_does() {
        let before = so_many(3);
        assert!(look(&before, so_many(3), Refused::default()).delta.is_empty(), "equal, though not shared");
        let mut next = before.clone();
        let moved = Instance { zone: Some("2".to_owned()), ..(*one(&before, "h-1")).clone() };
        next.insert(moved.id.clone(), Arc::new(moved));
        assert_eq!(lengths(&look(&before, next, Refused::default())), (0, 1, 0, None));
    }

    #[test]
    fn shares_are_exact() {
        assert!(!exceeds(1, 5, Percent::clamped(20)) && exceeds(1, 4, Percent::clamped(20)));
        assert!(exceeds(1, 100_000, Percent::clamped(0)) && !exceeds(7, 7, Percent::clamped(100)));
    }
}
