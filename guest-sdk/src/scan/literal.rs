//! The inside of JSON string literals.
//!
//! Deliberately never repairs: a lone surrogate is told as such.

use std::borrow::Cow;

/// Length of the run of bytes that need no attention: up to a quote, backslash or control
/// character, or the end.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut length = 0;
    // Eight bytes at a time: long strings are what makes a body long.
    let (chunks, _) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_ne_bytes(*chunk);
        let (quote, slash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash);
        if (control | special) & HIGH != 0 {
            break;
        }
        length += 8;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
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
pub(super) fn inside(literal: &str) -> &str {
    literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default()
}

/// The content of a well-formed JSON string literal; `None` for a lone surrogate, which no Rust
/// text can hold.
pub(crate) fn text(literal: &str) -> Option<Cow<'_, str>> {
    let mut rest = inside(literal);
    if !rest.contains('\\') {
        return Some(Cow::Borrowed(rest));
    }
    // Never longer than what is written.
    let mut out = String::with_capacity(rest.len());
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (kind, tail) = (after.as_bytes().first()?, after.get(1..)?);
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
