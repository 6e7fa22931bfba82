//! The catalogue: which versions of a type were published, and which of them nobody gets any more.
//!
//! Fetches nothing and checks no bytes: whoever publishes has done that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Actor, Digest, ExtensionType, HandlerVersion, ReleaseVersion, Timestamp, Version};

/// Most versions of a type where the configuration says nothing.
pub const VERSIONS_MAX: usize = 1_000;

/// What was published of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Of what.
    pub subject: ExtensionType,
    /// By version, oldest first as numbers.
    pub versions: BTreeMap<ReleaseVersion, PublishedVersion>,
}

/// One version that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedVersion {
    /// Of its bytes, where the publisher gave one.
    pub digest: Option<Digest>,
    /// When, as a date.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// Nobody gets it any more, if so.
    pub withdrawn: Option<Withdrawn>,
    /// More of its sets failed than a release allows; why.
    pub quarantined: Option<String>,
    /// No release of it begins before a person starts one.
    #[serde(default)]
    pub waits: bool,
}

/// Why nobody gets a version any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawn {
    /// When, as a date.
    pub at: Timestamp,
    /// Who has withdrawn it.
    pub by: Actor,
    /// One line for people.
    pub reason: Option<String>,
}

/// What came of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// It is new.
    New,
    /// It was there, with the same digest.
    Known,
}

/// Why a version is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The same version has other bytes.
    #[error(
        "{subject} {version} was published with {}; one version has one content, publish this one under a new version",
        digest_text(known.as_ref())
    )]
    OtherDigest {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// What is known.
        known: Option<Digest>,
    },
    /// It was withdrawn.
    #[error("{subject} {version} was withdrawn and is not published again; publish a newer version")]
    Withdrawn {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
    },
    /// There are too many.
    #[error(
        "{subject} has {limit} versions (limit maxVersions = {limit}); raise maxVersions of its [[extensionTypes]]"
    )]
    Full {
        /// Of what.
        subject: ExtensionType,
        /// So many.
        limit: usize,
    },
}

fn digest_text(digest: Option<&Digest>) -> String {
    digest.map_or_else(|| "no digest".to_owned(), Digest::to_string)
}

impl Published {
    /// Nothing yet.
    #[must_use]
    pub fn new(subject: ExtensionType) -> Self {
        Self { subject, versions: BTreeMap::new() }
    }

    /// Takes a version in; one that is there already is taken for a repeat.
    ///
    /// # Errors
    /// When the same version has another digest or was withdrawn, or there are too many.
    pub fn publish(
        &mut self,
        version: &ReleaseVersion,
        new: PublishedVersion,
        limit: usize,
    ) -> Result<Publishing, PublishError> {
        let (subject, version) = (self.subject.clone(), version.clone());
        if let Some(known) = self.versions.get(&version) {
            if known.withdrawn.is_some() {
                return Err(PublishError::Withdrawn { subject, version });
            }
            if known.digest != new.digest {
                let known = known.digest;
                return Err(PublishError::OtherDigest { subject, version, known });
            }
            return Ok(Publishing::Known);
        }
        if self.versions.len() >= limit {
            return Err(PublishError::Full { subject, limit });
        }
        self.versions.insert(version, new);
        Ok(Publishing::New)
    }

    /// The newest version that may be given to anybody, of those that fit.
    #[must_use]
    pub fn newest(&self, fits: impl Fn(&ReleaseVersion) -> bool) -> Option<&ReleaseVersion> {
        let good = |version: &PublishedVersion| version.withdrawn.is_none() && version.quarantined.is_none();
        let mut all =
            self.versions.iter().rev().filter(|(_, version)| good(version)).map(|(version, _)| version);
        all.find(|version| fits(version))
    }

    /// Who has withdrawn a version, and why; none where nobody has, or it was never published.
    #[must_use]
    pub fn withdrawal(&self, version: &Version) -> Option<&Withdrawn> {
        let version = ReleaseVersion::parse(version.as_str()).ok()?;
        self.versions.get(&version)?.withdrawn.as_ref()
    }

    /// Whether a halted release has put a version into quarantine.
    #[must_use]
    pub fn is_in_quarantine(&self, version: &Version) -> bool {
        let version = ReleaseVersion::parse(version.as_str()).ok().and_then(|it| self.versions.get(&it));
        version.is_some_and(|version| version.quarantined.is_some())
    }

    /// Whether any version was withdrawn or is in quarantine.
    #[must_use]
    pub fn keeps_back(&self) -> bool {
        let is_kept_back = |it: &PublishedVersion| it.withdrawn.is_some() || it.quarantined.is_some();
        self.versions.values().any(is_kept_back)
    }

    /// What a new instance gets where a version was withdrawn or is in quarantine: the newest older one of the same major. A newer one may
    /// be on its way, and comes by its release; only where there is no older one it is given at once.
    #[must_use]
    pub fn in_place_of(&self, withdrawn: &Version) -> Option<&ReleaseVersion> {
        let withdrawn = ReleaseVersion::parse(withdrawn.as_str()).ok()?;
        let older = self.newest(|one| one.major() == withdrawn.major() && *one < withdrawn);
        older.or_else(|| self.newest(|one| one.major() == withdrawn.major()))
    }

    /// The newest of each major number that anybody may get without having been asked.
    #[must_use]
    pub fn newest_of_each_major(&self) -> Vec<ReleaseVersion> {
        let mut newest: BTreeMap<u32, ReleaseVersion> = BTreeMap::new();
        for (version, published) in &self.versions {
            if published.withdrawn.is_none() && published.quarantined.is_none() && !published.waits {
                newest.insert(version.major(), version.clone());
            }
        }
        newest.into_values().collect()
    }
}

/// Whether a version has the major and minor number that a model names.
#[must_use]
pub fn is_exactly(version: &ReleaseVersion, handler: HandlerVersion) -> bool {
    (version.major(), version.minor()) == (handler.major, handler.minor)
}
