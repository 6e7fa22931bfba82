//! What a driver and a plugin's worker report by themselves.

use std::sync::Arc;

use super::event::PluginTrouble;
use super::out::{About, Out};
use super::state::{Fleet, Trouble};
use crate::domain::{By, DriverNote, Now, PluginName, ProcessState, ScaleSetName};
use crate::record::audit::What;

/// Takes in a note of a driver.
pub(super) fn note(fleet: &mut Fleet, note: DriverNote, now: Now, out: &mut Out) {
    let DriverNote { scale_set: name, instance: id, at, state, text } = note;
    let Some(set) = fleet.change(&name) else { return };
    let heard = set.change(&id, |instance| {
        instance.trouble = Some(Arc::new(Trouble { at: now.at, text: text.clone() }));
        // A note about the process before the latest effect comes too late to matter.
        if at >= instance.applied_at {
            instance.down = state == ProcessState::Exited;
        }
    });
    if heard.is_none() {
        return;
    }
    out.changes.troubles.push((name.clone(), id.clone(), text.clone()));
    let about = About { instance: Some(&id), ..About::set(&name) };
    out.audit(about, By::host(), What::Process { state, text }, now);
}

/// Tells every scale set of the plugin that it fails for most of its instances.
pub(super) fn plugin_trouble(fleet: &Fleet, trouble: &PluginTrouble, now: Now, out: &mut Out) {
    let PluginTrouble { plugin, digest, generation, failed, judged, rounds, cause } = trouble;
    for name in judged_by(fleet, plugin) {
        let what = What::PluginTrouble {
            plugin: plugin.clone(),
            digest: *digest,
            generation: *generation,
            failed: *failed,
            judged: *judged,
            rounds: *rounds,
            cause: cause.clone(),
        };
        out.audit(About::set(&name), By::host(), what, now);
    }
}

/// Tells every scale set of the plugin that it went back to a former generation.
pub(super) fn plugin_reverted(fleet: &Fleet, plugin: &PluginName, text: &str, now: Now, out: &mut Out) {
    for name in judged_by(fleet, plugin) {
        let what = What::PluginReverted { plugin: plugin.clone(), text: text.to_owned() };
        out.audit(About::set(&name), By::host(), what, now);
    }
}

fn judged_by(fleet: &Fleet, plugin: &PluginName) -> Vec<ScaleSetName> {
    fleet.names(|set| set.spec.plugin == *plugin)
}
