//! What the registry knows of one plugin, and how the API shows it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::compare::{Comparison, Key, Pair, health};
use super::history::prune;
use super::prepare::Prepared;
use super::shadow::{Shadow, Tap};
use super::source::Candidate;
use super::take_over::Afterwards;
use crate::plugins::config::PluginConfig;
use crate::plugins::{Counts, PluginWorker};
use phasegate_core::domain::{Digest, Generation, PluginName, Timestamp, Verdict};
use phasegate_core::domain::{Gate, Strategy};
use phasegate_core::record::{StoredGeneration, StoredPlugin, StoredRefusal, StoredShadow, StoredWatch};
use phasegate_wasm::{CompiledPlugin, LoadTrace, Stage, StepState};
use phasegate_wire as wire;

/// One plugin.
pub(super) struct Entry {
    pub(super) name: PluginName,
    pub(super) worker: PluginWorker,
    pub(super) tap: Arc<Tap>,
    /// One load at a time. Held for as long as a download and a compilation take, so only other loads
    /// come up against it.
    pub(super) loading: tokio::sync::Mutex<()>,
    /// Held while a component takes over, or a shadow or a watch begins or ends; never for long. Taken
    /// after `loading`.
    pub(super) swapping: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// What changes about it.
pub(super) struct State {
    pub(super) config: PluginConfig,
    pub(super) active: Active,
    /// Oldest first; the last one is active.
    pub(super) history: Vec<StoredGeneration>,
    pub(super) refused: Option<StoredRefusal>,
    /// The component that the configuration named when it was looked at last.
    pub(super) considered: Option<Digest>,
    /// What the configuration says since the host was off, until it has gone through the pipeline.
    pub(super) pending: Option<Candidate>,
    pub(super) last_error: Option<String>,
    pub(super) load: Option<Load>,
    /// Ends the load that is under way, when it turns true.
    pub(super) loading: Option<Arc<AtomicBool>>,
    /// The load of the trial, where a later one has taken its place in `load`.
    pub(super) beside: Option<Load>,
    /// A second component at work.
    pub(super) trial: Option<Trial>,
    /// The latest comparison that has ended.
    pub(super) diff: Option<Diff>,
    pub(super) counters: wire::PluginCounters,
}

/// What is known of the active component.
#[derive(Clone)]
pub(super) struct Active {
    pub(super) source: String,
    pub(super) digest: Digest,
    pub(super) generation: Generation,
    pub(super) settings: String,
    /// Digest of what the configuration names: component and settings.
    pub(super) configured: Digest,
    pub(super) compiled: Arc<CompiledPlugin>,
    pub(super) world: Option<String>,
    pub(super) pure: bool,
    pub(super) size: usize,
    pub(super) loaded_at: Timestamp,
}

/// The latest load.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) source: String,
    pub(super) strategy: Strategy,
    pub(super) trace: LoadTrace,
}

/// A second component at work beside the active one.
pub(super) struct Trial {
    pub(super) shadow: Shadow,
    pub(super) gate: Option<Gate>,
    pub(super) trace: LoadTrace,
    pub(super) began_at: Timestamp,
    pub(super) kind: TrialKind,
}

/// Which way a trial goes.
pub(super) enum TrialKind {
    /// The new one waits to be promoted.
    Shadow(Box<Prepared>),
    /// The old one waits to be needed.
    Watch { former: Box<Active>, until: Timestamp, afterwards: Afterwards, begun: Begun },
}

/// When a watch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// With the generation: its instances were judged a moment ago, and two failures are enough.
    Live,
    /// At a start of the host: those that are judged first say little of the others.
    AtStart,
}

/// A comparison, and what was compared.
#[derive(Clone)]
pub(super) struct Diff {
    pub(super) stage: Stage,
    pub(super) from: Digest,
    pub(super) to: Digest,
    pub(super) instances: usize,
    pub(super) comparison: Comparison,
    /// Observations that the second component did not see.
    pub(super) missed: u64,
    pub(super) refusal: Option<String>,
}

impl Entry {
    pub(super) fn new(worker: PluginWorker, tap: Arc<Tap>, state: State) -> Self {
        let (loading, swapping) = (tokio::sync::Mutex::new(()), tokio::sync::Mutex::new(()));
        Self {
            name: state.config.spec.name.clone(),
            worker,
            tap,
            loading,
            swapping,
            state: Mutex::new(state),
        }
    }

