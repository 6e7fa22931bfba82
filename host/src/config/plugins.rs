//! Reads `[[plugins]]`.
//!
//! Does not look at the components; `environment.rs` does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::problem::Place;
use super::swap_rules::{self, Typed};
use super::table::Table;
use super::value::Value;
use super::{fetch, settings};
use crate::net::reference::RemoteSource;
use crate::plugins::config::{ComponentSource, PluginConfig};
use crate::plugins::fetch::FetchConfig;
use phasegate_core::domain::{Digest, Isolation, OnFailure, PluginLimits, PluginName, PluginSpec, SwapRules};

/// Name of the plugin that exists without being configured, and of its built-in component.
pub const AZURE_HEALTH: &str = "azure-health";

/// All plugins.
pub(super) struct Plugins {
    /// Names that scale sets may use, including those of plugins with problems.
    pub(super) names: BTreeSet<String>,
    /// The plugins, unless one of them has a problem.
    pub(super) configs: Option<Vec<PluginConfig>>,
}

pub(super) fn read_all(values: Vec<Value<'_>>) -> Plugins {
    let mut seen: BTreeMap<String, (String, Place)> = BTreeMap::new();
    let mut configs: Vec<Option<PluginConfig>> = Vec::new();
    for value in values {
        let Some(table) = value.table() else { continue };
        configs.push(read(table, &mut seen));
    }
    if !seen.contains_key(AZURE_HEALTH) {
        configs.push(implicit());
    }
    let mut names: BTreeSet<String> = seen.into_keys().collect();
    names.insert(AZURE_HEALTH.to_owned());
    Plugins { names, configs: configs.into_iter().collect() }
}

fn implicit() -> Option<PluginConfig> {
    let component = ComponentSource::Builtin(AZURE_HEALTH.to_owned());
    let spec = PluginSpec {
        name: PluginName::parse(AZURE_HEALTH).ok()?,
        source: component.to_string(),
        settings: "{}".to_owned(),
        limits: limits(None)?,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        swap: SwapRules::default(),
    };
    Some(PluginConfig { spec, component, fetch: FetchConfig::default() })
}

fn read(mut table: Table<'_>, seen: &mut BTreeMap<String, (String, Place)>) -> Option<PluginConfig> {
    let name = table.required("name", "\"db\"");
    let component = table.required("component", "\"plugins/db.wasm\", \"oci://…\" or \"https://…\"");
    let settings = table.optional("settings", "{ maxLagBytes = 1048576 }");
    let limits_table = table.section("limits", "{ memoryMiB = 64, timeoutMs = 100 }");
    let isolation = table.optional("isolation", "\"batch\"");
    let on_failure = table.optional("onFailure", "\"hold\"");
    let digest = table.optional("digest", "\"sha256:…\"");
    let fetch = table.section("fetch", "{ caFile = \"ca.pem\", timeout = \"PT1M\" }");
    let swap = Typed {
        strategy: table.optional("strategy", "\"rehearse\""),
        watch_time: table.optional("watchTime", "\"PT1M\""),
        gate: table.optional("gate", "{ maxChangedPercent = 5 }"),
    };
    table.finish();

    let name = name.and_then(|value| unique_name(&value, seen));
    let component = component.and_then(|value| component_source(&value));
    if let Some(settings) = &settings {
        settings.remember();
    }
    let settings = settings.map_or(Some("{}".to_owned()), |value| settings::json_object(&value));
    let isolation = isolation.map_or(Some(Isolation::PerBatch), |value| {
        value.choice(&[("batch", Isolation::PerBatch), ("reused", Isolation::Reused)])
    });
    let on_failure = on_failure.map_or(Some(OnFailure::Hold), |value| {
        value.choice(&[
            ("hold", OnFailure::Hold),
            ("last-good", OnFailure::LastGood),
            ("azure", OnFailure::Azure),
        ])
    });
    let limits = limits(Some(limits_table));
    let digest = digest.map_or(Some(None), |value| pinned(&value, component.as_ref()).map(Some));
    let server = match component {
        // What cannot be read is reported where it is.
        Some(ComponentSource::Remote(_)) | None => fetch::Server::Known,
        Some(ComponentSource::Builtin(_) | ComponentSource::File(_)) => fetch::Server::None,
    };
    let fetch = fetch::read(fetch, server);
    let swap = swap_rules::read(swap);
    let component = component?;
    let spec = PluginSpec {
        name: name?,
        source: component.to_string(),
        settings: settings?,
        limits: limits?,
        isolation: isolation?,
        on_failure: on_failure?,
        digest: digest?,
        swap: swap?,
    };
    Some(PluginConfig { spec, component, fetch: fetch? })
}

fn unique_name(value: &Value<'_>, seen: &mut BTreeMap<String, (String, Place)>) -> Option<PluginName> {
    let name = value.id(PluginName::parse)?;
    value.unique(name.as_str(), name.to_string(), seen).then_some(name)
}

fn component_source(value: &Value<'_>) -> Option<ComponentSource> {
    value.remember();
    let text = value.filled()?;
    if RemoteSource::looks_like(text) {
        return value.parsed(text, RemoteSource::parse(text)).map(ComponentSource::Remote);
    }
    let Some(builtin) = text.strip_prefix("builtin:") else {
        return value.path().map(ComponentSource::File);
    };
    if builtin == AZURE_HEALTH {
        return Some(ComponentSource::Builtin(builtin.to_owned()));
    }
    value.problem(
        format!("is the unknown built-in component {builtin:?}"),
        format!("write \"builtin:{AZURE_HEALTH}\", the path of a file, oci://… or https://…"),
    );
    None
}

/// The digest that the component must have.
fn pinned(value: &Value<'_>, component: Option<&ComponentSource>) -> Option<Digest> {
    let text = value.filled()?;
    let Some(digest) = Digest::parse(text) else {
        value.problem(
            format!("is {text:?}, which is no digest"),
            "write \"sha256:\" and 64 hexadecimal digits; `phasegate plugin inspect FILE` shows them"
                .to_owned(),
        );
        return None;
    };
    if matches!(component, Some(ComponentSource::Builtin(_))) {
        value.problem("goes with a file, not with a built-in component", None);
        return None;
    }
    Some(digest)
}

fn limits(table: Option<Table<'_>>) -> Option<PluginLimits> {
    let default = PluginLimits::DEFAULT;
    let Some(mut table) = table else { return Some(default) };
    let memory = table.optional("memoryMiB", "64");
    let timeout = table.optional("timeoutMs", "100");
    let fuel = table.optional("fuel", "50000000");
    let log_lines = table.optional("logLinesPerMinute", "600");
    table.finish();
    let memory_mib = memory.map_or(Some(default.memory_mib), |value| value.integer(1, 4096));
    let timeout = timeout.map_or(Some(default.timeout), |value| {
        value.integer(1, 60_000).map(|ms| Duration::from_millis(ms.into()))
    });
    let fuel = fuel.map_or(Some(default.fuel), |value| value.integer(10_000, u32::MAX).map(u64::from));
    let log_lines = log_lines.map_or(Some(default.log_lines_per_minute), |value| value.integer(0, 1_000_000));
    Some(PluginLimits {
        memory_mib: memory_mib?,
        timeout: timeout?,
        fuel: fuel?,
        log_lines_per_minute: log_lines?,
    })
}
