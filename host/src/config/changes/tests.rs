//! Every key that is declared is taken over by a reload or needs a restart; none is ignored.

mod rows;

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::keys::{Form, Reload, Shape};
use crate::plugins::config::PluginConfig;
use rows::Effect::{self, Plugin, Restart, Set};
use rows::{Row, host_and_plugin_rows, policy_rows, release_rows, set_rows};

/// `#…` are the places for one more key.
const FILE: &str = r##"
[server]
#server
[recording]
#recording
[retention]
#retention
[[plugins]]
name = "db"
component = "https://h/a.wasm"
#plugin
[[scaleSets]]
name = "orders"
plugin = "db"
driver = { kind = "process", command = ["sleep", "9"], extensionCommand = ["true"], surge = { ports = "9100-9199" } }
model.version = "v1"
#set
instances = [{ id = "0", address = "127.0.0.1:1" }]
[scaleSets.health]
#health
[scaleSets.upgradePolicy]
#policy
[releases]
#releases
"##;

fn config(text: &str) -> Config {
    crate::config::parse(text, Path::new("phasegate.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn effects(before: &Config, after: &Config) -> Vec<String> {
    let mut effects = restart_reasons(before, after);
    for set in &after.scale_sets {
        effects.extend(parts(before, after, &set.name));
    }
    if before.releases != after.releases {
        effects.push("releases".to_owned());
    }
    if before.server.access != after.server.access {
        effects.push("access".to_owned());
    }
    let differs = |plugin: &&PluginConfig| {
        before.plugins.iter().any(|old| old.spec.name == plugin.spec.name && old != *plugin)
    };
    effects.extend(after.plugins.iter().filter(differs).map(|_| "plugin".to_owned()));
    effects
}

#[test]
fn every_change_has_an_effect_or_needs_a_restart() {
    let rows = [host_and_plugin_rows(), set_rows(), policy_rows(), release_rows()].concat();
    for (place, from, to, expected) in &rows {
        let file = |value: &str| config(&FILE.replacen(place, value, 1));
        let seen = effects(&file(from), &file(to));
        let expected = match expected {
            Restart(reason) => reason,
            Set(part) => part,
            Plugin => &"plugin",
            Effect::Access => &"access",
        };
        assert!(seen.iter().any(|effect| effect == expected), "{to}: {seen:?}");
        assert_eq!(effects(&file(from), &file(from)), Vec::<String>::new(), "{from}");
    }
}

/// The keys of a table and of those within it; what is compared as a whole has none.
fn keys_of(shape: &Shape, keys: &mut BTreeSet<(&'static str, Reload)>) {
    for key in &shape.keys {
        match &key.form {
            _ if ["driver", "instances", "extensions"].contains(&key.name) => {}
            Form::Table(inner) | Form::Tables(inner) => keys_of(inner, keys),
            _ => {
                keys.insert((key.name, key.reload));
            }
        }
    }
}

#[test]
fn no_declared_key_is_left_out() {
    let mut keys = BTreeSet::new();
    keys_of(&crate::config::shape(), &mut keys);
    assert!(keys.len() > 60, "{keys:?}");
    let rows = [host_and_plugin_rows(), set_rows(), policy_rows(), release_rows()].concat();
    for (key, reload) in &keys {
        let says = |(_, from, to, effect): &&Row| {
            let restarts = matches!(effect, Restart(_));
            (from.contains(key) || to.contains(key)) && restarts == (*reload == Reload::Restart)
        };
        assert!(rows.iter().any(|row| says(&row)), "`{key}` is declared {reload:?} and in no such row here");
    }
}

/// The paths of the keys of a table and of those within it, as a file with one of each has them.
fn paths_of(shape: &Shape, prefix: &str, paths: &mut BTreeSet<String>) {
    for key in &shape.keys {
        let path = format!("{prefix}.{}", key.name);
        match &key.form {
            Form::Table(inner) => paths_of(inner, &path, paths),
            _ => {
                paths.insert(path);
            }
        }
    }
}

/// What a part of the file says at a path, in its own words.
fn written<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    let mut found = lines.filter(|(key, _)| format!(".{path}").ends_with(&format!(".{key}")));
    found.next().map(|(_, value)| value)
}

#[test]
fn a_live_change_names_its_key_and_what_it_said_and_says() {
    let mut told = BTreeSet::new();
    for (place, from, to, effect) in [set_rows(), policy_rows()].concat() {
        let Set(part) = effect else { continue };
        // Of the others there is no one key to be named.
        let is_within = part == "discovery" && from.contains('{');
        if !place.starts_with('#') || from.is_empty() || is_within {
            continue;
        }
        let file = |value: &str| config(&FILE.replacen(place, value, 1));
        let (before, after) = (file(from), file(to));
        let changes = live_changes(&before, &after, &before.scale_sets[0].name);
        let [change] = changes.as_slice() else { panic!("{to}: {changes:?}") };
        assert_eq!((change.key.split('.').next(), change.reload), (Some(part), Reload::Live), "{to}");
        for (says, text) in [(change.before, from), (change.after, to)] {
            let (says, text) = (says.unwrap(), written(text, change.key).unwrap());
            // A span is told in seconds, and a table with its names in quotes.
            let same = says == text || says.ends_with(" s") || text.contains('{');
            assert!(same, "{}: {says}, and the file says {text}", change.key);
        }
        assert_ne!(change.before, change.after, "{to}");
        told.insert(change.key.to_owned());
    }
    let mut paths = BTreeSet::new();
    for part in ["health", "upgradePolicy"] {
        let shape = crate::config::shape();
        paths_of(shape.at(&format!("scaleSets.{part}")).unwrap(), part, &mut paths);
    }
    let missing: Vec<&String> = paths.iter().filter(|path| !told.contains(*path)).collect();
    assert!(missing.is_empty() && paths.len() > 30, "declared and in no row here: {missing:?}");
}

#[test]
fn what_is_only_written_otherwise_is_no_change() {
    for (place, from, to) in [
        ("#health", "intervalInSeconds = 5", "intervalInSeconds = 5.0"),
        ("#health", "", "numberOfProbes = 1"),
        ("#policy", "deferDeadline = \"PT1M\"", "deferDeadline = \"PT60S\""),
        ("#policy", "", "rollingUpgradePolicy = { maxBatchInstancePercent = 20 }"),
    ] {
        let file = |value: &str| config(&FILE.replacen(place, value, 1));
        assert_eq!(effects(&file(from), &file(to)), Vec::<String>::new(), "{to}");
    }
}
