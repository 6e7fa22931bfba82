//! Declares `[[scaleSets.health.sources]]`.
//!
//! What one source may say depends on its protocol; whether its files are there is `machine`'s affair.

mod keys;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::request::{PATH_LEN_MAX, is_request_target};
use crate::keys::{Form, Given, Spot, Value};
use crate::net::placed;
use keys::SOURCE;
use phasegate_core::domain::source::{
    ExecSource, HEALTH_SOURCE, HttpSource, Source, SourceCredentials, SourceKind, SourcePlace, SourceTls,
    TcpSource,
};

/// Most sources of a scale set: each is asked for each instance in each round.
const SOURCES_MAX: usize = 8;

/// A source, whose limit of time may be that of the probe.
#[derive(Clone)]
pub(in crate::config) struct Named {
    timeout: Option<Duration>,
    source: Source,
}

impl Named {
    /// The keys that would give this source.
    pub(super) fn of(source: &Source) -> Self {
        Self { timeout: Some(source.timeout), source: source.clone() }
    }

    /// With the limit of the probe where it has none.
    pub(super) fn with(self, timeout: Duration) -> Source {
        Source { timeout: self.timeout.unwrap_or(timeout), ..self.source }
    }

    /// Whether it takes longer than the probe may.
    pub(super) fn outlasts(&self, timeout: Duration) -> Option<(&str, Duration)> {
        let own = self.timeout.filter(|own| *own > timeout)?;
        Some((&self.source.name, own))
    }

    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    pub(super) fn ask(&self) -> &SourceKind {
        &self.source.ask
    }

