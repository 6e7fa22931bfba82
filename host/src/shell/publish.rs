//! The latest view of the fleet, for whatever reads it: a copy that costs the loop nothing, made when a
//! turn has changed something.

use std::sync::Arc;

use tokio::sync::watch;

use phasegate_core::kernel::Fleet;

/// The fleet as it was recorded last.
pub type View = Arc<Fleet>;

/// Puts views out.
#[derive(Debug)]
pub(super) struct Publisher {
    views: watch::Sender<View>,
}

impl Publisher {
    pub(super) fn new() -> (Self, watch::Receiver<View>) {
        let (views, latest) = watch::channel(View::default());
        (Self { views }, latest)
    }

    pub(super) fn put(&self, fleet: &Fleet) {
        self.views.send_replace(Arc::new(fleet.clone()));
    }
}
