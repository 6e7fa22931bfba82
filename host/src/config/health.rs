//! Declares `[scaleSets.health]`.
//!
//! The bounds and the URL rules of the azure profile are those of Azure's application health
//! extension; the fleet profile is wider. Two deliberate differences in both: an absent protocol
//! means http, not "always healthy", and an absent port is that of the instance's address.

mod request;
mod source;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::keys::{Form, Given, Is, Key, Narrow, Section, Value};
use crate::net::placed;
use phasegate_core::domain::source::{HEALTH_SOURCE, SourceKind};
use phasegate_core::domain::{HealthSettings, ProbeConnection, ProbeIdentity, ProbeProtocol, Profile};
use request::{header_names, request_headers, request_path};
use wire::{grpc_service, wire};

/// Azure: limit for `intervalInSeconds` times `numberOfProbes`.
const AZURE_CONFIRM_MAX: Duration = Duration::from_secs(240);

/// Azure: limit for one probe; not configurable there.
const AZURE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds of the time for one probe in seconds.
const TIMEOUT: (f64, f64) = (0.05, 3600.0);

/// The keys as they are written.
pub(super) struct Health {
    profile: Profile,
    protocol: ProbeProtocol,
    connection: ProbeConnection,
    port: Option<u16>,
    request_path: String,
    grpc_service: String,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    interval: Duration,
    number_of_probes: u32,
    grace_period: Option<Duration>,
    timeout: Option<Duration>,
    body_max: u32,
    headers: Vec<String>,
    request_headers: Vec<(String, String)>,
    sources: Vec<source::Named>,
}

pub(super) const HEALTH: Section<Health> = Section {
    keys: &[
        Key::<Health>::preset(
            "profile",
            "\"fleet\"",
            Is::Word(&[
                ("fleet", |health| health.profile = Profile::Fleet),
                ("azure", |health| health.profile = Profile::Azure),
            ]),
        )
        .doc("`azure` also escapes the path as Azure does and fixes the time limit at 30 s"),
        Key::<Health>::preset(
            "protocol",
            "\"http\"",
            Is::Word(&[
                ("http", |health| health.protocol = ProbeProtocol::Http),
                ("https", |health| health.protocol = ProbeProtocol::Https),
                ("tcp", |health| health.protocol = ProbeProtocol::Tcp),
                ("h2", |health| health.protocol = ProbeProtocol::H2),
                ("h2c", |health| health.protocol = ProbeProtocol::H2c),
                ("grpc", |health| health.protocol = ProbeProtocol::Grpc),
                ("grpcs", |health| health.protocol = ProbeProtocol::Grpcs),
            ]),
        )
        .bounds("in the Azure profile the first three")
        .doc(
            "certificates are not verified; tcp gives no application data, and needs `port` in the Azure \
             profile. `h2` is HTTP/2 over TLS, agreed upon by ALPN, `h2c` the same without TLS and without asking \
             before; `grpc` and, over TLS, `grpcs` ask `grpc.health.v1.Health/Check`, see below",
        ),
        Key::<Health>::preset(
            "connection",
            "\"close\"",
            Is::Word(&[
                ("close", |health| health.connection = ProbeConnection::Close),
                ("keep", |health| health.connection = ProbeConnection::Keep),
            ]),
        )
        .bounds("`keep` only with http")
        .doc(
            "`keep` asks again on the connection of the probe before, which is less work for both sides. It is \
             made anew for each life of an instance, when its name leads elsewhere by now, and when it was closed \
             meanwhile. A connection can outlive the listener: one that is made for each probe finds out what a new \
             client would meet",
        ),
        Key::<Health>::optional(
            "port",
            "8080",
            Is::Whole(1, 65_535, |health, port| health.port = u16::try_from(port).ok()),
        )
        .without("that of the address")
        .doc("where instances are probed"),
        Key::<Health>::optional(
            "requestPath",
            "\"/health\"",
            Is::Own(
                || Form::Text,
                |health, value| {
                    health.request_path = value.string()?.to_owned();
                    Some(())
                },
            ),
        )
        .without("`/`")
        .bounds("printable ASCII; not with tcp and gRPC")
        .doc(
            "path and query of the request; `{id}`, `{host}`, `{port}` and `{label.NAME}` stand for what the instance \
             has (not in the azure profile), so that one exporter may speak for many",
        ),
        Key::<Health>::optional(
            "grpcService",
            "\"orders.v1.Orders\"",
            Is::Own(|| Form::Text, grpc_service),
        )
        .without("the whole server")
        .bounds("1 to 1024 characters; only with grpc and grpcs")
        .doc("the service that is asked after"),
        Key::<Health>::optional(
            "certificate",
            "\"phasegate.pem\"",
            Is::Path(|health, path| health.certificate = Some(path)),
        )
        .bounds("PEM; both or none; only over TLS")
        .doc("shown to an instance that asks who the host is; read again when the file has changed"),
        Key::<Health>::optional(
            "key",
            "\"phasegate.key\"",
            Is::Path(|health, path| health.key = Some(path)),
        )
        .bounds("PEM; both or none")
        .doc("the private key of `certificate`, without a password; not one that every user may write"),
        Key::<Health>::preset(
            "intervalInSeconds",
            "5",
            Is::Seconds(0.1, 3600.0, |health, interval| health.interval = interval),
        )
        .narrow(azure(5, 60))
        .bounds("fractions allowed")
        .doc("from one probe's start to the next"),
        Key::<Health>::preset(
            "numberOfProbes",
            "1",
            Is::Whole(1, 100, |health, count| health.number_of_probes = count),
        )
        .narrow(azure(1, 24))
        .doc("equal answers in a row that change the committed health"),
        Key::<Health>::optional(
            "gracePeriod",
            "30",
            Is::Seconds(0.0, 14_400.0, |health, grace| health.grace_period = Some(grace)),
        )
        .narrow(azure(5, 14_400))
        .without("interval × probes")
        .doc("how long an instance may stay Initializing"),
        Key::<Health>::optional(
            "timeoutInSeconds",
            "5",
            Is::Own(|| Form::Number(TIMEOUT.0, TIMEOUT.1), timeout),
        )
        .without("the interval, 1 to 30 s")
        .narrow(azure(30, 30))
        .doc("connect, headers and body together"),
        Key::<Health>::preset(
            "maxBodyBytes",
            "65536",
            Is::Whole(1, 1_048_576, |health, max| health.body_max = max),
        )
        .doc("a longer body is no answer"),
        Key::<Health>::optional(
            "responseHeaders",
            "[\"retry-after\"]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |health, value| {
                    health.headers = header_names(value)?;
                    Some(())
                },
            ),
        )
        .bounds("at most 32")
        .doc("headers that the plugin gets to see"),
        Key::<Health>::optional(
            "requestHeaders",
            "{ Host = \"app.example.com\" }",
            Is::Own(
                || Form::Named(Box::new(Form::Text)),
                |health, value| {
                    health.request_headers = request_headers(value)?;
                    Some(())
                },
            ),
        )
        .bounds("at most 32, 8 KiB together; not with tcp")
        .doc(
            "headers that are sent, `Host` too, for applications that answer by name; `Connection`, \
             `Content-Length` and `Transfer-Encoding` are the host's own. Placeholders as in `requestPath`",
        ),
        Key::<Health>::optional(
            "sources",
            "[{ name = \"replication\", protocol = \"tcp\", send = \"INFO\\r\\nQUIT\\r\\n\" }]",
            Is::Own(source::form, |health, value| {
                health.sources = source::read(value)?;
                Some(())
            }),
        )
        .bounds("at most 8; not in the azure profile")
        .doc("who else is asked in the same round, [below](#scalesetshealthsources)"),
    ],
    check,
};

