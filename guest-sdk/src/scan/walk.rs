//! The one pass over a JSON text that checks it and finds the members of its object.
//!
//! Deliberately does not decode: values are handed out as they are written. Written for a guest,
//! where the head of each loop and each call pays for fuel and deadline: eight bytes at a time, no
//! loop where there is mostly nothing to loop over, and positions that are plain numbers.

use std::fmt;

use super::literal;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    what: &'static str,
    line: usize,
    /// In characters, from 1.
    column: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

/// Calls `visit` with name and text of each member of an object, in document order, duplicates
/// included; a name with a lone surrogate comes as its literal. Members before an error have been
/// visited, so collect first and act on success.
pub(crate) fn members<'a>(json: &'a str, visit: impl FnMut(&str, &'a str)) -> Result<(), Malformed> {
    object(json, visit).map_err(|stop| stop.told(json))
}

/// Whether the whole text is one well-formed JSON value.
pub(crate) fn check(json: &str) -> Result<(), Malformed> {
    let bytes = json.as_bytes();
    value(bytes, space(bytes, 0)).and_then(|at| end(bytes, at)).map_err(|stop| stop.told(json))
}

const IN_OBJECT: &str = "expected `,` or the end of the object";
const IN_ARRAY: &str = "expected `,` or the end of the array";

/// What went wrong, and the byte at which it did.
#[derive(Clone, Copy)]
struct Stop {
    what: &'static str,
    at: usize,
}

impl Stop {
    /// In lines and columns, or that the text ends here, which is then the better word.
    #[cold]
    fn told(self, json: &str) -> Malformed {
        let before = json.get(..self.at).unwrap_or(json);
        let what = if before.len() == json.len() { "ends too early" } else { self.what };
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Malformed { what, line, column }
    }
}

fn stop<T>(what: &'static str, at: usize) -> Result<T, Stop> {
    Err(Stop { what, at })
}

fn object<'a>(json: &'a str, mut visit: impl FnMut(&str, &'a str)) -> Result<(), Stop> {
    let bytes = json.as_bytes();
    let mut at = space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return stop("expected an object", at);
    }
    at = space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return end(bytes, at + 1);
    }
    loop {
        let begin = space(bytes, at);
        let (close, escaped) = name(bytes, begin)?;
        let literal = json.get(begin..close).unwrap_or_default();
        let from = space(bytes, colon(bytes, close)?);
        let to = value(bytes, from)?;
        let value = json.get(from..to).unwrap_or_default();
        match escaped {
            false => visit(literal::inside(literal), value),
            true => visit(&super::content(literal), value),
        }
        at = space(bytes, to);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => return end(bytes, at + 1),
            _ => return stop(IN_OBJECT, at),
        }
    }
}

fn end(bytes: &[u8], at: usize) -> Result<(), Stop> {
    let at = space(bytes, at);
    if at == bytes.len() { Ok(()) } else { stop("text after the end", at) }
}

#[inline(always)]
fn space(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(0..=b' ') => spaces(bytes, at),
        _ => at,
    }
}

fn spaces(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that begins here.
fn value(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    // The brackets that are still to close; a heap list in place of recursion.
    let mut open: Vec<u8> = Vec::new();
    let mut named = false;
    loop {
        if named {
            let (close, _) = name(bytes, space(bytes, at))?;
            at = colon(bytes, close)?;
        }
        at = space(bytes, at);
        match bytes.get(at) {
            Some(b'"') => at = string(bytes, at)?.0,
            Some(bracket @ (b'{' | b'[')) => {
                // Two further in the character set for both kinds.
                let closing = bracket + 2;
                at = space(bytes, at + 1);
                if bytes.get(at) != Some(&closing) {
                    open.push(closing);
                    named = closing == b'}';
                    continue;
                }
                at += 1;
            }
            Some(b'-' | b'0'..=b'9') => at = number(bytes, at)?,
            Some(b't') => at = word(bytes, at, b"true")?,
            Some(b'f') => at = word(bytes, at, b"false")?,
            Some(b'n') => at = word(bytes, at, b"null")?,
            _ => return stop("expected a value", at),
        }
        // Mostly nothing ends here, and a loop is paid for before its first turn.
        if let Some(bracket) = open.last() {
            let next = space(bytes, at);
            if bytes.get(next) == Some(&b',') {
                at = next + 1;
                named = *bracket == b'}';
                continue;
            }
        }
        // Closes what ends here.
        loop {
            let Some(bracket) = open.last().copied() else { return Ok(at) };
            at = space(bytes, at);
            match bytes.get(at) {
                Some(b',') => {
                    at += 1;
                    named = bracket == b'}';
                    break;
                }
                Some(byte) if *byte == bracket => {
                    at += 1;
                    open.pop();
                }
                _ => return stop(if bracket == b'}' { IN_OBJECT } else { IN_ARRAY }, at),
            }
        }
    }
}

/// The end of the name that begins here, and whether it has escapes.
#[inline(always)]
fn name(bytes: &[u8], at: usize) -> Result<(usize, bool), Stop> {
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        _ => stop("expected a name in double quotes", at),
    }
}

/// What lies behind the colon.
#[inline(always)]
fn colon(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let at = space(bytes, at);
    if bytes.get(at) == Some(&b':') { Ok(at + 1) } else { stop("expected `:`", at) }
}

#[inline(always)]
fn word(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Stop> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.starts_with(word) { Ok(at + word.len()) } else { stop("expected a value", at) }
}

#[inline(always)]
fn number(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    at += usize::from(bytes.get(at) == Some(&b'-'));
    // A leading zero stands alone.
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(bytes, at)? };
    match bytes.get(at) {
        Some(b'.' | b'e' | b'E') => fraction(bytes, at),
        _ => Ok(at),
    }
}

fn fraction(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(bytes, at)?;
    }
    Ok(at)
}

#[inline(always)]
fn digits(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let count = literal::digits(bytes.get(at..).unwrap_or_default());
    if count > 0 { Ok(at + count) } else { stop("invalid number", at) }
}

/// The end of the string literal that begins here, and whether it has escapes.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Result<(usize, bool), Stop> {
    let at = at + 1;
    let at = at + literal::plain(bytes.get(at..).unwrap_or_default());
    match bytes.get(at) {
        Some(b'"') => Ok((at + 1, false)),
        _ => escapes(bytes, at).map(|at| (at, true)),
    }
}

/// The rest of a string literal that has escapes, or none.
fn escapes(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.first() {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match literal::escape(rest) {
                Some(length) => at += length,
                None => return stop("invalid escape", at),
            },
            _ => return stop("control character in a string", at),
        }
        at += literal::plain(bytes.get(at..).unwrap_or_default());
    }
}
