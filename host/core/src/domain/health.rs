//! Health: what one probe claims, what the host commits to, and how it is probed.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::source::Source;

/// What one evaluation claims about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The application works.
    Healthy,
    /// The application says that it does not work.
    Unhealthy,
    /// It could not be found out.
    Unknown,
}

/// Committed health of an instance, after `numberOfProbes` and `gracePeriod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// Within the grace period, or not probed yet. Means *wait*.
    Initializing,
    /// Counts as available.
    Healthy,
    /// Counts as unavailable.
    Unhealthy,
    /// Counts as unavailable.
    Unknown,
}

impl Health {
    /// Unhealthy and Unknown count against every limit; Initializing counts as neither.
    #[must_use]
    pub fn is_unhealthy(self) -> bool {
        match self {
            Self::Unhealthy | Self::Unknown => true,
            Self::Initializing | Self::Healthy => false,
        }
    }

    /// Azure's name of the state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "Initializing",
            Self::Healthy => "Healthy",
            Self::Unhealthy => "Unhealthy",
            Self::Unknown => "Unknown",
        }
    }
}

/// How an instance is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeProtocol {
    /// GET over plain HTTP/1.1.
    Http,
    /// GET over TLS; certificates are not verified, as in Azure: the probe asks an address, and
    /// its answer carries no secret.
    Https,
    /// A connection that opens is healthy; no application data.
    Tcp,
    /// GET over HTTP/2 and TLS, agreed upon by ALPN.
    H2,
    /// GET over HTTP/2 without TLS, with prior knowledge.
    H2c,
    /// `grpc.health.v1.Health/Check` without TLS.
    Grpc,
    /// `grpc.health.v1.Health/Check` over TLS.
    Grpcs,
}

impl ProbeProtocol {
    /// As the configuration and the `probe-protocol` attribute write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::H2 => "h2",
            Self::H2c => "h2c",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        }
    }

    /// Whether it is spoken over TLS.
    #[must_use]
    pub fn is_over_tls(self) -> bool {
        match self {
            Self::Https | Self::H2 | Self::Grpcs => true,
            Self::Http | Self::Tcp | Self::H2c | Self::Grpc => false,
        }
    }

    /// Whether the request is a path.
    #[must_use]
    pub fn has_path(self) -> bool {
        match self {
            Self::Http | Self::Https | Self::H2 | Self::H2c => true,
            Self::Tcp | Self::Grpc | Self::Grpcs => false,
        }
    }

    /// Whether a service is asked after by name.
    #[must_use]
    pub fn is_grpc(self) -> bool {
        match self {
            Self::Grpc | Self::Grpcs => true,
            Self::Http | Self::Https | Self::Tcp | Self::H2 | Self::H2c => false,
        }
    }

    /// What the state machine falls back to when the grace period ends without success: Unknown
    /// when the application's word is missing, Unhealthy when a mere connection is.
    #[must_use]
    pub fn fail_state(self) -> Claim {
        match self {
            Self::Http | Self::Https | Self::H2 | Self::H2c | Self::Grpc | Self::Grpcs => Claim::Unknown,
            Self::Tcp => Claim::Unhealthy,
        }
    }
}

/// What becomes of the connection of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeConnection {
    /// It is closed: each probe meets what a new client would.
    Close,
    /// The next probe of the same life uses it again.
    Keep,
}

/// Files that show an instance who asks, where it wants to know: PEM, each by its path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeIdentity {
    /// The certificate, with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which set of bounds and quirks the probe follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Any fleet: interval from 0.1 s, request path taken as a path with query.
    Fleet,
    /// The bounds and the URL rules of Azure's application health extension.
    Azure,
}

/// Probe settings of a scale set; names and meaning as in Azure's application health extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Which bounds applied when the settings were read.
    pub profile: Profile,
    /// How to ask.
    pub protocol: ProbeProtocol,
    /// Port for all instances; absent: the port of each instance's address.
    pub port: Option<u16>,
    /// Request target where there is one, starting with `/`; else empty.
    pub request_path: String,
    /// The service that gRPC is asked after; empty for the whole server.
    pub grpc_service: String,
    /// Who asks; only over TLS.
    pub identity: Option<ProbeIdentity>,
    /// What becomes of the connection; http only.
    pub connection: ProbeConnection,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// Limit for connect, headers and body together.
    pub timeout: Duration,
    /// Equal claims in a row that change the committed health; at least 1.
    pub number_of_probes: u32,
    /// How long an instance may stay Initializing.
    pub grace_period: Duration,
    /// Largest accepted body in bytes.
    pub body_max: usize,
    /// Response headers, lower case, that the plugin gets to see.
    pub headers: Vec<String>,
    /// Headers that are sent, by name; one that the host would send itself is sent as it stands here.
    pub request_headers: Vec<(String, String)>,
    /// Who else is asked in the same round; the first may stand in the place of the probe.
    pub sources: Vec<Source>,
}

impl HealthSettings {
    /// How long an answered decision stands in for a missed probe.
    #[must_use]
    pub fn freshness(&self) -> Duration {
        freshness(self.interval)
    }

    /// How long an upgrade that starts waits for instances that have not been judged yet: until the last
    /// of them has left its grace period and has been asked as often as its health takes.
    #[must_use]
    pub fn prepare_max(&self) -> Duration {
        prepare_max(self.grace_period, self.number_of_probes, self.interval, self.timeout)
    }
}

/// As [`HealthSettings::freshness`], of the time from one probe to the next: three of them, so that one
/// lost answer takes no permission away, and at least a minute.
#[must_use]
pub fn freshness(interval: Duration) -> Duration {
    interval.saturating_mul(3).max(FRESHNESS_MIN)
}

/// A fleet that is asked many times a second loses more than three answers in a short disturbance.
const FRESHNESS_MIN: Duration = Duration::from_secs(60);

/// As [`HealthSettings::prepare_max`], of its parts. One probe more than the health takes, because the
/// first one may have begun before.
#[must_use]
pub fn prepare_max(grace_period: Duration, probes: u32, interval: Duration, timeout: Duration) -> Duration {
    let asked = interval.saturating_mul(probes.saturating_add(1));
    grace_period.saturating_add(asked).saturating_add(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_stays_fresh_for_three_probes_and_at_least_a_minute() {
        for (interval, fresh) in [(0, 60), (5, 60), (20, 60), (21, 63), (120, 360)] {
            assert_eq!(freshness(Duration::from_secs(interval)).as_secs(), fresh, "{interval} s");
        }
        assert_eq!(freshness(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn an_upgrade_waits_for_the_slowest_first_verdict() {
        let seconds = Duration::from_secs;
        assert_eq!(prepare_max(seconds(30), 1, seconds(5), seconds(5)), seconds(45));
        assert_eq!(prepare_max(seconds(0), 3, seconds(10), seconds(2)), seconds(42));
        assert_eq!(prepare_max(Duration::MAX, u32::MAX, Duration::MAX, seconds(1)), Duration::MAX);
    }
}
