//! What went wrong, in the domain's words: one bounded line each.
//!
//! Deliberately quotes nothing that the instance sent: its bytes must not reach a terminal.

use std::error::Error;
use std::io;

use crate::domain::{Address, ProbeFailure};

/// Longest text in bytes: one line of a table, and small in every stored round.
const TEXT_LEN_MAX: usize = 200;

/// Largest accepted header block in bytes; also the read buffer's limit.
pub(super) const HEADER_BLOCK_MAX: usize = 64 * 1024;

const CLOSED_EARLY: &str = "the connection was closed before the response was complete";

/// The connection could not be made, or broke.
pub(super) fn unreachable(address: &Address, error: &io::Error) -> ProbeFailure {
    if error.kind() == io::ErrorKind::TimedOut {
        return ProbeFailure::Timeout;
    }
    ProbeFailure::Unreachable(one_line(&format!("{address}: {}", io_text(error))))
}

/// The TLS handshake failed, for whichever reason.
pub(super) fn tls(error: &io::Error) -> ProbeFailure {
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed during the handshake".to_owned(),
        _ => io_text(error),
    };
    ProbeFailure::Tls(one_line(&text))
}

/// The exchange of request and response failed.
pub(super) fn exchange(address: &Address, error: &hyper::Error) -> ProbeFailure {
    if let Some(cause) = find_io(error) {
        // With a number it came from the system, without one from whoever decoded the bytes.
        if cause.raw_os_error().is_some() {
            return unreachable(address, cause);
        }
        if cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            return tls(cause);
        }
        return match cause.kind() {
            io::ErrorKind::UnexpectedEof => invalid(CLOSED_EARLY),
            _ => invalid(&cause.to_string()),
        };
    }
    if error.is_parse_too_large() {
        return invalid(&format!("more than {HEADER_BLOCK_MAX} bytes of headers, or more than 100 of them"));
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return invalid(CLOSED_EARLY);
    }
    invalid(&error.to_string())
}

/// Something answered, but not with valid HTTP.
pub(super) fn invalid(text: &str) -> ProbeFailure {
    ProbeFailure::InvalidResponse(one_line(text))
}

fn find_io(error: &hyper::Error) -> Option<&io::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn io_text(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable => "no route to the network",
        _ => return error.to_string(),
    };
    text.to_owned()
}

/// One line of at most 200 bytes; control characters become spaces.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > TEXT_LEN_MAX {
        line.truncate(line.floor_char_boundary(TEXT_LEN_MAX - '…'.len_utf8()));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_bounded_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31mc"), "a  b [31mc");
        let long = one_line(&"é".repeat(300));
        assert!(long.len() <= TEXT_LEN_MAX && long.ends_with("é…"), "{long}");
        assert_eq!(one_line(&"x".repeat(200)).len(), 200);
    }

    #[test]
    fn unreachable_names_the_address() {
        let v6 = Address { host: "fd00::1".to_owned(), port: 80 };
        let refused = unreachable(&v6, &io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(refused.to_string(), "unreachable: [fd00::1]:80: connection refused");
        let timed_out = unreachable(&v6, &io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(timed_out, ProbeFailure::Timeout);
    }
}
