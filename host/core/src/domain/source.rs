//! Further places that are asked about an instance in the same round, and how.
//!
//! Deliberately holds no secret: only the names of files in which one is, to be read when it is needed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::health::{HealthSettings, ProbeProtocol};

/// Name of the source that stands first in every observation.
pub const HEALTH_SOURCE: &str = "health";

/// All that a program finds of a `PATH` where the configuration gives none.
pub const SOURCE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One source beside the probe of the health settings, or in its place when it has that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Unique within the scale set; never empty.
    pub name: String,
    /// Limit for all of it together.
    pub timeout: Duration,
    /// Longest answer in bytes.
    pub body_max: usize,
    /// How it is asked.
    pub ask: SourceKind,
}

/// How a source is asked. Texts may hold `{id}`, `{host}`, `{port}` and `{label.NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A request over HTTP/1.1.
    Http(Box<HttpSource>),
    /// A dialogue over a connection.
    Tcp(Box<TcpSource>),
    /// A program on the host.
    Exec(Box<ExecSource>),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// Over TLS; none in the clear.
    pub tls: Option<SourceTls>,
    /// Where; none at the address of the instance.
    pub at: SourcePlace,
    /// `GET` and the like.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers that are sent.
    pub request_headers: Vec<(String, String)>,
    /// What is sent; empty for none.
    pub body: String,
    /// Who we are.
    pub credentials: Option<SourceCredentials>,
    /// Headers of the answer, lower case, that the plugin gets to see.
    pub headers: Vec<String>,
}

/// A place other than the address of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourcePlace {
    /// Host; none for the instance's own.
    pub host: Option<String>,
    /// Port; none for the instance's own.
    pub port: Option<u16>,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceTls {
    /// Authorities that are trusted and no others; none for those of the web.
    pub ca_file: Option<PathBuf>,
    /// Name that is asked for (SNI) and that the certificate must have; none for the host of the request.
    pub server_name: Option<String>,
}

/// Files that say who we are, a line each; read anew each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceCredentials {
    /// A token; one with a blank is a whole `Authorization`.
    Token(PathBuf),
    /// A password, and for whom; without a name a password alone.
    Password {
        /// File with the user.
        username: Option<PathBuf>,
        /// File with the password.
        password: PathBuf,
    },
}

/// A dialogue: each text is sent, and then read until the text at the same place has come, or the other side closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSource {
    /// Where.
    pub at: SourcePlace,
    /// What is sent, by turns; `{username}`, `{password}` and `{token}` stand for what the files say.
    pub send: Vec<String>,
    /// What is waited for, by turns.
    pub expect: Vec<String>,
    /// Who we are.
    pub credentials: Option<SourceCredentials>,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSource {
    /// Program and arguments; no shell is involved.
    pub command: Vec<String>,
    /// All that the program gets of an environment, beside a plain `PATH`.
    pub environment: BTreeMap<String, String>,
}

impl SourceKind {
    /// As the configuration and the attribute `probe-protocol` write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(http) if http.tls.is_some() => "https",
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Exec(_) => "exec",
        }
    }
}

impl HealthSettings {
    /// Whether a source stands in the place of the probe.
    #[must_use]
    pub fn own_probe_is_replaced(&self) -> bool {
        self.sources.first().is_some_and(|first| first.name == HEALTH_SOURCE)
    }

    /// Whether all that is asked for is that a port is open: nothing of the application comes from that.
    #[must_use]
    pub fn is_port_alone(&self) -> bool {
        self.protocol == ProbeProtocol::Tcp && self.sources.len() <= usize::from(self.own_probe_is_replaced())
    }

    /// How the first answer of an observation came, as the attribute `probe-protocol` says it.
    #[must_use]
    pub fn protocol_name(&self) -> &'static str {
        match self.sources.first() {
            Some(first) if first.name == HEALTH_SOURCE => first.ask.name(),
            Some(_) | None => self.protocol.name(),
        }
    }
}
