//! JSON looked at member by member, as text: the shared ground of settings, pointers and Azure's
//! body.
//!
//! Deliberately no tree: a tree of values costs a guest more than its sandbox does, loses
//! duplicates and gives up at a number out of range. Deliberately not `serde_json` either, which
//! is measured at twice the time where one member of a wrong type must not stop the others; the
//! tests hold this reader to what `serde_json` accepts. Nothing here recurses, so deep nesting
//! cannot exhaust the small stack of a component.

mod literal;
mod number;
#[cfg(test)]
mod tests;
mod walk;

use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;

use literal::HIGH;
pub(crate) use literal::text;
pub(crate) use number::{overflowing, whole};
pub(crate) use walk::{check, members};

/// Whether a name is this one to Azure's extension, which is written in Go: small and capital letters are the same, and
/// so are the two letters beyond ASCII that fold to one of it, the long s and the sign for kelvin.
pub(crate) fn is_named(name: &str, expected: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(expected);
    }
    let folded = name.chars().map(|letter| match letter {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(expected.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// What a piece of JSON is, told by its first character; it may still be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
    Nothing,
}

impl Kind {
    pub(crate) fn of(json: &str) -> Self {
        match json.trim_ascii_start().bytes().next() {
            None => Self::Nothing,
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            Some(_) => Self::Number,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Null => "null",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A body as text. Most are ASCII, which is seen sixty-four bytes at a time: the standard library
/// takes sixteen, and a guest pays for each turn of a loop.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, Utf8Error> {
    let plain = |block: &[u8; 64]| {
        let words = block.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word));
        words.fold(0, |all, word| all | word) & HIGH == 0
    };
    let (blocks, rest) = body.as_chunks();
    if blocks.iter().all(plain) && rest.is_ascii() {
        #[expect(unsafe_code, reason = "checking again would cost as much as it saves")]
        // SAFETY: no byte has its high bit set, so all are ASCII, which is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(body) });
    }
    std::str::from_utf8(body)
}

/// The content of a well-formed JSON string literal, or the literal itself if it holds a lone
/// surrogate.
pub(crate) fn content(literal: &str) -> Cow<'_, str> {
    text(literal).unwrap_or(Cow::Borrowed(literal))
}

/// At most 60 characters of a text, between backticks, for a line that people read.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}
