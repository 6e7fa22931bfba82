//! Failures and foreign bytes as one bounded line, fit for a terminal and a log.
//!
//! Does not judge them.

use std::io;

use phasegate_core::domain::shown::visible;

/// Longest text in bytes: one line of a table, and small in every stored round.
const TEXT_LEN_MAX: usize = 200;

/// The error in a few words.
pub(crate) fn io_text(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable => "no route to the network",
        // What the TLS library says of it is a link.
        io::ErrorKind::UnexpectedEof if error.to_string().contains("close_notify") => {
            "the connection was cut before its end"
        }
        _ => return error.to_string(),
    };
    text.to_owned()
}

/// One line of at most 200 bytes: line breaks and tabs become spaces, and what steers is written as an escape.
pub(crate) fn one_line(text: &str) -> String {
    let spaced = text.replace(['\n', '\r', '\t'], " ");
    let mut line = visible(&spaced).into_owned();
    if line.len() > TEXT_LEN_MAX {
        line.truncate(line.floor_char_boundary(TEXT_LEN_MAX - '…'.len_utf8()));
        line.push('…');
    }
    line
}

/// The first line of something that another program sent, quoted where it could do harm: at most
/// 200 bytes; empty when there is none.
pub(crate) fn first_line(bytes: &[u8]) -> String {
    let start = bytes.split_at(bytes.len().min(4 * TEXT_LEN_MAX)).0;
    let text = String::from_utf8_lossy(start);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    one_line(&visible(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_bounded_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31mc"), "a  b\\u{1b}[31mc");
        let long = one_line(&"é".repeat(300));
        assert!(long.len() <= TEXT_LEN_MAX && long.ends_with("é…"), "{long}");
        assert_eq!(one_line(&"x".repeat(200)).len(), 200);
    }

    #[test]
    fn a_connection_that_is_cut_is_told_in_words() {
        let said = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/x";
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, said);
        assert_eq!(io_text(&cut), "the connection was cut before its end");
    }

    #[test]
    fn foreign_lines_are_harmless() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"\n\r\n  no such version \nat line 1", "no such version"),
            (b"\x1b[2J\x07a\tb", "\\u{1b}[2J\\u{7}a\\tb"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
        ] {
            assert_eq!(first_line(bytes), expected, "{bytes:?}");
        }
        assert!(first_line("é".repeat(100_000).as_bytes()).len() <= TEXT_LEN_MAX);
    }
}
