//! What a policy is given: plain types that mirror the contract's records.
//!
//! Deliberately without parsing: [`crate::json`] and [`crate::azure`] read bodies.

use std::fmt;

/// Everything that a decision about one instance may depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// The instance that was probed.
    pub instance: Instance,
    /// One answer per source, in the order of the configuration; at least one.
    pub answers: Vec<Answer>,
    /// What the policy asked to remember about this instance last time.
    pub memory: Option<Vec<u8>>,
    /// Further facts, such as `probe-protocol`; ignore names that you do not know.
    pub attributes: Vec<(String, String)>,
}

impl Observation {
    /// The answer of the source `health`, which is the probe of the scale set's health settings;
    /// where no source has that name, the first answer. `None` only if there is no answer at all,
    /// which a host that keeps the contract never sends.
    #[must_use]
    pub fn health(&self) -> Option<&Answer> {
        self.answer("health").or_else(|| self.answers.first())
    }

    /// The answer of one source by its configured name.
    #[must_use]
    pub fn answer(&self, source: &str) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.source == source)
    }

    /// One further fact by name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }
}

/// One member of a scale set, as the host knows it when it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// Unique within its scale set; never empty.
    pub id: String,
    /// Name of the scale set that the instance belongs to.
    pub scale_set: String,
    /// Region, when the configuration gives one.
    pub region: Option<String>,
    /// Availability zone, when the configuration gives one.
    pub zone: Option<String>,
    /// Instances that share hardware which can fail as one.
    pub fault_domain: Option<u32>,
    /// Instances that may be taken down together.
    pub update_domain: Option<u32>,
    /// The version that the instance runs; absent before the host has learned it.
    pub version: Option<String>,
    /// The version that the model of the scale set wants.
    pub desired_version: Option<String>,
    /// Free labels from the configuration, sorted by name; names are unique.
    pub labels: Vec<(String, String)>,
}

impl Instance {
    /// One label by name.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        find(&self.labels, name)
    }
}

/// What one configured source answered in this probe round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Name of the source.
    pub source: String,
    /// The response, or why there is none.
    pub outcome: Result<Response, ProbeFailure>,
}

/// A complete HTTP response, or the fact that a TCP connection opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code, 100 to 599; 0 when a TCP probe found the port open.
    pub status: u16,
    /// The configured headers only; names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, complete and never longer than the body cap of the probe.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// Whether this is the open port of a TCP probe: there is no HTTP behind it.
    #[must_use]
    pub fn is_open_port(&self) -> bool {
        self.status == 0
    }

    /// The first header of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Why a probe brought no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No complete answer within the probe's time limit.
    Timeout,
    /// The connection was refused, reset or could not be routed; the text says which.
    Unreachable(String),
    /// The TLS handshake failed; the text says why.
    Tls(String),
    /// Something answered, but not with valid HTTP; the text says what was wrong.
    InvalidResponse(String),
    /// The body was longer than the cap, which is given in bytes.
    BodyTooLarge(u64),
}

impl ProbeFailure {
    /// A stable word for the cause, fit to be the code of a [`crate::Reason`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::InvalidResponse(_) => "invalid-response",
            Self::BodyTooLarge(_) => "body-too-large",
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no complete answer within the probe's time limit"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Tls(why) => write!(f, "TLS handshake failed: {why}"),
            Self::InvalidResponse(why) => write!(f, "not a valid HTTP response: {why}"),
            Self::BodyTooLarge(cap) => write!(f, "body longer than the cap of {cap} bytes"),
        }
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_the_named_source_or_the_first() {
        let answer = |source: &str| Answer { source: source.into(), outcome: Err(ProbeFailure::Timeout) };
        let mut observation = Observation::default();
        assert_eq!(observation.health(), None);
        observation.answers = vec![answer("stats")];
        assert_eq!(observation.health().map(|a| a.source.as_str()), Some("stats"));
        observation.answers.push(answer("health"));
        assert_eq!(observation.health().map(|a| a.source.as_str()), Some("health"));
        assert_eq!(observation.answer("nope"), None);
    }
}
