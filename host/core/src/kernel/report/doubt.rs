//! What the host doubts, for readers: what it sees of one set, or of all of them.

use super::waiting::{Few, WaitsFor};
use crate::kernel::state::SetState;

pub(super) fn suspicion(set: &SetState) -> WaitsFor<'_> {
    match set.doubted_with.filter(|_| !set.doubted_alone) {
        Some(most) => WaitsFor::AllSilent(most),
        None => WaitsFor::Suspicion(silent(set)),
    }
}

/// Instances that have answered before and are silent.
pub(super) fn silent(set: &SetState) -> Few<'_> {
    Few::of(set.evidence().silent().iter().map(|(_, id)| id))
}
