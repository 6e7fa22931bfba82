//! What a source says, in the form that Prometheus gave it: a list of groups, each with targets and labels.
//!
//! Looks at the form alone; what an address or a label means, `entries` says.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::yaml::{self, InvalidYamlError};

/// Targets with the same labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// `host:port` each.
    pub(super) targets: Vec<String>,
    /// Of all of them. A number or a truth value is a text, as in YAML.
    #[serde(default, deserialize_with = "texts")]
    pub(super) labels: BTreeMap<String, String>,
}

/// Labels whose values may be written as what they look like.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(is_so) => Ok((name, is_so.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(D::Error::custom(format!("label `{name}` is no text, number or truth value")))
        }
    };
    values.into_iter().map(text).collect()
}

/// In which language a source speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Json,
    Yaml,
}

/// Why a text is no list of groups; a fragment that follows the name of the source.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTargetsError {
    /// As JSON.
    #[error("is no list of {{\"targets\": [\"host:port\"], \"labels\": {{…}}}}: {0}")]
    Json(#[from] serde_json::Error),
    /// As YAML.
    #[error("is no list of groups with `targets` and `labels`: {0}")]
    Yaml(#[from] InvalidYamlError),
    /// No text at all.
    #[error("is not UTF-8 text")]
    NotText,
}

/// Reads the groups.
pub(super) fn parse(bytes: &[u8], language: Language) -> Result<Vec<Group>, InvalidTargetsError> {
    // Windows programs put a byte-order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match language {
        Language::Json => Ok(serde_json::from_slice(bytes)?),
        Language::Yaml => {
            let text = std::str::from_utf8(bytes).map_err(|_| InvalidTargetsError::NotText)?;
            Ok(yaml::groups(text)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_the_same() {
        let json =
            b"\xef\xbb\xbf[{\"targets\": [\"a:1\", \"b:2\"], \"labels\": {\"zone\": 1}}, {\"targets\": []}]";
        let yaml = b"- targets: [a:1, 'b:2']\n  labels:\n    zone: 1\n- targets: []\n";
        let (json, yaml) = (parse(json, Language::Json).unwrap(), parse(yaml, Language::Yaml).unwrap());
        assert_eq!(json, yaml);
        assert_eq!(json[0].targets, ["a:1", "b:2"]);
        assert_eq!(json[0].labels["zone"], "1");
    }

    #[test]
    fn what_has_another_form_is_told() {
        for (text, expected) in [
            ("", "EOF while parsing"),
            ("{\"targets\": []}", "invalid type: map, expected a sequence"),
            ("[{\"targets\": \"a:1\"}]", "invalid type: string"),
            ("[{\"targets\": [1]}]", "invalid type: integer"),
            ("[{\"labels\": {}}]", "missing field `targets`"),
            ("[{\"targets\": [], \"lables\": {}}]", "unknown field `lables`"),
            ("[{\"targets\": [], \"labels\": {\"a\": [1]}}]", "label `a` is no text, number or truth value"),
            ("[{\"targets\": [\"a:1\"]}", "EOF while parsing"),
        ] {
            let error = parse(text.as_bytes(), Language::Json).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes(), Language::Json).is_err());
        assert!(parse(&[0xff], Language::Yaml).is_err());
    }
}
