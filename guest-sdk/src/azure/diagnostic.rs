//! What can be odd about a body, with a stable word and a line for people.
//!
//! Deliberately plain data: whether something odd matters is for the policy to say.

use std::fmt;

/// Why the state is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// The body is not valid JSON; the text says where.
    InvalidJson(String),
    /// The body, or a member of it, has the wrong type.
    WrongType {
        /// `body`, `ApplicationHealthState` or `CustomMetrics`.
        what: &'static str,
        /// What was found in its place.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// There is no `ApplicationHealthState`, or it is null.
    NoState,
    /// The state is none of the two words; the text is the value seen, shortened.
    UnknownState(String),
}

impl Unclear {
    /// `invalid-json`, `wrong-type`, `no-state` or `unknown-state`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidJson(_) => "invalid-json",
            Self::WrongType { .. } => "wrong-type",
            Self::NoState => "no-state",
            Self::UnknownState(_) => "unknown-state",
        }
    }
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidJson(why) => write!(f, "body is not valid JSON: {why}"),
            Self::WrongType { what, found, expected } => {
                write!(f, "{what} is {found}, expected {expected}")
            }
            Self::NoState => f.write_str("body has no ApplicationHealthState"),
            Self::UnknownState(state) => {
                write!(f, "ApplicationHealthState is {state}, expected `Healthy` or `Unhealthy`")
            }
        }
    }
}

/// Something odd that was met on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnostic {
    /// The invalid body holds this typographic quote, U+201C or U+201D.
    TypographicQuote(char),
    /// The body starts with a byte-order mark.
    ByteOrderMark,
    /// A member came more than once; the last one counts.
    Duplicate(&'static str),
    /// `CustomMetrics` was an object and was taken as its text.
    MetricsObjectCoerced,
    /// `CustomMetrics` tells nothing; the text says why.
    MetricsInvalid(String),
    /// `RollingUpgrade` is this and not an object.
    RollingUpgradeIgnored(&'static str),
    /// The phase was digits in a string.
    PhaseCoerced(u32),
    /// The phase is not a whole number within bounds; the text is the value seen, shortened.
    PhaseIgnored(String),
    /// `SkipUpgrade` was a string.
    SkipCoerced,
    /// `SkipUpgrade` is neither true nor false; the text is the value seen, shortened.
    SkipInvalid(String),
}

impl Diagnostic {
    /// A stable word in lower case with hyphens.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TypographicQuote(_) => "typographic-quote",
            Self::ByteOrderMark => "byte-order-mark",
            Self::Duplicate(_) => "duplicate-member",
            Self::MetricsObjectCoerced => "metrics-object-coerced",
            Self::MetricsInvalid(_) => "metrics-invalid",
            Self::RollingUpgradeIgnored(_) => "rolling-upgrade-ignored",
            Self::PhaseCoerced(_) => "phase-coerced",
            Self::PhaseIgnored(_) => "phase-ignored",
            Self::SkipCoerced => "skip-coerced",
            Self::SkipInvalid(_) => "skip-invalid",
        }
    }

    /// Whether it was written in another form than Azure's and understood all the same.
    #[must_use]
    pub fn is_form_only(&self) -> bool {
        matches!(self, Self::MetricsObjectCoerced | Self::PhaseCoerced(_) | Self::SkipCoerced)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TypographicQuote(quote) => {
                write!(f, "it has a typographic quote U+{:04X} where JSON needs `\"`", u32::from(*quote))
            }
            Self::ByteOrderMark => f.write_str("it starts with a byte-order mark"),
            Self::Duplicate(name) => write!(f, "{name} comes more than once, the last one counts"),
            Self::MetricsObjectCoerced => {
                f.write_str("metrics-object-coerced: CustomMetrics is an object, not a string")
            }
            Self::MetricsInvalid(why) => write!(f, "CustomMetrics {why}"),
            Self::RollingUpgradeIgnored(found) => {
                write!(f, "RollingUpgrade is {found}, expected an object")
            }
            Self::PhaseCoerced(_) => f.write_str("PhaseOrderingNumber is text, not a number"),
            Self::PhaseIgnored(value) => {
                write!(f, "PhaseOrderingNumber is {value}, expected 0 to {}", super::PHASE_MAX)
            }
            Self::SkipCoerced => f.write_str("SkipUpgrade is text, not true or false"),
            Self::SkipInvalid(value) => {
                write!(f, "SkipUpgrade is {value}, expected true or false")
            }
        }
    }
}