    pub(super) fn active(&self) -> Active {
        self.with(|state| state.active.clone())
    }

    pub(super) fn config(&self) -> PluginConfig {
        self.with(|state| state.config.clone())
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drops what an instance said that is gone, also from the comparison that is under way.
    pub(super) fn forget(&self, key: &Key) {
        self.tap.forget(key);
        self.with(|state| {
            if let Some(trial) = &state.trial {
                trial.shadow.comparison().forget(key);
            }
        });
    }

    /// The latest comparison, or the one that is under way.
    pub(super) fn diff(&self) -> Option<wire::PluginDiff> {
        let instances = self.tap.all();
        let diff = self.with(|state| match &state.trial {
            Some(trial) => Some(trial.diff(&state.active, instances)),
            None => state.diff.clone(),
        });
        diff.map(|diff| diff.wire(&self.name))
    }

    pub(super) fn wire(&self) -> wire::Plugin {
        let Counts { evaluated, unchanged, failed, log_lines_dropped } = self.worker.counts();
        let failing = self.tap.failing().map(|it| wire::PluginFailing {
            failed: it.failed,
            instances: it.instances,
            cause: it.cause,
        });
        self.with(|state| {
            let active = &state.active;
            let beside = state.beside.as_ref().filter(|_| state.trial.is_some());
            let loads = [state.load.as_ref(), beside];
            let running = loads.into_iter().flatten().find_map(|load| load.trace.running());
            wire::Plugin {
                name: self.name.to_string(),
                source: active.source.clone(),
                digest: active.digest.to_string(),
                generation: active.generation.0,
                world: active.world.clone(),
                pure: active.pure,
                size: active.size,
                loaded_at: (active.loaded_at).to_string(),
                last_error: state.last_error.clone(),
                stage: running.map(|stage| stage.name().into()),
                load: state.load.as_ref().map(Load::wire),
                beside: beside.map(Load::wire),
                failing,
                counters: wire::PluginCounters { missed: self.tap.missed(), ..state.counters },
                counts: wire::PluginCounts { evaluated, unchanged, failed, log_lines_dropped },
            }
        })
    }
}

impl State {
    /// The record with `next` as its generation.
    pub(super) fn stored_with(&self, next: &Active, why: String) -> StoredPlugin {
        let mut history = self.history.clone();
        history.push(next.stored(why));
        prune(&mut history);
        StoredPlugin {
            generation: next.generation,
            digest: next.digest,
            configured: next.configured,
            history,
            refused: None,
            shadow: None,
            considered: self.considered,
            watch: None,
        }
    }

    /// The record as it stands.
    pub(super) fn stored(&self) -> StoredPlugin {
        StoredPlugin {
            generation: self.active.generation,
            digest: self.active.digest,
            configured: self.active.configured,
            history: self.history.clone(),
            refused: self.refused.clone(),
            shadow: self.shadow(),
            considered: self.considered,
            watch: self.watch(),
        }
    }

    fn watch(&self) -> Option<StoredWatch> {
        let TrialKind::Watch { former, afterwards, .. } = &self.trial.as_ref()?.kind else { return None };
        afterwards.stored(former.generation)
    }

    /// Begins to show a load; that of a component that judges beside the active one goes on to be shown.
    pub(super) fn begin_load(&mut self, load: Load) {
        self.counters.loads += 1;
        let shown = |load: &mut Load| self.trial.as_ref().is_some_and(|trial| trial.trace.is(&load.trace));
        if let Some(beside) = self.load.take_if(shown) {
            self.beside = Some(beside);
        }
        self.load = Some(load);
    }

    /// The load of what has just taken over is the one that counts.
    pub(super) fn show_again(&mut self, trace: &LoadTrace) {
        if let Some(load) = self.beside.take_if(|load| load.trace.is(trace)) {
            self.load = Some(load);
        }
    }

    /// Nothing goes back to the active generation by itself any more.
    pub(super) fn leave(&mut self, why: &str) {
        if let Some(last) = self.history.last_mut() {
            last.left_because = Some(why.to_owned());
        }
    }

    /// Ends what judges beside the active one, for a reason that is not its own. The log and its load
    /// say so.
    pub(super) fn end_for(&mut self, why: &str) {
        self.beside = None;
        let Some(trial) = self.trial.take() else { return };
        let name = &self.config.spec.name;
        let stage = match &trial.kind {
            TrialKind::Shadow(prepared) => {
                tracing::info!(plugin = %name, "the shadow of {} ended: {why}", prepared.candidate.source);
                Stage::Shadow
            }
            TrialKind::Watch { .. } => {
                tracing::info!(plugin = %name, "the watch of {} ended: {why}", self.active.shown());
                Stage::Watch
            }
        };
        trial.trace.end(stage, StepState::Skipped, Some(why.to_owned()));
    }

