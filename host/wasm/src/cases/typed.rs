//! The format as it is typed, and how it becomes an observation.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::base64;
use super::expect::TypedExpect;
use super::wrong::WrongCaseError;
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
    /// The text itself, blanks and all, in place of settings.
    pub(super) settings_text: Option<String>,
    /// What the clock shows, for a plugin that imports it.
    pub(super) now: Option<String>,
    pub(super) observation: Option<TypedObservation>,
    pub(super) expect: TypedExpect,
}

/// An object of texts in the order of the file: a plugin is handed them in an order, too. A list of names with values
/// where a name is there twice.
#[derive(Debug, Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object of texts, or a list of `[name, value]`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = list.next_element()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_any(InOrder)
    }
}

/// Reads a file: one case, or an array of them.
pub(super) fn parse(text: &str) -> Result<Vec<Typed>, WrongCaseError> {
    let cases = match text.trim_ascii_start().chars().next() {
        Some('[') => serde_json::from_str(text),
        Some('{') => serde_json::from_str(text).map(|case| vec![case]),
        _ => return Err(WrongCaseError::NoCase),
    };
    Ok(cases?)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an observation")]
pub(super) struct TypedObservation {
    instance: TypedInstance,
    answers: Vec<TypedAnswer>,
    memory: Option<String>,
    #[serde(default)]
    attributes: Pairs,
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

impl TypedObservation {
    pub(super) fn build(self) -> Result<Observation, WrongCaseError> {
        let Self { instance, answers, memory, attributes } = self;
        if answers.is_empty() {
            return Err(WrongCaseError::NoAnswers);
        }
        Ok(Observation {
            instance: Arc::new(instance.build()?),
            answers: answers.into_iter().map(TypedAnswer::build).collect::<Result<_, _>>()?,
            memory: memory.as_deref().map(base64::decode).transpose()?,
            attributes: attributes.0,
        })
    }
}

impl TypedInstance {
    fn build(self) -> Result<InstanceFacts, WrongCaseError> {
        let wrong = |key| move |error| WrongCaseError::Instance { key, error };
        let version = |key, text: Option<String>| {
            text.map(|text| Version::parse(&text)).transpose().map_err(wrong(key))
        };
        Ok(InstanceFacts {
            id: InstanceId::parse(&self.id).map_err(wrong("id"))?,
            scale_set: ScaleSetName::parse(&self.scale_set).map_err(wrong("scaleSet"))?,
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
    fn build(self) -> Result<Answer, WrongCaseError> {
        let outcome = match (self.response, self.failure) {
            (Some(response), None) => Ok(response.build().map_err(|error| WrongCaseError::Answer {
                source_name: self.source.clone(),
                error: Box::new(error),
            })?),
            (None, Some(failure)) => Err(failure.build()?),
            _ => return Err(WrongCaseError::ResponseOrFailure(self.source)),
        };
        Ok(Answer { source: self.source, outcome })
    }
}

impl TypedResponse {
    fn build(self) -> Result<Response, WrongCaseError> {
        if self.status != CONNECTED && !HTTP.contains(&self.status) {
            return Err(WrongCaseError::Status(self.status));
        }
        let body = match (self.body, self.body_json, self.body_base64) {
            (None, None, None) => Vec::new(),
            (Some(text), None, None) => text.into_bytes(),
            (None, Some(json), None) => json.to_string().into_bytes(),
            (None, None, Some(encoded)) => base64::decode(&encoded)?,
            _ => return Err(WrongCaseError::Bodies),
        };
        Ok(Response { status: self.status, headers: self.headers.0, body })
    }
}

impl TypedFailure {
    fn build(self) -> Result<ProbeFailure, WrongCaseError> {
        Ok(match self {
            Self::Timeout(true) => ProbeFailure::Timeout,
            Self::Timeout(false) => return Err(WrongCaseError::NoTimeout),
            Self::Unreachable(why) => ProbeFailure::Unreachable(why),
            Self::Tls(why) => ProbeFailure::Tls(why),
            Self::InvalidResponse(why) => ProbeFailure::InvalidResponse(why),
            Self::BodyTooLarge(cap) => ProbeFailure::BodyTooLarge(cap),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_attributes_keep_their_order() {
        let text = r#"{"name":"a","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health",
            "response":{"status":200,"headers":{"z":"1","a":"2"}}}],"attributes":{"zeta":"1","alpha":"2","mid":"3"}},
            "expect":{"failure":{"kind":"internal"}}}"#;
        let observation = parse(text).unwrap().remove(0).observation.unwrap().build().unwrap();
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<String>();
        assert_eq!(names(&observation.attributes), "zetaalphamid");
        assert_eq!(names(&observation.answers[0].outcome.as_ref().unwrap().headers), "za");
        let twice = text.replace(r#"{"z":"1","a":"2"}"#, r#"[["a","1"],["a","2"]]"#);
        let observation = parse(&twice).unwrap().remove(0).observation.unwrap().build().unwrap();
        let headers = &observation.answers[0].outcome.as_ref().unwrap().headers;
        assert_eq!(*headers, [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        let wrong = text.replace(r#""mid":"3""#, r#""mid":3"#);
        assert!(parse(&wrong).unwrap_err().to_string().contains("expected a string"));
    }
}
