//! Reads `[[scaleSets]]`.

use std::collections::{BTreeMap, BTreeSet};

use super::drivers::SurgePorts;
use super::instances::SeenAddresses;
use super::problem::Place;
use super::suggest::suggest;
use super::table::Table;
use super::value::Value;
use super::{AZURE_HEALTH, drivers, health, instances, policy};
use crate::drivers::DriverConfig;
use phasegate_core::domain::{
    APPLICATION, ExtensionName, Model, PluginName, ScaleSet, ScaleSetName, Version,
};

pub(super) fn read_all(value: &Value<'_>, plugins: &BTreeSet<String>) -> Option<Vec<ScaleSet<DriverConfig>>> {
    let values = value.array("tables [[scaleSets]]")?;
    if values.is_empty() {
        value.problem("is empty", "at least one scale set".to_owned());
        return None;
    }
    let mut seen: BTreeMap<String, (String, Place)> = BTreeMap::new();
    let mut addresses = SeenAddresses::new();
    let mut ports = Vec::new();
    let mut scale_sets: Vec<Option<ScaleSet<DriverConfig>>> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let set = value.table().and_then(|table| read(table, plugins, &mut seen, &mut addresses));
        let (set, surge) = set.unzip();
        ports.extend(surge.flatten().map(|surge| (index, surge)));
        scale_sets.push(set);
    }
    drivers::check_ports(&ports, &addresses);
    scale_sets.into_iter().collect()
}

fn read<'a>(
    mut table: Table<'a>,
    plugins: &BTreeSet<String>,
    seen: &mut BTreeMap<String, (String, Place)>,
    addresses: &mut SeenAddresses,
) -> Option<(ScaleSet<DriverConfig>, Option<SurgePorts<'a>>)> {
    let name = table.required("name", "\"orders\"");
    let plugin = table.optional("plugin", "\"azure-health\"");
    let health = table.section("health", "{ protocol = \"http\", requestPath = \"/health\" }");
    let policy = table.section("upgradePolicy", "{ mode = \"Rolling\" }");
    let driver = table.required("driver", "{ kind = \"process\", command = [\"./server\"] }");
    let model = table.required("model", "{ version = \"v1\" }");
    let instances = table.required("instances", "[{ id = \"0\", address = \"127.0.0.1:9100\" }]");
    table.finish();

    let name = name.and_then(|value| {
        let name = value.id(ScaleSetName::parse)?;
        value.unique(name.as_str(), name.to_string(), seen).then_some(name)
    });
    let plugin = match plugin {
        None => PluginName::parse(AZURE_HEALTH).ok(),
        Some(value) => read_plugin(&value, plugins),
    };
    let health = health::read(health);
    let policy = policy::read(policy);
    let driver = driver.and_then(|value| value.table()).map(drivers::read);
    let model_value = model;
    let model = model_value.as_ref().and_then(|value| read_model(value.table()?));
    let instances = instances.map(|value| instances::read_all(&value, addresses)).unwrap_or_default();
    if let Some(driver) = &driver {
        driver.check_templates(name.as_ref(), instances.valid.values());
    }
    if let (Some(value), Some(model), Some(driver)) = (&model_value, &model, &driver) {
        check_extensions(value, model, driver.config.as_ref());
    }
    let policy = policy?;
    let mut driver = driver?;
    let ports = driver.ports().map(|ports| ports.on(instances.valid.values().map(|i| &i.address)));
    check_surge(policy.surge.as_ref().filter(|_| policy.rolling.max_surge), driver.config.as_ref());
    let set = ScaleSet {
        name: name?,
        plugin: plugin?,
        retry: policy.retry,
        freeze: policy.freeze.clone(),
        policy: policy.rules(health.as_ref()?.prepare_max()),
        health: health?,
        model: model?,
        instances: instances.complete.then_some(instances.valid)?,
        driver: driver.config?,
    };
    Some((set, ports))
}

/// Refuses `maxSurge` where nobody has said how instances are created: there is no silent way out.
fn check_surge(max_surge: Option<&Value<'_>>, driver: Option<&DriverConfig>) {
    if let (Some(value), Some(hint)) =
        (max_surge, driver.and_then(|driver| driver.settings().lacks_for_creation()))
    {
        value.conflict("is true, and the driver has not been told how to create instances", hint);
    }
}

fn read_plugin(value: &Value<'_>, plugins: &BTreeSet<String>) -> Option<PluginName> {
    let name = value.id(PluginName::parse)?;
    if plugins.contains(name.as_str()) {
        return Some(name);
    }
    let known: Vec<String> = plugins.iter().map(|known| format!("\"{known}\"")).collect();
    let known = known.join(", ");
    let hint = match suggest(name.as_str(), plugins.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean \"{meant}\"? defined: {known}"),
        None => format!("defined: {known}"),
    };
    value.conflict(format!("is \"{name}\", which is not defined"), hint);
    None
}

/// Refuses extensions that nothing could install.
fn check_extensions(value: &Value<'_>, model: &Model, driver: Option<&DriverConfig>) {
    let hint = driver.and_then(|driver| driver.settings().lacks_for_extensions());
    if let (Some((name, _)), Some(hint)) = (model.extensions.first(), hint) {
        let message = format!("has the extension \"{name}\", and the driver has no program that installs it");
        value.conflict(message, hint);
    }
}

fn read_extension(
    mut table: Table<'_>,
    known: &[(ExtensionName, Version)],
) -> Option<(ExtensionName, Version)> {
    let name = table.required("name", "\"monitoring\"");
    let version = table.required("version", "\"1.2.0\"");
    table.finish();
    let version = version.and_then(|value| value.id(Version::parse));
    let value = name?;
    let name = value.id(ExtensionName::parse)?;
    if name.as_str() == APPLICATION {
        value.problem(
            format!("is {APPLICATION:?}, which means the application itself"),
            "give it another name".to_owned(),
        );
        return None;
    }
    if known.iter().any(|(known, _)| *known == name) {
        value.conflict(format!("is \"{name}\", which is there already"), "name each extension once");
        return None;
    }
    Some((name, version?))
}

fn read_model(mut table: Table<'_>) -> Option<Model> {
    let version = table.required("version", "\"v1\"");
    let extensions = table.optional("extensions", "[{ name = \"monitoring\", version = \"1.2.0\" }]");
    table.finish();
    let version = version.and_then(|value| value.id(Version::parse));
    let mut known = Vec::new();
    for value in extensions.map_or(Some(Vec::new()), |value| value.array("an array of tables"))? {
        let extension = value.table().and_then(|table| read_extension(table, &known))?;
        known.push(extension);
    }
    Some(Model { version: version?, extensions: known })
}
