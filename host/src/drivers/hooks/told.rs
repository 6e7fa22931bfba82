//! What a hook is told: as arguments, as environment of a program, as body of a POST.

use std::collections::BTreeMap;

use crate::drivers::template::{MissingValueError, RenderError, Template, TemplateValues, Wish, render_url};
use crate::net::url::HttpUrl;
use phasegate_core::domain::{Address, Instance, InstanceId, Located, Protection};
use phasegate_core::kernel::effect::{HookCall, HookRound};

/// Program and arguments.
pub(super) fn argv(argv: &[Template], call: &HookCall) -> Result<Vec<String>, RenderError> {
    with_values(call, |values| {
        Ok(argv.iter().map(|text| text.render(values)).collect::<Result<Vec<_>, _>>()?)
    })
}

/// Where a POST goes.
pub(super) fn url(url: &Template, call: &HookCall) -> Result<HttpUrl, RenderError> {
    with_values(call, |values| render_url(url, values))
}

/// `PHASEGATE_…`, besides the host's own environment.
pub(super) fn environment(call: &HookCall) -> BTreeMap<String, String> {
    let variable = |name: &str| {
        let words = name.chars().map(|c| if c.is_uppercase() { format!("_{c}") } else { c.to_string() });
        format!("PHASEGATE_{}", words.collect::<String>().to_uppercase())
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Array(all) => {
            all.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    facts(call).into_iter().map(|(name, value)| (variable(name), text(value))).collect()
}

/// JSON.
pub(super) fn body(call: &HookCall) -> String {
    serde_json::to_string(&facts(call)).unwrap_or_default()
}

fn facts(call: &HookCall) -> BTreeMap<&'static str, serde_json::Value> {
    let mut facts = BTreeMap::new();
    let mut set = |name: &'static str, value: serde_json::Value| _ = facts.insert(name, value);
    set("hook", call.hook.name().into());
    set("direction", call.direction.name().into());
    set("operation", call.operation.0.clone().into());
    set("generation", call.fence.to_string().into());
    set("scaleSet", call.scale_set.to_string().into());
    set("goal", call.goal.to_string().into());
    match &call.round {
        HookRound::Batch { number, instances } => {
            set("batch", (*number).into());
            set("instances", instances.iter().map(InstanceId::as_str).collect::<Vec<_>>().into());
        }
        HookRound::Instance { instance, located, version } => {
            set("instance", instance.id.to_string().into());
            if let Some(version) = version {
                set("version", version.to_string().into());
            }
            if let Some(zone) = &instance.zone {
                set("zone", zone.clone().into());
            }
            if *located == Located::Yes {
                set("address", instance.address.to_string().into());
                set("host", instance.address.host.clone().into());
                set("port", instance.address.port.to_string().into());
            }
        }
    }
    facts
}

fn with_values<R>(
    call: &HookCall,
    with: impl FnOnce(&TemplateValues<'_>) -> Result<R, RenderError>,
) -> Result<R, RenderError> {
    let HookCall { scale_set, direction, operation, fence, .. } = call;
    let (direction, fence) = (*direction, *fence);
    match &call.round {
        HookRound::Instance { instance, located, version } => {
            let wish =
                Wish::Hook { version: version.as_ref(), located: *located, operation, fence, direction };
            with(&TemplateValues { scale_set, instance, wish })
        }
        HookRound::Batch { number, instances } => {
            let wish = Wish::Batch { number: *number, instances, operation, fence, direction };
            let instance = nobody(instances)?;
            with(&TemplateValues { scale_set, instance: &instance, wish })
        }
    }
}

/// An instance that no placeholder of a batch asks for.
fn nobody(instances: &[InstanceId]) -> Result<Instance, MissingValueError> {
    let id = instances.first().cloned().or_else(|| InstanceId::parse("none").ok());
    Ok(Instance {
        id: id.ok_or(MissingValueError::Wish("id"))?,
        address: Address { host: String::new(), port: 0 },
        region: None,
        zone: None,
        update_domain: None,
        fault_domain: None,
        labels: BTreeMap::new(),
        protection: Protection::default(),
    })
}
