//! The second half of the pipeline: shadow (`beside`), promote, watch (`watched`), and the ways out.
//!
//! ```text
//! prepared ─┬─> promote ─> watch ─┬─> stays
//!           └─> shadow ──^        └─> the former one again, as a new generation
//! ```

use std::sync::Arc;

use super::compare::Comparison;
use super::entry::{Active, Diff, Entry, Load};
use super::prepare::{Heed, Preparation, Prepared, Unfit};
use super::source::{Candidate, Origin, configured, keep, prune};
use super::watched::begin_watch;
use super::{PluginRegistry, SwapOptions, refused};
use crate::plugins::config::PluginConfig;
use crate::shell::{CommandError, CommandErrorKind};
use phasegate_core::domain::By;
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{Digest, Generation};
use phasegate_core::kernel::Command;
use phasegate_core::record::{StoredHeed, StoredPlugin, StoredWatch};
use phasegate_wasm::{LoadTrace, LoadedPlugin, Stage, StepState};

/// Why a generation took over that nothing takes back by itself.
pub(super) const FORCED: &str = "swap --force";

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

impl Afterwards {
    /// As it is recorded, with the generation that judges on.
    pub(super) fn stored(self, former: Generation) -> Option<StoredWatch> {
        let heeds = match self {
            Self::Watch => StoredHeed::Everything,
            Self::WatchFailures => StoredHeed::Failures,
            Self::Nothing => return None,
        };
        Some(StoredWatch { former, heeds })
    }
}

impl From<StoredHeed> for Afterwards {
    fn from(heeds: StoredHeed) -> Self {
        match heeds {
            StoredHeed::Everything => Self::Watch,
            StoredHeed::Failures => Self::WatchFailures,
        }
    }
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
        let considered = entry.with(|state| state.considered);
        let source = candidate.source.clone();
        let config = entry.config();
        let strategy = order.options.strategy(config.spec.swap.strategy);
        let trace = LoadTrace::new(Arc::new(self.parts.clock));
        entry.with(|state| {
            state.begin_load(Load { source: source.clone(), strategy, trace: trace.clone() });
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
                    if error.kind != CommandErrorKind::Refused {
                        // Nothing was found against it: it may be looked at again.
                        state.considered = considered;
                    }
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
            evidence: entry.tap.evidence(),
            discarded: entry.with(|state| Arc::clone(state.loading.insert(Arc::default()))),
            trace: trace.clone(),
        };
        let source = candidate.source.clone();
        let instances = preparation.evidence.all();
        let lasts = matches!(candidate.origin, Origin::Configured(_)) && !options.dry_run;
        let named = lasts.then(|| candidate.settings.clone());
        let working = tokio::task::spawn_blocking(move || preparation.run(candidate)).await;
        let _taking_over = entry.swapping.lock().await;
        entry.with(|state| state.loading = None);
        let prepared = match working.unwrap_or_else(|error| Err(Unfit::broken(&error))) {
            Ok(prepared) => prepared,
            Err(unfit) => {
                let error = refused(entry, &trace, &source, &unfit.why);
                self.reject(entry, unfit, Rejected { before: &before, instances, named, error: &error })
                    .await;
                return Err(error);
            }
        };
        if named.is_some() {
            entry.with(|state| state.considered = Some(prepared.digest));
        }
        if prepared.digest == before.digest && prepared.candidate.settings == before.settings {
            trace.skip(Stage::Promote, "it is the active one already");
            if named.is_some() {
                self.end_shadow(entry, "the configuration names what is active already").await;
            }
            return Ok(None);
        }
        let diff = prepared.comparison.clone().map(|comparison| {
            let refusal = comparison.refusal(config.spec.swap.gate.as_ref(), instances);
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
        let unproved = prepared.unproved.clone().filter(|_| !shown);
        if let Some(why) = &unproved {
            trace.note(Stage::Rehearse, format!("{why}; it judges beside the active one first"));
        }
        if strategy == Strategy::Shadow || unproved.is_some() {
            self.begin_shadow(entry, prepared, &config, &trace).await?;
            return Ok(diff);
        }
        let (why, afterwards) = if options.force { (FORCED, Afterwards::Nothing) } else { (why, afterwards) };
        self.promote(entry, prepared, &trace, Promotion { why: why.to_owned(), afterwards }).await?;
        Ok(diff)
    }

    /// Keeps what a candidate showed that failed at a stage, and remembers it where the configuration
    /// names it.
    async fn reject(&self, entry: &Entry, unfit: Unfit, rejected: Rejected<'_>) {
        let Unfit { why, digest, showed } = unfit;
        let Rejected { before, instances, named, error } = rejected;
        let Some(digest) = digest else { return };
        if let Some(comparison) = showed {
            let diff = rehearsed(before, digest, instances, *comparison, Some(why));
            entry.with(|state| state.diff = Some(diff));
        }
        if let Some(settings) = named {
            entry.with(|state| state.considered = Some(digest));
            self.remember_refusal(entry, configured(digest, &settings), error.clone()).await;
        }
    }

    /// What the configuration names is what runs: what judges beside it is not wanted any more.
    async fn end_shadow(&self, entry: &Entry, why: &str) {
        let had_shadow = entry.with(|state| {
            let had = state.shadow().is_some();
            if had {
                state.end_for(why);
            }
            had
        });
        if had_shadow {
            self.write_down(entry, "the end of the component beside the active one").await;
        }
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
        let next = self.propose(entry, prepared, trace, &promotion)?;
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
        promotion: &Promotion,
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
                let (considered, config) = entry.with(|state| (state.considered, state.config.clone()));
                considered.map_or(former.configured, |named| configured(named, &config.spec.settings))
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
            watch: promotion.afterwards.stored(former.generation),
            ..state.stored_with(&active, promotion.why.clone())
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
            state.show_again(trace);
            state.end_for(&format!("{} took over ({why})", active.shown()));
            state.active = active;
            state.history = stored.history;
            state.refused = stored.refused;
            state.counters.promoted += 1;
        });
        begin_watch(entry, former, trace, *afterwards);
    }

    /// Makes it durable.
    pub(super) async fn record(&self, entry: &Entry, stored: StoredPlugin) -> Result<(), CommandError> {
        let kept = format!("{} stays active", entry.active().shown());
        let name = entry.name.clone();
        let recorded =
            self.parts.control.ask(By::host(), Command::RecordPlugin(name, Box::new(stored))).await;
        recorded.map(drop).map_err(|refusal| {
            let error = CommandError::from(refusal);
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

/// A candidate that failed at a stage.
struct Rejected<'a> {
    before: &'a Active,
    /// On how many instances it was rehearsed.
    instances: usize,
    /// The settings with which the configuration names it, if it does.
    named: Option<String>,
    error: &'a CommandError,
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

impl Next {
    /// Says what the configuration names besides, where that is another component or other settings.
    pub(super) fn name(&mut self, considered: Option<Digest>, settings: &str) {
        let Some(considered) = considered else { return };
        let named = configured(considered, settings);
        (self.active.configured, self.stored.configured) = (named, named);
        self.stored.considered = Some(considered);
    }
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
