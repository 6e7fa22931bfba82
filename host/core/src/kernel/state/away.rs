//! What is known of instances that are not there: deleted for good by an upgrade, or removed for now.
//!
//! One that was removed and comes back in time is what it was. Deliberately starts, stops and forgets nothing; see
//! [`crate::kernel::members`](super::super).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Busy, InstanceState, SetState};
use crate::domain::{
    Component, ExtensionName, Instance, InstanceId, Located, Membership, OperationId, Provision, Runs,
    Timestamp, Version,
};

/// An instance that is not there.
#[derive(Debug, Clone)]
pub(in crate::kernel) enum Away {
    /// It was deleted, and its id is never used again.
    Deleted {
        /// Which instance came in its place, if any.
        replaced_by: Option<InstanceId>,
    },
    /// Nobody lists it any more.
    Removed(Box<Removed>),
}

/// An instance that nobody lists any more.
#[derive(Debug, Clone)]
pub(in crate::kernel) struct Removed {
    /// When it is forgotten.
    pub(in crate::kernel) forget_at: Timestamp,
    /// What the host kept running of it and has not ended yet.
    pub(in crate::kernel) end: Option<End>,
    /// What it was.
    pub(in crate::kernel) kept: Kept,
}

/// The end of what the host kept running of an instance.
#[derive(Debug, Clone)]
pub(in crate::kernel) struct End {
    /// As it was.
    pub(in crate::kernel) instance: Arc<Instance>,
    /// Whether its address was its own.
    pub(in crate::kernel) located: Located,
    /// When its driver is to be told.
    pub(in crate::kernel) at: Timestamp,
    /// Under which operation its driver has been told.
    pub(in crate::kernel) told: Option<OperationId>,
}

/// What outlives the removal of an instance.
#[derive(Debug, Clone, Default)]
pub(in crate::kernel) struct Kept {
    pub(in crate::kernel) runs: Option<Runs>,
    pub(in crate::kernel) extensions: BTreeMap<ExtensionName, Runs>,
    pub(in crate::kernel) memory: Option<Arc<[u8]>>,
    pub(in crate::kernel) lost: bool,
    pub(in crate::kernel) provision: Option<Arc<Provision>>,
    pub(in crate::kernel) asked: Option<Version>,
    /// A driver that still works on it answers all the same.
    pub(in crate::kernel) busy: BTreeMap<Component, Busy>,
    /// A later life has a higher one, so that a late answer never counts for it.
    pub(in crate::kernel) epoch: u64,
}

impl Away {
    /// What is recorded of it.
    pub(in crate::kernel) fn membership(&self) -> Membership {
        match self {
            Self::Deleted { replaced_by } => Membership::Deleted { replaced_by: replaced_by.clone() },
            Self::Removed(removed) => Membership::Removed { forget_at: removed.forget_at },
        }
    }

    /// When something of it is due.
    fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Deleted { .. } => None,
            Self::Removed(removed) => match &removed.end {
                Some(end) => end.told.is_none().then_some(end.at),
                None => Some(removed.forget_at),
            },
        }
    }

    pub(in crate::kernel) fn removed(&self) -> Option<&Removed> {
        match self {
            Self::Removed(removed) => Some(removed),
            Self::Deleted { .. } => None,
        }
    }
}

impl Kept {
    /// Of an instance that goes.
    pub(in crate::kernel) fn of(instance: &InstanceState) -> Self {
        Self {
            runs: (instance.runs != Runs::UNKNOWN).then(|| instance.runs.clone()),
            extensions: instance.extensions.clone(),
            memory: instance.memory.clone(),
            lost: instance.lost,
            provision: instance.provision.clone(),
            asked: instance.asked.clone(),
            busy: instance.busy.clone(),
            epoch: instance.epoch,
        }
    }

    /// Gives it back to one that came again.
    pub(in crate::kernel) fn give(self, instance: &mut InstanceState) {
        let Self { runs, extensions, memory, lost, provision, asked, busy, epoch } = self;
        instance.runs = runs.unwrap_or(Runs::UNKNOWN);
        (instance.extensions, instance.memory) = (extensions, memory);
        (instance.lost, instance.asked, instance.busy) = (lost, asked, busy);
        instance.provision = provision;
        instance.epoch = epoch + 1;
    }

    /// What it had of a component.
    pub(in crate::kernel) fn runs_of(&self, component: &Component) -> &Runs {
        let runs = match component {
            Component::Application => self.runs.as_ref(),
            Component::Extension(name) => self.extensions.get(name),
        };
        runs.unwrap_or(&Runs::UNKNOWN)
    }

    /// Notes what it has.
    pub(in crate::kernel) fn set_runs(&mut self, component: &Component, runs: Runs) {
        match component {
            Component::Application => {
                self.lost |= runs.version().is_none();
                self.runs = Some(runs);
            }
            Component::Extension(name) => drop(self.extensions.insert(name.clone(), runs)),
        }
    }

    /// Everything that is recorded of what it had.
    pub(in crate::kernel) fn all_runs(&self) -> impl Iterator<Item = (Component, &Runs)> {
        let extensions = self.extensions.iter();
        let extensions = extensions.map(|(name, runs)| (Component::Extension(name.clone()), runs));
        self.runs.iter().map(|runs| (Component::Application, runs)).chain(extensions)
    }
}

impl SetState {
    /// One that is not there.
    pub(in crate::kernel) fn away(&self, id: &InstanceId) -> Option<&Away> {
        self.away.get(id)
    }

    /// Notes that an instance is not there, in the place of what was known before.
    pub(in crate::kernel) fn put_away(&mut self, id: &InstanceId, away: Away) {
        self.take_away(id);
        self.ids_gone.insert(id.clone());
        away.due().into_iter().for_each(|at| drop(self.away_due.insert((at, id.clone()))));
        self.away.insert(id.clone(), away);
    }

    /// Takes out what is known of one that was not there.
    pub(in crate::kernel) fn take_away(&mut self, id: &InstanceId) -> Option<Away> {
        let away = self.away.remove(id)?;
        away.due().into_iter().for_each(|at| drop(self.away_due.remove(&(at, id.clone()))));
        Some(away)
    }

    /// Changes what is known of one that was removed, and keeps due times in step with it.
    pub(in crate::kernel) fn change_removed<T>(
        &mut self,
        id: &InstanceId,
        change: impl FnOnce(&mut Removed) -> T,
    ) -> Option<T> {
        let mut away = self.take_away(id)?;
        let changed = match &mut away {
            Away::Removed(removed) => Some(change(removed)),
            Away::Deleted { .. } => None,
        };
        self.put_away(id, away);
        changed
    }
}
