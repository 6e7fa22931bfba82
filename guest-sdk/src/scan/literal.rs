//! The inside of JSON string literals.
//!
//! Deliberately never repairs: a lone surrogate is told as such.

use std::borrow::Cow;

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
pub(super) const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Length of the run of bytes that need no attention: up to a quote, backslash or control
/// character, or the end.
#[inline(always)]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let stops = |word: u64| {
        let (quote, slash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash);
        (control | special) & HIGH
    };
    run(bytes, stops, |byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// Length of the run of decimal digits.
#[inline(always)]
pub(super) fn digits(bytes: &[u8]) -> usize {
    let stops = |word: u64| {
        let digits = word ^ (ONES * 0x30);
        (digits.wrapping_add(ONES * 0x76) | digits) & HIGH
    };
    run(bytes, stops, |byte| !byte.is_ascii_digit())
}

/// Length of the run up to a byte at which it stops, eight bytes at a time. `stops` sets the high
/// bit of each byte of a word at which to stop; it may be wrong about those behind the first one.
#[inline(always)]
fn run(bytes: &[u8], stops: impl Fn(u64) -> u64, stop: impl Fn(u8) -> bool) -> usize {
    // The first byte is the lowest one.
    let found = |chunk: &[u8; 8]| stops(u64::from_le_bytes(*chunk));
    let place = |found: u64| usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
    // Most runs are short: the first step is taken without a loop around it.
    match bytes.first_chunk().map(found) {
        Some(0) => 8 + long_run(bytes.get(8..).unwrap_or_default(), found, stop),
        Some(found) => place(found),
        None => bytes.iter().position(|byte| stop(*byte)).unwrap_or(bytes.len()),
    }
}

fn long_run(bytes: &[u8], found: impl Fn(&[u8; 8]) -> u64, stop: impl Fn(u8) -> bool) -> usize {
    let mut length = 0;
    while let Some(chunk) = bytes.get(length..).and_then(|rest| rest.first_chunk()) {
        match found(chunk) {
            0 => length += 8,
            found => return length + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0),
        }
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().position(|byte| stop(*byte)).unwrap_or(rest.len())
}

/// Length of the escape sequence that the bytes start with, if it is one.
pub(super) fn escape(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// What lies between the quotes of a literal.
#[inline]
pub(super) fn inside(literal: &str) -> &str {
    literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default()
}

/// The content of a well-formed JSON string literal; `None` for a lone surrogate, which no Rust
/// text can hold.
pub(crate) fn text(literal: &str) -> Option<Cow<'_, str>> {
    let mut rest = inside(literal);
    let mut at = plain(rest.as_bytes());
    if at == rest.len() {
        return Some(Cow::Borrowed(rest));
    }
    // Never longer than what is written.
    let mut out = String::with_capacity(rest.len());
    while at < rest.len() {
        // A well-formed literal has nothing else to stop at than a backslash.
        out.push_str(rest.get(..at)?);
        let (kind, tail) = (rest.as_bytes().get(at + 1)?, rest.get(at + 2..)?);
        rest = tail;
        out.push(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (character, length) = unicode(tail)?;
                rest = tail.get(length..)?;
                character
            }
            same => char::from(*same),
        });
        at = plain(rest.as_bytes());
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// The character of the four digits that follow `\u`, with a second escape where it takes two.
/// Also the length of what was used.
fn unicode(digits: &str) -> Option<(char, usize)> {
    let unit = |from: &str| u32::from_str_radix(from.get(..4)?, 16).ok();
    let first = unit(digits)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|character| (character, 4));
    }
    let second = unit(digits.get(4..)?.strip_prefix("\\u")?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let both = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(both).map(|character| (character, 10))
}
