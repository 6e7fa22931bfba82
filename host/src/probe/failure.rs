//! What went wrong, in the domain's words: one bounded line each.
//!
//! What the host is short of is told apart here: it is no failure of the instance.
//!
//! Quotes what the instance sent only where it names the fault, and as escapes: its bytes must not reach a
//! terminal.

use std::io;

use crate::net::shortage::shortage;
use crate::net::text::{io_text, one_line};
use phasegate_core::domain::{Address, ProbeFailure, Shortage};

const CLOSED_EARLY: &str = "the connection was closed before the response was complete";

/// Why a probe brought no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProbeError {
    /// The instance did not answer as it should.
    #[error(transparent)]
    Instance(#[from] ProbeFailure),
    /// It was not asked, or not to the end: the host is short of something.
    #[error("the host is short of {0}")]
    Host(Shortage),
}

/// The connection could not be made, or broke.
pub(super) fn unreachable(address: &Address, error: &io::Error) -> ProbeError {
    if let Some(short_of) = shortage(error) {
        return ProbeError::Host(short_of);
    }
    if error.kind() == io::ErrorKind::TimedOut {
        return ProbeFailure::Timeout.into();
    }
    ProbeFailure::Unreachable(one_line(&format!("{address}: {}", io_text(error)))).into()
}

/// The TLS handshake failed, for whichever reason.
pub(super) fn tls(error: &io::Error) -> ProbeError {
    if let Some(short_of) = shortage(error) {
        return ProbeError::Host(short_of);
    }
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed during the handshake".to_owned(),
        _ => io_text(error),
    };
    ProbeFailure::Tls(one_line(&text)).into()
}

/// The exchange of request and response broke.
pub(super) fn broken(address: &Address, error: &io::Error) -> ProbeError {
    // With a number it came from the system, without one from whoever decoded the bytes.
    if error.raw_os_error().is_some() {
        return unreachable(address, error);
    }
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return tls(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid(CLOSED_EARLY),
        _ => invalid(&error.to_string()),
    }
}

/// Something answered, but not with valid HTTP.
pub(super) fn invalid(text: &str) -> ProbeError {
    ProbeFailure::InvalidResponse(one_line(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_names_the_address() {
        let v6 = Address { host: "fd00::1".to_owned(), port: 80 };
        let refused = unreachable(&v6, &io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(refused.to_string(), "unreachable: [fd00::1]:80: connection refused");
        let timed_out = unreachable(&v6, &io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(timed_out, ProbeFailure::Timeout.into());
        let short = unreachable(&v6, &io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()));
        assert_eq!(short, ProbeError::Host(Shortage::Descriptors));
    }
}
