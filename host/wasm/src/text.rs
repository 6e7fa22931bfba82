//! Makes text from outside safe to show: bounded, on one line, without characters that steer a
//! terminal or turn the reading direction. Which those are is a rule of `phasegate_core::domain::shown`.

use phasegate_core::domain::shown::steers;

/// Cuts to at most `max` bytes, at a character's boundary.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or("")
}

/// One line of at most `max` bytes; what steers is replaced by spaces.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    cut(text, max).chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// The same of a text that is not needed otherwise; mostly it is one line already.
pub(super) fn into_line(text: String, max: usize) -> String {
    let fits = text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits { text } else { one_line(&text, max) }
}

/// At most `max` bytes of the text with everything that steers written as an escape; says how
/// long the text was when it is cut.
pub(super) fn escaped(text: &str, max: usize) -> String {
    let kept = cut(text, max);
    let mut line = String::with_capacity(kept.len());
    for c in kept.chars() {
        if steers(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    if kept.len() < text.len() {
        line.push_str(&format!("… ({} bytes in all)", text.len()));
    }
    line
}

/// Lower-case letters, digits and hyphens, at most `max` of them; never empty.
pub(super) fn code(text: String, max: usize) -> String {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if (1..=max).contains(&text.len()) && text.bytes().all(fits) {
        return text;
    }
    let code: String = cut(&text, max)
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    if code.is_empty() { "unspecified".to_owned() } else { code }
}

/// The first lines of an engine's message as one line.
pub(super) fn summary(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    one_line(&chain.join(": "), 1024)
}

/// A list of names for a message: the first ones, and how many more there are.
pub(super) fn names(all: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> =
        all.iter().take(SHOWN_MAX).map(|name| format!("`{}`", one_line(name, 128))).collect();
    let mut line = shown.join(", ");
    if all.len() > SHOWN_MAX {
        line.push_str(&format!(" and {} more", all.len() - SHOWN_MAX));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        for (text, max, expected) in
            [("abc", 3, "abc"), ("abcd", 3, "abc"), ("aé", 2, "a"), ("é", 0, ""), ("", 5, "")]
        {
            assert_eq!(cut(text, max), expected, "{text:?} {max}");
        }
    }

    #[test]
    fn text_cannot_steer_a_terminal() {
        let line = "a\x1b[2Jb\nc\u{202e}d\u{85}e\u{200b}f";
        assert_eq!(one_line(line, 99), "a [2Jb c d e f");
        assert_eq!(into_line(line.to_owned(), 99), "a [2Jb c d e f");
        for (text, max, expected) in [("a ~", 3, "a ~"), ("a ~b", 3, "a ~"), ("\u{7f}é", 9, " é")] {
            assert_eq!(into_line(text.to_owned(), max), expected, "{text:?}");
        }
        assert_eq!(escaped("a\nb\x1b", 99), "a\\nb\\u{1b}");
        assert_eq!(escaped("abcdef", 3), "abc… (6 bytes in all)");
    }

    #[test]
    fn codes_keep_their_alphabet() {
        for (text, expected) in
            [("bad-body", "bad-body"), ("HTTP 500", "http-500"), ("ä_b", "--b"), ("", "unspecified")]
        {
            assert_eq!(code(text.to_owned(), 64), expected, "{text:?}");
        }
        assert_eq!(code("x".repeat(1 << 20), 64).len(), 64);
    }
}
