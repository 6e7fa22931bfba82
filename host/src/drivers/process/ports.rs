//! Ports for new instances: each gets one that nobody has.
//!
//! A port is kept for its instance from the request to its end, so that two that are created at the
//! same moment do not get the same one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpListener;

use super::error::ProcessError;
use super::instance::InstanceKey;
use phasegate_core::domain::Address;

/// The ports that new instances may have, and who has them.
#[derive(Debug)]
pub(super) struct Ports {
    /// Lowest and highest.
    range: (u16, u16),
    kept: Mutex<BTreeMap<InstanceKey, u16>>,
}

impl Ports {
    pub(super) fn new(range: (u16, u16)) -> Self {
        Self { range, kept: Mutex::default() }
    }

    /// A port for an instance at a host: the same again for the same instance, else the lowest one
    /// on which nobody listens and that no instance has.
    pub(super) async fn take(
        &self,
        key: &InstanceKey,
        host: &str,
        taken: &[Address],
    ) -> Result<u16, ProcessError> {
        let (first, last) = self.range;
        for port in first..=last {
            if taken.iter().any(|address| address.port == port) {
                continue;
            }
            match self.keep(key, port) {
                Kept::Before(port) => return Ok(port),
                Kept::ByAnother => continue,
                Kept::Now => {}
            }
            match TcpListener::bind((host, port)).await {
                Ok(_) => return Ok(port),
                Err(error) => {
                    tracing::debug!(port, "is passed over: {error}");
                    self.release(key);
                }
            }
        }
        Err(ProcessError::NoFreePort { first, last })
    }

    /// The instance needs its port no longer.
    pub(super) fn release(&self, key: &InstanceKey) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn keep(&self, key: &InstanceKey, port: u16) -> Kept {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = kept.get(key) {
            return Kept::Before(*before);
        }
        if kept.values().any(|other| *other == port) {
            return Kept::ByAnother;
        }
        kept.insert(key.clone(), port);
        Kept::Now
    }
}

/// Whose a port is.
enum Kept {
    /// The instance's own, since this moment.
    Now,
    /// The instance has this one already.
    Before(u16),
    ByAnother,
}
