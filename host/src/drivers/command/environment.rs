//! What every program finds in its environment, besides the host's own and the configured ones.
//!
//! Says nothing of tokens and files of the host.

use std::collections::BTreeMap;

use crate::drivers::settings::SettingsFiles;
use crate::drivers::{Create, Delete, Ensure};
use phasegate_core::domain::{APPLICATION, Instance, Located, ScaleSetName};

/// For a program that applies something.
pub(super) fn of_request(request: &Ensure) -> BTreeMap<String, String> {
    let Ensure { scale_set, instance, component, version, previous, operation, fence, again: _ } = request;
    let mut environment = of_instance(scale_set, instance);
    let mut set = |name: &str, value: String| environment.insert(format!("PHASEGATE_{name}"), value);
    set("COMPONENT", component.to_string());
    set("VERSION", version.to_string());
    if let Some(previous) = previous {
        set("PREVIOUS_VERSION", previous.to_string());
    }
    set("OPERATION", operation.0.clone());
    set("GENERATION", fence.to_string());
    environment
}

/// Where the settings of an extension are: never what stands in them.
pub(super) fn of_settings(files: &SettingsFiles) -> BTreeMap<String, String> {
    let SettingsFiles { settings, protected } = files;
    let all = [("SETTINGS_FILE", settings), ("PROTECTED_SETTINGS_FILE", protected)];
    let there = all.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
    there.map(|(name, path)| (format!("PHASEGATE_{name}"), path.display().to_string())).collect()
}

/// For a program that creates an instance; its address is not known yet.
pub(super) fn of_creation(request: &Create) -> BTreeMap<String, String> {
    let Create { scale_set, instance, replaces, version, taken: _, operation, fence } = request;
    let mut environment = of_instance(scale_set, instance);
    for name in ["ADDRESS", "HOST", "PORT"] {
        if let Some(value) = environment.remove(&format!("PHASEGATE_{name}")) {
            environment.insert(format!("PHASEGATE_REPLACES_{name}"), value);
        }
    }
    let mut set = |name: &str, value: String| environment.insert(format!("PHASEGATE_{name}"), value);
    set("REPLACES", replaces.to_string());
    set("COMPONENT", APPLICATION.to_owned());
    set("VERSION", version.to_string());
    set("OPERATION", operation.0.clone());
    set("GENERATION", fence.to_string());
    environment
}

/// For a program that deletes an instance.
pub(super) fn of_deletion(request: &Delete) -> BTreeMap<String, String> {
    let Delete { scale_set, instance, located, operation, fence } = request;
    let mut environment = of_instance(scale_set, instance);
    if *located == Located::Never {
        for name in ["ADDRESS", "HOST", "PORT"] {
            environment.remove(&format!("PHASEGATE_{name}"));
        }
    }
    let mut set = |name: &str, value: String| environment.insert(format!("PHASEGATE_{name}"), value);
    set("OPERATION", operation.0.clone());
    set("GENERATION", fence.to_string());
    environment
}

/// For any program.
pub(super) fn of_instance(scale_set: &ScaleSetName, instance: &Instance) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: String| environment.insert(format!("PHASEGATE_{name}"), value);
    for (name, value) in &instance.labels {
        set(&format!("LABEL_{}", variable_name(name)), value.clone());
    }
    set("SCALE_SET", scale_set.to_string());
    set("INSTANCE", instance.id.to_string());
    set("ADDRESS", instance.address.to_string());
    set("HOST", instance.address.host.clone());
    set("PORT", instance.address.port.to_string());
    if let Some(zone) = &instance.zone {
        set("ZONE", zone.clone());
    }
    environment
}

/// Upper case; everything that shells do not allow in a name becomes `_`.
fn variable_name(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
