//! The steps of upgrades as they were taken, for whatever checks or shows them: simulations and forecasts.
//! A kernel that nothing watches keeps none.

use std::sync::Arc;

use super::state::{SetState, SetView};
use crate::domain::Now;
use crate::rollout::{Event, Step, Upgrade};

/// Whether the steps of upgrades are handed out with each turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watching {
    /// They are not.
    #[default]
    Off,
    /// They are.
    Steps,
}

/// One step of an upgrade. It was taken only when the commit of its turn is made.
#[derive(Debug, Clone)]
pub struct Stepped {
    /// The upgrade before it.
    pub before: Arc<Upgrade>,
    /// The upgrade after it.
    pub after: Arc<Upgrade>,
    /// What it was told.
    pub events: Vec<Event>,
    /// What it gave.
    pub step: Step,
    /// When.
    pub now: Now,
    /// The set that it looked at, without the upgrade.
    set: SetState,
}

impl Stepped {
    pub(super) fn new(
        before: Arc<Upgrade>,
        after: Arc<Upgrade>,
        seen: (Vec<Event>, Step),
        at: (&SetState, Now),
    ) -> Self {
        let ((events, step), (set, now)) = (seen, at);
        Self { before, after, events, step, now, set: set.clone() }
    }

    /// The fleet as the step saw it.
    #[must_use]
    pub fn view(&self) -> SetView<'_> {
        self.set.view(self.now)
    }
}
