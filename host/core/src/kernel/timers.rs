//! When each scale set and each plugin has something due: kept for those that changed, so that a turn does not look at
//! the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Timestamp;

/// Due times by name, and in order.
#[derive(Debug, Clone)]
pub(super) struct Timers<K> {
    by_name: BTreeMap<K, Timestamp>,
    ordered: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), ordered: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Notes when something is due next.
    pub(super) fn note(&mut self, name: &K, due: Option<Timestamp>) {
        if self.by_name.get(name).copied() == due {
            return;
        }
        if let Some(before) = self.by_name.remove(name) {
            self.ordered.remove(&(before, name.clone()));
        }
        if let Some(due) = due {
            self.by_name.insert(name.clone(), due);
            self.ordered.insert((due, name.clone()));
        }
    }

    /// Those of which something is due.
    pub(super) fn due(&self, at: Timestamp) -> impl Iterator<Item = &K> {
        self.ordered.iter().take_while(move |(due, _)| *due <= at).map(|(_, name)| name)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.ordered.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ScaleSetName;

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
