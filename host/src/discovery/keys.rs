//! Declares `[scaleSets.discovery]`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::{Credentials, DiscoveryConfig, HttpSource, LabelNames, Sharing, Source};
use crate::keys::{Form, Given, Is, Key, Section, Value};
use crate::net::address::parse_address;
use crate::net::url::HttpUrl;
use phasegate_core::domain::Percent;

/// Longest name of a label.
const NAME_MAX: usize = 256;

/// Most headers that are sent.
const HEADERS_MAX: usize = 32;

/// Headers that are the host's own.
const OWN: [&str; 5] = ["authorization", "connection", "content-length", "host", "transfer-encoding"];

/// The keys as they are written.
#[derive(Default)]
pub(crate) struct Keys {
    file: Option<PathBuf>,
    http: Http,
    dns: Dns,
    labels: LabelNames,
    refresh: Duration,
    timeout: Duration,
    max_removed: Option<Percent>,
}

#[derive(Default)]
struct Http {
    url: Option<HttpUrl>,
    headers: Vec<(String, String)>,
    token: Option<PathBuf>,
    username: Option<PathBuf>,
    password: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

#[derive(Default)]
struct Dns {
    srv: Option<String>,
    host: Option<String>,
    port: Option<u16>,
}

/// How instances of a set are found.
pub(crate) const DISCOVERY: Section<Keys> = Section {
    keys: &[
        Key::<Keys>::optional("file", "\"targets.json\"", Is::Path(|keys, path| keys.file = Some(path)))
            .bounds("one of `file`, `http`, `dns`; at most 64 MiB and 100000 targets")
            .doc(
                "a list of `{\"targets\": [\"host:port\"], \"labels\": {…}}`, as Prometheus' `file_sd` has it: YAML \
                 where the name ends with `.yaml` or `.yml`, else JSON. It is looked at twice a second, written in \
                 place or renamed, and read once it has looked the same twice",
            ),
        Key::<Keys>::optional(
            "http",
            "{ url = \"https://inventory.example/targets\" }",
            Is::Table(|| HTTP.shape(), |keys, table| HTTP.read(table, keys)),
        )
        .doc("a server that answers a GET with such a list in JSON, as Prometheus' `http_sd` has it"),
        Key::<Keys>::optional(
            "dns",
            "{ srv = \"_db._tcp.example\" }",
            Is::Table(|| DNS.shape(), |keys, table| DNS.read(table, keys)),
        )
        .doc("names of DNS; `server.resolvers` are asked"),
        Key::<Keys>::optional(
            "idLabel",
            "\"instance_id\"",
            Is::Own(|| Form::Text, |keys, value| name_of(value).map(|name| keys.labels.id = Some(name))),
        )
        .without("the address, `10.0.0.7:9100` as `10.0.0.7-9100`")
        .doc("label that holds the id; without it in an entry, the address"),
        Key::<Keys>::optional(
            "regionLabel",
            "\"region\"",
            Is::Own(|| Form::Text, |keys, value| name_of(value).map(|name| keys.labels.region = Some(name))),
        )
        .doc("label that holds the `region`"),
        Key::<Keys>::optional(
            "zoneLabel",
            "\"zone\"",
            Is::Own(|| Form::Text, |keys, value| name_of(value).map(|name| keys.labels.zone = Some(name))),
        )
        .doc("label that holds the `zone`"),
        Key::<Keys>::optional(
            "updateDomainLabel",
            "\"update_domain\"",
            Is::Own(
                || Form::Text,
                |keys, value| name_of(value).map(|name| keys.labels.update_domain = Some(name)),
            ),
        )
        .doc("label that holds the `updateDomain`"),
        Key::<Keys>::optional(
            "faultDomainLabel",
            "\"fault_domain\"",
            Is::Own(
                || Form::Text,
                |keys, value| name_of(value).map(|name| keys.labels.fault_domain = Some(name)),
            ),
        )
        .doc("label that holds the `faultDomain`"),
        Key::<Keys>::optional(
            "protectLabel",
            "\"protected\"",
            Is::Own(|| Form::Text, |keys, value| name_of(value).map(|name| keys.labels.protect = Some(name))),
        )
        .doc("label that holds `true` for an instance with `protectFromScaleSetActions`, else `false`"),
        Key::<Keys>::preset(
            "refreshInterval",
            "\"PT30S\"",
            Is::Span(Some(("PT1S", "P1D")), |keys, time| keys.refresh = time),
        )
        .doc("from one look to the next"),
        Key::<Keys>::preset(
            "timeout",
            "\"PT10S\"",
            Is::Span(Some(("PT1S", "PT5M")), |keys, time| keys.timeout = time),
        )
        .doc("longest time for one look; at a first start the host waits so long for its instances"),
        Key::<Keys>::preset(
            "maxRemovedPercent",
            "20",
            Is::Percent(0, |keys, percent| keys.max_removed = Some(percent)),
        )
        .doc(
            "largest share of the instances that were found before that one look may remove. Where more are named no \
             longer, all of them stay until most are named again, or a person says `phasegate discovery accept SET`",
        ),
    ],
    check,
};

const HTTP: Section<Keys> = Section {
    keys: &[
        Key::<Keys>::required(
            "url",
            "\"https://inventory.example/targets\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    let text = value.filled()?;
                    keys.http.url = Some(value.parsed(text, HttpUrl::parse(text))?);
                    Some(())
                },
            ),
        )
        .bounds("http, https")
        .doc("where; redirects are not followed, and certificates are always verified"),
        Key::<Keys>::optional(
            "headers",
            "{ X-Scope = \"fleet\" }",
            Is::Own(
                || Form::Named(Box::new(Form::Text)),
                |keys, value| {
                    keys.http.headers = headers(value)?;
                    Some(())
                },
            ),
        )
        .bounds("at most 32")
        .doc("headers that are sent besides; who we are belongs in a file, see below"),
        Key::<Keys>::optional(
            "tokenFile",
            "\"inventory.token\"",
            Is::Path(|keys, path| keys.http.token = Some(path)),
        )
        .bounds("one line")
        .doc("sent as `Authorization: Bearer …`; read anew each time"),
        Key::<Keys>::optional(
            "usernameFile",
            "\"inventory.user\"",
            Is::Path(|keys, path| keys.http.username = Some(path)),
        )
        .bounds("one line; with `passwordFile`, not with `tokenFile`")
        .doc("sent as `Authorization: Basic …`"),
        Key::<Keys>::optional(
            "passwordFile",
            "\"inventory.password\"",
            Is::Path(|keys, path| keys.http.password = Some(path)),
        )
        .bounds("one line; with `usernameFile`")
        .doc("the password to it"),
        Key::<Keys>::optional(
            "caFile",
            "\"/etc/phasegate/ca.pem\"",
            Is::Path(|keys, path| keys.http.ca_file = Some(path)),
        )
        .bounds("PEM")
        .doc("authorities of one's own, trusted besides those of the web, which are built in"),
    ],
    check: check_http,
};

