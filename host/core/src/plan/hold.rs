//! An instance that is left alone, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::standing::Standing;
use crate::domain::{InstanceId, Participation, Phase};

/// Why an instance is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum HoldReason {
    /// The plugin says skip; its reason follows.
    Skip(String),
    /// The plugin says not now; its reason follows.
    Defer(String),
    /// `protectFromScaleSetActions` is set.
    Protected,
    /// No probe round has been judged yet.
    Undecided,
    /// The plugin failed; its failure follows.
    PluginFailed(String),
    /// Its health could not be found out; the latest reason follows.
    Unknown(String),
    /// A person holds it for now; who and why follows.
    PersonHold(String),
    /// A person leaves it out; who and why follows.
    PersonSkip(String),
    /// It was planned, and the configuration does not have it any more.
    Vanished,
    /// It was upgraded or planned, and stands at another address since: what was upgraded is gone.
    Replaced,
    /// A way back has nothing to bring back to it, because nothing ran there before; what stays follows.
    NoWayBack(String),
}

impl HoldReason {
    /// Stable code, part of the plan's digest; the detail is not, because it may hold figures that
    /// change with every probe.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Skip(_) => "skip",
            Self::Defer(_) => "defer",
            Self::Protected => "protected",
            Self::Undecided => "undecided",
            Self::PluginFailed(_) => "plugin-failed",
            Self::Unknown(_) => "unknown",
            Self::PersonHold(_) => "person-hold",
            Self::PersonSkip(_) => "person-skip",
            Self::Vanished => "vanished",
            Self::Replaced => "replaced",
            Self::NoWayBack(_) => "no-way-back",
        }
    }

    /// Whether what was planned or upgraded is not there any more.
    #[must_use]
    pub fn is_of_one_gone(&self) -> bool {
        matches!(self, Self::Vanished | Self::Replaced)
    }

    /// Whether it is asked again, for a time.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::Defer(_) | Self::PersonHold(_))
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip(detail) if detail.is_empty() => write!(f, "skip"),
            Self::Skip(detail) => write!(f, "skip: {detail}"),
            Self::Defer(detail) if detail.is_empty() => write!(f, "not now"),
            Self::Defer(detail) => write!(f, "not now: {detail}"),
            Self::PersonHold(detail) | Self::PersonSkip(detail) => write!(f, "{detail}"),
            Self::Protected => write!(f, "protectFromScaleSetActions is set"),
            Self::Vanished => write!(f, "was removed from the configuration while the upgrade ran"),
            Self::Replaced => {
                write!(f, "got another address while the upgrade ran: what was upgraded there is gone")
            }
            Self::NoWayBack(stays) => {
                write!(f, "nothing ran there before, so there is nothing to bring back: {stays} stays")
            }
            Self::Undecided => write!(f, "no probe has been judged by its plugin yet"),
            Self::PluginFailed(detail) => write!(f, "no decision: {detail}"),
            Self::Unknown(detail) if detail.is_empty() => {
                write!(f, "its health is unknown, which is no permission")
            }
            Self::Unknown(detail) => write!(f, "its health is unknown, which is no permission: {detail}"),
        }
    }
}

/// An instance that is left alone, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The instance.
    pub instance: InstanceId,
    /// Why.
    pub reason: HoldReason,
    /// Its phase, as far as its plugin has named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What its plugin says of its taking part, which is something else than why the host leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<Participation>,
}

impl Hold {
    /// An instance that the host leaves alone whatever its plugin says.
    #[must_use]
    pub fn of_host(instance: InstanceId, reason: HoldReason) -> Self {
        Self { instance, reason, phase: None, says: None }
    }

    /// An instance that is left alone, as it stands with its plugin.
    #[must_use]
    pub fn new(instance: InstanceId, reason: HoldReason, standing: &Standing) -> Self {
        Self { instance, reason, phase: standing.phase(), says: standing.said() }
    }
}
