//! Shows what was seen in a file, short enough for one line.

use toml::de::DeValue;

/// A text in quotes, short enough for one line.
pub(crate) fn quoted(text: &str) -> String {
    let (start, rest) = shorten(text);
    format!("{start:?}{rest}")
}

/// The start of a text, and an ellipsis if that is not all of it.
fn shorten(text: &str) -> (&str, &'static str) {
    const LEN_MAX: usize = 60;
    match text.char_indices().nth(LEN_MAX) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), "…"),
        None => (text, ""),
    }
}

/// A number as the file writes it, except for underscores.
pub(crate) fn number_text(value: &DeValue<'_>) -> String {
    let text = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => return describe(other),
    };
    let (start, rest) = shorten(&text);
    format!("{start}{rest}")
}

/// Type and value, for messages about wrong types.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("a string {}", quoted(text)),
        DeValue::Integer(_) | DeValue::Float(_) => format!("the number {}", number_text(value)),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        DeValue::Datetime(value) => format!("the date or time {value}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
