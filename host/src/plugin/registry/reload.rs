//! Takes over a changed configuration: all plugins and scale sets of it, or nothing.

use tokio::sync::MutexGuard;

use super::entry::{Active, Entry, Load};
use super::prepare::{Heed, Preparation, Prepared, Unfit};
use super::source::{Candidate, configured};
use super::take_over::{Afterwards, Next, Promotion, overtaken};
use super::{PluginRegistry, refused};
use crate::config::{PluginConfig, Strategy};
use crate::control::{Command, CommandError, Reconfiguration};
use crate::domain::{Generation, ScaleSet};
use crate::plugin::{LoadTrace, Stage};

const WHY: &str = "reload";

/// A plugin whose part of the configuration changed, or whose component is fetched and may have.
struct Changed<'a> {
    entry: &'a Entry,
    config: PluginConfig,
    part: Part,
    trace: LoadTrace,
    /// Absent when what runs stays the same.
    prepared: Option<Prepared>,
    /// Why a component could not be looked at, though nothing of the plugin changed.
    warning: Option<String>,
    /// What was active when it was prepared.
    before: Generation,
    _one_at_a_time: MutexGuard<'a, ()>,
}

/// Whether the file says something else about a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Changed,
    Same,
}

/// What a reload did to the plugins.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Names of those that changed.
    pub changed: Vec<String>,
    /// What could not be looked at, and what that means.
    pub warnings: Vec<String>,
}

