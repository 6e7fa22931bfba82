//! What an instance has of a component, in three words that are never taken for one another: a version, nothing,
//! and unknown.
//!
//! Does not decide what follows from each; the planner does.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::component::Component;
use super::ids::Version;

/// What a look at an instance has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It has this.
    Version(Version),
    /// It has nothing, and says so.
    Nothing,
    /// Nobody can tell. Never the wanted version, and never nothing.
    Unknown,
}

/// What an instance has, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Runs {
    /// This.
    Version {
        /// It.
        version: Version,
    },
    /// Nothing.
    Nothing {
        /// What it had before, as far as is recorded.
        before: Option<Version>,
    },
    /// It cannot be told, or an effect failed half-way.
    Unknown {
        /// What it had before, as far as is recorded.
        before: Option<Version>,
    },
}

impl Runs {
    /// Nothing is known, and nothing was recorded before.
    pub const UNKNOWN: Self = Self::Unknown { before: None };

    /// A version.
    #[must_use]
    pub fn at(version: Version) -> Self {
        Self::Version { version }
    }

    /// The version, where there is one and it is known.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        match self {
            Self::Version { version } => Some(version),
            Self::Nothing { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The version that was recorded last, whatever is there now.
    #[must_use]
    pub fn last(&self) -> Option<&Version> {
        match self {
            Self::Version { version } => Some(version),
            Self::Nothing { before } | Self::Unknown { before } => before.as_ref(),
        }
    }

    /// What a failed upgrade goes back to: what is there, or where that is unknown what is recorded. Where
    /// nothing runs there is no way back.
    #[must_use]
    pub fn way_back(&self) -> Option<&Version> {
        match self {
            Self::Version { version } => Some(version),
            Self::Unknown { before } => before.as_ref(),
            Self::Nothing { .. } => None,
        }
    }

    /// What is known after a look.
    #[must_use]
    pub fn after(&self, seen: Seen) -> Self {
        let before = || self.last().cloned();
        match seen {
            Seen::Version(version) => Self::Version { version },
            Seen::Nothing => Self::Nothing { before: before() },
            Seen::Unknown => Self::Unknown { before: before() },
        }
    }
}

/// `v2`, `absent`, or `unknown (v1 before)`: never a word that stands for another.
impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, before) = match self {
            Self::Version { version } => return write!(f, "{version}"),
            Self::Nothing { before } => ("absent", before),
            Self::Unknown { before } => ("unknown", before),
        };
        match before {
            Some(before) => write!(f, "{word} ({before} before)"),
            None => f.write_str(word),
        }
    }
}

/// Whether somebody can be asked what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CanTell {
    /// There is a way to ask.
    Yes,
    /// There is none: the driver's word counts, and what was done last is there.
    No,
}

/// What can be asked of the instances of a scale set, and how often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The version of the application.
    pub application: CanTell,
    /// The versions of extensions.
    pub extensions: CanTell,
    /// From one look to the next.
    pub interval: Duration,
}

impl Sight {
    /// The default of `observeInterval`.
    pub const INTERVAL: Duration = Duration::from_secs(300);

    /// Nobody can be asked.
    pub const NONE: Self =
        Self { application: CanTell::No, extensions: CanTell::No, interval: Self::INTERVAL };

    /// The application can be asked.
    pub const APPLICATION: Self = Self { application: CanTell::Yes, ..Self::NONE };

    /// Whether a component can be asked for.
    #[must_use]
    pub fn of(&self, component: &Component) -> CanTell {
        match component {
            Component::Application => self.application,
            Component::Extension(_) => self.extensions,
        }
    }
}

/// A look that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The life of the instance in which it began.
    pub epoch: u64,
    /// When it began: what it finds was so then.
    pub began_at: Timestamp,
}

/// Which look at which component is awaited.
pub type Looks = BTreeMap<Component, Look>;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn three_words_that_are_never_taken_for_one_another() {
        let at = Runs::at(version("v1"));
        let nothing = at.after(Seen::Nothing);
        let unknown = at.after(Seen::Unknown);
        assert_eq!((nothing.version(), unknown.version()), (None, None));
        assert_eq!(nothing.last(), Some(&version("v1")), "the record does not forget");
        assert_eq!(unknown.way_back(), Some(&version("v1")));
        assert_eq!(nothing.way_back(), None, "nothing ran, so nothing can be brought back");
        assert_eq!(Runs::UNKNOWN.way_back(), None);
        assert_eq!(unknown.after(Seen::Version(version("v2"))), Runs::at(version("v2")));
    }
}
