//! The second half of the pipeline: shadow (`beside`), promote, watch, and the ways out.
//!
//! ```text
//! prepared ─┬─> promote ─> watch ─┬─> stays
//!           └─> shadow ──^        └─> the former one again, as a new generation
//! ```

use super::compare::Comparison;
use super::entry::{Active, Diff, Entry, Load, Trial, TrialKind};
use super::prepare::{Heed, Preparation, Prepared, Unfit};
use super::shadow::{Role, Shadow, ShadowParts};
use super::source::{Candidate, Origin, configured, keep, prune};
use super::{PluginRegistry, SwapOptions, refused};
use crate::config::{PluginConfig, Strategy};
use crate::control::{Command, CommandError, CommandErrorKind};
use crate::domain::{Digest, Generation};
use crate::plugin::{LoadTrace, LoadedPlugin, Stage, StepState};
use crate::store::StoredPlugin;

/// What a promotion leaves behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// The former component judges on, with the limits of the gate.
    Watch,
    /// It judges on; only failures count, because a person has seen the changes.
    WatchFailures,
    /// Nothing: a person insists, or it is a way back.
    Nothing,
}

impl PluginRegistry {
    /// Loads a candidate and brings it as far as its strategy lets it. Whatever fails leaves the
    /// active one in place, and is said in the answer, the log and the list.
    pub(super) async fn replace(
        &self,
        entry: &Entry,
        candidate: Candidate,
        order: Order,
    ) -> Result<Option<Diff>, CommandError> {
        let _one_at_a_time = match order.when_busy {
            WhenBusy::Refuse => Some(entry.loading.try_lock().map_err(|_| busy(entry))?),
            WhenBusy::Wait => Some(entry.loading.lock().await),
            WhenBusy::Overtake => None,
        };
        let before = entry.active();
        let source = candidate.source.clone();
        let config = entry.config();
        let strategy = order.options.strategy.unwrap_or(config.swap.strategy);
        let trace = LoadTrace::new(self.parts.clock);
        entry.with(|state| {
            state.counters.loads += 1;
            state.load = Some(Load { source: source.clone(), strategy, trace: trace.clone() });
        });
        let job = Job { candidate, strategy, order, trace: trace.clone(), before, config };
        let result = self.go(entry, job).await;
        match &result {
            Ok(_) => {
                tracing::info!(plugin = %entry.name, "{source}: {}", trace.summary());
                entry.with(|state| state.last_error = None);
            }
            Err(error) => {
                tracing::warn!(plugin = %entry.name, "{error}");
                entry.with(|state| {
                    state.counters.refused += 1;
                    state.last_error = Some(error.message.clone());
                });
            }
        }
        result
    }