/// Azure takes whole numbers only.
const fn azure(min: u32, max: u32) -> Narrow<Health> {
    Narrow { when: Health::is_azure, note: " in the azure profile", bounds: (min, max) }
}

fn timeout(health: &mut Health, value: &Value<'_>) -> Option<()> {
    if health.is_azure() {
        value.conflict("cannot be set in the azure profile, where it is 30", "leave it out");
        return None;
    }
    health.timeout = Some(value.seconds(TIMEOUT.0, TIMEOUT.1)?);
    Some(())
}

impl Health {
    pub(super) fn blank() -> Self {
        Self {
            profile: Profile::Fleet,
            protocol: ProbeProtocol::Http,
            connection: ProbeConnection::Close,
            port: None,
            request_path: String::new(),
            grpc_service: String::new(),
            certificate: None,
            key: None,
            interval: Duration::ZERO,
            number_of_probes: 0,
            grace_period: None,
            timeout: None,
            body_max: 0,
            headers: Vec::new(),
            request_headers: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// The keys that would give these settings.
    pub(super) fn of(settings: &HealthSettings) -> Self {
        let settings = settings.clone();
        let (certificate, key) =
            settings.identity.map(|ProbeIdentity { certificate, key }| (certificate, key)).unzip();
        Self {
            profile: settings.profile,
            protocol: settings.protocol,
            connection: settings.connection,
            port: settings.port,
            request_path: settings.request_path,
            grpc_service: settings.grpc_service,
            certificate,
            key,
            interval: settings.interval,
            number_of_probes: settings.number_of_probes,
            grace_period: Some(settings.grace_period),
            timeout: Some(settings.timeout),
            body_max: u32::try_from(settings.body_max).unwrap_or(u32::MAX),
            headers: settings.headers,
            request_headers: settings.request_headers,
            sources: settings.sources.iter().map(source::Named::of).collect(),
        }
    }

    /// Texts into which something of the instance is put.
    fn placed(&self) -> impl Iterator<Item = &str> {
        let path = (!self.is_azure()).then_some(self.request_path.as_str());
        let headers = self.request_headers.iter().map(|(_, value)| value.as_str());
        path.into_iter().chain(headers).chain(self.sources.iter().flat_map(source::Named::placed))
    }

    /// Whether instances at one address are told apart by what is asked there.
    pub(super) fn names_the_instance(&self) -> bool {
        self.placed().any(placed::names_the_instance)
    }

    /// Labels without which an instance cannot be asked.
    pub(super) fn needed_labels(&self) -> BTreeSet<String> {
        self.placed().flat_map(placed::labels).map(str::to_owned).collect()
    }

    fn is_azure(&self) -> bool {
        self.profile == Profile::Azure
    }

    /// Time that a change of health takes to be confirmed; also the default of the grace period.
    fn confirm_after(&self) -> Duration {
        self.interval.saturating_mul(self.number_of_probes)
    }

    /// Limit for one probe.
    fn time(&self) -> Duration {
        let by_interval = match self.profile {
            Profile::Fleet => self.interval.clamp(Duration::from_secs(1), AZURE_TIMEOUT),
            Profile::Azure => AZURE_TIMEOUT,
        };
        self.timeout.unwrap_or(by_interval)
    }

    /// How it is asked first: what is expected of that when the grace period ends.
    fn first_protocol(&self) -> ProbeProtocol {
        match self.sources.first().filter(|first| first.name() == HEALTH_SOURCE).map(source::Named::ask) {
            None => self.protocol,
            Some(SourceKind::Http(http)) if http.tls.is_some() => ProbeProtocol::Https,
            // A dialogue and a program bring data of the application, as a request does.
            Some(SourceKind::Http(_) | SourceKind::Exec(_)) => ProbeProtocol::Http,
            Some(SourceKind::Tcp(tcp)) if tcp.send.is_empty() && tcp.expect.is_empty() => ProbeProtocol::Tcp,
            Some(SourceKind::Tcp(_)) => ProbeProtocol::Http,
        }
    }

    pub(super) fn settings(self) -> HealthSettings {
        let (timeout, protocol) = (self.time(), self.first_protocol());
        HealthSettings {
            profile: self.profile,
            protocol,
            connection: self.connection,
            port: self.port,
            interval: self.interval,
            timeout,
            number_of_probes: self.number_of_probes,
            grace_period: self.grace_period.unwrap_or_else(|| self.confirm_after()),
            body_max: usize::try_from(self.body_max).unwrap_or(usize::MAX),
            request_path: self.request_path,
            grpc_service: self.grpc_service,
            identity: self
                .certificate
                .zip(self.key)
                .map(|(certificate, key)| ProbeIdentity { certificate, key }),
            headers: self.headers,
            request_headers: self.request_headers,
            sources: self.sources.into_iter().map(|source| source.with(timeout)).collect(),
        }
    }
}

fn check(health: &mut Health, given: &mut Given<'_>) {
    let is_tcp = health.protocol == ProbeProtocol::Tcp;
    if is_tcp && health.is_azure() && !given.has("port") {
        let hint = "required for tcp in the azure profile, for example port = 8080";
        given.conflict("port", "is missing", hint);
    }
    if health.connection == ProbeConnection::Keep && health.protocol != ProbeProtocol::Http {
        let message = format!("is \"keep\" although protocol is \"{}\"", health.protocol.name());
        given.conflict("connection", message, "leave it out, or write protocol = \"http\"");
    }
    if is_tcp && !health.request_headers.is_empty() {
        given.conflict("requestHeaders", "are set although protocol is \"tcp\"", "leave them out");
    }
    wire(health, given);
    if given.are_sound(&["requestPath"]) {
        request_path(health, given);
    }
    check_sources(health, given);
    let confirm_after = health.confirm_after();
    if given.are_sound(&["intervalInSeconds", "numberOfProbes"])
        && given.has("numberOfProbes")
        && health.is_azure()
        && confirm_after > AZURE_CONFIRM_MAX
    {
        let (interval, together) = (health.interval.as_secs(), confirm_after.as_secs());
        let probes = health.number_of_probes;
        given.conflict(
            "numberOfProbes",
            format!("is {probes} with intervalInSeconds = {interval}, together {together} s"),
            "allowed: up to 240 s in the azure profile",
        );
    }
}

/// Keys of the probe in whose place a source may stand.
const OF_THE_PROBE: [&str; 10] = [
    "protocol",
    "connection",
    "port",
    "requestPath",
    "grpcService",
    "certificate",
    "key",
    "requestHeaders",
    "responseHeaders",
    "maxBodyBytes",
];

fn check_sources(health: &Health, given: &mut Given<'_>) {
    let Some(first) = health.sources.first() else { return };
    if health.is_azure() {
        given.conflict("sources", "are set in the azure profile, which asks one place", "leave them out");
    }
    if first.name() == HEALTH_SOURCE {
        for key in OF_THE_PROBE {
            if given.has(key) {
                let message = "is there although the first source stands in the place of the probe";
                given.conflict(key, message, "leave it out, or give the first source another name");
            }
        }
    }
    if !given.are_sound(&["timeoutInSeconds", "intervalInSeconds"]) {
        return;
    }
    let limit = health.time();
    if let Some((name, own)) = health.sources.iter().find_map(|source| source.outlasts(limit)) {
        let message = format!("give `{name}` {own:?}, and a probe has {limit:?} in all");
        given.conflict(
            "sources",
            message,
            "make timeoutInSeconds of the probe longer, or that of the source shorter",
        );
    }
}
