//! Single keys of a policy and of probes put over those of a scale set, as `simulate --policy` does: the
//! names, the bounds and the messages are those of the file, because the same declarations read them.

use std::path::Path;

use toml::de::DeTable;

use super::health::{HEALTH, Health};
use super::policy::{GATE, POLICY, Policy, ROLLING};
use crate::keys::{Key, Problem, Section, Source, Table};
use phasegate_core::domain::ScaleSet;

/// The keys of `health` that matter to an upgrade.
const PROBES: [&str; 3] = ["intervalInSeconds", "numberOfProbes", "gracePeriod"];

/// Keys of a policy that change nothing about one upgrade.
const WITHOUT_EFFECT: [&str; 3] = ["mode", "retryAfter", "retryLimit"];

/// Why a key cannot be put over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Not a key that can be given.
    #[error("has no setting `{name}`; known: {}", known.join(", "))]
    Unknown {
        /// As it was given.
        name: String,
        /// What could be.
        known: Vec<&'static str>,
    },
    /// An empty value, or one with control characters.
    #[error("`{name}={value}` is no value")]
    NoValue {
        /// The key.
        name: String,
        /// As it was given, escaped.
        value: String,
    },
    /// The value is wrong, or at odds with another one.
    #[error("`{name}={value}` {message}")]
    Wrong {
        /// The key.
        name: String,
        /// As it was given; empty when it is that of the scale set.
        value: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Puts the given keys over those of a scale set. Each key is named without its tables; the last value of
/// a key counts.
///
/// # Errors
/// When a key is not known, or its value is not one that the file could have.
pub fn override_policy(set: &mut ScaleSet, given: &[(&str, &str)]) -> Result<(), OverrideError> {
    let known: Vec<&str> = keys().into_iter().map(|(name, _)| name).collect();
    let mut documents = [const { String::new() }; 4];
    for (name, value) in latest(given) {
        let Some((_, place)) = keys().into_iter().find(|(known, _)| *known == name) else {
            return Err(OverrideError::Unknown { name: name.to_owned(), known });
        };
        let document = documents.get_mut(place);
        document.into_iter().try_for_each(|text| {
            text.push_str(&format!("{name} = {}\n", literal(name, value)?));
            Ok(())
        })?;
    }
    let [upgrade, rolling, gate, probes] = documents;
    let mut policy = Policy::of(set);
    apply(&POLICY, &upgrade, &mut policy, given)?;
    apply(&ROLLING, &rolling, &mut policy, given)?;
    apply(&GATE, &gate, &mut policy.gate, given)?;
    policy.give(set);
    let mut health = Health::of(&set.health);
    apply(&HEALTH, &probes, &mut health, given)?;
    set.health = health.settings();
    set.policy.prepare_max = set.health.prepare_max();
    Ok(())
}

/// The keys that can be given, and in which of the four documents they go.
fn keys() -> Vec<(&'static str, usize)> {
    let names = |place: usize, names: Vec<&'static str>| names.into_iter().map(move |name| (name, place));
    let all = names(1, values(&ROLLING)).chain(names(0, values(&POLICY))).chain(names(2, values(&GATE)));
    all.chain(names(3, PROBES.to_vec())).filter(|(name, _)| !WITHOUT_EFFECT.contains(name)).collect()
}

/// The keys of a section that hold a value and not a table.
fn values<T>(section: &Section<T>) -> Vec<&'static str> {
    section.keys.iter().filter(|key| !key.is_table()).map(Key::name).collect()
}

fn latest<'a>(given: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let later = |at: usize, name: &str| given.iter().skip(at + 1).any(|(other, _)| *other == name);
    given.iter().enumerate().filter(|(at, (name, _))| !later(*at, name)).map(|(_, given)| *given).collect()
}

fn apply<T>(
    section: &Section<T>,
    text: &str,
    to: &mut T,
    given: &[(&str, &str)],
) -> Result<(), OverrideError> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let source = Source::new(text, Path::new(""), &errors);
    section.apply(Table::new(&source, String::new(), 0, Some(root.get_ref())), to);
    let (problems, _) = source.finish(Path::new(""));
    let Some(problem) = problems.list.into_iter().next() else { return Ok(()) };
    // A text that is no TOML has no key; its line has one.
    let line = text.lines().nth(problem.place.line.saturating_sub(1)).unwrap_or_default();
    let Problem { key, message, hint, .. } = problem;
    let name = if key.is_empty() { line.split(" = ").next().unwrap_or_default().to_owned() } else { key };
    let name = name.split('[').next().unwrap_or_default().to_owned();
    let value =
        given.iter().rev().find(|(given, _)| *given == name).map_or("", |(_, value)| value).to_owned();
    let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
    Err(OverrideError::Wrong { name, value, message: format!("{message}{hint}") })
}

/// Numbers, true, false and brackets stand for themselves; all else is text.
fn literal(name: &str, value: &str) -> Result<String, OverrideError> {
    if value.is_empty() || value.chars().any(char::is_control) {
        let value = value.escape_default().to_string();
        return Err(OverrideError::NoValue { name: name.to_owned(), value });
    }
    let plain =
        value.parse::<f64>().is_ok() || matches!(value, "true" | "false") || value.starts_with(['[', '{']);
    Ok(if plain { value.to_owned() } else { format!("{value:?}") })
}