    async fn go(&self, entry: &Entry, job: Job) -> Result<Option<Diff>, CommandError> {
        let Job { candidate, strategy, order, trace, before, config } = job;
        let Order { options, why, afterwards, when_busy: _ } = order;
        let shown = options.force || options.dry_run || strategy == Strategy::Shadow;
        let heed = if shown { Heed::Show } else { Heed::Refuse };
        let preparation = Preparation {
            runtime: self.parts.runtime.clone(),
            data_dir: self.parts.data_dir.clone(),
            config: config.clone(),
            strategy,
            heed,
            last: entry.tap.last(),
            trace: trace.clone(),
        };
        let from_configuration = matches!(candidate.origin, Origin::Configured(_));
        let (source, settings) = (candidate.source.clone(), candidate.settings.clone());
        let instances = preparation.last.len();
        let working = tokio::task::spawn_blocking(move || preparation.run(candidate)).await;
        let _taking_over = entry.swapping.lock().await;
        let prepared = match working {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(Unfit { why, digest, showed })) => {
                if let (Some(to), Some(comparison)) = (digest, showed) {
                    let diff = rehearsed(&before, to, instances, *comparison, Some(why.clone()));
                    entry.with(|state| state.diff = Some(diff));
                }
                if let Some(digest) = digest.filter(|_| from_configuration && !options.dry_run) {
                    self.remember_refusal(entry, configured(digest, &settings), &source, &why).await;
                }
                return Err(refused(entry, &trace, &source, &why));
            }
            Err(error) => {
                return Err(refused(entry, &trace, &source, &format!("could not be loaded: {error}")));
            }
        };
        if prepared.digest == before.digest && prepared.candidate.settings == before.settings {
            trace.skip(Stage::Promote, "it is the active one already");
            if from_configuration && !options.dry_run {
                // The file is what it was: what judges beside it is not wanted any more.
                let is_shadow = |trial: &mut Trial| matches!(trial.kind, TrialKind::Shadow(_));
                if entry.with(|state| state.trial.take_if(is_shadow)).is_some() {
                    self.write_down(entry, "the end of the component beside the active one").await;
                }
            }
            return Ok(None);
        }
        let diff = prepared.comparison.clone().map(|comparison| {
            let refusal = comparison.refusal(config.swap.gate.as_ref(), instances);
            rehearsed(&before, prepared.digest, instances, comparison, refusal)
        });
        if let Some(diff) = &diff {
            entry.with(|state| state.diff = Some(diff.clone()));
        }
        if options.dry_run {
            trace.skip(Stage::Promote, "dry run");
            return Ok(diff);
        }
        if entry.active().generation != before.generation {
            // Whoever changed that did not know of this one, and it was compared with another one.
            return Err(overtaken(entry, &trace, &source, before.generation));
        }
        if strategy == Strategy::Shadow {
            self.begin_shadow(entry, prepared, &config, &trace).await?;
            return Ok(diff);
        }
        let (why, afterwards) =
            if options.force { ("swap --force", Afterwards::Nothing) } else { (why, afterwards) };
        self.promote(entry, prepared, &trace, Promotion { why: why.to_owned(), afterwards }).await?;
        Ok(diff)
    }

    /// Records, takes over, and begins to watch.
    pub(super) async fn promote(
        &self,
        entry: &Entry,
        prepared: Prepared,
        trace: &LoadTrace,
        promotion: Promotion,
    ) -> Result<(), CommandError> {
        // From keeping the bytes to using them nobody else may tidy up.
        let _kept = self.keeping.lock().await;
        let next = self.propose(entry, prepared, trace, &promotion.why)?;
        self.record(entry, next.stored.clone()).await.inspect_err(|error| {
            trace.end(Stage::Promote, StepState::Failed, Some(error.message.clone()));
        })?;
        self.install(entry, next, trace, &promotion);
        self.prune();
        Ok(())
    }

    /// Keeps the bytes of a component and says what is to be recorded before it takes over.
    pub(super) fn propose(
        &self,
        entry: &Entry,
        prepared: Prepared,
        trace: &LoadTrace,
        why: &str,
    ) -> Result<Next, CommandError> {
        let Prepared { candidate, bytes, digest, compiled, plugin, .. } = prepared;
        let former = entry.active();
        trace.begin(Stage::Promote);
        keep(&self.parts.data_dir, digest, &bytes).map_err(|error| {
            let why = format!("cannot be kept in the data directory: {error}");
            trace.end(Stage::Promote, StepState::Failed, Some(why.clone()));
            refused(entry, trace, &candidate.source, &why)
        })?;
        if let Some(recorder) = &self.parts.recorder {
            recorder.keep(&entry.name, (digest, &bytes), plugin.settings());
        }
        let from_configuration = matches!(candidate.origin, Origin::Configured(_));
        let active = Active {
            source: candidate.source,
            digest,
            generation: Generation(former.generation.0 + 1),
            // What the configuration names now is not taken up again at the next start.
            configured: if from_configuration {
                configured(digest, &candidate.settings)
            } else {
                former.configured
            },
            settings: candidate.settings,
            compiled,
            world: plugin.world().map(str::to_owned),
            pure: plugin.is_pure(),
            size: bytes.len(),
            loaded_at: self.parts.clock.now(),
        };
        let stored = entry.with(|state| StoredPlugin {
            refused: state.refused.clone().filter(|_| !from_configuration),
            ..state.stored_with(&active, why.to_owned())
        });
        Ok(Next { active, plugin, stored })
    }

    /// Takes over; its record is durable.
    pub(super) fn install(&self, entry: &Entry, next: Next, trace: &LoadTrace, promotion: &Promotion) {
        let Next { active, plugin, stored } = next;
        let former = entry.active();
        entry.worker.swap(plugin, active.generation);
        trace.end(Stage::Promote, StepState::Passed, Some(active.shown()));
        let Promotion { why, afterwards } = promotion;
        tracing::info!(plugin = %entry.name, "{}: {} is active ({why})", active.source, active.shown());
        entry.with(|state| {
            state.trial = None;
            state.active = active;
            state.history = stored.history;
            state.refused = stored.refused;
            state.counters.promoted += 1;
        });
        self.begin_watch(entry, former, trace, *afterwards);
    }

    /// Lets the former component judge on beside the new one. Without a watch the new one stays.
    fn begin_watch(&self, entry: &Entry, former: Active, trace: &LoadTrace, afterwards: Afterwards) {
        let config = entry.config();
        let skip = |why: &str| trace.skip(Stage::Watch, why);
        let gate = match afterwards {
            Afterwards::Nothing => return skip("not asked for"),
            Afterwards::WatchFailures => None,
            Afterwards::Watch => config.swap.gate.clone(),
        };
        if config.swap.watch_time.is_zero() {
            return skip("watchTime is zero");
        }
        let plugin = match former.compiled.configure(&former.settings, config.limits, config.isolation) {
            Ok(plugin) => plugin,
            Err(error) => return skip(&format!("the former component {error}")),
        };
        let clock = self.parts.clock;
        let (began_at, until) = (clock.now(), clock.now() + config.swap.watch_time);
        let label = format!("{} (former)", entry.name);
        entry.with(|state| {
            let live = state.active.generation;
            let parts = ShadowParts { plugin, label, role: Role::Former, live, gate: gate.clone(), clock };
            match Shadow::start(&entry.tap, parts) {
                Ok(shadow) => {
                    trace.begin(Stage::Watch);
                    let kind = TrialKind::Watch { former: Box::new(former), until };
                    state.trial = Some(Trial { shadow, gate, trace: trace.clone(), began_at, kind });
                }
                Err(error) => skip(&error.to_string()),
            }
        });
    }

    /// Makes it durable.
    pub(super) async fn record(&self, entry: &Entry, stored: StoredPlugin) -> Result<(), CommandError> {
        let kept = format!("{} stays active", entry.active().shown());
        let name = entry.name.clone();
        self.parts.control.ask(|reply| Command::RecordPlugin(name, stored, reply)).await.map_err(|error| {
            CommandError::new(error.kind, format!("plugin `{}`: {error}; {kept}", entry.name))
        })
    }

    /// Removes bytes that no generation uses any more.
    pub(super) fn prune(&self) {
        let used = self.entries.values().flat_map(|entry| {
            entry.with(|state| {
                let kept = state.history.iter().map(|generation| generation.digest);
                let beside = state.shadow().map(|shadow| shadow.digest);
                kept.chain([state.active.digest]).chain(beside).collect::<Vec<Digest>>()
            })
        });
        prune(&self.parts.data_dir, &used.collect());
    }
}

