//! Why something was not granted of the catalogue or of a release.

use super::{Kind, listed};
use crate::domain::{Digest, ExtensionType, ReleaseId, ReleaseVersion, ScaleSetName};
use crate::release::PublishError;

/// Why it was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseRefusal {
    /// Nobody knows the type.
    #[error(
        "there is no extension type {subject}; the configuration has: {}",
        if known.is_empty() { "none".to_owned() } else { listed(known) }
    )]
    NoType {
        /// The type.
        subject: ExtensionType,
        /// All that there are.
        known: Vec<ExtensionType>,
    },
    /// It is not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The catalogue does not have it.
    #[error(
        "{subject} {version} was not published; {}publish it with `phasegate extension publish {subject} {version}`",
        newest.as_ref().map_or_else(String::new, |newest| format!("the newest is {newest}; "))
    )]
    NotPublished {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// The newest that there is.
        newest: Option<ReleaseVersion>,
    },
    /// It was withdrawn.
    #[error("{subject} {version} was withdrawn; nobody gets it any more")]
    Withdrawn {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
    },
    /// Too many of its sets failed.
    #[error("{subject} {version} is in quarantine: {why}; release it all the same with --force")]
    Quarantined {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// Why.
        why: String,
    },
    /// A release of this version, or of a newer one, runs.
    #[error("release {id} of version {version} is under way; stop it first")]
    StillReleasing {
        /// Which.
        id: ReleaseId,
        /// Of which version.
        version: ReleaseVersion,
    },
    /// The plan is another one than the one that was shown.
    #[error(
        "the estate has changed since plan {wanted} was shown, and nothing was started; the plan is now {now}"
    )]
    PlanChanged {
        /// The one that was shown.
        wanted: Digest,
        /// The one of now.
        now: Digest,
    },
    /// It would move no set.
    #[error(
        "a release of {subject} {version} would move no scale set: {}",
        if reasons.is_empty() { "none has it in its model".to_owned() } else { reasons.join(", ") }
    )]
    NothingToMove {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// Why, counted.
        reasons: Vec<String>,
    },
    /// The id of the release cannot be one.
    #[error("the id `{id}` of the release {why}")]
    Id {
        /// The id.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such release.
    #[error(
        "there is no release `{id}`; there are: {}",
        if known.is_empty() { "none".to_owned() } else { listed(known) }
    )]
    NoRelease {
        /// The id.
        id: ReleaseId,
        /// The latest ones.
        known: Vec<ReleaseId>,
    },
    /// It makes no sense now.
    #[error("release `{id}` is {state} and cannot be {what}")]
    NotNow {
        /// Which.
        id: ReleaseId,
        /// What was wanted.
        what: &'static str,
        /// How it stands.
        state: &'static str,
    },
    /// It has no such region phase.
    #[error("release `{id}` has no region phase {phase}; it has {phases}")]
    NoPhase {
        /// Which.
        id: ReleaseId,
        /// From 1.
        phase: usize,
        /// How many it has.
        phases: usize,
    },
    /// The model of the set does not have the type.
    #[error(
        "the model of scale set `{scale_set}` does not have {subject}; it has: {}",
        if known.is_empty() { "none".to_owned() } else { listed(known) }
    )]
    NotInModel {
        /// The set.
        scale_set: ScaleSetName,
        /// The type.
        subject: ExtensionType,
        /// Those that it has.
        known: Vec<ExtensionType>,
    },
}

impl ReleaseRefusal {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::NoType { .. }
            | Self::NotPublished { .. }
            | Self::NoRelease { .. }
            | Self::NotInModel { .. } => Kind::NotFound,
            Self::Publish(_)
            | Self::Withdrawn { .. }
            | Self::Quarantined { .. }
            | Self::StillReleasing { .. }
            | Self::PlanChanged { .. }
            | Self::NothingToMove { .. }
            | Self::NotNow { .. } => Kind::Conflict,
            Self::Id { .. } | Self::NoPhase { .. } => Kind::Invalid,
        }
    }
}
