//! Where instances come from that no configuration lists: a file, an HTTP endpoint, names of DNS.
//!
//! ```text
//! read ──> targets ──> entries ──> keep ──> whoever holds the members
//!  bytes    groups      instances   what differs, and what of it is held
//! ```
//!
//! `keys` declares `[scaleSets.discovery]`, `run` looks again and again on a thread of its own, and tells only what is
//! another than before. Deliberately holds no members: what was found last is in the record, and who is a member is the
//! kernel's affair. A source that is empty, broken or silent says nothing about anybody.

mod entries;
mod keep;
mod keys;
mod once;
mod read;
mod run;
mod targets;
#[cfg(test)]
mod testing;
mod view;
mod yaml;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::net::url::HttpUrl;
use phasegate_core::domain::Percent;

pub use keep::{Before, Delta, Held};
pub(crate) use keys::{DISCOVERY, Keys};
pub use once::{Once, look_once};
pub use read::ReadSourceError;
pub use run::{AcceptError, Behind, Discoveries, Listed, Telling, Told};
pub use view::{HeldView, Seen, View};

/// Most instances of one source; as many as a set may have.
pub(crate) const INSTANCES_MAX: usize = 100_000;

/// How the instances of one scale set are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Who says where they are.
    pub source: Source,
    /// Which labels say something to the host.
    pub labels: LabelNames,
    /// From one look to the next.
    pub refresh: Duration,
    /// Longest time for one look, and for the first one at a first start.
    pub timeout: Duration,
    /// Largest share of those found before that one look may take away.
    pub max_removed: Percent,
    /// Whether several instances of the set may be at one address.
    pub sharing: Sharing,
    /// Labels without which an instance cannot be asked for its health.
    pub needed: Vec<String>,
}

/// Whether several instances of a set may be at one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Each has its own.
    #[default]
    Refused,
    /// What is asked there names the instance.
    Allowed,
}

/// Who says where instances are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file in the form of Prometheus' `file_sd`.
    File(PathBuf),
    /// A server that speaks `http_sd`.
    Http(HttpSource),
    /// Names that DNS gives to a service: host and port of each.
    Services(String),
    /// The addresses of one host, all with the same port.
    Addresses {
        /// Host name.
        host: String,
        /// Port of each.
        port: u16,
    },
}

/// A server that is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// Where.
    pub url: HttpUrl,
    /// Headers that are sent besides.
    pub headers: Vec<(String, String)>,
    /// Who we are to it; read anew each time.
    pub credentials: Option<Credentials>,
    /// Authorities of one's own, trusted besides those of the web.
    pub ca_file: Option<PathBuf>,
}

/// Files with credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Bearer(PathBuf),
    /// User and password.
    Basic {
        /// File with the user.
        username: PathBuf,
        /// File with the password.
        password: PathBuf,
    },
}

/// Names of labels whose values say something to the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelNames {
    /// Id of the instance; its address where it is not there.
    pub id: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Update domain, a number.
    pub update_domain: Option<String>,
    /// Fault domain, a number.
    pub fault_domain: Option<String>,
    /// Protection from all actions, `true` or `false`.
    pub protect: Option<String>,
}

impl Source {
    /// Whether no other machine has to be asked.
    #[must_use]
    pub fn is_here(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Http(_) | Self::Services(_) | Self::Addresses { .. } => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            // A path or a query may be a key.
            Self::Http(http) => write!(f, "http {}", http.url.address),
            Self::Services(name) => write!(f, "dns {name}"),
            Self::Addresses { host, port } => write!(f, "dns {host}:{port}"),
        }
    }
}