/// What is wanted of a load, and why.
pub(super) struct Order {
    pub(super) options: SwapOptions,
    pub(super) why: &'static str,
    pub(super) afterwards: Afterwards,
    pub(super) when_busy: WhenBusy,
}

/// What becomes of a load while another one of the same plugin is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenBusy {
    /// It is refused at once: a person shall not wait for the download of another one.
    Refuse,
    /// It waits.
    Wait,
    /// It goes past: a way back needs nothing that is not here, and the other one then ends.
    Overtake,
}

/// What a load is made of.
struct Job {
    candidate: Candidate,
    strategy: Strategy,
    order: Order,
    trace: LoadTrace,
    before: Active,
    config: PluginConfig,
}

/// A component that is about to take over.
pub(super) struct Next {
    pub(super) active: Active,
    pub(super) plugin: LoadedPlugin,
    pub(super) stored: StoredPlugin,
}

/// Why a component takes over, and what comes then.
pub(super) struct Promotion {
    pub(super) why: String,
    pub(super) afterwards: Afterwards,
}

fn rehearsed(
    before: &Active,
    to: Digest,
    instances: usize,
    comparison: Comparison,
    refusal: Option<String>,
) -> Diff {
    Diff { stage: Stage::Rehearse, from: before.digest, to, instances, comparison, missed: 0, refusal }
}

/// Another load of the plugin is under way.
fn busy(entry: &Entry) -> CommandError {
    let name = &entry.name;
    let load = entry.with(|state| {
        let load = state.load.as_ref()?;
        Some(format!(" from {} (stage {})", load.source, load.trace.running()?.name()))
    });
    let message = format!(
        "plugin `{name}` is being loaded already{}; try again when `phasegate plugin list` shows that this has ended",
        load.unwrap_or_default()
    );
    CommandError::new(CommandErrorKind::Conflict, message)
}

/// Another generation took over while a component was loaded beside this one.
pub(super) fn overtaken(entry: &Entry, trace: &LoadTrace, source: &str, before: Generation) -> CommandError {
    let message = format!(
        "plugin `{}`, stage promote: {source} was loaded beside generation {}, and {} took over meanwhile and stays active; try again",
        entry.name,
        before.0,
        entry.active().shown()
    );
    trace.begin(Stage::Promote);
    trace.end(Stage::Promote, StepState::Failed, Some(message.clone()));
    CommandError::new(CommandErrorKind::Conflict, message)
}
