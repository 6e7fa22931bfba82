//! Reads `[scaleSets.health]`.
//!
//! The bounds and the URL rules of the azure profile are those of Azure's application health
//! extension; the fleet profile is wider. Two deliberate differences in both: an absent protocol
//! means http, not "always healthy", and an absent port is that of the instance's address.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::table::Table;
use super::value::Value;
use phasegate_core::domain::{HealthSettings, ProbeProtocol, Profile};

/// Azure: limit for `intervalInSeconds` times `numberOfProbes`.
const AZURE_CONFIRM_MAX: Duration = Duration::from_secs(240);

/// Azure: limit for one probe; not configurable there.
const AZURE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest request path in bytes; servers commonly refuse request lines above 8 KiB.
const PATH_LEN_MAX: usize = 4096;

pub(super) fn read(mut table: Table<'_>) -> Option<HealthSettings> {
    let profile = table.optional("profile", "\"fleet\"").map_or(Some(Profile::Fleet), |value| {
        value.choice(&[("fleet", Profile::Fleet), ("azure", Profile::Azure)])
    });
    let rules = Rules { profile: profile.unwrap_or(Profile::Fleet) };
    let protocol = table.optional("protocol", "\"http\"").map_or(Some(ProbeProtocol::Http), |value| {
        let known = [ProbeProtocol::Http, ProbeProtocol::Https, ProbeProtocol::Tcp];
        value.choice(&known.map(|protocol| (protocol.name(), protocol)))
    });
    let port_value = table.optional("port", "8080");
    let request_path = table.optional("requestPath", "\"/health\"");
    let interval = table.optional("intervalInSeconds", "5");
    let probes_value = table.optional("numberOfProbes", "1");
    let grace_period = table.optional("gracePeriod", "30");
    let timeout = table.optional("timeoutInSeconds", "5");
    let body_max = table.optional("maxBodyBytes", "65536");
    let headers = table.optional("responseHeaders", "[\"retry-after\"]");

    if protocol == Some(ProbeProtocol::Tcp) && rules.is_azure() && port_value.is_none() {
        table.conflict(
            "port",
            "is missing",
            "required for tcp in the azure profile, for example port = 8080",
        );
    }
    table.finish();

    let port = port_value.map_or(Some(None), |value| {
        let port = value.integer(1, 65_535)?;
        u16::try_from(port).ok().map(Some)
    });
    let request_path = rules.request_path(request_path.as_ref(), protocol);
    let interval = interval.map_or(Some(Duration::from_secs(5)), |value| rules.interval(value));
    let number_of_probes = probes_value.clone().map_or(Some(1), |value| rules.number_of_probes(value));
    let confirm_after = rules.confirm_after(interval, number_of_probes, probes_value.as_ref());
    let grace_period = grace_period.map_or(confirm_after, |value| rules.grace_period(value));
    let timeout = rules.timeout(timeout.as_ref(), interval);
    let body_max = body_max.map_or(Some(65_536), |value| value.integer(1, 1_048_576));
    let headers = headers.map_or(Some(Vec::new()), |value| header_names(&value));
    Some(HealthSettings {
        profile: profile?,
        protocol: protocol?,
        port: port?,
        request_path: request_path?,
        interval: interval?,
        timeout: timeout?,
        number_of_probes: number_of_probes?,
        grace_period: grace_period?,
        body_max: usize::try_from(body_max?).ok()?,
        headers: headers?,
    })
}

/// What differs between the profiles.
struct Rules {
    profile: Profile,
}

impl Rules {
    fn is_azure(&self) -> bool {
        self.profile == Profile::Azure
    }

    fn interval(&self, value: Value<'_>) -> Option<Duration> {
        match self.profile {
            Profile::Fleet => value.seconds(0.1, 3600.0),
            Profile::Azure => azure_seconds(value, 5, 60),
        }
    }

    fn number_of_probes(&self, value: Value<'_>) -> Option<u32> {
        match self.profile {
            Profile::Fleet => value.integer(1, 100),
            Profile::Azure => value.noted(" in the azure profile").integer(1, 24),
        }
    }

    fn grace_period(&self, value: Value<'_>) -> Option<Duration> {
        match self.profile {
            Profile::Fleet => value.seconds(0.0, 14_400.0),
            Profile::Azure => azure_seconds(value, 5, 14_400),
        }
    }

