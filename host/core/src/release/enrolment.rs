//! What an enrolment means: which version a set begins with, and to which ones a release may move it.

use serde::{Deserialize, Serialize};

use super::catalogue::{Published, is_exactly};
use crate::domain::{Enrolment, ReleaseVersion, Version};

/// Why a set, as a whole, is no part of a release, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Left {
    /// `enableAutomaticUpgrade` is not true.
    NotEnrolled,
    /// A person opted out.
    OptedOut,
    /// Its subscription has not registered the feature.
    NotRegistered,
    /// A Service Fabric set brings its extensions up by itself.
    ServiceFabric,
    /// It has another major version, and no release goes past that.
    OtherMajor,
    /// It has a newer version.
    Newer,
    /// What it has is not two to four numbers.
    NotComparable,
    /// More of it is unhealthy than its policy allows, before it has begun.
    HeldUnhealthy,
    /// It had the version by a release before, and a person has taken it back since.
    TakenBack,
    /// It failed with the version in a release before, as often as it was to be tried.
    FailedBefore,
    /// Nobody approved it in a release before.
    NotApproved,
    /// The configuration has it no longer.
    Gone,
    /// The release ended before its turn.
    Ended,
}

impl Left {
    /// Stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotEnrolled => "not-enrolled",
            Self::OptedOut => "opted-out",
            Self::NotRegistered => "not-registered",
            Self::ServiceFabric => "service-fabric",
            Self::OtherMajor => "other-major",
            Self::Newer => "newer",
            Self::NotComparable => "not-comparable",
            Self::HeldUnhealthy => "held-unhealthy",
            Self::TakenBack => "taken-back",
            Self::FailedBefore => "failed-before",
            Self::NotApproved => "not-approved",
            Self::Gone => "gone",
            Self::Ended => "release-ended",
        }
    }

    /// One line for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotEnrolled => "its model does not say enableAutomaticUpgrade = true",
            Self::OptedOut => "it was opted out",
            Self::NotRegistered => "its subscription has not registered AutomaticExtensionUpgradePreview",
            Self::ServiceFabric => "Service Fabric scale sets are not supported",
            Self::OtherMajor => "it has another major version",
            Self::Newer => "it has a newer version",
            Self::NotComparable => "what it has is not a version of two to four numbers",
            Self::HeldUnhealthy => "more of it is unhealthy than its policy allows",
            Self::TakenBack => "it was taken back from this version; a person's start brings it again",
            Self::FailedBefore => {
                "it failed with this version in an earlier release; a person's start tries it again"
            }
            Self::NotApproved => {
                "nobody approved this version in an earlier release; a person's start brings it"
            }
            Self::Gone => "the configuration has it no longer",
            Self::Ended => "the release ended before its turn, or before it was through there",
        }
    }
}

/// The version that a set begins with, and gets at a change of its definition: the newest of the major with
/// `autoUpgradeMinorVersion`, else the newest of exactly the major and minor that the model names.
#[must_use]
pub fn resolve<'a>(published: &'a Published, enrolment: &Enrolment) -> Option<&'a ReleaseVersion> {
    let handler = enrolment.handler;
    published.newest(|version| match enrolment.minor {
        true => version.major() == handler.major && version.minor() >= handler.minor,
        false => is_exactly(version, handler),
    })
}

/// Whether a release may move a set from what it has to a version; whether it has it already.
///
/// # Errors
/// Why not.
pub fn may_move(enrolment: &Enrolment, from: &Version, to: &ReleaseVersion) -> Result<Moves, Left> {
    if !enrolment.automatic {
        return Err(Left::NotEnrolled);
    }
    let from = ReleaseVersion::parse(from.as_str()).map_err(|_| Left::NotComparable)?;
    match from.cmp(to) {
        std::cmp::Ordering::Equal => Ok(Moves::There),
        std::cmp::Ordering::Greater => Err(Left::Newer),
        std::cmp::Ordering::Less if from.major() != to.major() => Err(Left::OtherMajor),
        std::cmp::Ordering::Less => Ok(Moves::Up),
    }
}

/// What a release has to do with a set that is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Bring it up.
    Up,
    /// Nothing: the version is wanted there already.
    There,
}
