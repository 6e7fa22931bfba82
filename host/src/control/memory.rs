//! What plugins asked to remember, on its way to the store.
//!
//! Plugins may say something new with every answer, and nobody waits for it to be durable: it goes
//! along with what is recorded anyway, or by itself after [`KEPT_AFTER`]. A host that is killed loses
//! at most that much; one that is stopped loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use phasegate_core::domain::{Decided, InstanceId, ScaleSetName, Timestamp};
use phasegate_core::record::{StoredMemory, Write};

use super::state::InstanceState;

/// How long a new memory waits at most.
const KEPT_AFTER: Duration = Duration::from_secs(1);

/// The latest memories that are not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Memories {
    waiting: BTreeMap<(ScaleSetName, InstanceId), Option<StoredMemory>>,
    due: Option<Timestamp>,
}

impl Memories {
    /// Takes in what a decision asks to remember. Of an earlier life of the instance too: the plugin's
    /// worker hands it back all the same.
    pub(super) fn take(&mut self, instance: &mut InstanceState, decided: &Decided, now: Timestamp) {
        let outcome = &decided.outcome;
        let Ok(decision) = &outcome.result else { return };
        if instance.memory == decision.memory {
            return;
        }
        instance.memory.clone_from(&decision.memory);
        let memory =
            decision.memory.clone().map(|bytes| StoredMemory { plugin: outcome.stamp.name.clone(), bytes });
        self.waiting.insert((decided.scale_set.clone(), decided.instance.clone()), memory);
        self.due.get_or_insert(now + KEPT_AFTER);
    }

    /// Drops what is known of an instance that goes.
    pub(super) fn forget(&mut self, scale_set: &ScaleSetName, instance: &InstanceId, now: Timestamp) {
        self.waiting.insert((scale_set.clone(), instance.clone()), None);
        self.due.get_or_insert(now + KEPT_AFTER);
    }

    /// When they must be recorded at last.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Everything that waits. It goes on to wait until [`Self::recorded`] says otherwise: while the store
    /// refuses, only the latest of each instance is kept.
    pub(super) fn writes(&self) -> impl Iterator<Item = Write> {
        let waiting = self.waiting.iter();
        waiting.map(|((set, instance), memory)| Write::Memory(set.clone(), instance.clone(), memory.clone()))
    }

    /// What waited is durable.
    pub(super) fn recorded(&mut self) {
        self.waiting.clear();
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_refuses_waits_once() {
        let mut memories = Memories::default();
        let set = ScaleSetName::parse("orders").unwrap();
        for id in ["0", "1", "0"] {
            memories.forget(&set, &InstanceId::parse(id).unwrap(), Timestamp(5));
            assert!((1..=2).contains(&memories.writes().count()));
        }
        assert_eq!(memories.writes().count(), 2, "the latest of each, also when asked twice");
        assert_eq!(memories.due(), Some(Timestamp(5) + KEPT_AFTER));
        memories.recorded();
        assert_eq!((memories.writes().count(), memories.due()), (0, None));
    }
}
