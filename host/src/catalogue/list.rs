//! One look at a source, and what its list says.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Place, SourceConfig, Versions};
use crate::net::text::io_text;
use crate::plugins::fetch::{FetchError, Listing, list};
use phasegate_core::domain::{Digest, ReleaseVersion};

/// Largest file with a list.
const FILE_MAX: u64 = 8 << 20;

/// Most versions whose digest is looked at again: those that may be on their way.
const NEWEST: usize = 10;

/// Why a source says nothing; a fragment that follows its name.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    /// The file.
    #[error("cannot be read: {}", io_text(.0))]
    File(#[source] io::Error),
    /// It is no file.
    #[error("is not a regular file")]
    NotAFile,
    /// It has too many bytes.
    #[error("has more than {FILE_MAX} bytes (limit {FILE_MAX})")]
    TooLarge,
    /// It did not come.
    #[error("cannot be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// It is no list.
    #[error(
        "is no list of versions: {0}; write [\"1.2.0\", {{\"version\": \"1.3.0\", \"digest\": \"sha256:…\"}}]"
    )]
    NotAList(String),
    /// One entry is wrong.
    #[error("has the version {text:?}, which {why}")]
    Version {
        /// As it is written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// One version is there twice.
    #[error("has {version} twice, with different digests; one version has one content")]
    Twice {
        /// Which.
        version: ReleaseVersion,
    },
    /// There are too many.
    #[error("has {seen} versions (limit maxVersions = {limit}): none of them is taken over")]
    TooMany {
        /// So many.
        seen: usize,
        /// So many may be.
        limit: usize,
    },
    /// Whoever reads has ended.
    #[error("could not be read: {0}")]
    Ended(String),
}

/// One entry of a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(String),
    Whole {
        version: String,
        #[serde(default)]
        digest: Option<String>,
    },
}

/// The whole list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Entries(Vec<Entry>),
    Named { versions: Vec<Entry> },
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) versions: Versions,
    /// Versions whose tag names nothing now.
    pub(super) empty: Vec<ReleaseVersion>,
}

/// Looks once. `known` is what is published: of a registry only new tags, and the newest ones, are asked for what they
/// name.
pub(super) async fn look(source: &SourceConfig, known: &Versions, max: usize) -> Result<Listed, LookError> {
    let listing = match &source.place {
        Place::File(path) => {
            let path = path.clone();
            let bytes = tokio::task::spawn_blocking(move || file(&path)).await;
            Listing::Document(bytes.map_err(|error| LookError::Ended(error.to_string()))??)
        }
        Place::Remote(remote) => list(remote, &source.fetch, |tags| wanted(tags, known, max)).await?,
    };
    match listing {
        Listing::Document(bytes) => Ok(Listed { versions: document(&bytes, max)?, empty: Vec::new() }),
        Listing::Tags { named: tags, empty } => {
            let empty = empty.iter().filter_map(|tag| version(tag)).collect();
            Ok(Listed { versions: named(tags, max)?, empty })
        }
    }
}

