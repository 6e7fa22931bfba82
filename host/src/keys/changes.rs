//! What differs between two files, key by key.
//!
//! Compares what the keys say, not how it is written: `5` and `5.0`, `PT1M` and `PT60S`, and a key that
//! is left out and one that holds its preset, are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest as _, Sha256};
use toml::de::DeValue;

use super::key::{Is, Key, Reload};
use super::problem::Place;
use super::value::integer;
use phasegate_core::domain::{Digest, parse_iso_duration};

/// Longer texts are kept as their digest.
const SAYS_MAX: usize = 128;

/// What a file says at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Where the value is; none when the key is not there and its preset holds.
    pub place: Option<Place>,
    /// The value in one form for all ways to write it.
    pub says: String,
    /// What becomes of a change.
    pub reload: Reload,
}

/// A key that says something else in another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed<'a> {
    /// Its path.
    pub key: &'a str,
    /// What it said, in one form for all ways to write it; none where nothing held.
    pub before: Option<&'a str>,
    /// What it says, likewise.
    pub after: Option<&'a str>,
    /// What becomes of the change.
    pub reload: Reload,
}

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, before, after, reload: _ } = self;
        write!(f, "{key} {} -> {}", before.unwrap_or("none"), after.unwrap_or("none"))
    }
}

/// The keys below two places of two files that say something else, with the path below that place.
#[must_use]
pub fn changed<'a>(
    before: (&'a BTreeMap<String, Noted>, &str),
    after: (&'a BTreeMap<String, Noted>, &str),
) -> Vec<Changed<'a>> {
    let (old, new) = (below(before), below(after));
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let compared = |key| {
        let (old, new): (Option<&Noted>, Option<&Noted>) = (old.get(key).copied(), new.get(key).copied());
        let reload = old.or(new).map_or(Reload::Restart, |noted| noted.reload);
        let says = |noted: Option<&'a Noted>| noted.map(|noted| noted.says.as_str());
        Changed { key, before: says(old), after: says(new), reload }
    };
    keys.into_iter().map(compared).filter(|changed| changed.before != changed.after).collect()
}

fn below<'a>((noted, prefix): (&'a BTreeMap<String, Noted>, &str)) -> BTreeMap<&'a str, &'a Noted> {
    let from = noted.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
    from.filter_map(|(key, noted)| Some((key.strip_prefix(prefix)?, noted))).collect()
}

/// What a value says.
pub(super) fn says<T>(raw: &DeValue<'_>, key: &Key<T>) -> String {
    let span = match (&key.is, raw) {
        (Is::Span(..), DeValue::String(text)) => parse_iso_duration(text).ok(),
        (_, _) => None,
    };
    let text = span.map_or_else(|| canonical(raw), |span| format!("{} s", span.as_secs_f64()));
    if text.len() <= SAYS_MAX { text } else { Digest(Sha256::digest(text.as_bytes()).into()).to_string() }
}

fn canonical(raw: &DeValue<'_>) -> String {
    match raw {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => {
            integer(number).map_or_else(|| number.to_string(), |number| number.to_string())
        }
        DeValue::Float(number) => {
            number.as_str().parse::<f64>().map_or_else(|_| number.to_string(), |number| number.to_string())
        }
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(|value| canonical(value.get_ref())).collect();
            format!("[{}]", elements.join(", "))
        }
        DeValue::Table(entries) => {
            let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                format!("{name:?} = {}", canonical(value.get_ref()))
            };
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