const DNS: Section<Keys> = Section {
    keys: &[
        Key::<Keys>::optional(
            "srv",
            "\"_db._tcp.example\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    let text = value.filled()?;
                    // The form of a name is that of a host.
                    value.parsed(text, parse_address(&format!("{text}:1")))?;
                    keys.dns.srv = Some(text.to_owned());
                    Some(())
                },
            ),
        )
        .bounds("`srv`, or `host` with `port`")
        .doc("name of a service: an instance for the host and port of each record"),
        Key::<Keys>::optional(
            "host",
            "\"db.example\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    let text = value.filled()?;
                    let address = value.parsed(text, parse_address(&format!("{text}:1")))?;
                    keys.dns.host = Some(address.host);
                    Some(())
                },
            ),
        )
        .doc("name of a host: an instance for each of its addresses, IPv4 and IPv6"),
        Key::<Keys>::optional(
            "port",
            "9100",
            Is::Whole(1, 65_535, |keys, port| keys.dns.port = u16::try_from(port).ok()),
        )
        .doc("port of each of them"),
    ],
    check: check_dns,
};

fn check(_: &mut Keys, given: &mut Given<'_>) {
    let named: Vec<&str> = ["file", "http", "dns"].into_iter().filter(|key| given.has(key)).collect();
    match named.as_slice() {
        [_] => {}
        [] => given.conflict(
            "file",
            "is missing, and so are http and dns",
            "name one source, for example file = \"targets.json\"",
        ),
        [_, second, ..] => given.conflict(
            second,
            format!("is there besides {}", named.first().copied().unwrap_or_default()),
            "one source for a scale set; keep one of file, http and dns",
        ),
    }
}

