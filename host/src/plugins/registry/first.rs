//! The load at the start of a host: fetches what is configured, loads what `choose` says runs first, and
//! starts its worker.

use std::sync::{Arc, Mutex, PoisonError};

use super::beside::{has_ended, resume};
use super::choose::{Chosen, choose};
use super::entry::{Active, Entry, Load, State};
use super::prepare::{Evidence, Heed, Preparation, Prepared};
use super::shadow::Tap;
use super::source::{Candidate, Read, keep};
use super::watched::resume_watch;
use super::{RegistryError, RegistryParts};
use crate::plugins::config::{ComponentSource, PluginConfig};
use crate::plugins::{FetchError, PluginTrouble, PluginWorker, Watchers};
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{Decided, Digest, Generation, Observation};
use phasegate_core::kernel::Event;
use phasegate_core::record::StoredPlugin;
use phasegate_wasm::{LoadTrace, component_digest};
use phasegate_wire::PluginCounters;

/// What the configuration names, as far as its bytes.
pub(super) struct Named {
    pub(super) candidate: Candidate,
    pub(super) preparation: Preparation,
    pub(super) read: Result<Read, FetchError>,
}

impl Named {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.read.as_ref().ok().map(|read| component_digest(&read.bytes))
    }
}

/// Components that are fetched at a time: a server that is slow or away does not keep the others waiting,
/// and a host with fifty plugins is no burden for a registry.
const FETCHES_MAX: usize = 4;

/// Fetches what comes from other machines, side by side; what is here is read when it is its turn.
pub(super) fn fetch_all(configs: &[PluginConfig], parts: &RegistryParts) -> Vec<Option<Named>> {
    let mut named: Vec<Option<Named>> = configs.iter().map(|_| None).collect();
    let remote = |(config, _): &(&PluginConfig, _)| matches!(config.component, ComponentSource::Remote(_));
    let waiting = Mutex::new(configs.iter().zip(&mut named).filter(remote));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let fetch = || {
        while let Some((config, slot)) = next() {
            *slot = Some(read(config, parts));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..FETCHES_MAX {
            // Without more threads this one fetches them all.
            let _ = std::thread::Builder::new().name("plugin-fetches".to_owned()).spawn_scoped(scope, fetch);
        }
        fetch();
    });
    named
}

fn read(config: &PluginConfig, parts: &RegistryParts) -> Named {
    let (candidate, preparation) = (Candidate::configured(config), preparation(config, parts));
    let read = preparation.fetch(&candidate);
    Named { candidate, preparation, read }
}