impl PluginRegistry {
    /// Prepares every plugin that changed, then records all of them and takes them over together
    /// with the sets. Fetches components again that nothing pins: a tag may have moved. A shadow does
    /// not fit into all or nothing: under that strategy the gate sees a rehearsal.
    ///
    /// # Errors
    /// When one of them fails at a stage, or nothing can be recorded; then nothing has changed. A
    /// component that cannot be fetched is only a warning where nothing of its plugin changed.
    pub async fn reload(
        &self,
        configs: &[PluginConfig],
        sets: Vec<ScaleSet>,
    ) -> Result<Reloaded, CommandError> {
        let mut changed = Vec::new();
        for entry in self.entries.values() {
            let Some(config) = configs.iter().find(|config| config.name == entry.name) else { continue };
            let part = if *config == entry.config() { Part::Same } else { Part::Changed };
            if part == Part::Changed || config.may_move() {
                changed.push(self.prepare_change(entry, config, part).await?);
            }
        }
        let mut taking_over = Vec::new();
        for change in &changed {
            let Some(prepared) = &change.prepared else { continue };
            taking_over.push(change.entry.swapping.lock().await);
            if change.entry.active().generation != change.before {
                return Err(overtaken(
                    change.entry,
                    &change.trace,
                    &prepared.candidate.source,
                    change.before,
                ));
            }
        }
        let _kept = self.keeping.lock().await;
        let mut ready: Vec<(&Changed<'_>, Next)> = Vec::new();
        let mut taken: Vec<Option<Prepared>> =
            changed.iter_mut().map(|change| change.prepared.take()).collect();
        for (change, prepared) in changed.iter().zip(&mut taken) {
            if let Some(prepared) = prepared.take() {
                ready.push((change, self.propose(change.entry, prepared, &change.trace, WHY)?));
            }
        }
        let records = ready.iter().map(|(change, next)| (change.entry.name.clone(), next.stored.clone()));
        let change = Reconfiguration {
            sets,
            on_failure: configs.iter().map(|config| (config.name.clone(), config.on_failure)).collect(),
            plugins: records.collect(),
        };
        self.parts.control.ask(|reply| Command::Reconfigure(change, reply)).await?;
        // Nothing can fail from here on.
        let mut reloaded = Reloaded::default();
        for change in &changed {
            change.entry.with(|state| {
                state.config = change.config.clone();
                state.last_error.clone_from(&change.warning);
            });
            reloaded.warnings.extend(change.warning.clone());
            let takes_over = ready.iter().any(|(ready, _)| ready.entry.name == change.entry.name);
            if change.part == Part::Changed || takes_over {
                reloaded.changed.push(change.entry.name.to_string());
            }
        }
        for (change, next) in ready {
            let promotion = Promotion { why: WHY.to_owned(), afterwards: Afterwards::Watch };
            self.install(change.entry, next, &change.trace, &promotion);
        }
        self.prune();
        Ok(reloaded)
    }

    async fn prepare_change<'a>(
        &self,
        entry: &'a Entry,
        config: &PluginConfig,
        part: Part,
    ) -> Result<Changed<'a>, CommandError> {
        let guard = entry.loading.lock().await;
        let active = entry.active();
        let trace = LoadTrace::new(self.parts.clock);
        let before = entry.config();
        let runs_alike = PluginConfig { swap: config.swap.clone(), ..before.clone() } == *config;
        let mut change = Changed {
            entry,
            config: config.clone(),
            part,
            trace: trace.clone(),
            prepared: None,
            warning: None,
            before: active.generation,
            _one_at_a_time: guard,
        };
        if runs_alike && !config.may_move() {
            return Ok(change);
        }
        let (strategy, source) = self.begin_load(entry, config, &trace);
        let candidate = Candidate::configured(config);
        let preparation = Preparation {
            runtime: self.parts.runtime.clone(),
            data_dir: self.parts.data_dir.clone(),
            config: config.clone(),
            strategy,
            heed: Heed::Refuse,
            last: entry.tap.last(),
            trace: trace.clone(),
        };
        let named_before = active.configured;
        let working = tokio::task::spawn_blocking(move || {
            // An upload or a way back stands for as long as the place holds what it held then.
            let same =
                |digest| runs_alike && configured(digest, &preparation.config.settings) == named_before;
            preparation.run_unless(candidate, same)
        });
        let unfit = match working.await {
            Ok(Ok(None)) => return Ok(change),
            Ok(Ok(Some(prepared))) => {
                change.prepared = Some(prepared).filter(|next| !is_same(next, &active, &before, config));
                return Ok(change);
            }
            Ok(Err(unfit)) => unfit,
            Err(error) => Unfit { why: format!("could not be loaded: {error}"), digest: None, showed: None },
        };
        let error = refused(entry, &trace, &source, &unfit.why);
        entry.with(|state| {
            state.counters.refused += 1;
            state.last_error = Some(error.message.clone());
        });
        if runs_alike && trace.failed() == Some(Stage::Fetch) {
            tracing::warn!(plugin = %entry.name, "{error}");
            change.warning = Some(error.message);
            return Ok(change);
        }
        if let Some(digest) = unfit.digest.filter(|_| part == Part::Same) {
            // The next start shall not take up what moved and was refused.
            let _taking_over = entry.swapping.lock().await;
            self.remember_refusal(entry, configured(digest, &config.settings), &source, &unfit.why).await;
        }
        Err(error)
    }

    /// Puts the load on record; gives what it must pass and where it is from.
    fn begin_load(&self, entry: &Entry, config: &PluginConfig, trace: &LoadTrace) -> (Strategy, String) {
        let strategy = match config.swap.strategy {
            Strategy::Immediate => Strategy::Immediate,
            Strategy::Rehearse | Strategy::Shadow => Strategy::Rehearse,
        };
        let source = Candidate::configured(config).source;
        entry.with(|state| {
            state.counters.loads += 1;
            state.load = Some(Load { source: source.clone(), strategy, trace: trace.clone() });
        });
        (strategy, source)
    }
}

/// Whether what runs is what is wanted already.
fn is_same(next: &Prepared, active: &Active, before: &PluginConfig, after: &PluginConfig) -> bool {
    next.digest == active.digest
        && next.candidate.settings == active.settings
        && (before.limits, before.isolation) == (after.limits, after.isolation)
}
