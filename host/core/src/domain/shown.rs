//! How a text from outside may look where a person sees it: on one line, and without characters that steer a
//! terminal, turn the reading direction, or cannot be seen.
//!
//! The one place of this rule. Deliberately cuts nothing: how long a text may be is known where it comes in.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something else than be seen: controls of both sets, line and paragraph breaks,
/// what changes the reading direction, and what takes no room.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text on one line, with everything that steers written as an escape such as `\u{202e}` or `\n`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// As [`visible`], of a text of several lines: line breaks and tabs stay.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && !matches!(c, '\n' | '\t'))
}

/// JSON that says the same and can be shown: what steers is written as JSON's own escape. Line breaks between
/// its parts stay; within its texts JSON has none.
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let is_bad = |c: char| steers(c) && c != '\n';
    if is_plain(json.bytes().filter(|byte| *byte != b'\n')) || !json.chars().any(is_bad) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_bad(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if is_plain(text.bytes()) || !text.chars().any(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Most texts are: nothing of them need be looked at twice.
fn is_plain(mut bytes: impl Iterator<Item = u8>) -> bool {
    bytes.all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_as_an_escape() {
        for (text, expected) in [
            ("", ""),
            ("plain ~ text", "plain ~ text"),
            ("Zürich, 東京 👍", "Zürich, 東京 👍"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200b}\u{200d}\u{feff}\u{2060}b", "a\\u{200b}\\u{200d}\\u{feff}\\u{2060}b"),
            ("a\u{e0041}b\u{ad}", "a\\u{e0041}b\\u{ad}"),
        ] {
            assert_eq!(visible(text), expected, "{text:?}");
            assert!(!visible(text).contains(steers));
        }
        assert_eq!(visible_lines("a\n\tb\x07\u{85}"), "a\n\tb\\u{7}\\u{85}");
    }

    #[test]
    fn json_says_the_same_and_can_be_shown() {
        let said = "a\u{202e}b\u{9b}c\u{e0041}d\u{200b}é";
        let json = format!("{{\n  \"said\": \"{said}\"\n}}\n");
        let shown = visible_json(&json);
        assert_eq!(shown, "{\n  \"said\": \"a\\u202eb\\u009bc\\udb40\\udc41d\\u200bé\"\n}\n");
        assert!(matches!(visible_json("{\n \"a\": 1\n}"), Cow::Borrowed(_)));
    }
}