fn file(path: &Path) -> Result<Vec<u8>, LookError> {
    // A pipe would be waited for, and a device never ends.
    let non_blocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let path: PathBuf = path.to_owned();
    let file = File::options().read(true).custom_flags(non_blocking).open(path).map_err(LookError::File)?;
    if !file.metadata().map_err(LookError::File)?.is_file() {
        return Err(LookError::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(LookError::File)?;
    if bytes.len() as u64 > FILE_MAX { Err(LookError::TooLarge) } else { Ok(bytes) }
}

/// Every entry of a document has to be a version.
fn document(bytes: &[u8], max: usize) -> Result<Versions, LookError> {
    let read: Result<Document, _> = serde_json::from_slice(bytes);
    let entries = match read.map_err(|error| LookError::NotAList(error.to_string()))? {
        Document::Entries(entries) | Document::Named { versions: entries } => entries,
    };
    if entries.len() > max {
        return Err(LookError::TooMany { seen: entries.len(), limit: max });
    }
    let mut versions = Versions::new();
    for entry in entries {
        let (text, digest) = match entry {
            Entry::Text(text) => (text, None),
            Entry::Whole { version, digest } => (version, digest),
        };
        let version = ReleaseVersion::parse(&text);
        let version =
            version.map_err(|error| LookError::Version { text: text.clone(), why: error.to_string() })?;
        let digest = digest.map(|digest| {
            Digest::parse(&digest).ok_or_else(|| LookError::Version {
                text,
                why: format!("has the digest {digest:?}, which is none"),
            })
        });
        let digest = digest.transpose()?;
        if versions.insert(version.clone(), digest).is_some_and(|before| before != digest) {
            return Err(LookError::Twice { version });
        }
    }
    Ok(versions)
}

/// Of tags those count that are versions; `latest` and the like say nothing.
fn named(tags: Vec<(String, Option<Digest>)>, max: usize) -> Result<Versions, LookError> {
    let parsed = tags.into_iter().filter_map(|(tag, digest)| Some((version(&tag)?, digest)));
    let versions: Versions = parsed.collect();
    if versions.len() > max {
        return Err(LookError::TooMany { seen: versions.len(), limit: max });
    }
    Ok(versions)
}

/// The version that a tag names, with a `v` before it or without.
fn version(tag: &str) -> Option<ReleaseVersion> {
    ReleaseVersion::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

fn wanted(tags: &[String], known: &Versions, max: usize) -> Vec<String> {
    let mut versions: Vec<(ReleaseVersion, &String)> =
        tags.iter().filter_map(|tag| Some((version(tag)?, tag))).collect();
    // Too many are refused as a whole: nobody is asked for them one by one.
    if versions.len() > max {
        return Vec::new();
    }
    versions.sort();
    let from = versions.len().saturating_sub(NEWEST);
    let is_asked = |(index, (version, _)): &(usize, &(ReleaseVersion, &String))| {
        *index >= from || !known.contains_key(version)
    };
    versions.iter().enumerate().filter(is_asked).map(|(_, (_, tag))| (*tag).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(versions: &Versions) -> Vec<String> {
        versions.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_is_versions_or_objects_and_nothing_else() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = format!(r#"["1.10", {{"version": "1.2.0", "digest": "{digest}"}}]"#);
        let versions = document(text.as_bytes(), 10).unwrap();
        assert_eq!(texts(&versions), ["1.2.0", "1.10"]);
        assert_eq!(texts(&document(br#"{"versions": ["1.0"]}"#, 10).unwrap()), ["1.0"]);
        for wrong in ["", "null", "{}", "[1]", r#"["latest"]"#, r#"[{"version": "1.0", "digest": "md5:0"}]"#]
        {
            assert!(document(wrong.as_bytes(), 10).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_refused_as_a_whole() {
        let long: Vec<String> = (0..11).map(|number| format!("1.{number}")).collect();
        let text = serde_json::to_vec(&long).unwrap();
        assert!(matches!(document(&text, 10), Err(LookError::TooMany { seen: 11, limit: 10 })));
        let tags = long.iter().map(|tag| (tag.clone(), None)).collect();
        assert!(named(tags, 10).is_err());
        assert!(wanted(&long, &Versions::new(), 10).is_empty());
    }

    #[test]
    fn one_version_has_one_content() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let text = format!(
            r#"[{{"version": "1.2", "digest": "sha256:{a}"}}, {{"version": "1.2.0", "digest": "sha256:{b}"}}]"#
        );
        assert!(matches!(document(text.as_bytes(), 10), Err(LookError::Twice { .. })));
    }

    #[test]
    fn of_tags_those_count_that_are_versions() {
        let tags = ["latest", "v1.2", "1.3.0", "sha256-abc.sig"].map(|tag| (tag.to_owned(), None));
        assert_eq!(texts(&named(tags.to_vec(), 10).unwrap()), ["1.2", "1.3.0"]);
    }

    #[test]
    fn new_tags_and_the_newest_are_asked_for_what_they_name() {
        let tags: Vec<String> = (0..30).map(|number| format!("1.{number}")).collect();
        let all = || tags.iter().filter_map(|tag| version(tag)).map(|version| (version, None));
        let known: Versions = all().skip(1).collect();
        let asked = wanted(&tags, &known, 100);
        assert_eq!(asked.len(), 11);
        assert!(asked.contains(&"1.0".to_owned()) && asked.contains(&"1.29".to_owned()));
    }
}
