//! The kit must fail where it should: a test kit that passes everything proves nothing.

use super::case::Case;
use super::{check, run};
use crate::{Decision, Failure, NoSettings, Observation, Policy};

/// Echoes: the status becomes the phase, the body the detail, the memory comes back.
struct Echo;

impl Policy for Echo {
    type Settings = NoSettings;

    fn new(_settings: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, observation: &Observation) -> Result<Decision, Failure> {
        match observation.health().map(|answer| &answer.outcome) {
            Some(Ok(response)) => {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                let phase = u32::from(response.status);
                let decision = Decision::healthy().phase(phase).reason("echo", body);
                Ok(match &observation.memory {
                    Some(memory) => decision.remember(memory.clone()),
                    None => decision.attribute("zone", "one"),
                })
            }
            Some(Err(failure)) => Err(Failure::Unsupported(failure.to_string())),
            None => Err(Failure::Internal("no answer".into())),
        }
    }
}

/// A case about an answer of 200 with body `hi`.
fn case(expect: &str) -> String {
    format!(
        r#"{{"name":"n","observation":{{"instance":{{"id":"0","scaleSet":"s"}},
            "answers":[{{"source":"health","response":{{"status":200,"body":"hi"}}}}]}},
            "expect":{expect}}}"#
    )
}

fn outcome(text: &str) -> Result<(), String> {
    Case::parse_file(text)?.iter().try_for_each(check::check::<Echo>)
}

#[test]
fn passes_what_matches_and_fails_what_does_not() {
    let good = r#"{"health":"healthy","phase":200,"participation":"proceed"}"#;
    let decision = |more: &str| case(&format!("{{\"decision\":{}{more}}}}}", good.trim_end_matches('}')));
    assert_eq!(outcome(&decision("")), Ok(()));
    assert_eq!(outcome(&decision(r#","reason":{"code":"echo","detail":"i"}"#)), Ok(()));
    assert_eq!(outcome(&decision(r#","attributes":{"zone":"one","gone":null}"#)), Ok(()));
    for more in [
        r#","reason":{"code":"other"}"#,
        r#","reason":{"code":"echo","detail":"x"}"#,
        r#","attributes":{"zone":null}"#,
        r#","attributes":{"gone":""}"#,
        r#","memory":"Zg==""#,
    ] {
        assert!(outcome(&decision(more)).is_err(), "{more}");
    }
    for expect in [
        r#"{"decision":{"health":"healthy","phase":null,"participation":"proceed"}}"#,
        r#"{"decision":{"health":"unknown","phase":200,"participation":"proceed"}}"#,
        r#"{"decision":{"health":"healthy","phase":200,"participation":"skip"}}"#,
        r#"{"failure":{"kind":"internal"}}"#,
        r#"{"configureError":""}"#,
    ] {
        let shown = outcome(&case(expect)).unwrap_err();
        assert!(shown.contains("got      healthy, phase 200, proceed, echo: hi"), "{shown}");
    }
}

#[test]
fn misspelt_cases_are_errors() {
    for text in [
        r#"{"name":"n","expect":{"configureError":"x"},"observations":{}}"#,
        r#"{"name":"n","expect":{"decision":{"health":"healthy"}}}"#,
        r#"{"name":"n","expect":{}}"#,
        r#"{"name":"n","expect":{"decisions":{}}}"#,
        "nonsense",
    ] {
        assert!(outcome(text).is_err(), "{text}");
    }
    let both = case(r#"{"configureError":""}"#).replace("\"body\":\"hi\"", r#""body":"","bodyJson":1"#);
    assert!(outcome(&both).unwrap_err().contains("give one of"), "{both}");
}

#[test]
fn failures_and_refused_settings_can_be_expected() {
    let failed = case(r#"{"failure":{"kind":"unsupported","detail":"cap of 9"}}"#)
        .replace(r#""response":{"status":200,"body":"hi"}"#, r#""failure":{"bodyTooLarge":9}"#);
    assert_eq!(outcome(&failed), Ok(()));
    let refused = r#"[{"name":"n","settings":[],"expect":{"configureError":"not an array"}},
        {"name":"m","settings":{"a":1},"expect":{"configureError":"unknown field `a`"}},
        {"name":"o","settingsText":" {\"a\":1} ","expect":{"configureError":"unknown field `a`"}}]"#;
    assert_eq!(outcome(refused), Ok(()));
}

#[test]
fn a_folder_without_cases_is_an_error() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(run::<Echo>(folder).unwrap_err().contains("no case found"));
}