/// Loads a plugin and starts its worker; `named` is what was fetched for it already.
pub(super) fn load(
    config: &PluginConfig,
    named: Option<Named>,
    stored: Option<&StoredPlugin>,
    parts: &RegistryParts,
) -> Result<Entry, RegistryError> {
    let named = named.unwrap_or_else(|| read(config, parts));
    let Chosen { prepared, configured, trace, refused, considered, pending, trouble, why } =
        choose(config, named, stored, parts)?;
    let same = stored.filter(|stored| {
        let settings = stored.history.last().map_or(config.spec.settings.as_str(), |last| &last.settings);
        stored.digest == prepared.digest && settings == prepared.candidate.settings
    });
    let generation = match (stored, same) {
        (_, Some(same)) => same.generation,
        (Some(before), _) => Generation(before.generation.0 + 1),
        (None, _) => Generation(1),
    };
    let Prepared { candidate, bytes, digest, compiled, plugin, .. } = prepared;
    // A disk that is full keeps a later return from working, not the host from starting.
    if let Err(error) = keep(&parts.data_dir, digest, &bytes) {
        tracing::warn!(plugin = %config.spec.name, "its component cannot be kept in the data directory: {error}");
    }
    let active = Active {
        source: candidate.source.clone(),
        digest,
        generation,
        settings: candidate.settings,
        configured,
        compiled,
        world: plugin.world().map(str::to_owned),
        pure: plugin.is_pure(),
        size: bytes.len(),
        loaded_at: parts.clock.now(),
    };
    tracing::info!(plugin = %config.spec.name, "{}: {}", active.shown(), trace.summary());
    let (last_error, failed) = trouble.map_or((None, None), |it| (Some(it.message), it.failed));
    let refusals = u64::from(failed.is_some());
    let ran = Load { source: candidate.source, strategy: Strategy::Immediate, trace: trace.clone() };
    // A watch that goes on is in the record of what runs.
    let beside = failed.is_some().then(|| ran.clone());
    let mut state = State {
        config: config.clone(),
        active: active.clone(),
        history: stored.map(|stored| stored.history.clone()).unwrap_or_default(),
        refused,
        considered,
        pending,
        last_error,
        load: Some(failed.unwrap_or(ran)),
        loading: None,
        beside,
        trial: None,
        diff: None,
        counters: PluginCounters { loads: 1 + refusals, refused: refusals, ..PluginCounters::default() },
    };
    if state.history.last().map(|last| last.generation) != Some(generation) {
        state.history = state.stored_with(&active, why).history;
    }
    let tap = Arc::new(Tap::default());
    if let Some(recorder) = &parts.recorder {
        recorder.keep(&config.spec.name, (digest, &bytes), plugin.settings());
    }
    let worker = PluginWorker::spawn_watched(
        config.spec.name.clone(),
        plugin,
        generation,
        watchers(&tap, parts),
        parts.clock,
    )
    .map_err(|source| RegistryError::Worker { name: config.spec.name.clone(), source })?;
    let entry = Entry::new(worker, tap, state);
    resume_trial(&entry, (stored, same), parts, &trace);
    Ok(entry)
}

/// Lets judge on what judged beside the same generation when the host stopped: beside another one it has no
/// place.
fn resume_trial(
    entry: &Entry,
    (stored, same): (Option<&StoredPlugin>, Option<&StoredPlugin>),
    parts: &RegistryParts,
    trace: &LoadTrace,
) {
    let Some(same) = same else {
        if let Some(shadow) = stored.and_then(|stored| stored.shadow.as_ref()) {
            has_ended(entry, shadow, "another generation is active now");
        }
        return;
    };
    if let Some(shadow) = &same.shadow {
        let preparation = preparation(&entry.config(), parts);
        resume(entry, shadow, &Preparation { strategy: Strategy::Shadow, heed: Heed::Show, ..preparation });
    }
    if let Some(watch) = &same.watch {
        resume_watch(entry, same, watch, parts, trace);
    }
}

/// Who is told what the worker does: the tap, then the loop.
fn watchers(tap: &Arc<Tap>, parts: &RegistryParts) -> Watchers {
    let (control, taking) = (parts.control.clone(), Arc::clone(tap));
    let on_decided = Box::new(move |batch: Vec<(Arc<Observation>, Decided)>| {
        let tapped = |(observation, decided)| {
            taking.take(observation, &decided);
            decided
        };
        control.send_blocking(Event::Judged(batch.into_iter().map(tapped).collect()));
    });
    let (control, troubled) = (parts.control.clone(), Arc::clone(tap));
    let on_trouble = Box::new(move |trouble: PluginTrouble| {
        troubled.trouble(trouble.generation);
        control.send_blocking(Event::PluginTrouble(trouble));
    });
    Watchers { on_decided, on_trouble, recorder: parts.recorder.clone() }
}

fn new_trace(config: &PluginConfig, parts: &RegistryParts) -> LoadTrace {
    let Some(on_stage) = parts.on_stage.clone() else { return LoadTrace::new(Arc::new(parts.clock)) };
    let name = config.spec.name.clone();
    LoadTrace::telling(Arc::new(parts.clock), Arc::new(move |stage| on_stage(&name, stage)))
}

pub(super) fn preparation(config: &PluginConfig, parts: &RegistryParts) -> Preparation {
    Preparation {
        runtime: parts.runtime.clone(),
        data_dir: parts.data_dir.clone(),
        config: config.clone(),
        strategy: Strategy::Immediate,
        heed: Heed::Refuse,
        evidence: Evidence::default(),
        discarded: Arc::default(),
        trace: new_trace(config, parts),
    }
}
