//! What a probe round brought back, in the host's own words.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decision::Outcome;
use super::fleet::Instance;
use super::ids::{ScaleSetName, Version};
use super::instance_id::InstanceId;
use super::time::Timestamp;

/// Facts about an instance that a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceFacts {
    /// Unique within its scale set.
    pub id: InstanceId,
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// Region.
    pub region: Option<String>,
    /// Availability zone.
    pub zone: Option<String>,
    /// Fault domain.
    pub fault_domain: Option<u32>,
    /// Update domain.
    pub update_domain: Option<u32>,
    /// Version that it runs, as far as the host knows.
    pub version: Option<Version>,
    /// Version that the model wants.
    pub desired_version: Option<Version>,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
}

impl InstanceFacts {
    /// What a plugin may know of an instance of a set that runs one version and is to run another.
    #[must_use]
    pub fn of(
        instance: &Instance,
        scale_set: &ScaleSetName,
        (version, desired_version): (Option<Version>, Option<Version>),
    ) -> Self {
        let Instance { id, address: _, region, zone, update_domain, fault_domain, labels, protection: _ } =
            instance;
        Self {
            id: id.clone(),
            scale_set: scale_set.clone(),
            region: region.clone(),
            zone: zone.clone(),
            fault_domain: *fault_domain,
            update_domain: *update_domain,
            version,
            desired_version,
            labels: labels.clone(),
        }
    }
}

/// A complete HTTP response; for tcp an opened connection: status 0, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The headers that the configuration names, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body, within the cap.
    pub body: Vec<u8>,
}

/// Why a probe brought no response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum ProbeFailure {
    /// No complete answer in time.
    #[error("no complete answer in time")]
    Timeout,
    /// Refused, reset or not routable.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(String),
    /// Not valid HTTP.
    #[error("not a valid HTTP response: {0}")]
    InvalidResponse(String),
    /// The cap that the body passed, in bytes.
    #[error("body longer than {0} bytes")]
    BodyTooLarge(u64),
}

/// What one source answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Name of the source; `health` for the scale set's health probe.
    pub source: String,
    /// The response, or why there is none.
    pub outcome: Result<Response, ProbeFailure>,
}

/// Everything that one evaluation may depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The instance; the same facts serve all rounds until one of them changes.
    pub instance: Arc<InstanceFacts>,
    /// At least one. Shared: most instances say the same as many others.
    pub answers: Arc<[Answer]>,
    /// What the plugin returned as memory last time.
    pub memory: Option<Vec<u8>>,
    /// Open facts, for example (`probe-protocol`, `http`).
    pub attributes: Vec<(String, String)>,
}

/// One finished probe round of one instance, on its way to the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// What was seen; `memory` is filled in by the plugin's worker. What is seen again is the same value.
    pub observation: Arc<Observation>,
    /// Which life of the instance was probed: rises with each effect on it, so that an answer of
    /// the process before is not taken for one of the process after.
    pub epoch: u64,
    /// When the probe began.
    pub started_at: Timestamp,
    /// When the probe ended.
    pub finished_at: Timestamp,
}

/// Whether an instance has answered a probe at all, whatever it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It has.
    Answer,
    /// It has not: nothing came back, or something that is no response: what stands between may have closed the
    /// connection.
    Silence,
}

impl Observation {
    /// Whether any source has answered, be it something that nobody can read.
    #[must_use]
    pub fn heard(&self) -> Heard {
        let is_silent = |answer: &Answer| match &answer.outcome {
            Err(
                ProbeFailure::Timeout
                | ProbeFailure::Unreachable(_)
                | ProbeFailure::Tls(_)
                | ProbeFailure::InvalidResponse(_),
            ) => true,
            Ok(_) | Err(ProbeFailure::BodyTooLarge(_)) => false,
        };
        if self.answers.iter().all(is_silent) { Heard::Silence } else { Heard::Answer }
    }
}

/// One evaluated probe round, on its way to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// As in the round.
    pub epoch: u64,
    /// When the probe began.
    pub started_at: Timestamp,
    /// When the probe ended.
    pub finished_at: Timestamp,
    /// Whether another plugin has judged this round before: it is no further probe.
    pub again: bool,
    /// Whether the instance has answered.
    pub heard: Heard,
    /// What the plugin said. Shared: most answers are the same as many others.
    pub outcome: Arc<Outcome>,
}
