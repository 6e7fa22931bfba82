//! What a running host can take over from a changed configuration, and what needs a restart.

use super::{Config, Server};
use crate::drivers::DriverConfig;
use crate::plugins::config::PluginConfig;
use crate::recording::RecordingConfig;
use phasegate_core::domain::ScaleSet;

/// Why a host that runs `before` cannot go over to `after` without a restart, key by key; empty when
/// it can. Everything else of a configuration is taken over: a scale set by [`changed_parts`], a plugin
/// whenever any of it changed.
#[must_use]
pub fn restart_reasons(before: &Config, after: &Config) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut differs = |differs: bool, key: String| {
        if differs {
            reasons.push(format!("{key} changed"));
        }
    };
    // Every field is named, so that a new one is not ignored silently.
    let Config { path: _, server, recording, plugins, scale_sets, places: _ } = before;
    let Server { listen, data_dir, token_file } = server;
    differs(*listen != after.server.listen, "server.listen".to_owned());
    differs(*data_dir != after.server.data_dir, "server.dataDir".to_owned());
    differs(*token_file != after.server.token_file, "server.tokenFile".to_owned());
    for key in recording_keys(recording.as_ref(), after.recording.as_ref()) {
        differs(true, key.to_owned());
    }
    differs(names(plugins) != names(&after.plugins), "the list of plugins".to_owned());
    let sets = |config: &Config| {
        let mut names: Vec<_> = config.scale_sets.iter().map(|set| set.name.clone()).collect();
        names.sort();
        names
    };
    differs(sets(before) != sets(after), "the list of scale sets".to_owned());
    for old in scale_sets {
        let Some(new) = after.scale_sets.iter().find(|set| set.name == old.name) else { continue };
        let key = |key: &str| format!("{key} of scale set `{}`", old.name);
        differs(old.plugin != new.plugin, key("plugin"));
        differs(old.model != new.model, key("model"));
        differs(old.instances != new.instances, key("instances"));
        differs(old.driver != new.driver, key("driver"));
    }
    reasons
}

/// What of a scale set changes: `health`, `upgradePolicy`, or both.
#[must_use]
pub fn changed_parts(before: &ScaleSet<DriverConfig>, after: &ScaleSet<DriverConfig>) -> Vec<&'static str> {
    let mut parts = Vec::new();
    if before.health != after.health {
        parts.push("health");
    }
    // What is neither is the policy, whatever keys it gets.
    let rest = ScaleSet { health: before.health.clone(), ..after.clone() };
    if *before != rest {
        parts.push("upgradePolicy");
    }
    parts
}

/// The keys of `[recording]` that differ; the ring is written by a thread that has them from its start.
fn recording_keys(before: Option<&RecordingConfig>, after: Option<&RecordingConfig>) -> Vec<&'static str> {
    let (Some(before), Some(after)) = (before, after) else {
        return if before == after { Vec::new() } else { vec!["recording.maxMiB"] };
    };
    let RecordingConfig { bytes_max, age_max, redact } = before;
    let keys = [
        (*bytes_max != after.bytes_max, "recording.maxMiB"),
        (*age_max != after.age_max, "recording.maxAge"),
        (*redact != after.redact, "recording.redact"),
    ];
    keys.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect()
}

fn names(plugins: &[PluginConfig]) -> Vec<&str> {
    let mut names: Vec<&str> = plugins.iter().map(|plugin| plugin.spec.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
