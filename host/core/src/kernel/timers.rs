//! When each scale set has something due: kept for the sets that changed, so that a turn does not look at
//! the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ScaleSetName, Timestamp};

/// Due times by set, and in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    by_set: BTreeMap<ScaleSetName, Timestamp>,
    ordered: BTreeSet<(Timestamp, ScaleSetName)>,
}

impl Timers {
    /// Notes when something of a set is due next.
    pub(super) fn note(&mut self, set: &ScaleSetName, due: Option<Timestamp>) {
        if self.by_set.get(set).copied() == due {
            return;
        }
        if let Some(before) = self.by_set.remove(set) {
            self.ordered.remove(&(before, set.clone()));
        }
        if let Some(due) = due {
            self.by_set.insert(set.clone(), due);
            self.ordered.insert((due, set.clone()));
        }
    }

    /// Sets of which something is due.
    pub(super) fn due(&self, at: Timestamp) -> impl Iterator<Item = &ScaleSetName> {
        self.ordered.iter().take_while(move |(due, _)| *due <= at).map(|(_, set)| set)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.ordered.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_time() {
        let [a, b] = ["a", "b"].map(|name| ScaleSetName::parse(name).unwrap());
        let mut timers = Timers::default();
        timers.note(&a, Some(Timestamp(5)));
        timers.note(&b, Some(Timestamp(3)));
        timers.note(&a, Some(Timestamp(2)));
        assert_eq!(timers.next(), Some(Timestamp(2)));
        assert_eq!(timers.due(Timestamp(2)).collect::<Vec<_>>(), [&a]);
        timers.note(&a, None);
        timers.note(&b, Some(Timestamp(9)));
        assert_eq!((timers.next(), timers.due(Timestamp(8)).count()), (Some(Timestamp(9)), 0));
    }
}