    /// Texts into which something of the instance is put.
    pub(super) fn placed(&self) -> Vec<&str> {
        match &self.source.ask {
            SourceKind::Http(http) => {
                let headers = http.request_headers.iter().map(|(_, value)| value.as_str());
                let name = http.tls.iter().filter_map(|tls| tls.server_name.as_deref());
                let host = http.at.host.as_deref();
                headers.chain(name).chain(host).chain([http.path.as_str(), http.body.as_str()]).collect()
            }
            SourceKind::Tcp(tcp) => {
                tcp.send.iter().map(String::as_str).chain(tcp.at.host.as_deref()).collect()
            }
            SourceKind::Exec(exec) => {
                exec.command.iter().chain(exec.environment.values()).map(String::as_str).collect()
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Https,
    Tcp,
    Exec,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Exec => "exec",
        }
    }
}

/// The keys as they are written.
pub(in crate::config) struct SourceKeys {
    name: Option<String>,
    protocol: Protocol,
    host: Option<String>,
    port: Option<u16>,
    method: &'static str,
    path: String,
    request_headers: Vec<(String, String)>,
    body: String,
    headers: Vec<String>,
    token: Option<PathBuf>,
    username: Option<PathBuf>,
    password: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    server_name: Option<String>,
    send: Vec<String>,
    expect: Vec<String>,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    timeout: Option<Duration>,
    body_max: u32,
}

fn blank() -> SourceKeys {
    SourceKeys {
        name: None,
        protocol: Protocol::Http,
        host: None,
        port: None,
        method: "GET",
        path: String::new(),
        request_headers: Vec::new(),
        body: String::new(),
        headers: Vec::new(),
        token: None,
        username: None,
        password: None,
        ca_file: None,
        server_name: None,
        send: Vec::new(),
        expect: Vec::new(),
        command: Vec::new(),
        environment: BTreeMap::new(),
        timeout: None,
        body_max: 0,
    }
}

/// The sources as a key of the health settings.
pub(super) fn form() -> Form {
    Form::Tables(SOURCE.shape())
}

/// Reads all of them.
pub(super) fn read(value: &Value<'_>) -> Option<Vec<Named>> {
    let values = value.array("tables [[scaleSets.health.sources]]")?;
    if values.len() > SOURCES_MAX {
        value.problem(format!("has {} sources", values.len()), format!("at most {SOURCES_MAX}"));
        return None;
    }
    let mut seen: BTreeMap<String, Spot> = BTreeMap::new();
    let read: Vec<Option<Named>> =
        values.iter().enumerate().map(|(index, value)| one(value, index, &mut seen)).collect();
    read.into_iter().collect()
}

fn one(value: &Value<'_>, index: usize, seen: &mut BTreeMap<String, Spot>) -> Option<Named> {
    let mut keys = blank();
    let mut given = SOURCE.read(value.table()?, &mut keys);
    let name = match (keys.name.clone(), index) {
        (Some(name), 1..) if name == HEALTH_SOURCE => {
            let message = format!("is \"{HEALTH_SOURCE}\", which only the first source can be");
            given.conflict("name", message, "write it first, or give it another name");
            return None;
        }
        (Some(name), _) => name,
        (None, 0) => HEALTH_SOURCE.to_owned(),
        (None, _) => {
            if given.is_sound() {
                given.conflict(
                    "name",
                    "is missing",
                    "only the first source has a name without it, \"health\"",
                );
            }
            return None;
        }
    };
    let spot = given.at("name").unwrap_or_else(|| given.table()).clone();
    if !value.source().unique(&spot, &name, name.clone(), seen) || !given.is_sound() {
        return None;
    }
    let timeout = keys.timeout;
    let body_max = usize::try_from(keys.body_max).unwrap_or(usize::MAX);
    // Its time is filled in where the time of the probe is known.
    let source = Source { name, timeout: Duration::ZERO, body_max, ask: keys.ask() };
    Some(Named { timeout, source })
}

impl SourceKeys {
    fn ask(self) -> SourceKind {
        let at = SourcePlace { host: self.host, port: self.port };
        let credentials = match (self.token, self.username, self.password) {
            (Some(token), _, _) => Some(SourceCredentials::Token(token)),
            (None, username, Some(password)) => Some(SourceCredentials::Password { username, password }),
            (None, _, None) => None,
        };
        let tls = SourceTls { ca_file: self.ca_file, server_name: self.server_name };
        match self.protocol {
            Protocol::Http | Protocol::Https => SourceKind::Http(Box::new(HttpSource {
                tls: (self.protocol == Protocol::Https).then_some(tls),
                at,
                method: self.method.to_owned(),
                path: self.path,
                request_headers: self.request_headers,
                body: self.body,
                credentials,
                headers: self.headers,
            })),
            Protocol::Tcp => {
                SourceKind::Tcp(Box::new(TcpSource { at, send: self.send, expect: self.expect, credentials }))
            }
            Protocol::Exec => SourceKind::Exec(Box::new(ExecSource {
                command: self.command,
                environment: self.environment,
            })),
        }
    }
}

/// Which protocols a key goes with.
const GOES_WITH: [(&str, &[Protocol]); 16] = [
    ("host", &[Protocol::Http, Protocol::Https, Protocol::Tcp]),
    ("port", &[Protocol::Http, Protocol::Https, Protocol::Tcp]),
    ("method", &[Protocol::Http, Protocol::Https]),
    ("requestPath", &[Protocol::Http, Protocol::Https]),
    ("requestHeaders", &[Protocol::Http, Protocol::Https]),
    ("body", &[Protocol::Http, Protocol::Https]),
    ("responseHeaders", &[Protocol::Http, Protocol::Https]),
    ("tokenFile", &[Protocol::Http, Protocol::Https, Protocol::Tcp]),
    ("usernameFile", &[Protocol::Http, Protocol::Https, Protocol::Tcp]),
    ("passwordFile", &[Protocol::Http, Protocol::Https, Protocol::Tcp]),
    ("caFile", &[Protocol::Https]),
    ("serverName", &[Protocol::Https]),
    ("send", &[Protocol::Tcp]),
    ("expect", &[Protocol::Tcp]),
    ("command", &[Protocol::Exec]),
    ("environment", &[Protocol::Exec]),
];

fn check(keys: &mut SourceKeys, given: &mut Given<'_>) {
    let protocol = keys.protocol;
    for (key, with) in GOES_WITH {
        if given.has(key) && !with.contains(&protocol) {
            let with: Vec<&str> = with.iter().map(|protocol| protocol.name()).collect();
            let message =
                format!("goes with protocol {}, and this one is \"{}\"", with.join(" or "), protocol.name());
            given.conflict(key, message, "leave it out, or write another protocol");
        }
    }
    if protocol == Protocol::Exec && !given.has("command") {
        given.conflict(
            "command",
            "is missing",
            "for example command = [\"psql\", \"-At\", \"-c\", \"select 1\"]",
        );
    }
    if given.has("tokenFile") && (given.has("passwordFile") || given.has("usernameFile")) {
        given.conflict("tokenFile", "is at odds with usernameFile and passwordFile", "leave one out");
    } else if given.has("usernameFile") && !given.has("passwordFile") {
        given.conflict("usernameFile", "is there without passwordFile", "add passwordFile");
    } else if given.has("passwordFile") && !given.has("usernameFile") && protocol != Protocol::Tcp {
        given.conflict("passwordFile", "is there without usernameFile", "add usernameFile");
    }
    if given.are_sound(&["requestPath"]) {
        keys.path = checked_path(&keys.path, given);
    }
}

/// The path with the slash at its beginning; reports what no request line can hold.
fn checked_path(text: &str, given: &mut Given<'_>) -> String {
    let path = format!("{}{text}", if text.starts_with('/') { "" } else { "/" });
    if let Some(seen) = placed::without(&path).chars().find(|c| !is_request_target(*c)) {
        given.problem("requestPath", format!("contains {seen:?}, which a request path cannot hold"), None);
    } else if path.len() > PATH_LEN_MAX {
        let hint = format!("at most {PATH_LEN_MAX}");
        given.problem("requestPath", format!("is {} bytes long", path.len()), Some(hint));
    }
    path
}
