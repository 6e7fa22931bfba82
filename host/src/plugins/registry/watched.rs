//! A new generation is watched: the one before judges beside it, to come back if it was better. That is on
//! record and begins anew, for the full time, after a restart of the host.

use super::entry::{Active, Begun, Entry, Trial, TrialKind};
use super::prepare::pinned;
use super::shadow::{Role, Shadow, ShadowParts};
use super::source::kept;
use super::take_over::Afterwards;
use super::{RegistryParts, refused};
use phasegate_core::record::{StoredPlugin, StoredWatch};
use phasegate_wasm::{LoadTrace, Stage};

/// Lets the former component judge on beside the new one. Without a watch the new one stays.
pub(super) fn begin_watch(entry: &Entry, former: Active, trace: &LoadTrace, afterwards: Afterwards) {
    if let Err(why) = try_watch(entry, former, trace, (afterwards, Begun::Live)) {
        trace.skip(Stage::Watch, why);
    }
}

fn try_watch(
    entry: &Entry,
    former: Active,
    trace: &LoadTrace,
    (afterwards, begun): (Afterwards, Begun),
) -> Result<(), String> {
    let config = entry.config();
    let gate = match afterwards {
        Afterwards::Nothing => return Err("not asked for".to_owned()),
        Afterwards::WatchFailures => None,
        Afterwards::Watch => config.spec.swap.gate.clone(),
    };
    if config.spec.swap.watch_time.is_zero() {
        return Err("watchTime is zero".to_owned());
    }
    let plugin = former
        .compiled
        .configure(&former.settings, config.spec.limits, config.spec.isolation)
        .map_err(|error| format!("the former component {error}"))?;
    let clock = trace.clock();
    let (began_at, until) = (clock.now().at, clock.now().at + config.spec.swap.watch_time);
    let label = format!("{} (former)", entry.name);
    entry.with(|state| {
        let live = state.active.generation;
        let parts = ShadowParts { plugin, label, role: Role::Former, live, gate: gate.clone(), clock };
        let shadow = Shadow::start(&entry.tap, parts).map_err(|error| error.to_string())?;
        trace.begin(Stage::Watch);
        let kind = TrialKind::Watch { former: Box::new(former), until, afterwards, begun };
        state.trial = Some(Trial { shadow, gate, trace: trace.clone(), began_at, kind });
        Ok(())
    })
}

/// Begins the watch anew that ran when the host stopped. One that cannot is named in the log and the
/// list: the host starts without it.
pub(super) fn resume_watch(
    entry: &Entry,
    stored: &StoredPlugin,
    watch: &StoredWatch,
    parts: &RegistryParts,
    trace: &LoadTrace,
) {
    let resumed = recorded(entry, stored, watch, parts)
        .and_then(|former| try_watch(entry, former, trace, (Afterwards::from(watch.heeds), Begun::AtStart)));
    let shown = entry.active().shown();
    match resumed {
        Ok(()) => {
            trace.note(Stage::Watch, "anew after a restart of the host");
            tracing::info!(plugin = %entry.name, "{shown} is watched anew after a restart of the host");
        }
        Err(why) => {
            let former = format!("the watch by generation {}", watch.former.0);
            let why = format!("cannot go on after a restart of the host: {why}");
            let error = refused(entry, trace, &former, &why);
            trace.skip(Stage::Watch, why);
            tracing::warn!("{error}");
            entry.with(|state| state.last_error = state.last_error.take().or(Some(error.message)));
        }
    }
}

/// The generation before, as it ran.
fn recorded(
    entry: &Entry,
    stored: &StoredPlugin,
    watch: &StoredWatch,
    parts: &RegistryParts,
) -> Result<Active, String> {
    let one = stored.history.iter().find(|one| one.generation == watch.former);
    let one = one.ok_or("it is not among the kept generations")?;
    // At a start nothing with another digest is loaded, not even to judge without effect.
    pinned(one.digest, entry.config().spec.digest).map_err(|why| format!("its component {why}"))?;
    let bytes = kept(&parts.data_dir, one.digest)
        .ok_or("its component is missing from the data directory or damaged")?;
    let compiled = parts.runtime.compile(&bytes).map_err(|error| format!("its component {error}"))?;
    let active = entry.active();
    Ok(Active {
        source: one.source.clone(),
        digest: one.digest,
        generation: one.generation,
        settings: one.settings.clone(),
        configured: active.configured,
        compiled: std::sync::Arc::new(compiled),
        world: None,
        pure: false,
        size: bytes.len(),
        loaded_at: one.at,
    })
}
