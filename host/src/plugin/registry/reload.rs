//! Takes over a changed configuration: all plugins and scale sets of it, or nothing.

use tokio::sync::MutexGuard;

use super::entry::{Active, Entry, Load};
use super::prepare::{Heed, Preparation, Prepared, Unfit};
use super::source::Candidate;
use super::take_over::{Afterwards, Next, Promotion};
use super::{PluginRegistry, refused};
use crate::config::{PluginConfig, Strategy};
use crate::control::{Command, CommandError};
use crate::domain::ScaleSet;
use crate::plugin::LoadTrace;

const WHY: &str = "reload";

/// A plugin whose part of the configuration changed.
struct Changed<'a> {
    entry: &'a Entry,
    config: PluginConfig,
    trace: LoadTrace,
    /// Absent when what runs stays the same.
    prepared: Option<Prepared>,
    _one_at_a_time: MutexGuard<'a, ()>,
}

impl PluginRegistry {
    /// Prepares every plugin that changed, then records all of them and takes them over together
    /// with the sets. Gives the names of the plugins that changed. A shadow does not fit into all or
    /// nothing: under that strategy the gate sees a rehearsal.
    ///
    /// # Errors
    /// When one of them fails at a stage, or nothing can be recorded; then nothing has changed.
    pub async fn reload(
        &self,
        configs: &[PluginConfig],
        sets: Vec<ScaleSet>,
    ) -> Result<Vec<String>, CommandError> {
        let mut changed = Vec::new();
        for entry in self.entries.values() {
            let Some(config) = configs.iter().find(|config| config.name == entry.name) else { continue };
            if *config != entry.config() {
                changed.push(self.prepare_change(entry, config).await?);
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
        let records = records.collect();
        self.parts.control.ask(|reply| Command::Reconfigure(sets, records, reply)).await?;
        // Nothing can fail from here on.
        for change in &changed {
            change.entry.with(|state| {
                state.config = change.config.clone();
                state.last_error = None;
            });
        }
        for (change, next) in ready {
            let promotion = Promotion { why: WHY.to_owned(), afterwards: Afterwards::Watch };
            self.install(change.entry, next, &change.trace, &promotion);
        }
        self.prune();
        Ok(changed.iter().map(|change| change.entry.name.to_string()).collect())
    }

    async fn prepare_change<'a>(
        &self,
        entry: &'a Entry,
        config: &PluginConfig,
    ) -> Result<Changed<'a>, CommandError> {
        let guard = entry.swapping.lock().await;
        let trace = LoadTrace::new(self.parts.clock);
        let before = entry.config();
        let runs_alike = PluginConfig { swap: config.swap.clone(), ..before.clone() } == *config;
        let mut change = Changed {
            entry,
            config: config.clone(),
            trace: trace.clone(),
            prepared: None,
            _one_at_a_time: guard,
        };
        if runs_alike {
            return Ok(change);
        }
        let strategy = match config.swap.strategy {
            Strategy::Immediate => Strategy::Immediate,
            Strategy::Rehearse | Strategy::Shadow => Strategy::Rehearse,
        };
        let candidate = Candidate::configured(config);
        let source = candidate.source.clone();
        entry.with(|state| {
            state.counters.loads += 1;
            state.load = Some(Load { source: source.clone(), strategy, trace: trace.clone() });
        });
        let preparation = Preparation {
            runtime: self.parts.runtime.clone(),
            data_dir: self.parts.data_dir.clone(),
            config: config.clone(),
            strategy,
            heed: Heed::Refuse,
            last: entry.tap.last(),
            trace: trace.clone(),
        };
        let working = tokio::task::spawn_blocking(move || preparation.run(candidate)).await;
        let why = match working {
            Ok(Ok(prepared)) => {
                let active = entry.active();
                change.prepared = Some(prepared).filter(|next| !is_same(next, &active, &before, config));
                return Ok(change);
            }
            Ok(Err(Unfit { why, .. })) => why,
            Err(error) => format!("could not be loaded: {error}"),
        };
        let error = refused(entry, &trace, &source, &why);
        entry.with(|state| {
            state.counters.refused += 1;
            state.last_error = Some(error.message.clone());
        });
        Err(error)
    }
}

/// Whether what runs is what is wanted already.
fn is_same(next: &Prepared, active: &Active, before: &PluginConfig, after: &PluginConfig) -> bool {
    next.digest == active.digest
        && next.candidate.settings == active.settings
        && (before.limits, before.isolation) == (after.limits, after.isolation)
}