fn check_http(_: &mut Keys, given: &mut Given<'_>) {
    match ["tokenFile", "usernameFile", "passwordFile"].map(|key| given.has(key)) {
        [true, false, false] | [false, true, true] | [false, false, false] => {}
        [true, _, _] => {
            given.conflict(
                "tokenFile",
                "is at odds with usernameFile and passwordFile",
                "keep one or the other",
            );
        }
        [false, true, false] => {
            given.conflict(
                "usernameFile",
                "is there without passwordFile",
                "add passwordFile = \"inventory.password\"",
            );
        }
        [false, false, true] => {
            given.conflict(
                "passwordFile",
                "is there without usernameFile",
                "add usernameFile = \"inventory.user\"",
            );
        }
    }
}

fn check_dns(_: &mut Keys, given: &mut Given<'_>) {
    match ["srv", "host", "port"].map(|key| given.has(key)) {
        [true, false, false] | [false, true, true] => {}
        [false, false, _] => {
            given.conflict("srv", "is missing, and so is host", "for example srv = \"_db._tcp.example\"")
        }
        [false, true, false] => given.conflict("port", "is missing", "for example port = 9100"),
        [true, _, _] => {
            given.conflict("srv", "is there besides host or port", "a service names its ports itself")
        }
    }
}

/// Name of a label.
fn name_of(value: &Value<'_>) -> Option<String> {
    let text = value.filled()?;
    if text.len() > NAME_MAX || text.chars().any(|c| c.is_control() || "{}".contains(c)) {
        let hint = format!("no braces, no control characters, at most {NAME_MAX} bytes");
        value.problem("is not a name of a label", hint);
        return None;
    }
    Some(text.to_owned())
}

fn headers(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let mut seen = BTreeSet::new();
    let mut one = |value: Value<'_>| {
        let (name, text) = (value.name.to_owned(), value.string()?.trim().to_owned());
        let lower = name.to_ascii_lowercase();
        if HeaderName::try_from(&name).is_err() {
            value.problem(format!("has the name {name:?}, which no header can have"), None);
        } else if OWN.contains(&lower.as_str()) {
            let hint = match lower.as_str() {
                "authorization" => "write tokenFile, or usernameFile and passwordFile",
                _ => "leave it out: the host sets it",
            };
            value.problem(format!("sets {name}"), hint.to_owned());
        } else if HeaderValue::try_from(&text).is_err() {
            value.problem("is no text that a header can hold", "printable ASCII only".to_owned());
        } else if !seen.insert(lower) {
            value.problem(format!("sets {name} a second time"), "leave one out".to_owned());
        } else {
            return Some((name, text));
        }
        None
    };
    let entries = value.table()?.into_entries();
    let count = entries.len();
    if count > HEADERS_MAX {
        value.problem(format!("has {count} headers"), format!("at most {HEADERS_MAX}"));
        return None;
    }
    let read: Vec<_> = entries.into_iter().map(&mut one).collect();
    read.into_iter().collect()
}

impl Keys {
    /// What the keys say; none when they name no source.
    pub(crate) fn config(self) -> Option<DiscoveryConfig> {
        let Self { file, http, dns, labels, refresh, timeout, max_removed } = self;
        let Http { url, headers, token, username, password, ca_file } = http;
        let pair = username.zip(password);
        let pair = pair.map(|(username, password)| Credentials::Basic { username, password });
        let credentials = token.map(Credentials::Bearer).or(pair);
        let Dns { srv, host, port } = dns;
        let http = url.map(|url| Source::Http(HttpSource { url, headers, credentials, ca_file }));
        let addresses = host.zip(port).map(|(host, port)| Source::Addresses { host, port });
        let source = file.map(Source::File).or(http).or(srv.map(Source::Services)).or(addresses)?;
        let (max_removed, sharing, needed) = (max_removed?, Sharing::default(), Vec::new());
        Some(DiscoveryConfig { source, labels, refresh, timeout, max_removed, sharing, needed })
    }
}
