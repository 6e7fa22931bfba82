//! What publishers say elsewhere: sources that are looked at again and again for new versions, and the checker that
//! accepts a version before it is published.
//!
//! ```text
//! look ──> versions ──> check ──> whoever holds the catalogue
//!  file, https, oci       program
//! ```
//!
//! A source that is garbage, too long or silent says nothing: what was published stays. Deliberately withdraws nothing and
//! starts no release: what a version is good for is the kernel's affair.

mod check;
mod list;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::net::reference::RemoteSource;
use crate::plugins::fetch::FetchConfig;
use phasegate_core::domain::{Digest, ExtensionType, ReleaseVersion};

pub use check::{CHECKER_PATH, CheckError, check};
pub use watch::{Behind, Publish, Publishing, SourceView, Watches};

/// What the configuration says of a type besides its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypeConfig {
    /// Who says which versions there are, where somebody does.
    pub source: Option<SourceConfig>,
    /// Most versions of it.
    pub versions_max: usize,
    /// The program that accepts a version, and what it is given; empty: all are accepted.
    pub checker: Vec<String>,
}

/// Who says which versions there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Where.
    pub place: Place,
    /// From one look to the next.
    pub interval: Duration,
    /// With which trust, time limit and credentials.
    pub fetch: FetchConfig,
}

/// Where versions are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file with a list in JSON.
    File(PathBuf),
    /// A web server with such a list, or a registry whose tags are versions.
    Remote(RemoteSource),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Remote(source) => write!(f, "{source}"),
        }
    }
}

/// Versions with the digests that are known of them.
pub type Versions = BTreeMap<ReleaseVersion, Option<Digest>>;

/// All types with what the configuration says of them.
pub type Types = BTreeMap<ExtensionType, TypeConfig>;
