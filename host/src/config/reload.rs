//! What a running host can take over from a changed configuration, and what needs a restart.

use super::{Config, DriverConfig, PluginConfig};
use crate::domain::ScaleSet;

/// Why a host that runs `before` cannot go over to `after` without a restart, key by key; empty when
/// it can.
#[must_use]
pub fn restart_reasons(before: &Config, after: &Config) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut differs = |differs: bool, key: String| {
        if differs {
            reasons.push(format!("{key} changed"));
        }
    };
    differs(before.server.listen != after.server.listen, "server.listen".to_owned());
    differs(before.server.data_dir != after.server.data_dir, "server.dataDir".to_owned());
    differs(before.server.token_file != after.server.token_file, "server.tokenFile".to_owned());
    differs(names(&before.plugins) != names(&after.plugins), "the list of plugins".to_owned());
    let sets = |config: &Config| {
        let mut names: Vec<_> = config.scale_sets.iter().map(|set| set.name.clone()).collect();
        names.sort();
        names
    };
    differs(sets(before) != sets(after), "the list of scale sets".to_owned());
    for old in &before.scale_sets {
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

fn names(plugins: &[PluginConfig]) -> Vec<&str> {
    let mut names: Vec<&str> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEFORE: &str = r#"
[[scaleSets]]
name = "orders"
driver = { kind = "process", command = ["sleep", "9"] }
model = { version = "v1" }
health = { intervalInSeconds = 5 }
instances = [{ id = "0", address = "127.0.0.1:1" }]
"#;

    #[test]
    fn some_keys_need_a_restart() {
        let config = |text: &str| crate::config::parse(text, Path::new("phasegate.toml")).unwrap();
        let before = config(BEFORE);
        for (from, to, expected) in [
            ("health = { intervalInSeconds = 5 }", "health = { intervalInSeconds = 6 }", vec![]),
            (
                "[[scaleSets]]",
                "[server]\nlisten = \"127.0.0.1:1\"\n[[scaleSets]]",
                vec!["server.listen changed"],
            ),
            ("\"9\"", "\"8\"", vec!["driver of scale set `orders` changed"]),
            ("v1", "v2", vec!["model of scale set `orders` changed"]),
            ("127.0.0.1:1", "127.0.0.1:2", vec!["instances of scale set `orders` changed"]),
            ("\"orders\"", "\"stock\"", vec!["the list of scale sets changed"]),
        ] {
            let after = config(&BEFORE.replace(from, to));
            assert_eq!(restart_reasons(&before, &after), expected, "{to}");
        }
    }
}
