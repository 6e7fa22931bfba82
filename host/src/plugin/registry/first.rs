//! The load at the start of a host: what is configured meets what is recorded.
//!
//! The configuration wins when it changed while the host was off, unless what it names was refused
//! before or does not load; then the recorded generation goes on, and the list says why.

use std::sync::{Arc, Mutex, PoisonError};

use super::beside::{has_ended, resume};
use super::entry::{Active, Entry, Load, State};
use super::prepare::{Heed, Preparation, Prepared, Unfit};
use super::shadow::Tap;
use super::source::{Candidate, Origin, Read, configured, keep};
use super::{RegistryError, RegistryParts};
use crate::api::wire::PluginCounters;
use crate::config::{ComponentSource, PluginConfig, Strategy};
use crate::control::ControlEvent;
use crate::domain::{Decided, Generation, Observation};
use crate::plugin::{FetchError, LoadTrace, PluginWorker, Watchers, inspect};
use crate::store::{StoredGeneration, StoredPlugin, StoredRefusal};

/// What runs first, and why it is not what the configuration names, if so.
struct Chosen {
    prepared: Prepared,
    /// Digest of what the configuration names.
    configured: crate::domain::Digest,
    trace: LoadTrace,
    trouble: Option<String>,
    refused: Option<StoredRefusal>,
}

/// What the configuration names, as far as its bytes.
pub(super) struct Named {
    candidate: Candidate,
    preparation: Preparation,
    read: Result<Read, FetchError>,
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
    let Chosen { prepared, configured, trace, trouble, refused } = choose(config, named, stored, parts)?;
    let same = stored.filter(|stored| {
        let settings = stored.history.last().map_or(config.settings.as_str(), |last| &last.settings);
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
        tracing::warn!(plugin = %config.name, "its component cannot be kept in the data directory: {error}");
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
    tracing::info!(plugin = %config.name, "{}: {}", active.shown(), trace.summary());
    let history = stored.map(|stored| stored.history.clone()).unwrap_or_default();
    let mut state = State {
        config: config.clone(),
        active: active.clone(),
        history,
        refused,
        last_error: trouble,
        load: Some(Load { source: candidate.source, strategy: Strategy::Immediate, trace }),
        trial: None,
        diff: None,
        counters: PluginCounters { loads: 1, ..PluginCounters::default() },
    };
    if state.history.last().map(|last| last.generation) != Some(generation) {
        state.history = state.stored_with(&active, "start of the host".to_owned()).history;
    }
    let tap = Arc::new(Tap::default());
    let (control, taking) = (parts.control.clone(), Arc::clone(&tap));
    let on_decided = Box::new(move |batch: Vec<(Arc<Observation>, Decided)>| {
        let tapped = |(observation, decided)| {
            taking.take(observation, &decided);
            decided
        };
        control.send_blocking(ControlEvent::Decided(batch.into_iter().map(tapped).collect()));
    });
    let control = parts.control.clone();
    let on_trouble = Box::new(move |trouble| control.send_blocking(ControlEvent::PluginTrouble(trouble)));
    if let Some(recorder) = &parts.recorder {
        recorder.keep(&config.name, (digest, &bytes), plugin.settings());
    }
    let watchers = Watchers { on_decided, on_trouble, recorder: parts.recorder.clone() };
    let worker = PluginWorker::spawn_watched(config.name.clone(), plugin, generation, watchers, parts.clock)
        .map_err(|source| RegistryError::Worker { name: config.name.clone(), source })?;
    let entry = Entry::new(worker, tap, state);
    match (stored.and_then(|stored| stored.shadow.as_ref()), same) {
        (Some(shadow), Some(_)) => {
            let (preparation, strategy) = (preparation(config, parts), Strategy::Shadow);
            resume(&entry, shadow, &Preparation { strategy, heed: Heed::Show, ..preparation });
        }
        // It has no place beside another component than it was compared with.
        (Some(shadow), None) => has_ended(&entry, shadow, "another generation is active now"),
        (None, _) => {}
    }
    Ok(entry)
}

fn choose(
    config: &PluginConfig,
    named: Named,
    stored: Option<&StoredPlugin>,
    parts: &RegistryParts,
) -> Result<Chosen, RegistryError> {
    let Named { candidate, preparation: named_by, read } = named;
    let before = || stored.map(|stored| recorded(config, stored));
    let named = read.as_ref().ok().map(|read| configured(inspect::digest(&read.bytes), &config.settings));
    if let (Some(stored), Some(named), Some(before)) = (stored, named, before()) {
        let refused = stored.refused.clone().filter(|refused| refused.configured == named);
        let last = before.settings == config.settings
            && read.as_ref().is_ok_and(|read| inspect::digest(&read.bytes) == stored.digest);
        if refused.is_some() || (stored.configured == named && !last) {
            let preparation = preparation(config, parts);
            match run(&preparation, before) {
                Ok(prepared) => {
                    let trouble = refused.as_ref().map(|refused| refused.why.clone());
                    let (configured, trace) = (stored.configured, preparation.trace);
                    return Ok(Chosen { prepared, configured, trace, trouble, refused });
                }
                Err(error) => {
                    tracing::warn!(plugin = %config.name, "{error}; using the configured component");
                }
            }
        }
    }
    let component = candidate.source.clone();
    let is_away = matches!(read, Err(FetchError::Transfer(_)));
    let prepared = match read {
        Ok(read) => named_by.go_on(candidate, read.bytes).map_err(|Unfit { why, .. }| why),
        Err(error) => Err(error.to_string()),
    };
    let error = match prepared {
        Ok(prepared) => {
            let configured = configured(prepared.digest, &config.settings);
            let trace = named_by.trace;
            return Ok(Chosen { prepared, configured, trace, trouble: None, refused: None });
        }
        Err(why) => refused(config, component.clone(), &named_by.trace, why),
    };
    // The generation before goes on, as it would have without the restart.
    let (Some(stored), Some(mut before)) = (stored, before()) else { return Err(error) };
    let mut configured_now = stored.configured;
    let Origin::Kept(digest) = before.origin else { return Err(error) };
    let stands_in =
        is_away && before.source == component && config.digest.is_none_or(|wanted| wanted == digest);
    if stands_in && before.settings != config.settings {
        // Nothing says that its place holds other bytes now: they take the settings of today.
        before.settings.clone_from(&config.settings);
        configured_now = configured(digest, &config.settings);
    }
    let preparation = preparation(config, parts);
    let Ok(prepared) = run(&preparation, before) else { return Err(error) };
    let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": it {why}"));
    let number = stored.generation.0;
    let trouble = if stands_in {
        format!(
            "{error}{why}; the bytes of its last load, generation {number} ({}), are used",
            digest.short()
        )
    } else {
        format!("{error}{why}; generation {number} stays active")
    };
    if is_away {
        tracing::warn!("{trouble}");
    } else {
        tracing::error!("{trouble}");
    }
    let (trace, refused) = (preparation.trace, stored.refused.clone());
    Ok(Chosen { prepared, configured: configured_now, trace, trouble: Some(trouble), refused })
}

