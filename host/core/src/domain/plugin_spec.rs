//! A plugin as it is wanted: which one, from where, with what settings and limits, and how a new
//! component of it takes over.
//!
//! Does not say how the component is fetched, and holds no credentials: the hands know.

use std::time::Duration;

use super::health::Claim;
use super::ids::{Digest, PluginName};
use super::limits::{Isolation, OnFailure, PluginLimits};

/// One plugin as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// Unique among the plugins.
    pub name: PluginName,
    /// Where its code comes from, as people write it: `builtin:NAME`, a path, `https://…` or `oci://…`.
    pub source: String,
    /// JSON object that the plugin gets; keys in the order of the file.
    pub settings: String,
    /// What one call may use.
    pub limits: PluginLimits,
    /// What survives from one call to the next.
    pub isolation: Isolation,
    /// What becomes of its instances while it fails.
    pub on_failure: OnFailure,
    /// What the component must be; nothing else is ever run.
    pub digest: Option<Digest>,
    /// What else is asked of a component, in one text: by whom it must be signed, whether it must carry cases. It is only
    /// compared: another text means that what was let in before has not been looked at for it.
    pub asks: String,
    /// How a new component takes over.
    pub swap: SwapRules,
}

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

impl Forbidden {
    /// The words besides changes of health.
    pub const WORDS: [(&str, Self); 4] = [
        ("phase-decrease", Self::PhaseDecrease),
        ("phase-increase", Self::PhaseIncrease),
        ("skip-removed", Self::SkipRemoved),
        ("skip-added", Self::SkipAdded),
    ];

    /// The change of this name: a word, or `A->B` with two different healths.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((from, to)) = text.split_once("->") {
            let (from, to) = (claim(from)?, claim(to)?);
            return (from != to).then_some(Self::Health(from, to));
        }
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, forbidden)| *forbidden)
    }
}

fn claim(text: &str) -> Option<Claim> {
    match text {
        "healthy" => Some(Claim::Healthy),
        "unhealthy" => Some(Claim::Unhealthy),
        "unknown" => Some(Claim::Unknown),
        _other => None,
    }
}

impl Default for SwapRules {
    fn default() -> Self {
        Self { strategy: Strategy::Rehearse, gate: None, watch_time: Duration::from_secs(60) }
    }
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
