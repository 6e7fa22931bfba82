//! What a running host can take over from a changed configuration, and what needs a restart.
//!
//! Which keys those are is declared with the keys.

use super::{Config, Server};
use crate::drivers::DriverConfig;
use crate::keys::Reload;
use crate::keys::changes::{Changed, changed};
use phasegate_core::domain::{ScaleSet, ScaleSetName};

/// Why a host that runs `before` cannot go over to `after` without a restart, key by key; empty when
/// it can. Everything else of a configuration is taken over: a scale set by [`live_changes`], a plugin
/// whenever any of it changed.
#[must_use]
pub fn restart_reasons(before: &Config, after: &Config) -> Vec<String> {
    let mut reasons = Vec::new();
    let own = |config: &Config| {
        let Server { listen, socket, data_dir, resolvers, access: _ } = config.server.clone();
        let releases = config.releases.clone();
        (listen, socket, data_dir, resolvers, config.recording.clone(), config.retention, releases)
    };
    if own(before) != own(after) {
        let keys = restarts(before, "", after, "");
        let own = ["server.", "recording.", "retention.", "releases.", "extensionTypes"];
        let keys = keys.into_iter().filter(|key| own.iter().any(|part| key.starts_with(part)));
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
        let needs_restart = |set: &ScaleSet<DriverConfig>| {
            (set.plugin.clone(), set.model.clone(), set.driver.clone(), set.estate.clone())
        };
        if needs_restart(old) != needs_restart(new) {
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
    changed.iter().filter(|changed| changed.reload == Reload::Restart).map(|changed| changed.key).collect()
}

/// Arrays and whole drivers are noted, and their elements and keys, too; the latter say more. Instances
/// are compared by themselves.
fn is_part_of_another(key: &str) -> bool {
    key == "driver" || key == "instances" || is_element(key)
}

/// Whether a key is in an array of tables, which is noted as a whole, too.
fn is_element(key: &str) -> bool {
    key.contains('[')
}

/// What differs although no key says so is not passed over.
fn or_all(all: &str, keys: Vec<&str>, reasons: &mut Vec<String>, say: impl Fn(&str) -> String) {
    if keys.is_empty() {
        reasons.push(say(all));
    }
    reasons.extend(keys.into_iter().map(say));
}

/// What a reload takes over of a scale set, key by key: the keys of `health` and `upgradePolicy` that say
/// something else, each with its path below the set. Empty when the set is new, or gone.
#[must_use]
pub fn live_changes<'a>(before: &'a Config, after: &'a Config, set: &ScaleSetName) -> Vec<Changed<'a>> {
    let prefix = |config: &Config| {
        let index = config.scale_sets.iter().position(|known| known.name == *set)?;
        Some(format!("scaleSets[{index}]."))
    };
    let (Some(old), Some(new)) = (prefix(before), prefix(after)) else { return Vec::new() };
    let changed = changed((&before.noted, &old), (&after.noted, &new));
    changed.into_iter().filter(|changed| changed.reload == Reload::Live && !is_element(changed.key)).collect()
}

/// The parts of a scale set that changed keys are in, in order: `health`, `upgradePolicy`, or both.
#[must_use]
pub fn parts<'a>(changes: &[Changed<'a>]) -> Vec<&'a str> {
    let part = |changed: &Changed<'a>| changed.key.split('.').next().unwrap_or(changed.key);
    let mut parts: Vec<&str> = changes.iter().map(part).collect();
    parts.dedup();
    parts
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
