//! What plugins asked to remember, on its way to the record.
//!
//! Plugins may say something new with every answer, and nothing waits for it to be durable: it goes along
//! with what is recorded anyway, or by itself after [`KEPT_AFTER`]. A host that is killed loses at most
//! that much; one that is stopped loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::state::{Fleet, InstanceState};
use crate::domain::{InstanceId, Outcome, ScaleSetName, Timestamp};
use crate::record::{StoredMemory, Write};

/// How long a new memory waits at most.
const KEPT_AFTER: Duration = Duration::from_secs(1);

/// The latest memories that are not recorded yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Memories {
    waiting: BTreeMap<(ScaleSetName, InstanceId), Option<StoredMemory>>,
    due: Option<Timestamp>,
    /// How many of them the latest commit took along; all or none.
    offered: bool,
}

impl Memories {
    /// Takes in what a decision asks to remember. Of an earlier life of the instance too: the plugin's
    /// worker hands it back all the same.
    pub(super) fn take(
        &mut self,
        set: &ScaleSetName,
        instance: &mut InstanceState,
        outcome: &Outcome,
        at: Timestamp,
    ) {
        let Ok(decision) = &outcome.result else { return };
        if instance.memory.as_deref() == decision.memory.as_deref() {
            return;
        }
        instance.memory = decision.memory.as_deref().map(Arc::from);
        let bytes = decision.memory.clone();
        let memory = bytes.map(|bytes| StoredMemory { plugin: outcome.stamp.name.clone(), bytes });
        self.waiting.insert((set.clone(), instance.spec.id.clone()), memory);
        self.due.get_or_insert(at + KEPT_AFTER);
    }

    /// Drops what is known of an instance that goes.
    pub(super) fn forget(&mut self, set: &ScaleSetName, instance: &InstanceId, at: Timestamp) {
        self.waiting.insert((set.clone(), instance.clone()), None);
        self.due.get_or_insert(at + KEPT_AFTER);
    }

    /// What was to be forgotten was not: its instance is as it was.
    pub(super) fn correct(&mut self, fleet: &Fleet) {
        for ((name, id), memory) in self.waiting.iter_mut().filter(|(_, memory)| memory.is_none()) {
            let Ok(set) = fleet.set(name) else { continue };
            let bytes = set.instance(id).and_then(|instance| instance.memory.as_deref());
            let plugin = || set.spec.plugin.clone();
            *memory = bytes.map(|bytes| StoredMemory { plugin: plugin(), bytes: bytes.to_vec() });
        }
    }

    /// When they must be recorded at last.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Everything that waits, to go along with a commit. It goes on to wait until the commit is known to
    /// have been made.
    pub(super) fn offer(&mut self) -> Vec<Write> {
        self.offered = true;
        let waiting = self.waiting.iter();
        waiting.map(|((set, id), memory)| Write::Memory(set.clone(), id.clone(), memory.clone())).collect()
    }

    /// The latest commit was made.
    pub(super) fn recorded(&mut self) {
        if std::mem::take(&mut self.offered) {
            self.waiting.clear();
            self.due = None;
        }
    }

    /// The latest commit was refused: everything goes on to wait.
    pub(super) fn refused(&mut self) {
        self.offered = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_record_refuses_waits_once() {
        let mut memories = Memories::default();
        let set = ScaleSetName::parse("orders").unwrap();
        for id in ["0", "1", "0"] {
            memories.forget(&set, &InstanceId::parse(id).unwrap(), Timestamp(5));
        }
        assert_eq!(memories.offer().len(), 2, "the latest of each");
        memories.refused();
        assert_eq!(memories.offer().len(), 2, "also when asked twice");
        assert_eq!(memories.due(), Some(Timestamp(5) + KEPT_AFTER));
        memories.recorded();
        assert_eq!((memories.offer().len(), memories.due()), (0, None));
    }
}
