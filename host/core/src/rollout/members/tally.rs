//! What is known of all members without looking at each: counts by state, and the few that are in
//! flight, have failed or are being replaced. Kept up with every change, so that a step costs what
//! changed and not what exists.
//!
//! Knows nothing of where members lie.

use imbl::{OrdMap, OrdSet};

use crate::domain::InstanceId;

use super::super::member::{Member, MemberState};
use super::super::state::Progress;

/// Counts and small sets over all members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    all: Progress,
    by_batch: OrdMap<u32, Progress>,
    in_flight: OrdSet<InstanceId>,
    failed: OrdSet<InstanceId>,
    /// The member behind each new instance.
    replaced: OrdMap<InstanceId, InstanceId>,
}

/// What of a member is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    kind: Kind,
    batch: u32,
    replacement: Option<InstanceId>,
}

/// The states that are told apart; Azure's four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pending,
    InFlight,
    Succeeded,
    Failed,
}

impl Counted {
    fn of(member: &Member) -> Self {
        let kind = match member.state {
            MemberState::Pending => Kind::Pending,
            MemberState::Hooking { .. }
            | MemberState::Applying { .. }
            | MemberState::Settling { .. }
            | MemberState::Creating { .. }
            | MemberState::Ready { .. }
            | MemberState::Deleting { .. }
            | MemberState::Removing { .. }
            | MemberState::Restoring { .. } => Kind::InFlight,
            MemberState::Succeeded { .. } => Kind::Succeeded,
            MemberState::Failed { .. } => Kind::Failed,
        };
        Self { kind, batch: member.batch, replacement: member.replacement().cloned() }
    }
}

impl Tally {
    /// Over all members.
    pub(super) fn all(&self) -> Progress {
        self.all
    }

    /// Over those of one batch.
    pub(super) fn of_batch(&self, batch: u32) -> Progress {
        self.by_batch.get(&batch).copied().unwrap_or_default()
    }

    /// Those that the driver or the health gate is busy with, by id.
    pub(super) fn in_flight(&self) -> &OrdSet<InstanceId> {
        &self.in_flight
    }

    /// Those that have failed, by id.
    pub(super) fn failed(&self) -> &OrdSet<InstanceId> {
        &self.failed
    }

    /// The member whose place an instance takes or has taken.
    pub(super) fn replaced_by(&self, instance: &InstanceId) -> Option<&InstanceId> {
        self.replaced.get(instance)
    }

    /// Counts a member that comes.
    pub(super) fn enter(&mut self, id: &InstanceId, member: &Member) {
        self.put(id, Counted::of(member));
    }

    /// Counts a member no more that goes.
    pub(super) fn leave(&mut self, id: &InstanceId, member: &Member) {
        self.take(id, &Counted::of(member));
    }

    /// Counts what a change makes of a member.
    pub(super) fn watch<R>(
        &mut self,
        id: &InstanceId,
        member: &mut Member,
        change: impl FnOnce(&mut Member) -> R,
    ) -> R {
        let before = Counted::of(member);
        let result = change(member);
        let after = Counted::of(member);
        if before != after {
            self.take(id, &before);
            self.put(id, after);
        }
        result
    }

    fn put(&mut self, id: &InstanceId, counted: Counted) {
        let Counted { kind, batch, replacement } = counted;
        *count(&mut self.all, kind) += 1;
        *count(self.by_batch.entry(batch).or_default(), kind) += 1;
        match kind {
            Kind::InFlight => _ = self.in_flight.insert(id.clone()),
            Kind::Failed => _ = self.failed.insert(id.clone()),
            Kind::Pending | Kind::Succeeded => {}
        }
        if let Some(by) = replacement {
            self.replaced.insert(by, id.clone());
        }
    }

    fn take(&mut self, id: &InstanceId, counted: &Counted) {
        let Counted { kind, batch, replacement } = counted;
        let one_less = |progress: &mut Progress| {
            let count = count(progress, *kind);
            *count = count.saturating_sub(1);
        };
        one_less(&mut self.all);
        if let Some(progress) = self.by_batch.get_mut(batch) {
            one_less(progress);
            if *progress == Progress::default() {
                self.by_batch.remove(batch);
            }
        }
        match kind {
            Kind::InFlight => _ = self.in_flight.remove(id),
            Kind::Failed => _ = self.failed.remove(id),
            Kind::Pending | Kind::Succeeded => {}
        }
        if let Some(by) = replacement {
            self.replaced.remove(by);
        }
    }
}

fn count(progress: &mut Progress, kind: Kind) -> &mut usize {
    match kind {
        Kind::Pending => &mut progress.pending,
        Kind::InFlight => &mut progress.in_progress,
        Kind::Succeeded => &mut progress.successful,
        Kind::Failed => &mut progress.failed,
    }
}
