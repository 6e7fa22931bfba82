//! Which header of a refused head is the wrong one.
//!
//! Deliberately after the fact: a head that can be read costs nothing here.

use crate::net::text::one_line;

/// Longest name that is shown.
const SHOWN_MAX: usize = 60;

/// Names the first header that is not valid, harmlessly.
pub(super) fn wrong_header(head: &[u8]) -> String {
    let lines = head.split(|byte| *byte == b'\n').enumerate().skip(1);
    for (number, line) in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_folded = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) if !is_folded => {
                let (name, rest) = line.split_at(colon);
                (Some(name), rest)
            }
            Some(_) | None if is_folded || line.is_empty() => (None, line),
            Some(_) | None => return format!("line {number}, which has no colon,"),
        };
        if name.is_some_and(|name| !is_token(name)) || value.iter().any(|byte| is_control(*byte)) {
            let name = name.unwrap_or(b"(folded)");
            let shown = String::from_utf8_lossy(name.split_at(name.len().min(SHOWN_MAX)).0).into_owned();
            return format!("`{}` (line {number})", one_line(&shown));
        }
    }
    "(an unknown one)".to_owned()
}

fn is_token(name: &[u8]) -> bool {
    let may_be = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(may_be)
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_one_is_named() {
        for (head, expected) in [
            (&b"HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie: a\x01b\r\n\r\n"[..], "`Set-Cookie` (line 2)"),
            (b"HTTP/1.1 200 OK\r\nX(A): b\r\n\r\n", "`X(A)` (line 1)"),
            (b"HTTP/1.1 200 OK\r\nA: b\r\nno colon\r\n\r\n", "line 2, which has no colon,"),
            (b"HTTP/1.1 200 OK\r\n\x1b[2J: b\r\n\r\n", "`\\u{1b}[2J` (line 1)"),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n c\x00\r\n\r\n", "`(folded)` (line 2)"),
        ] {
            assert_eq!(wrong_header(head), expected, "{}", String::from_utf8_lossy(head));
        }
    }
}
