//! Opens one connection to one instance.
//!
//! Deliberately keeps none: a pooled connection can outlive the listener and hide that it died.

use tokio::net::TcpStream;

use super::failure::{ProbeError, unreachable};
use crate::net::shortage::shortage_at_connect;
use phasegate_core::domain::Address;

/// Connects; host names are looked up each time, and their addresses tried one after the other.
///
/// The connection is set to close with a reset: what matters has arrived by then, and at
/// thousands of probes a second the ports would otherwise run out in TIME_WAIT.
pub(super) async fn connect(address: &Address) -> Result<TcpStream, ProbeError> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|error| {
        match shortage_at_connect(&error) {
            Some(short_of) => ProbeError::Host(short_of),
            None => unreachable(address, &error),
        }
    })?;
    // Refused only when the peer is gone already; the next read says so better.
    let _ = stream.set_zero_linger();
    Ok(stream)
}
