//! The outer level: `ApplicationHealthState` and `CustomMetrics`.
//!
//! Deliberately keeps the members as text until the whole body is known to be valid: a syntax
//! error at the end voids everything before it, and a wrong type voids only its own member.

use std::borrow::Cow;

use super::metrics;
use super::{Diagnostic, Metrics, ObjectMetrics, Options, Reading, State, Unclear};
use crate::scan::{self, Kind};

/// Names of the two members, as messages spell them.
const STATE: &str = "ApplicationHealthState";
const METRICS: &str = "CustomMetrics";

/// Reads a whole body. Never panics; a body that says nothing valid is [`State::Unknown`].
#[must_use]
pub fn read(body: &[u8], options: &Options) -> Reading {
    let mut diagnostics = Vec::new();
    let (state, metrics) = match scan::utf8(body) {
        Ok(text) => read_text(text, options, &mut diagnostics),
        Err(error) => {
            let why = format!("not UTF-8 from byte {}", error.valid_up_to());
            (State::Unknown(Unclear::InvalidJson(why)), None)
        }
    };
    Reading { state, metrics, diagnostics }
}

fn read_text(text: &str, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> (State, Option<Metrics>) {
    let mut draft = Draft::default();
    let kind = Kind::of(text);
    let result = match kind {
        Kind::Object => scan::members(text, |name, value| draft.take(name, value, options, diagnostics)),
        _ => scan::check(text),
    };
    let finished = match result {
        Err(error) => Err(error.to_string()),
        Ok(()) => match kind {
            Kind::Object | Kind::Null => draft.finish(options, diagnostics),
            _ => {
                let (what, found, expected) = ("body", kind.name(), "an object");
                Ok((State::Unknown(Unclear::WrongType { what, found, expected }), None))
            }
        },
    };
    finished.unwrap_or_else(|why| {
        diagnostics.clear();
        diagnostics.extend(explain(text));
        (State::Unknown(Unclear::InvalidJson(why)), None)
    })
}

/// The usual causes of an invalid body that looks right on a screen.
fn explain(text: &str) -> Vec<Diagnostic> {
    let quotes = ['\u{201C}', '\u{201D}'].into_iter().filter(|quote| text.contains(*quote));
    let mark = text.starts_with('\u{FEFF}').then_some(Diagnostic::ByteOrderMark);
    mark.into_iter().chain(quotes.map(Diagnostic::TypographicQuote)).collect()
}

/// The members seen so far, still as JSON text.
#[derive(Default)]
struct Draft<'a> {
    state: Option<&'a str>,
    metrics: Option<&'a str>,
    /// The first member of a wrong type: the others still count, but the state is unknown.
    wrong: Option<Unclear>,
}

impl<'a> Draft<'a> {
    fn take(&mut self, name: &str, value: &'a str, options: &Options, diagnostics: &mut Vec<Diagnostic>) {
        let kind = Kind::of(value);
        // Null leaves the earlier value, here and on every level.
        if kind == Kind::Null {
            return;
        }
        if scan::is_named(name, STATE) {
            match kind {
                Kind::Text => replace(&mut self.state, value, STATE, diagnostics),
                _ => self.refuse(STATE, kind),
            }
        } else if scan::is_named(name, METRICS) {
            match (kind, options.object_metrics) {
                (Kind::Text, _) | (Kind::Object, ObjectMetrics::Tolerant) => {
                    replace(&mut self.metrics, value, METRICS, diagnostics);
                }
                _ => self.refuse(METRICS, kind),
            }
        }
    }

    fn refuse(&mut self, what: &'static str, kind: Kind) {
        let wrong = Unclear::WrongType { what, found: kind.name(), expected: "a string" };
        self.wrong.get_or_insert(wrong);
    }

    /// Fails only for a lone surrogate, which makes the body invalid.
    fn finish(
        self,
        options: &Options,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<(State, Option<Metrics>), String> {
        let decode = |name, literal| {
            scan::text(literal).ok_or_else(|| format!("{name} has an escape of a lone surrogate"))
        };
        let state = match (self.wrong, self.state) {
            (Some(wrong), _) => State::Unknown(wrong),
            (None, None) => State::Unknown(Unclear::NoState),
            (None, Some(literal)) => match &*decode(STATE, literal)? {
                "Healthy" => State::Healthy,
                "Unhealthy" => State::Unhealthy,
                other => State::Unknown(Unclear::UnknownState(scan::excerpt(other))),
            },
        };
        let raw = match self.metrics {
            None => Cow::Borrowed(""),
            Some(json) if Kind::of(json) == Kind::Object => {
                diagnostics.push(Diagnostic::MetricsObjectCoerced);
                Cow::Owned(compact(json))
            }
            Some(literal) => decode(METRICS, literal)?,
        };
        let metrics = match raw.is_empty() {
            true => None,
            false => Some(metrics::read(raw.into_owned(), options, diagnostics)),
        };
        Ok((state, metrics))
    }
}

/// Sets a value, with a word about an earlier one.
pub(super) fn replace<'a>(
    slot: &mut Option<&'a str>,
    value: &'a str,
    name: &'static str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if slot.replace(value).is_some() {
        diagnostics.push(Diagnostic::Duplicate(name));
    }
}

/// Valid JSON without the white space between its tokens. Numbers, escapes and the order of
/// members stay as they were written.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut inside = false;
    let mut escaped = false;
    for character in json.chars() {
        let space = matches!(character, ' ' | '\t' | '\n' | '\r');
        if inside || !space {
            out.push(character);
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
    }
    out
}
