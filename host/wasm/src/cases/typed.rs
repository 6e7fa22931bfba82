//! The format as it is typed, and how it becomes an observation.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::base64;
use super::expect::TypedExpect;
use phasegate_core::domain::{
    Answer, InstanceFacts, InstanceId, Observation, ProbeFailure, Response, ScaleSetName, Version,
};

/// Status of a TCP connection that opened.
const CONNECTED: u16 = 0;
/// Statuses of HTTP.
const HTTP: RangeInclusive<u16> = 100..=599;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a case")]
pub(super) struct Typed {
    pub(super) name: String,
    /// Any JSON, so that a case can show that an array is refused; `{}` by default.
    pub(super) settings: Option<Value>,
    /// What the clock shows, for a plugin that imports it.
    pub(super) now: Option<String>,
    pub(super) observation: Option<TypedObservation>,
    pub(super) expect: TypedExpect,
}

/// Reads a file: one case, or an array of them.
pub(super) fn parse(text: &str) -> Result<Vec<Typed>, String> {
    let cases = match text.trim_ascii_start().chars().next() {
        Some('[') => serde_json::from_str(text),
        Some('{') => serde_json::from_str(text).map(|case| vec![case]),
        _ => return Err("a file is one case or an array of cases".to_owned()),
    };
    cases.map_err(|error| error.to_string())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an observation")]
pub(super) struct TypedObservation {
    instance: TypedInstance,
    answers: Vec<TypedAnswer>,
    memory: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an instance")]
struct TypedInstance {
    id: String,
    scale_set: String,
    region: Option<String>,
    zone: Option<String>,
    fault_domain: Option<u32>,
    update_domain: Option<u32>,
    version: Option<String>,
    desired_version: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an answer")]
struct TypedAnswer {
    source: String,
    response: Option<TypedResponse>,
    failure: Option<TypedFailure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a response")]
struct TypedResponse {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_json: Option<Value>,
    body_base64: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum TypedFailure {
    Timeout(bool),
    Unreachable(String),
    Tls(String),
    InvalidResponse(String),
    BodyTooLarge(u64),
}

impl TypedObservation {
    pub(super) fn build(self) -> Result<Observation, String> {
        let Self { instance, answers, memory, attributes } = self;
        if answers.is_empty() {
            return Err("`answers` is empty; an observation has at least one answer".to_owned());
        }
        Ok(Observation {
            instance: Arc::new(instance.build()?),
            answers: answers.into_iter().map(TypedAnswer::build).collect::<Result<_, _>>()?,
            memory: memory.as_deref().map(base64::decode).transpose().map_err(|error| error.to_string())?,
            attributes: attributes.into_iter().collect(),
        })
    }
}

impl TypedInstance {
    fn build(self) -> Result<InstanceFacts, String> {
        let version = |key: &str, text: Option<String>| {
            text.map(|text| Version::parse(&text))
                .transpose()
                .map_err(|error| format!("instance.{key} {error}"))
        };
        Ok(InstanceFacts {
            id: InstanceId::parse(&self.id).map_err(|error| format!("instance.id {error}"))?,
            scale_set: ScaleSetName::parse(&self.scale_set)
                .map_err(|error| format!("instance.scaleSet {error}"))?,
            region: self.region,
            zone: self.zone,
            fault_domain: self.fault_domain,
            update_domain: self.update_domain,
            version: version("version", self.version)?,
            desired_version: version("desiredVersion", self.desired_version)?,
            labels: self.labels,
        })
    }
}

impl TypedAnswer {
    fn build(self) -> Result<Answer, String> {
        let outcome = match (self.response, self.failure) {
            (Some(response), None) => {
                Ok(response.build().map_err(|why| format!("answer `{}`: {why}", self.source))?)
            }
            (None, Some(failure)) => Err(failure.build()?),
            _ => {
                let source = self.source;
                return Err(format!("answer `{source}` needs `response` or `failure`, and not both"));
            }
        };
        Ok(Answer { source: self.source, outcome })
    }
}

impl TypedResponse {
    fn build(self) -> Result<Response, String> {
        if self.status != CONNECTED && !HTTP.contains(&self.status) {
            return Err(format!(
                "`status` is {}; it is 100 to 599, or 0 for a TCP connection that opened",
                self.status
            ));
        }
        let body = match (self.body, self.body_json, self.body_base64) {
            (None, None, None) => Vec::new(),
            (Some(text), None, None) => text.into_bytes(),
            (None, Some(json), None) => json.to_string().into_bytes(),
            (None, None, Some(encoded)) => base64::decode(&encoded).map_err(|error| error.to_string())?,
            _ => return Err("give one of `body`, `bodyJson` and `bodyBase64`".to_owned()),
        };
        Ok(Response { status: self.status, headers: self.headers.into_iter().collect(), body })
    }
}

impl TypedFailure {
    fn build(self) -> Result<ProbeFailure, String> {
        Ok(match self {
            Self::Timeout(true) => ProbeFailure::Timeout,
            Self::Timeout(false) => return Err("`timeout` can only be true".to_owned()),
            Self::Unreachable(why) => ProbeFailure::Unreachable(why),
            Self::Tls(why) => ProbeFailure::Tls(why),
            Self::InvalidResponse(why) => ProbeFailure::InvalidResponse(why),
            Self::BodyTooLarge(cap) => ProbeFailure::BodyTooLarge(cap),
        })
    }
}
