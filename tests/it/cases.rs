//! The cases of every plugin, on its prebuilt component, and on a fresh build when CI made one.
//!
//! The same files run natively in each plugin's own tests; here they prove that the component that
//! stands beside the source does what the source says, so a stale one fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use phasegate::domain::{
    Answer, Decision, InstanceFacts, Observation, Phase, PluginFailure, ProbeFailure, Response, ScaleSetName,
};
use phasegate::plugin::{Isolation, Limits, Runtime};
use serde_json::Value;

use crate::support::repository;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn texts(value: &Value) -> Vec<(String, String)> {
    value.as_object().map_or_else(Vec::new, |map| map.iter().map(|(k, v)| (k.clone(), text(v))).collect())
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        bits = bits << 6 | u32::try_from(DIGITS.iter().position(|d| *d == digit).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn failure(value: &Value) -> ProbeFailure {
    let (kind, detail) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "timeout" => ProbeFailure::Timeout,
        "unreachable" => ProbeFailure::Unreachable(text(detail)),
        "tls" => ProbeFailure::Tls(text(detail)),
        "invalidResponse" => ProbeFailure::InvalidResponse(text(detail)),
        "bodyTooLarge" => ProbeFailure::BodyTooLarge(detail.as_u64().unwrap()),
        other => panic!("unknown probe failure {other}"),
    }
}

fn answer(value: &Value) -> Answer {
    let outcome = match &value["response"] {
        Value::Null => Err(failure(&value["failure"])),
        response => {
            let body = match (&response["body"], &response["bodyJson"], &response["bodyBase64"]) {
                (Value::String(body), _, _) => body.clone().into_bytes(),
                (_, Value::Null, Value::String(body)) => base64(body),
                (_, Value::Null, _) => Vec::new(),
                (_, body, _) => body.to_string().into_bytes(),
            };
            let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
            Ok(Response { status, headers: texts(&response["headers"]), body })
        }
    };
    Answer { source: text(&value["source"]), outcome }
}

fn observation(value: &Value) -> Observation {
    let instance = &value["instance"];
    let optional = |name: &str| instance[name].as_str().map(str::to_owned);
    let number = |name: &str| instance[name].as_u64().map(|number| u32::try_from(number).unwrap());
    let version = |name: &str| optional(name).map(|text| phasegate::domain::Version::parse(&text).unwrap());
    Observation {
        instance: InstanceFacts {
            id: phasegate::domain::InstanceId::parse(&text(&instance["id"])).unwrap(),
            scale_set: ScaleSetName::parse(&text(&instance["scaleSet"])).unwrap(),
            region: optional("region"),
            zone: optional("zone"),
            fault_domain: number("faultDomain"),
            update_domain: number("updateDomain"),
            version: version("version"),
            desired_version: version("desiredVersion"),
            labels: texts(&instance["labels"]).into_iter().collect(),
        },
        answers: value["answers"].as_array().unwrap().iter().map(answer).collect(),
        memory: value["memory"].as_str().map(base64),
        attributes: texts(&value["attributes"]),
    }
}

/// What differs from the expectation; empty when nothing does.
fn differences(expected: &Value, got: &Result<Decision, PluginFailure>) -> Vec<String> {
    let mut different = Vec::new();
    let mut same = |what: &str, expected: String, got: String| {
        if expected != got {
            different.push(format!("{what}: expected {expected}, got {got}"));
        }
    };
    match (got, &expected["decision"], &expected["failure"]) {
        (Ok(decision), Value::Object(wanted), _) => {
            same("health", text(&wanted["health"]), format!("{:?}", decision.claim).to_lowercase());
            same("participation", text(&wanted["participation"]), decision.participation.name().to_owned());
            let phase = wanted.get("phase").and_then(Value::as_u64);
            same(
                "phase",
                format!("{phase:?}"),
                format!("{:?}", decision.phase.map(|p: Phase| u64::from(p.get()))),
            );
            if let Some(wanted) = wanted.get("reason") {
                let reason = decision.reason.clone().unwrap();
                same("reason.code", text(&wanted["code"]), reason.code);
                let detail = wanted["detail"].as_str().unwrap_or("");
                same("reason.detail", "true".to_owned(), reason.detail.contains(detail).to_string());
            }
            for (name, value) in wanted.get("attributes").and_then(Value::as_object).into_iter().flatten() {
                let found =
                    decision.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value);
                same(name, format!("{:?}", value.as_str()), format!("{:?}", found.map(String::as_str)));
            }
        }
        (Err(PluginFailure::Refused { kind, detail }), _, Value::Object(wanted)) => {
            same("failure.kind", text(&wanted["kind"]), kind.clone());
            let part = wanted.get("detail").and_then(Value::as_str).unwrap_or("");
            same("failure.detail", "true".to_owned(), detail.contains(part).to_string());
        }
        (got, _, _) => different.push(format!("expected {expected}, got {got:?}")),
    }
    different
}

