//! Makes a failing world smaller while it still fails, and a regression test of what is left.

use std::time::Duration;

use serde_json::Value;

use crate::rollout::invariants::{Rule, Violation};

use super::scenario::Scenario;
use super::world::run;

/// Seeds of a smaller world that are tried: it may need another course to fail.
const SEEDS: u64 = 6;

/// A world that fails, by its seed.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) seed: u64,
    pub(super) scenario: Scenario,
    pub(super) violation: Violation,
}

/// The smallest world that was found to break the same rule.
pub(super) fn shrink(mut failing: Failing) -> Failing {
    loop {
        let rule = failing.violation.rule;
        let smaller = smaller(&failing.scenario);
        let found = smaller.into_iter().find_map(|scenario| fails(failing.seed, &scenario, rule));
        match found {
            Some(found) => failing = found,
            None => return failing,
        }
    }
}

fn fails(seed: u64, scenario: &Scenario, rule: Rule) -> Option<Failing> {
    std::iter::once(seed).chain(0..SEEDS).find_map(|seed| {
        let violation = run(seed, scenario).violations.into_iter().next()?;
        let is_same = violation.rule == rule;
        is_same.then(|| Failing { seed, scenario: scenario.clone(), violation })
    })
}

/// Worlds with one thing less, the largest steps first.
fn smaller(scenario: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Scenario)| {
        let mut next = scenario.clone();
        change(&mut next);
        if next != *scenario {
            all.push(next);
        }
    };
    with(&|s| s.sets = 1);
    with(&|s| s.sets = s.sets.min(2));
    with(&|s| s.instances = s.instances.div_ceil(2));
    with(&|s| s.instances = (s.instances - 1).max(1));
    // Everything that is named in a scenario may be as it is in the quiet world.
    let quiet = serde_json::to_value(Scenario::default()).unwrap_or_default();
    let json = serde_json::to_value(scenario).unwrap_or_default();
    for key in keys(&json) {
        if key != "faults" && key != "instances" && key != "sets" {
            all.extend(with_key(&json, &quiet, &[&key]));
        }
    }
    for inner in ["faults", "policy", "failure", "gate", "health", "checkpoints"] {
        for key in json.get(inner).map(keys).unwrap_or_default() {
            all.extend(with_key(&json, &quiet, &[inner, &key]));
        }
    }
    all.retain(|next| next != scenario && next.limit > Duration::ZERO);
    all
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn with_key(json: &Value, quiet: &Value, path: &[&str]) -> Option<Scenario> {
    let pointer = format!("/{}", path.join("/"));
    let mut next = json.clone();
    *next.pointer_mut(&pointer)? = quiet.pointer(&pointer)?.clone();
    serde_json::from_value(next).ok()
}

/// What of a scenario is not as in the quiet world, as JSON.
pub(super) fn json(scenario: &Scenario) -> String {
    let mut value = serde_json::to_value(scenario).unwrap_or_default();
    let quiet = serde_json::to_value(Scenario::default()).unwrap_or_default();
    let faults = |value: &Value, key: &str| value.pointer(&format!("/faults/{key}")).cloned();
    if let Some(map) = value.get_mut("faults").and_then(Value::as_object_mut) {
        map.retain(|key, rate| faults(&quiet, key).as_ref() != Some(&*rate));
    }
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, value| Some(&*value) != quiet.get(key));
    }
    value.to_string()
}

/// The test that replays it.
pub(super) fn test(name: &str, failing: &Failing) -> String {
    let Failing { seed, scenario, violation } = failing;
    let detail = violation.to_string().replace('\n', " ");
    let detail: String = detail.chars().take(90).collect();
    format!("\n/// {detail}\n#[test]\nfn {name}() {{\n    holds({seed}, r#\"{}\"#);\n}}\n", json(scenario))
}