    /// What judges beside the active one and may take over.
    pub(super) fn shadow(&self) -> Option<StoredShadow> {
        let TrialKind::Shadow(prepared) = &self.trial.as_ref()?.kind else { return None };
        let Candidate { source, settings, .. } = &prepared.candidate;
        Some(StoredShadow { digest: prepared.digest, source: source.clone(), settings: settings.clone() })
    }
}

impl Active {
    pub(super) fn stored(&self, why: String) -> StoredGeneration {
        StoredGeneration {
            generation: self.generation,
            digest: self.digest,
            source: self.source.clone(),
            settings: self.settings.clone(),
            at: self.loaded_at,
            why,
            left_because: None,
            forced: phasegate_core::record::Forced::No,
        }
    }

    /// `generation 3 (0123456789ab)`.
    pub(super) fn shown(&self) -> String {
        format!("generation {} ({})", self.generation.0, self.digest.short())
    }
}

impl Trial {
    pub(super) fn diff(&self, active: &Active, instances: usize) -> Diff {
        let comparison = self.shadow.comparison().clone();
        let gate = self.gate.as_ref();
        let (stage, from, to, refusal) = match &self.kind {
            TrialKind::Shadow(prepared) => {
                (Stage::Shadow, active.digest, prepared.digest, comparison.refusal(gate, instances))
            }
            TrialKind::Watch { former, begun, .. } => {
                let awaited = begun.awaited(&comparison, instances);
                let refusal = comparison.reversal(gate, instances, awaited);
                (Stage::Watch, former.digest, active.digest, refusal)
            }
        };
        Diff { stage, from, to, instances, comparison, missed: self.shadow.missed(), refusal }
    }
}

impl Begun {
    /// How many of the `instances` must be compared before the failures on the others count.
    pub(super) fn awaited(self, comparison: &Comparison, instances: usize) -> usize {
        match self {
            Self::Live => 0,
            Self::AtStart => instances.saturating_sub(comparison.pairs.len()),
        }
    }
}

impl Load {
    fn wire(&self) -> wire::PluginLoad {
        let stage = |step: phasegate_wasm::Step| wire::PluginStage {
            name: step.stage.name().into(),
            state: step.state.name().into(),
            ms: step.took_ms,
            note: step.note,
        };
        wire::PluginLoad {
            source: self.source.clone(),
            strategy: self.strategy.name().into(),
            stages: self.trace.steps().into_iter().map(stage).collect(),
        }
    }
}

impl Diff {
    pub(super) fn wire(&self, name: &PluginName) -> wire::PluginDiff {
        let changed = |((scale_set, instance), pair): (&Key, &Pair)| {
            let changes = pair.changes();
            (!changes.is_empty()).then(|| wire::PluginChange {
                scale_set: scale_set.to_string(),
                instance: instance.to_string(),
                changes,
                from: verdict(&pair.old),
                to: verdict(&pair.new),
            })
        };
        wire::PluginDiff {
            plugin: name.to_string(),
            stage: self.stage.name().into(),
            from: self.from.to_string(),
            to: self.to.to_string(),
            instances: self.instances,
            compared: self.comparison.pairs.len(),
            observations: self.comparison.observations,
            missed: self.missed,
            changed: self.comparison.changed(),
            failed_new: self.comparison.failed_new,
            failed_old: self.comparison.failed_old,
            refusal: self.refusal.as_ref().map(|why| format!("it {why}")),
            changes: self.comparison.pairs.iter().filter_map(changed).collect(),
        }
    }
}

fn verdict(verdict: &Verdict) -> wire::PluginVerdict {
    match verdict {
        Ok(decision) => wire::PluginVerdict {
            health: Some(health(decision.claim).into()),
            phase: decision.phase.map(phasegate_core::domain::Phase::get),
            participation: Some(decision.participation.name().into()),
            reason: decision.reason.as_ref().map(|reason| reason.detail.clone()),
        },
        Err(failure) => wire::PluginVerdict {
            health: None,
            phase: None,
            participation: None,
            reason: Some(failure.to_string()),
        },
    }
}
