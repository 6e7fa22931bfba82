//! How the component of a plugin is fetched: what is trusted, how long it may take, who one is.
//!
//! Reads no file; `credentials` does, anew for each fetch.

use std::path::PathBuf;
use std::time::Duration;

/// How a component is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchConfig {
    /// Certificates of an authority of one's own, in PEM; trusted besides those of the web.
    pub ca_file: Option<PathBuf>,
    /// For all requests of one fetch together, 1 s to 4 min.
    pub timeout: Duration,
    /// What the server of the component is told; nobody else is.
    pub credentials: Option<Credentials>,
}

/// Files with credentials, read anew for each fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Sent as `Authorization: Bearer`.
    Token(PathBuf),
    /// A user and the password; a registry may exchange them for a token.
    Password {
        /// The user's name.
        username: PathBuf,
        /// The password.
        password: PathBuf,
    },
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { ca_file: None, timeout: Duration::from_secs(60), credentials: None }
    }
}
