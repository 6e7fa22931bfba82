//! Makes text from outside safe to show: bounded, on one line, without characters that steer a
//! terminal or turn the reading direction.

/// Cuts to at most `max` bytes, at a character's boundary.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or("")
}

/// One line of at most `max` bytes; what steers is replaced by spaces.
pub(super) fn one_line(text: &str, max: usize) -> String {
    cut(text, max).chars().map(|c| if steers(c) { ' ' } else { c }).collect()
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
pub(super) fn code(text: &str, max: usize) -> String {
    let code: String = cut(text, max)
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

fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        assert_eq!(one_line("a\x1b[2Jb\nc\u{202e}d\u{85}e", 99), "a [2Jb c d e");
        assert_eq!(escaped("a\nb\x1b", 99), "a\\nb\\u{1b}");
        assert_eq!(escaped("abcdef", 3), "abc… (6 bytes in all)");
    }

    #[test]
    fn codes_keep_their_alphabet() {
        for (text, expected) in
            [("bad-body", "bad-body"), ("HTTP 500", "http-500"), ("ä_b", "--b"), ("", "unspecified")]
        {
            assert_eq!(code(text, 64), expected, "{text:?}");
        }
        assert_eq!(code(&"x".repeat(1 << 20), 64).len(), 64);
    }
}
