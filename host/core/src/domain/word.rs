//! A person's word about one instance: stronger than what its plugin says, for a time or until it is taken back.

use serde::{Deserialize, Serialize};

use super::request::Actor;
use super::time::Timestamp;

/// What a person wants of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WordKind {
    /// Not now: it is asked again, as one whose plugin says "not now".
    Hold,
    /// It is left out.
    Skip,
    /// As `protectFromScaleSetActions` of the configuration.
    Protect,
    /// A "skip" or "not now" of its plugin does not hold it. Health, protection and budgets count as ever.
    Force,
}

impl WordKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hold, Self::Skip, Self::Protect, Self::Force];

    /// As commands and JSON have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Skip => "skip",
            Self::Protect => "protect",
            Self::Force => "force",
        }
    }
}

/// A person's word about one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonsWord {
    /// What is wanted.
    pub kind: WordKind,
    /// Who said it.
    pub by: Actor,
    /// Why, one line.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; none until it is taken back.
    pub until: Option<Timestamp>,
    /// The date of that, as the clock said it then; for people.
    #[serde(default)]
    pub date: Option<Timestamp>,
}

/// For people: `held by ann: waits for a disk`.
impl std::fmt::Display for PersonsWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, by, reason, since: _, until, date } = self;
        let word = match kind {
            WordKind::Hold => "held",
            WordKind::Skip => "left out",
            WordKind::Protect => "protected",
            WordKind::Force => "forced",
        };
        write!(f, "{word} by {by}: {reason}")?;
        date.or(*until).map_or(Ok(()), |until| write!(f, " (until {until})"))
    }
}
