//! The trait that an author implements, and how settings become a policy.
//!
//! Deliberately without generated types: the same path runs in a component and in a unit test.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::scan::{self, Kind};
use crate::{Decision, Failure, Observation};

/// Turns what one instance answered into a decision.
pub trait Policy: Sized + 'static {
    /// The settings of the plugin, read from the JSON object in the host's configuration. Use
    /// `#[serde(rename_all = "camelCase", deny_unknown_fields, default)]`, so that a misspelt
    /// name is refused when the plugin is loaded. [`NoSettings`] when there are none.
    type Settings: DeserializeOwned;

    /// Checks the settings and builds the policy; called once per component instance.
    ///
    /// # Errors
    /// One line for the operator; the host then refuses to load the plugin.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// Judges one observation. The answer may depend on the observation and the settings only:
    /// the host may repeat, split and reorder calls.
    ///
    /// # Errors
    /// A [`Failure`] when the observation cannot be judged; the host holds the instance back.
    fn decide(&self, observation: &Observation) -> Result<Decision, Failure>;
}

/// Settings of a policy that has none: only `{}` is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Builds a policy from the text of its settings; the error names the setting that is wrong.
pub(crate) fn configure<P: Policy>(settings: &str) -> Result<P, String> {
    let kind = Kind::of(settings);
    // The derived code would take an array too, and its values by position.
    if kind != Kind::Object {
        return Err(format!("settings must be a JSON object, not {kind}"));
    }
    let parsed = serde_json::from_str(settings).map_err(|error| explain(settings, &error))?;
    P::new(parsed)
}

/// Adds the name of the setting to errors that do not carry it, such as a wrong type.
fn explain(settings: &str, error: &serde_json::Error) -> String {
    let Some(at) = offset(settings, error.line(), error.column()) else {
        return format!("settings: {error}");
    };
    let mut name = None;
    let walked = scan::members(settings, |key, value| {
        let start = (value.as_ptr() as usize).saturating_sub(settings.as_ptr() as usize);
        if (start..=start.saturating_add(value.len())).contains(&at) {
            name = Some(key.to_owned());
        }
    });
    match (walked, name) {
        (Ok(()), Some(name)) => format!("setting `{name}`: {error}"),
        _ => format!("settings: {error}"),
    }
}

/// Byte offset of a one-based line and column (in bytes), as `serde_json` counts them.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    before.checked_add(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Limits {
        max_lag: u64,
        names: Vec<String>,
    }

    #[derive(Debug)]
    struct Limited;

    impl Policy for Limited {
        type Settings = Limits;

        fn new(limits: Limits) -> Result<Self, String> {
            if limits.max_lag > 100 || limits.names.len() > 1 {
                return Err(format!("setting `maxLag`: {} (limit 100)", limits.max_lag));
            }
            Ok(Self)
        }

        fn decide(&self, _observation: &Observation) -> Result<Decision, Failure> {
            Err(Failure::Unsupported("not in this test".into()))
        }
    }

    #[test]
    fn settings_errors_name_the_setting() {
        for (settings, expected) in [
            ("[]", "settings must be a JSON object, not an array"),
            ("", "settings must be a JSON object, not nothing"),
            ("null", "settings must be a JSON object, not null"),
            ("{", "settings: EOF while parsing"),
            ("{} x", "settings: trailing characters"),
            (r#"{"maxLagg":1}"#, "unknown field `maxLagg`, expected `maxLag` or `names`"),
            (r#"{"maxLag":"1"}"#, "setting `maxLag`: invalid type: string \"1\", expected u64"),
            (r#"{"names":[],"maxLag":-1}"#, "setting `maxLag`: invalid value: integer `-1`"),
            ("{\n \"names\": [\"a\", 3],\n \"maxLag\": 1\n}", "setting `names`: invalid type: integer `3`"),
            (r#"{"maxLag":1,"maxLag":2}"#, "duplicate field `maxLag`"),
            (r#"{"maxLag":101}"#, "setting `maxLag`: 101 (limit 100)"),
        ] {
            let error = configure::<Limited>(settings).unwrap_err();
            assert!(error.contains(expected), "{settings}\n  expected {expected}\n  got      {error}");
        }
        assert!(configure::<Limited>("{}").is_ok());
        assert!(configure::<Limited>(" { \"maxLag\" : 100 } ").is_ok());
    }
}
