//! How a line of the log looks: for people, or as JSON for programs.
//!
//! Texts may come from anywhere, so nothing in a line steers a terminal but our own colours. Reads no clock of
//! ours: the date in a line is that of the library.

use std::fmt::{self, Write as _};

use phasegate_core::domain::shown::{visible, visible_json};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// For whom lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// People.
    #[default]
    Text,
    /// Programs: one JSON object on each line.
    Json,
}

/// Whether lines for people have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

/// Makes lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    format: Format,
    colour: Colour,
}

impl Shape {
    pub(super) fn new(format: Format, colour: Colour) -> Self {
        Self { format, colour }
    }

    /// The line that says how many were lost.
    pub(super) fn lost(&self, count: u64) -> String {
        let mut said = Said { message: format!("{count} lines of the log were lost"), ..Said::default() };
        said.fields.push(("lost", Value::from(count)));
        self.line(Level::WARN, module_path!(), &said)
    }

    fn line(&self, level: Level, target: &str, said: &Said) -> String {
        let mut at = String::new();
        // Only fails when the clock does; a line without a date is better than none.
        let _ = SystemTime.format_time(&mut Writer::new(&mut at));
        match self.format {
            Format::Json => json(&at, level, target, said),
            Format::Text => self.text(&at, level, said),
        }
    }

    fn text(&self, at: &str, level: Level, said: &Said) -> String {
        let (dim, colour, italic, plain) = match self.colour {
            Colour::On => ("\x1b[2m", colour_of(level), "\x1b[3m", "\x1b[0m"),
            Colour::Off => ("", "", "", ""),
        };
        let mut line = format!("{dim}{at}{plain} {colour}{level:>5}{plain} {}", visible(&said.message));
        for (name, value) in &said.fields {
            let value = match value {
                // As numbers and names of ours have always stood there: plain.
                Value::String(text) => visible(text).into_owned(),
                other => other.to_string(),
            };
            // Writing to a string cannot fail.
            let _ = write!(line, " {italic}{name}{plain}={value}");
        }
        line.push('\n');
        line
    }
}

fn json(at: &str, level: Level, target: &str, said: &Said) -> String {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), Value::from(at));
    line.insert("level".to_owned(), Value::from(level.as_str()));
    line.insert("target".to_owned(), Value::from(target));
    line.insert("message".to_owned(), Value::from(said.message.as_str()));
    let fields = said.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    line.insert("fields".to_owned(), Value::Object(fields.collect()));
    format!("{}\n", visible_json(&Value::Object(line).to_string()))
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

impl<S, N> FormatEvent<S, N> for Shape
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let meta = event.metadata();
        writer.write_str(&self.line(*meta.level(), meta.target(), &said))
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", other) => self.message = other.to_string(),
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\x1b[2J\nb\u{202e}c\u{9b}d\u{200b}";

    fn said() -> Said {
        Said {
            message: EVIL.to_owned(),
            fields: vec![("scale_set", Value::from("orders")), ("pid", Value::from(7))],
        }
    }

    #[test]
    fn a_line_for_people_cannot_steer() {
        let shape = Shape::new(Format::Text, Colour::Off);
        assert_eq!(
            shape.text("AT", Level::WARN, &said()),
            "AT  WARN a\\u{1b}[2J\\nb\\u{202e}c\\u{9b}d\\u{200b} scale_set=orders pid=7\n"
        );
        let coloured = Shape::new(Format::Text, Colour::On).text("AT", Level::WARN, &said());
        assert!(coloured.starts_with("\x1b[2mAT\x1b[0m \x1b[33m WARN\x1b[0m a\\u{1b}[2J"), "{coloured:?}");
    }

    #[test]
    fn a_line_for_programs_says_all_of_it_and_cannot_steer_either() {
        let line = json("AT", Level::INFO, "phasegate::shell", &said());
        assert!(
            line.ends_with("}\n") && !line.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}')
        );
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], EVIL);
        assert_eq!((&read["level"], &read["target"]), (&"INFO".into(), &"phasegate::shell".into()));
        assert_eq!((&read["fields"]["scale_set"], &read["fields"]["pid"]), (&"orders".into(), &7.into()));
    }
}
