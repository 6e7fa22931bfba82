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

/// What was recorded of a set when the host started.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Whom its source had found.
    pub instances: Instances,
    /// Those of them that it no longer named, and that stayed.
    pub held: BTreeSet<InstanceId>,
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

/// Compares what was found with what was there. Whom a person has `accepted` to go counts for no limit. Those that were
/// `held` stay held, however many others have come since, until most of them are named again: then it was no loss of
/// memory.
pub(super) fn keep(
    (before, held): (&Instances, &BTreeSet<InstanceId>),
    found: &Found,
    max: Percent,
    accepted: &BTreeSet<InstanceId>,
) -> Kept {
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
    let unasked: BTreeSet<InstanceId> = gone.difference(accepted).cloned().collect();
    let still: BTreeSet<InstanceId> = unasked.intersection(held).cloned().collect();
    // Where most of them are named again, the others have gone like anybody.
    let still = if still.len() * 2 >= held.len() { still } else { BTreeSet::new() };
    let (of, fresh) = (before.len(), unasked.len() - still.len());
    let hold = |why| if unasked.is_empty() { None } else { Some(Held { gone: unasked.clone(), of, why }) };
    let held = if found.instances.is_empty() {
        // An empty source has forgotten them, whoever says that they may go.
        let why = Why::Empty;
        return Kept { delta, held: (!gone.is_empty()).then_some(Held { gone, of, why }) };
    } else if found.refused.unknown > 0 {
        hold(Why::Unclear(found.refused.unknown))
    } else if exceeds(fresh, of - still.len(), max) {
        hold(Why::TooMany(max))
    } else {
        (!still.is_empty()).then_some(Held { gone: still, of, why: Why::TooMany(max) })
    };
    let stays = |id: &&InstanceId| held.as_ref().is_some_and(|held| held.gone.contains(*id));
    delta.removed = gone.iter().filter(|id| !stays(id)).cloned().collect();
    Kept { delta, held }
}

/// Those that stay until they are named again or a person lets them go, whatever else the source says.
pub(super) fn too_many(held: Option<&Held>) -> BTreeSet<InstanceId> {
    let held = held.filter(|held| matches!(held.why, Why::TooMany(_)));
    held.map(|held| held.gone.clone()).unwrap_or_default()
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
        keep(
            (before, &BTreeSet::new()),
            &Found { instances, refused },
            Percent::clamped(20),
            &BTreeSet::new(),
        )
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
    fn those_that_are_held_stay_however_many_others_come() {
        let before = so_many(5);
        let others: Vec<String> = (0..50).map(|number| format!("other-{number}:1")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let mut next = some(&others);
        let kept = look(&before, next.clone(), Refused::default());
        assert_eq!(lengths(&kept), (50, 0, 0, Some(5)));
        let (mut after, held) = (apply(&before, &kept.delta), kept.held.unwrap().gone);
        // Another one goes beside them, within the limit.
        next.pop_last();
        let found = Found { instances: next.clone(), ..Found::default() };
        let kept = keep((&after, &held), &found, Percent::clamped(20), &BTreeSet::new());
        assert_eq!(lengths(&kept), (0, 0, 1, Some(5)), "5 of 55 are less than a fifth, and were not before");
        after = apply(&after, &kept.delta);
        // Most of them are named again.
        next.extend(so_many(4));
        let found = Found { instances: next, ..Found::default() };
        let kept = keep((&after, &held), &found, Percent::clamped(20), &BTreeSet::new());
        assert_eq!(lengths(&kept), (0, 0, 1, None));
    }

    #[test]
    fn an_empty_source_removes_nobody_whatever_a_person_says() {
        let before = so_many(2);
        let all = before.keys().cloned().collect();
        for accepted in [BTreeSet::new(), all] {
            for max in [20, 100] {
                let kept =
                    keep((&before, &BTreeSet::new()), &Found::default(), Percent::clamped(max), &accepted);
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
        assert_eq!(
            lengths(&keep((&before, &held.gone), &found, Percent::clamped(20), &held.gone)),
            (0, 0, 5, None)
        );
        let fewer = Found { instances: so_many(2), ..Found::default() };
        let kept = keep((&before, &held.gone), &fewer, Percent::clamped(20), &held.gone);
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