fn new_trace(config: &PluginConfig, parts: &RegistryParts) -> LoadTrace {
    let Some(on_stage) = parts.on_stage.clone() else { return LoadTrace::new(parts.clock) };
    let name = config.name.clone();
    LoadTrace::telling(parts.clock, Arc::new(move |stage| on_stage(&name, stage)))
}

/// The recorded generation as a candidate.
fn recorded(config: &PluginConfig, stored: &StoredPlugin) -> Candidate {
    let last = stored.history.last().filter(|last| last.digest == stored.digest);
    let last = last.cloned().unwrap_or_else(|| StoredGeneration {
        generation: stored.generation,
        digest: stored.digest,
        source: "upload".to_owned(),
        settings: config.settings.clone(),
        at: crate::domain::Timestamp(0),
        why: String::new(),
    });
    Candidate { origin: Origin::Kept(last.digest), source: last.source, settings: last.settings }
}

fn preparation(config: &PluginConfig, parts: &RegistryParts) -> Preparation {
    Preparation {
        runtime: parts.runtime.clone(),
        data_dir: parts.data_dir.clone(),
        config: config.clone(),
        strategy: Strategy::Immediate,
        heed: Heed::Refuse,
        last: Vec::new(),
        trace: new_trace(config, parts),
    }
}

fn run(preparation: &Preparation, candidate: Candidate) -> Result<Prepared, RegistryError> {
    let component = candidate.source.clone();
    let Preparation { config, trace, .. } = preparation;
    preparation.run(candidate).map_err(|Unfit { why, .. }| refused(config, component, trace, why))
}

fn refused(config: &PluginConfig, component: String, trace: &LoadTrace, why: String) -> RegistryError {
    RegistryError::Refused {
        name: config.name.clone(),
        component,
        stage: trace.failed().map_or("load", |stage| stage.name()),
        source: super::Why(why),
    }
}
