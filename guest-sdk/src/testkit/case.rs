//! The case format as it is typed, and how it becomes an observation.
//!
//! Deliberately strict: an unknown key is an error, so that a misspelt expectation never passes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::base64;
use crate::{Answer, Instance, Observation, ProbeFailure, Response};

/// One case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// Any JSON, so that a case can show that an array is refused; `{}` by default.
    pub(super) settings: Option<Value>,
    /// The text itself, blanks and all, in place of settings.
    pub(super) settings_text: Option<String>,
    /// May be absent only where the settings are expected to be refused.
    pub(super) observation: Option<TypedObservation>,
    pub(super) expect: Expect,
}

impl Case {
    /// Reads a file: one case, or an array of them.
    pub(super) fn parse_file(text: &str) -> Result<Vec<Self>, String> {
        let cases = match text.trim_ascii_start().starts_with('[') {
            true => serde_json::from_str(text),
            false => serde_json::from_str(text).map(|case| vec![case]),
        };
        cases.map_err(|error| error.to_string())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TypedObservation {
    instance: TypedInstance,
    answers: Vec<TypedAnswer>,
    memory: Option<String>,
    #[serde(default)]
    attributes: Pairs,
}

/// Names with values: as an object, or as a list where a name is there twice.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Pairs {
    Object(BTreeMap<String, String>),
    List(Vec<(String, String)>),
}

impl Default for Pairs {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Pairs {
    fn all(&self) -> Vec<(String, String)> {
        match self {
            Self::Object(map) => pairs(map),
            Self::List(list) => list.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TypedAnswer {
    source: String,
    response: Option<TypedResponse>,
    failure: Option<TypedFailure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TypedResponse {
    status: u16,
    #[serde(default)]
    headers: Pairs,
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

/// What is expected: exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Expect {
    Decision(ExpectedDecision),
    Failure(ExpectedFailure),
    ConfigureError(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExpectedDecision {
    pub(super) health: String,
    pub(super) phase: Option<u32>,
    pub(super) participation: String,
    pub(super) reason: Option<ExpectedReason>,
    /// Null: the attribute must be absent. Attributes that are not named may be anything.
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, Option<String>>,
    /// Base64; not checked when absent.
    pub(super) memory: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExpectedReason {
    pub(super) code: String,
    pub(super) detail: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExpectedFailure {
    pub(super) kind: String,
    pub(super) detail: Option<String>,
}

impl TypedObservation {
    pub(super) fn build(&self) -> Result<Observation, String> {
        let from = &self.instance;
        let instance = Instance {
            id: from.id.clone(),
            scale_set: from.scale_set.clone(),
            region: from.region.clone(),
            zone: from.zone.clone(),
            fault_domain: from.fault_domain,
            update_domain: from.update_domain,
            version: from.version.clone(),
            desired_version: from.desired_version.clone(),
            labels: pairs(&from.labels),
        };
        Ok(Observation {
            instance,
            answers: self.answers.iter().map(TypedAnswer::build).collect::<Result<_, _>>()?,
            memory: self.memory.as_deref().map(base64::decode).transpose()?,
            attributes: self.attributes.all(),
        })
    }
}

impl TypedAnswer {
    fn build(&self) -> Result<Answer, String> {
        let outcome = match (&self.response, &self.failure) {
            (Some(response), None) => Ok(response.build()?),
            (None, Some(failure)) => Err(failure.build()?),
            _ => {
                let source = &self.source;
                return Err(format!("answer `{source}` needs `response` or `failure`, and not both"));
            }
        };
        Ok(Answer { source: self.source.clone(), outcome })
    }
}

impl TypedResponse {
    fn build(&self) -> Result<Response, String> {
        let body = match (&self.body, &self.body_json, &self.body_base64) {
            (None, None, None) => Vec::new(),
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(json), None) => json.to_string().into_bytes(),
            (None, None, Some(encoded)) => base64::decode(encoded)?,
            _ => return Err("give one of `body`, `bodyJson` and `bodyBase64`".to_owned()),
        };
        Ok(Response { status: self.status, headers: self.headers.all(), body })
    }
}

impl TypedFailure {
    fn build(&self) -> Result<ProbeFailure, String> {
        Ok(match self {
            Self::Timeout(true) => ProbeFailure::Timeout,
            Self::Timeout(false) => return Err("`timeout` can only be true".to_owned()),
            Self::Unreachable(why) => ProbeFailure::Unreachable(why.clone()),
            Self::Tls(why) => ProbeFailure::Tls(why.clone()),
            Self::InvalidResponse(why) => ProbeFailure::InvalidResponse(why.clone()),
            Self::BodyTooLarge(cap) => ProbeFailure::BodyTooLarge(*cap),
        })
    }
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
