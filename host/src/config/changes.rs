//! What a running host can take over from a changed configuration, and what needs a restart.
//!
//! Which keys those are is declared with the keys.

use super::{Config, Server};
use crate::keys::Reload;
use crate::keys::changes::{Changed, changed};
use phasegate_core::domain::{Instance, InstanceId, ScaleSetName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a host that runs `before` cannot go over to `after` without a restart, key by key; empty when
/// it can. Everything else of a configuration is taken over: a scale set by [`live_changes`], a plugin
/// whenever any of it changed.
#[must_use]
pub fn restart_reasons(before: &Config, after: &Config) -> Vec<String> {
    let mut reasons = Vec::new();
    let own = |config: &Config| {
        let Server { listen, socket, data_dir, resolvers, on_exit, stop_timeout, access: _ } =
            config.server.clone();
        (
            listen,
            socket,
            data_dir,
            resolvers,
            on_exit,
            stop_timeout,
            config.recording.clone(),
            config.retention,
        )
    };
    if own(before) != own(after) {
        let keys = restarts(before, "", after, "");
        let own = ["server.", "recording.", "retention."];
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
    for new in &after.scale_sets {
        let has = |config: &Config| config.discoveries.contains_key(&new.name);
        let is_known = before.scale_sets.iter().any(|old| old.name == new.name);
        match (has(before), has(after)) {
            (false, true) if is_known => {
                reasons.push(format!("scale set `{}` got a discovery", new.name));
            }
            (true, false) => reasons.push(format!("scale set `{}` lost its discovery", new.name)),
            (_, _) => {}
        }
    }
    reasons
}

/// The keys that differ and need a restart.
fn restarts<'a>(before: &'a Config, old: &str, after: &'a Config, new: &str) -> Vec<&'a str> {
    let changed = changed((&before.noted, old), (&after.noted, new));
    changed.iter().filter(|changed| changed.reload == Reload::Restart).map(|changed| changed.key).collect()
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

/// What a reload takes over of a scale set, key by key: each that says something else, with its path below the set.
/// Empty when the set is new, or gone.
#[must_use]
pub fn live_changes<'a>(before: &'a Config, after: &'a Config, set: &ScaleSetName) -> Vec<Changed<'a>> {
    let prefix = |config: &Config| {
        let index = config.scale_sets.iter().position(|known| known.name == *set)?;
        Some(format!("{}.", config.place(index)))
    };
    let (Some(old), Some(new)) = (prefix(before), prefix(after)) else { return Vec::new() };
    let changed = changed((&before.noted, &old), (&after.noted, &new));
    changed.into_iter().filter(|changed| !is_element(changed.key)).collect()
}

/// The parts of a scale set that say something else, in order, such as `health` and `instances: 1 added`.
#[must_use]
pub fn parts(before: &Config, after: &Config, set: &ScaleSetName) -> Vec<String> {
    let changes = live_changes(before, after, set);
    let mut parts: BTreeSet<&str> =
        changes.iter().map(|changed| changed.key.split('.').next().unwrap_or(changed.key)).collect();
    let old = before.scale_sets.iter().find(|known| known.name == *set);
    let new = after.scale_sets.iter().find(|known| known.name == *set);
    let (Some(old), Some(new)) = (old, new) else { return Vec::new() };
    // What differs although no key says so is not passed over.
    let differs = [
        ("driver", old.driver != new.driver),
        (
            "model",
            (&old.model, &old.provisioning, &old.estate.enrolments)
                != (&new.model, &new.provisioning, &new.estate.enrolments),
        ),
        ("plugin", old.plugin != new.plugin),
        ("discovery", before.discoveries.get(set) != after.discoveries.get(set)),
    ];
    parts.extend(differs.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part));
    parts.remove("instances");
    let mut said: Vec<String> = parts.into_iter().map(str::to_owned).collect();
    said.extend(instances(&old.instances, &new.instances));
    said.sort_unstable();
    said
}

/// The instances of a scale set.
type Members = BTreeMap<InstanceId, Arc<Instance>>;

/// `instances: 1 added, 1 removed`; none when they are the same.
fn instances(before: &Members, after: &Members) -> Option<String> {
    let added = after.keys().filter(|id| !before.contains_key(id)).count();
    let removed = before.keys().filter(|id| !after.contains_key(id)).count();
    let is_other = |(id, one): &(&InstanceId, &Arc<Instance>)| before.get(*id).is_some_and(|old| old != *one);
    let changed = after.iter().filter(is_other).count();
    let counts = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let said = counts.into_iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, what)| format!("{count} {what}")).collect();
    (!said.is_empty()).then(|| format!("instances: {}", said.join(", ")))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
