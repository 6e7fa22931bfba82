//! Opens one connection to one instance, and closes it as its peer expects.
//!
//! Deliberately keeps none: a pooled connection can outlive the listener and hide that it died.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::failure::{ProbeError, unreachable};
use crate::net::dial::dial;
use crate::net::shortage::{is_short_of_ports, shortage_at_connect};
use phasegate_core::domain::Address;

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// At once, and nothing stays behind: after a failure, and where ports would run out.
    WithReset,
    /// As every other client does: applications log a reset.
    InOrder,
}

/// A connection that knows how it is to be closed, however its probe ends.
pub(super) struct Connection {
    stream: TcpStream,
    closing: Closing,
}

/// Connects; host names are looked up each time, and their addresses tried as RFC 8305 says.
pub(super) async fn connect(address: &Address, closing: Closing) -> Result<Connection, ProbeError> {
    let stream = dial(address).await.map_err(|error| match shortage_at_connect(&error) {
        Some(short_of) => ProbeError::Host(short_of),
        None => unreachable(address, &error),
    })?;
    Ok(Connection { stream, closing })
}

impl Connection {
    /// The answer is there: nothing of it is lost by an end in order.
    pub(super) fn close_in_order(&mut self) {
        self.closing = Closing::InOrder;
    }

    pub(super) fn peer_ip(&self) -> io::Result<std::net::IpAddr> {
        Ok(self.stream.peer_addr()?.ip())
    }

    pub(super) fn set_nodelay(&self) {
        // What it is for works without, later.
        _ = self.stream.set_nodelay(true);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.closing == Closing::WithReset || is_short_of_ports() {
            // Refused only when the peer is gone already.
            _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
