//! `--policy KEY=VALUE`: names, bounds and messages are those of the configuration, because its
//! declarations read the values.

use std::path::Path;

use anyhow::{Context, bail};

use crate::config::{self, OverrideError};
use phasegate_core::domain::ScaleSet;

/// A scale set that has every key at its preset.
const PLAIN: &str = r#"
[[scaleSets]]
name = "simulated"
driver = { kind = "process", command = ["simulated"] }
model = { version = "wanted" }
instances = [{ id = "0", address = "127.0.0.1:1" }]
"#;

/// A scale set as configured, or one of our own, with the settings that were given.
pub(super) fn apply(base: Option<&ScaleSet>, given: &[String]) -> anyhow::Result<ScaleSet> {
    let mut set = match base {
        Some(base) => base.clone(),
        None => plain()?,
    };
    let mut pairs = Vec::new();
    for text in given {
        let Some(pair) = text.split_once('=') else {
            bail!("`--policy {text}` is not KEY=VALUE, for example maxBatchInstancePercent=10");
        };
        pairs.push(pair);
    }
    config::override_policy(&mut set, &pairs).map_err(|error| match error {
        OverrideError::Unknown { .. } => anyhow::anyhow!("`--policy` {error}"),
        OverrideError::NoValue { name, value } => anyhow::anyhow!("`--policy {name}={value}` is no value"),
        OverrideError::Wrong { name, value, message } => {
            anyhow::anyhow!("`--policy {name}={value}` {message}")
        }
    })?;
    Ok(set)
}

fn plain() -> anyhow::Result<ScaleSet> {
    let config = config::parse(PLAIN, Path::new("--policy"))?;
    config.scale_sets.into_iter().next().map(|set| set.split().0).context("no scale set")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(given: &[&str]) -> anyhow::Result<ScaleSet> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        apply(None, &given)
    }

    #[test]
    fn settings_are_read_as_in_a_configuration() {
        let set = set(&[
            "maxBatchInstancePercent=10",
            "pauseTimeBetweenBatches=PT1M",
            "batches=[1, \"50%\"]",
            "stableFor=PT20S",
            "numberOfProbes=2",
            "decisions=live",
        ]);
        let set = set.unwrap();
        assert_eq!(set.policy.rolling.max_batch_instance_percent.get(), 10);
        assert_eq!(set.policy.rolling.pause_time_between_batches.as_secs(), 60);
        assert_eq!(set.policy.rolling.batches.len(), 2);
        assert_eq!(set.policy.gate.stable_for.as_secs(), 20);
        assert_eq!(set.health.number_of_probes, 2);
        assert_eq!(set.policy.decisions, phasegate_core::domain::Decisions::Live);
    }

    #[test]
    fn bad_settings_are_told_with_value_and_limit() {
        let error = |given: &str| set(&[given]).unwrap_err().to_string();
        insta::assert_snapshot!(error("maxBatchInstancePercent=4"), @"`--policy maxBatchInstancePercent=4` is 4 (allowed: 5 to 100)");
        insta::assert_snapshot!(error("pauseTimeBetweenBatches=5s"), @r#"`--policy pauseTimeBetweenBatches=5s` "5s" is not an ISO-8601 duration; write for example PT0S, PT30S, PT5M, P1DT12H or P2W"#);
        assert!(error("batchPercent=3").contains("no setting `batchPercent`"));
        assert!(error("wait").contains("KEY=VALUE"));
        assert!(error("wait=\n[x]").contains("is no value"));
    }
}
