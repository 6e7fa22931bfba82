//! What is known of the discovery of each scale set, for those who ask.

use std::sync::{Arc, Mutex, PoisonError};

use phasegate_core::domain::WallTime;

/// How it stands with the discovery of one scale set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Who says where instances are.
    pub source: String,
    /// How many were found, and are recorded.
    pub instances: usize,
    /// When the source last gave an answer that could be read.
    pub refreshed_at: Option<WallTime>,
    /// Why it does not now.
    pub failure: Option<Seen>,
    /// Why whom it does not name any more stays.
    pub held: Option<HeldView>,
    /// Entries that are refused.
    pub refused: usize,
    /// The first of them, a line each.
    pub problems: Vec<String>,
    /// Looks that were good, since the host started.
    pub looks: u64,
    /// Looks that were not.
    pub failures: u64,
}

/// Something that is so since a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Since when.
    pub since: WallTime,
    /// One line.
    pub text: String,
}

/// Who stays although the source does not name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldView {
    /// Since when, and why.
    pub seen: Seen,
    /// How many.
    pub removed: usize,
    /// Of how many.
    pub of: usize,
    /// The first ids.
    pub ids: Vec<String>,
}

/// A view that one writes and others read.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<View>>);

impl Shared {
    pub(super) fn new(view: View) -> Self {
        Self(Arc::new(Mutex::new(view)))
    }

    pub(super) fn read(&self) -> View {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
