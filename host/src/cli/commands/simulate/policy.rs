//! `--policy KEY=VALUE`: names, bounds and messages are those of the configuration, because the
//! values are read by it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::config;
use phasegate_core::domain::ScaleSet;

/// One setting that may be given.
struct Key {
    name: &'static str,
    section: Section,
    /// Takes the setting over from a scale set that has it.
    take: fn(&mut ScaleSet, ScaleSet),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Upgrade,
    Rolling,
    Gate,
    Health,
}

macro_rules! key {
    ($name:literal, $section:ident, $($field:ident).+) => {
        Key { name: $name, section: Section::$section, take: |to, from| to.$($field).+ = from.$($field).+ }
    };
}

const KEYS: &[Key] = &[
    key!("maxBatchInstancePercent", Rolling, policy.rolling.max_batch_instance_percent),
    key!("maxUnhealthyInstancePercent", Rolling, policy.rolling.max_unhealthy_instance_percent),
    key!(
        "maxUnhealthyUpgradedInstancePercent",
        Rolling,
        policy.rolling.max_unhealthy_upgraded_instance_percent
    ),
    key!("pauseTimeBetweenBatches", Rolling, policy.rolling.pause_time_between_batches),
    key!("enableCrossZoneUpgrade", Rolling, policy.rolling.enable_cross_zone_upgrade),
    key!("prioritizeUnhealthyInstances", Rolling, policy.rolling.prioritize_unhealthy_instances),
    key!("rollbackFailedInstancesOnPolicyBreach", Rolling, policy.failure.breach),
    key!("batches", Rolling, policy.rolling.batches),
    key!("maxSurge", Rolling, policy.rolling.max_surge),
    key!("restoreFailedInstances", Upgrade, policy.failure.instance),
    key!("rollbackOnPolicyBreach", Upgrade, policy.failure.breach),
    key!("pauseAfterPhase", Upgrade, policy.checkpoints.pause_after),
    key!("approvalBeforePhase", Upgrade, policy.checkpoints.approval_before),
    key!("decisions", Upgrade, policy.decisions),
    key!("deferDeadline", Upgrade, policy.defer_max),
    key!("freezeWindows", Upgrade, freeze),
    key!("wait", Gate, policy.gate.wait),
    key!("stableFor", Gate, policy.gate.stable_for),
    key!("deadline", Gate, policy.gate.deadline),
    key!("intervalInSeconds", Health, health.interval),
    key!("numberOfProbes", Health, health.number_of_probes),
    key!("gracePeriod", Health, health.grace_period),
];

/// A scale set as configured, or one of our own, with the settings that were given.
pub(super) fn apply(base: Option<&ScaleSet>, given: &[String]) -> anyhow::Result<ScaleSet> {
    let mut chosen = Vec::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            bail!("`--policy {text}` is not KEY=VALUE, for example maxBatchInstancePercent=10");
        };
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            bail!("`--policy` has no setting `{name}`; known: {}", known.join(", "));
        };
        chosen.retain(|(known, _): &(&Key, &str)| known.name != name);
        chosen.push((key, value));
    }
    let read = |chosen: &[(&Key, &str)]| -> anyhow::Result<ScaleSet> {
        let text = document(base, chosen)?;
        match config::parse(&text, Path::new("--policy")) {
            Ok(config) => {
                config.scale_sets.into_iter().next().map(|set| set.split().0).context("no scale set")
            }
            Err(problems) => {
                let Some(first) = problems.list.first() else { bail!("`--policy` has an unknown problem") };
                let name = first.key.rsplit('.').next().unwrap_or(&first.key);
                let value = chosen.iter().find(|(key, _)| key.name == name).map_or("", |(_, value)| value);
                let hint = first.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
                bail!("`--policy {name}={value}` {}{hint}", first.message)
            }
        }
    };
    let mut set = match base {
        Some(base) => base.clone(),
        None => read(&[])?,
    };
    for (key, _) in &chosen {
        // Read together, because some bounds are those of two settings.
        (key.take)(&mut set, read(&chosen)?);
    }
    // It follows from settings that may just have been given.
    set.policy.prepare_max = set.health.prepare_max();
    Ok(set)
}

/// A configuration with the chosen settings and nothing else of interest.
fn document(base: Option<&ScaleSet>, chosen: &[(&Key, &str)]) -> anyhow::Result<String> {
    let mut text = String::from("[[scaleSets]]\nname = \"simulated\"\n");
    let mut section = |title: &str, which: Section| -> anyhow::Result<()> {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[scaleSets.{title}]");
        if let (Section::Gate, Some(base)) = (which, base) {
            let seconds = |span: Duration| format!("PT{}S", span.as_secs_f64());
            let gate = base.policy.gate;
            for (name, span) in
                [("wait", gate.wait), ("stableFor", gate.stable_for), ("deadline", gate.deadline)]
            {
                if !chosen.iter().any(|(key, _)| key.name == name) {
                    let _ = writeln!(text, "{name} = \"{}\"", seconds(span));
                }
            }
        }
        for (key, value) in chosen.iter().filter(|(key, _)| key.section == which) {
            let _ = writeln!(text, "{} = {}", key.name, literal(key.name, value)?);
        }
        Ok(())
    };
    section("upgradePolicy", Section::Upgrade)?;
    section("upgradePolicy.rollingUpgradePolicy", Section::Rolling)?;
    section("upgradePolicy.healthGate", Section::Gate)?;
    section("health", Section::Health)?;
    text.push_str("[scaleSets.driver]\nkind = \"process\"\ncommand = [\"simulated\"]\n");
    text.push_str("[scaleSets.model]\nversion = \"wanted\"\n");
    text.push_str("[[scaleSets.instances]]\nid = \"0\"\naddress = \"127.0.0.1:1\"\n");
    Ok(text)
}

/// Numbers, true, false and brackets stand for themselves; all else is text.
fn literal(name: &str, value: &str) -> anyhow::Result<String> {
    if value.is_empty() || value.chars().any(char::is_control) {
        bail!("`--policy {name}={}` is no value", value.escape_default());
    }
    let plain =
        value.parse::<f64>().is_ok() || matches!(value, "true" | "false") || value.starts_with(['[', '{']);
    Ok(if plain { value.to_owned() } else { format!("{value:?}") })
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