fn cases(folder: &Path) -> Vec<Value> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        match serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() {
            Value::Array(cases) => all.extend(cases),
            case => all.push(case),
        }
    }
    all
}

/// Runs all cases of one plugin on one component and gives how many there were.
fn run(name: &str, component: &Path) -> usize {
    let bytes = std::fs::read(component).unwrap_or_else(|error| panic!("{}: {error}", component.display()));
    let runtime = Runtime::new().unwrap();
    let limits = Limits { memory_mib: 32, timeout: Duration::from_secs(5), ..Limits::DEFAULT };
    let cases = cases(&repository().join("plugins").join(name).join("cases"));
    let mut failed = Vec::new();
    for case in &cases {
        let settings = match &case["settings"] {
            Value::Null => "{}".to_owned(),
            settings => settings.to_string(),
        };
        let problems = match (runtime.load(&bytes, &settings, limits, Isolation::PerBatch), &case["expect"]) {
            (Err(error), expected) => {
                let wanted = expected["configureError"].as_str();
                let fits = wanted.is_some_and(|wanted| error.to_string().contains(wanted));
                if fits { Vec::new() } else { vec![format!("expected {expected}, got the error {error}")] }
            }
            (Ok(mut plugin), expected) if expected["configureError"].is_null() => {
                let mut results = plugin.evaluate(&[observation(&case["observation"])], 0);
                differences(expected, &results.remove(0))
            }
            (Ok(_), expected) => vec![format!("expected {expected}, got a plugin that loads")],
        };
        failed.extend(problems.into_iter().map(|problem| format!("{name}: {}: {problem}", case["name"])));
    }
    assert!(failed.is_empty(), "{}:\n{}", component.display(), failed.join("\n"));
    cases.len()
}

#[test]
fn prebuilt_and_fresh_components_answer_as_their_cases_say() {
    let plugins = repository().join("plugins");
    let mut found = 0;
    for entry in std::fs::read_dir(&plugins).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !entry.path().join("cases").is_dir() {
            continue;
        }
        found += 1;
        let count = run(&name, &entry.path().join(format!("{name}.wasm")));
        assert!(count >= 10, "{name} has only {count} cases");
        // CI builds every plugin from source and names the folder; both must behave alike.
        if let Some(fresh) = std::env::var_os("PHASEGATE_FRESH_PLUGINS") {
            run(&name, &Path::new(&fresh).join(format!("{name}.wasm")));
        }
    }
    assert!(found >= 2, "the plugins were not found");
}

#[test]
fn prebuilt_components_import_nothing_but_the_contract() {
    for name in ["azure-health", "replicated-db"] {
        let path = repository().join("plugins").join(name).join(format!("{name}.wasm"));
        let report = phasegate::plugin::inspect(&std::fs::read(path).unwrap());
        assert_eq!(report.fits, Ok(()), "{name}");
        assert!(report.pure, "{name}");
        assert!(report.size < 200_000, "{name}: {} bytes", report.size);
    }
}
