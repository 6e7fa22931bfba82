//! Reads `strategy`, `watchTime` and `[plugins.gate]`: how a new component of a plugin takes over.

use std::time::Duration;

use super::table::Table;
use super::value::Value;
use phasegate_core::domain::Claim;

/// How a new component of a plugin takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapRules {
    /// What it must pass before.
    pub strategy: Strategy,
    /// What it may change; nothing is asked for when absent.
    pub gate: Option<Gate>,
    /// How long the component before judges beside it, to come back if it was better; zero is not
    /// at all.
    pub watch_time: Duration,
}

/// What a new component must pass before it takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// It loads and takes its settings.
    Immediate,
    /// It judges the last observation of every instance once.
    Rehearse,
    /// It judges live observations beside the active one.
    Shadow,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Immediate, Self::Rehearse, Self::Shadow];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Rehearse => "rehearse",
            Self::Shadow => "shadow",
        }
    }

    /// The strategy of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What a new component may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Share of the instances whose decision may differ, in percent.
    pub changed_max: Option<u32>,
    /// Changes that no instance may see.
    pub forbid: Vec<Forbidden>,
    /// Judged observations before a shadow is promoted.
    pub observations_min: u32,
    /// Time before a shadow is promoted.
    pub time_min: Duration,
}

/// A change of a decision that a gate forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// From one health to another.
    Health(Claim, Claim),
    /// An instance comes in an earlier phase.
    PhaseDecrease,
    /// An instance comes in a later phase.
    PhaseIncrease,
    /// An instance that was left out takes part.
    SkipRemoved,
    /// An instance that took part is left out.
    SkipAdded,
}

/// Words of `forbid` besides changes of health.
const WORDS: [(&str, Forbidden); 4] = [
    ("phase-decrease", Forbidden::PhaseDecrease),
    ("phase-increase", Forbidden::PhaseIncrease),
    ("skip-removed", Forbidden::SkipRemoved),
    ("skip-added", Forbidden::SkipAdded),
];

impl Forbidden {
    fn parse(text: &str) -> Option<Self> {
        if let Some((from, to)) = text.split_once("->") {
            let (from, to) = (claim(from)?, claim(to)?);
            return (from != to).then_some(Self::Health(from, to));
        }
        WORDS.iter().find(|(word, _)| *word == text).map(|(_, forbidden)| *forbidden)
    }
}

fn claim(text: &str) -> Option<Claim> {
    match text {
        "healthy" => Some(Claim::Healthy),
        "unhealthy" => Some(Claim::Unhealthy),
        "unknown" => Some(Claim::Unknown),
        _ => None,
    }
}

impl Default for SwapRules {
    fn default() -> Self {
        Self { strategy: Strategy::Rehearse, gate: None, watch_time: Duration::from_secs(60) }
    }
}

/// The keys of one plugin, already taken from its table.
pub(super) struct Typed<'a> {
    pub(super) strategy: Option<Value<'a>>,
    pub(super) watch_time: Option<Value<'a>>,
    pub(super) gate: Option<Value<'a>>,
}

pub(super) fn read(typed: Typed<'_>) -> Option<SwapRules> {
    let Typed { strategy, watch_time, gate } = typed;
    let default = SwapRules::default();
    let choices = Strategy::ALL.map(|strategy| (strategy.name(), strategy));
    let strategy = strategy.map_or(Some(default.strategy), |value| value.choice(&choices));
    let watch_time = watch_time.map_or(Some(default.watch_time), |value| value.iso_duration());
    let gate = gate.map_or(Some(None), |value| value.table().and_then(read_gate).map(Some));
    Some(SwapRules { strategy: strategy?, gate: gate?, watch_time: watch_time? })
}

fn read_gate(mut table: Table<'_>) -> Option<Gate> {
    let changed = table.optional("maxChangedPercent", "5");
    let forbid = table.optional("forbid", "[\"healthy->unhealthy\", \"skip-removed\"]");
    let observations = table.optional("minObservations", "100");
    let time = table.optional("minTime", "\"PT5M\"");
    table.finish();
    let changed = changed.map_or(Some(None), |value| value.integer(0, 100).map(Some));
    let forbid = forbid.map_or(Some(Vec::new()), |value| {
        let values = value.array("a list of changes")?;
        values.iter().map(forbidden).collect::<Vec<_>>().into_iter().collect()
    });
    // Three times each of a small fleet, and long enough for a few rounds.
    let observations = observations.map_or(Some(100), |value| value.integer(1, 1_000_000_000));
    let time = time.map_or(Some(Duration::from_secs(60)), |value| value.iso_duration());
    Some(Gate { changed_max: changed?, forbid: forbid?, observations_min: observations?, time_min: time? })
}

fn forbidden(value: &Value<'_>) -> Option<Forbidden> {
    let text = value.filled()?;
    let parsed = Forbidden::parse(text);
    if parsed.is_none() {
        let words: Vec<String> = WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        value.problem(
            format!("is the unknown change {text:?}"),
            format!("known: {}, and \"A->B\" with two of healthy, unhealthy and unknown", words.join(", ")),
        );
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_parsed_or_refused() {
        for (text, expected) in [
            ("healthy->unhealthy", Some(Forbidden::Health(Claim::Healthy, Claim::Unhealthy))),
            ("unknown->healthy", Some(Forbidden::Health(Claim::Unknown, Claim::Healthy))),
            ("phase-decrease", Some(Forbidden::PhaseDecrease)),
            ("skip-removed", Some(Forbidden::SkipRemoved)),
            ("healthy->healthy", None),
            ("healthy->", None),
            ("Healthy->Unknown", None),
            ("skip", None),
            ("", None),
        ] {
            assert_eq!(Forbidden::parse(text), expected, "{text}");
        }
    }
}
