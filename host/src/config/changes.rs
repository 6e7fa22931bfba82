//! What a running host can take over from a changed configuration, and what needs a restart.
//!
//! Which keys those are is declared with the keys.

use super::Config;
use crate::drivers::DriverConfig;
use crate::keys::Reload;
use crate::keys::changes::changed;
use phasegate_core::domain::ScaleSet;

/// Why a host that runs `before` cannot go over to `after` without a restart, key by key; empty when
/// it can. Everything else of a configuration is taken over: a scale set by [`changed_parts`], a plugin
/// whenever any of it changed.
#[must_use]
pub fn restart_reasons(before: &Config, after: &Config) -> Vec<String> {
    let mut reasons = Vec::new();
    if (&before.server, &before.recording) != (&after.server, &after.recording) {
        let keys = restarts(before, "", after, "");
        let keys = keys.into_iter().filter(|key| key.starts_with("server.") || key.starts_with("recording."));
        or_all("the host's own part", keys.collect(), &mut reasons, |key| format!("{key} changed"));
    }
    if names(before.plugins.iter().map(|plugin| plugin.spec.name.as_str()))
        != names(after.plugins.iter().map(|plugin| plugin.spec.name.as_str()))
    {
        reasons.push("the list of plugins changed".to_owned());
    }
    if names(before.scale_sets.iter().map(|set| set.name.as_str()))
        != names(after.scale_sets.iter().map(|set| set.name.as_str()))
    {
        reasons.push("the list of scale sets changed".to_owned());
    }
    for (old_index, old) in before.scale_sets.iter().enumerate() {
        let Some((index, new)) = after.scale_sets.iter().enumerate().find(|(_, new)| new.name == old.name)
        else {
            continue;
        };
        let change = |key: &str| format!("{key} of scale set `{}` changed", old.name);
        if old.instances != new.instances {
            reasons.push(change("instances"));
        }
        if (&old.plugin, &old.model, &old.driver) != (&new.plugin, &new.model, &new.driver) {
            let (old_prefix, prefix) = (format!("scaleSets[{old_index}]."), format!("scaleSets[{index}]."));
            let keys = restarts(before, &old_prefix, after, &prefix);
            let keys = keys.into_iter().filter(|key| !is_part_of_another(key)).collect();
            or_all("plugin, model or driver", keys, &mut reasons, change);
        }
    }
    reasons
}

/// The keys that differ and need a restart.
fn restarts<'a>(before: &'a Config, old: &str, after: &'a Config, new: &str) -> Vec<&'a str> {
    let changed = changed((&before.noted, old), (&after.noted, new));
    let needs_restart = |(key, reload): (&'a str, Reload)| (reload == Reload::Restart).then_some(key);
    changed.into_iter().filter_map(needs_restart).collect()
}

/// Arrays and whole drivers are noted, and their elements and keys, too; the latter say more. Instances
/// are compared by themselves.
fn is_part_of_another(key: &str) -> bool {
    key == "driver" || key == "instances" || key.contains('[')
}

/// What differs although no key says so is not passed over.
fn or_all(all: &str, keys: Vec<&str>, reasons: &mut Vec<String>, say: impl Fn(&str) -> String) {
    if keys.is_empty() {
        reasons.push(say(all));
    }
    reasons.extend(keys.into_iter().map(say));
}

/// What of a scale set changes: `health`, `upgradePolicy`, or both.
#[must_use]
pub fn changed_parts(before: &ScaleSet<DriverConfig>, after: &ScaleSet<DriverConfig>) -> Vec<&'static str> {
    let mut parts = Vec::new();
    if before.health != after.health {
        parts.push("health");
    }
    // What is neither is the policy, whatever keys it gets.
    let mut rest = ScaleSet { health: before.health.clone(), ..after.clone() };
    // This follows from the probes.
    rest.policy.prepare_max = before.policy.prepare_max;
    if *before != rest {
        parts.push("upgradePolicy");
    }
    parts
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