    fn timeout(&self, value: Option<&Value<'_>>, interval: Option<Duration>) -> Option<Duration> {
        match (self.profile, value) {
            (Profile::Fleet, Some(value)) => value.seconds(0.05, 3600.0),
            (Profile::Fleet, None) => {
                interval.map(|interval| interval.clamp(Duration::from_secs(1), AZURE_TIMEOUT))
            }
            (Profile::Azure, Some(value)) => {
                value.conflict("cannot be set in the azure profile, where it is 30", "leave it out");
                None
            }
            (Profile::Azure, None) => Some(AZURE_TIMEOUT),
        }
    }

    /// Time that a change of health takes to be confirmed; also the default of the grace period.
    fn confirm_after(
        &self,
        interval: Option<Duration>,
        number_of_probes: Option<u32>,
        probes_value: Option<&Value<'_>>,
    ) -> Option<Duration> {
        let (interval, number_of_probes) = (interval?, number_of_probes?);
        let confirm_after = interval.saturating_mul(number_of_probes);
        if let (true, Some(value)) = (self.is_azure() && confirm_after > AZURE_CONFIRM_MAX, probes_value) {
            let (interval, together) = (interval.as_secs(), confirm_after.as_secs());
            value.conflict(
                format!("is {number_of_probes} with intervalInSeconds = {interval}, together {together} s"),
                "allowed: up to 240 s in the azure profile",
            );
            return None;
        }
        Some(confirm_after)
    }

    fn request_path(&self, value: Option<&Value<'_>>, protocol: Option<ProbeProtocol>) -> Option<String> {
        let text = value.map_or(Some(""), Value::string)?;
        if protocol == Some(ProbeProtocol::Tcp) {
            if let (Some(value), false) = (value, text.is_empty()) {
                let hint = "leave it out, or use protocol = \"http\"";
                value.conflict(format!("is {text:?} although protocol is \"tcp\""), hint);
                return None;
            }
            return Some(String::new());
        }
        let slash = if text.starts_with('/') { "" } else { "/" };
        let path = match self.profile {
            Profile::Fleet => format!("{slash}{text}"),
            Profile::Azure => percent_encode(&format!("{slash}{text}")),
        };
        let Some(value) = value else { return Some(path) };
        if let Some(seen) = path.chars().find(|c| !is_request_target(*c)) {
            value.problem(
                format!("contains {seen:?}, which a request path cannot hold"),
                format!("write {}", percent_encode_always(seen)),
            );
            return None;
        }
        if path.len() > PATH_LEN_MAX {
            value.problem(format!("is {} bytes long", path.len()), format!("at most {PATH_LEN_MAX}"));
            return None;
        }
        Some(path)
    }
}

/// Azure takes whole seconds only.
fn azure_seconds(value: Value<'_>, min: u32, max: u32) -> Option<Duration> {
    let seconds = value.noted(" in the azure profile").integer(min, max)?;
    Some(Duration::from_secs(seconds.into()))
}

/// Printable ASCII without what RFC 3986 keeps out of paths and queries.
fn is_request_target(c: char) -> bool {
    c.is_ascii_graphic() && !"\"#<>\\^`{|}".contains(c)
}

/// Escapes as Go's `url.URL` does for a path: `?`, `#` and `%` lose their meaning.
fn percent_encode(path: &str) -> String {
    let keeps = |c: char| c.is_ascii_alphanumeric() || "-_.~$&+,/:;=@".contains(c);
    path.chars().fold(String::new(), |mut encoded, c| {
        if keeps(c) {
            encoded.push(c)
        } else {
            encoded.push_str(&percent_encode_always(c))
        }
        encoded
    })
}

fn percent_encode_always(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().fold(String::new(), |mut encoded, byte| {
        // Writing to a string does not fail.
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}

/// Header names in lower case, each a token of RFC 9110, none twice.
fn header_names(value: &Value<'_>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    let elements = value.array("an array of strings")?;
    for element in &elements {
        let Some(text) = element.filled() else { continue };
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if let Some(character) = text.chars().find(|c| !is_token(*c)) {
            element.problem(format!("contains {character:?}, which a header name cannot hold"), None);
            continue;
        }
        let name = text.to_ascii_lowercase();
        if !seen.insert(name.clone()) {
            element.problem(format!("names {name:?} a second time"), "leave one out".to_owned());
            continue;
        }
        names.push(name);
    }
    (names.len() == elements.len()).then_some(names)
}
