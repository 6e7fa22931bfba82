//! The tables of keys in a manual: written anew between marks, everything else stays.
//!
//! ```text
//! <!-- keys: scaleSets.health -->
//! | key | default | bounds | meaning |
//! …
//! <!-- end of keys -->
//! ```

use super::key::Preset;
use super::shape::{Form, KeyShape, Shape};

const BEGIN: &str = "<!-- keys: ";
const BEGIN_END: &str = " -->\n";
const END: &str = "<!-- end of keys -->";

/// Why the tables of a manual cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManualError {
    /// A mark names no table.
    #[error("the mark `{BEGIN}{0} -->` names no table of the file")]
    Unknown(String),
    /// A mark without an end.
    #[error("the mark `{BEGIN}{0} -->` has no `{END}` after it")]
    Open(String),
}

/// The manual with its tables as the keys are declared. A table within another one has its own place
/// where a mark names it; elsewhere its keys stand in the outer table.
///
/// # Errors
/// When a mark names no table or is not closed.
pub fn rewrite(manual: &str, root: &Shape) -> Result<String, ManualError> {
    let marks: Vec<&str> =
        manual.split(BEGIN).skip(1).filter_map(|rest| rest.split(BEGIN_END).next()).collect();
    let mut parts = manual.split(BEGIN);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (path, rest) = part.split_once(BEGIN_END).ok_or_else(|| ManualError::Open(first_word(part)))?;
        let shape = root.at(path).ok_or_else(|| ManualError::Unknown(path.to_owned()))?;
        let (_, rest) = rest.split_once(END).ok_or_else(|| ManualError::Open(path.to_owned()))?;
        let mut rows = Vec::new();
        let places: Vec<(&str, Option<&Shape>)> = marks.iter().map(|mark| (*mark, root.at(mark))).collect();
        collect(shape, path, "", &places, &mut rows);
        written.push_str(&format!("{BEGIN}{path}{BEGIN_END}{}{END}{rest}", table(&rows)));
    }
    Ok(written)
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// One row of a table.
struct Row<'a> {
    name: String,
    key: &'a KeyShape,
    preset: Preset,
}

/// The rows of a table, and of those within it that have no place of their own. Equal tables have one place: what all
/// kinds of something share is told once.
fn collect<'a>(
    shape: &'a Shape,
    path: &str,
    prefix: &str,
    places: &[(&str, Option<&Shape>)],
    rows: &mut Vec<Row<'a>>,
) {
    for key in &shape.keys {
        let (inner, name) = (format!("{path}.{}", key.name), format!("{prefix}{}", key.name));
        let within = format!("{inner}.");
        let own_place = |table: &Shape| {
            let is_here = |mark: &str, there: Option<&Shape>| {
                mark == inner || mark.starts_with(&within) || there == Some(table)
            };
            places.iter().any(|(mark, there)| is_here(mark, *there))
        };
        match &key.form {
            Form::Table(table) if own_place(table) => {}
            Form::Table(shape) => {
                let first = rows.len();
                collect(shape, &inner, &format!("{name}."), places, rows);
                // What a table must have that may be left out may be left out with it.
                if let Preset::Absent(_) = key.preset {
                    let inner = rows.iter_mut().skip(first).filter(|row| row.preset == Preset::Required);
                    inner.for_each(|row| row.preset = key.preset);
                }
            }
            _ => rows.push(Row { name, key, preset: key.preset }),
        }
    }
}

fn table(rows: &[Row<'_>]) -> String {
    let narrow = rows.iter().any(|row| row.key.narrow.is_some());
    let (title, line) = if narrow { ("| Azure profile ", "---|") } else { ("", "") };
    let mut text = format!("| key | default | bounds {title}| meaning |\n|---|---|---|{line}---|\n");
    for Row { name, key, preset } in rows {
        let narrower = match key.narrow {
            None => "same".to_owned(),
            Some((min, max)) if min == max => format!("fixed at {min}"),
            Some((min, max)) => format!("{min} to {max}, whole"),
        };
        let narrower = if narrow { format!("| {narrower} ") } else { String::new() };
        let (preset, bounds) = (self::preset(*preset), bounds(key));
        let row = format!("| `{name}` | {preset} | {bounds} {narrower}| {} |\n", key.doc);
        text.push_str(&row.replace("|  |", "| |").replace("|  |", "| |"));
    }
    text
}

fn preset(preset: Preset) -> String {
    match preset {
        Preset::Required => "required".to_owned(),
        Preset::Absent(what) => what.to_owned(),
        Preset::Value(text) => match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) => format!("`{text}`"),
            None if text.starts_with(['[', '{']) => format!("`{text}`"),
            None => text.to_owned(),
        },
    }
}

/// What bounds a key, from its form and in words.
#[must_use]
pub fn bounds(key: &KeyShape) -> String {
    let form = of_form(&key.form);
    match (form.is_empty(), key.bounds.is_empty()) {
        (false, false) => format!("{form}, {}", key.bounds),
        (_, true) => form,
        (true, false) => key.bounds.to_owned(),
    }
}

fn of_form(form: &Form) -> String {
    match form {
        Form::Whole(min, max) => format!("{min} to {max}"),
        Form::Number(min, max) => format!("{min} to {max}"),
        Form::Span(None) => "up to a year".to_owned(),
        Form::Span(Some((min, max))) => format!("`{min}` to `{max}`"),
        Form::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Form::Flag
        | Form::Text
        | Form::Loose
        | Form::Free
        | Form::Named(_)
        | Form::List(_)
        | Form::Either(_)
        | Form::Table(_)
        | Form::Tables(_)
        | Form::Kinds(..) => String::new(),
    }
}
