//! Processes that a host before this one has left running for instances that this one does not have.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::drivers::local::kept;
use phasegate_core::domain::{InstanceId, ScaleSetName};

/// From SIGTERM to SIGKILL. Nobody says how long such a process may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends those of them that still run, and forgets the others.
pub async fn end(folder: &Path, is_ours: impl Fn(&ScaleSetName, &InstanceId) -> bool) {
    for (path, kept) in kept::all(folder) {
        let (scale_set, instance) = (&kept.about.scale_set, &kept.about.instance);
        if is_ours(scale_set, instance) {
            continue;
        }
        if let Some(group) = kept.group().filter(|_| kept.is_alive()) {
            tracing::info!(
                %scale_set, %instance,
                "the configuration no longer has this instance: process {} of version {} is ended",
                kept.pid, kept.about.version
            );
            group.terminate();
            if tokio::time::timeout(STOP_TIMEOUT, group.gone()).await.is_err() {
                group.signal(Signal::KILL);
            }
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(file = %path.display(), %error, "is gone already");
        }
    }
}
