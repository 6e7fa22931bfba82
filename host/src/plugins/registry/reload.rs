//! Takes over a changed configuration: all plugins and scale sets of it, or nothing.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::entry::{Active, Entry, Load, State};
use super::prepare::{Heed, Preparation, Prepared, Unfit};
use super::source::{Candidate, configured};
use super::take_over::{Afterwards, Next, Promotion, overtaken};
use super::wanted::{Brought, Place, Wanted};
use super::{PluginRegistry, refused};
use crate::plugins::config::PluginConfig;
use crate::shell::CommandError;
use phasegate_core::domain::By;
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{Digest, Generation, PluginName, ScaleSet};
use phasegate_core::kernel::Command;
use phasegate_core::kernel::command::Reconfiguration;
use phasegate_wasm::{LoadTrace, Stage, StepState};

const WHY: &str = "reload";

/// A plugin whose part of the configuration changed, or whose component is fetched and may have.
struct Changed<'a> {
    entry: &'a Entry,
    config: PluginConfig,
    part: Part,
    trace: LoadTrace,
    /// Absent when what runs stays the same.
    prepared: Option<Prepared>,
    /// What of the configuration was refused or could not be looked at, and why.
    warning: Option<String>,
    /// What of it was left where it is.
    hint: Option<String>,
    /// The component that the configuration names, where it was looked at.
    considered: Option<Digest>,
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
    /// Those that changed, with their components where others took over.
    pub changed: Vec<String>,
    /// What could not be looked at, and what that means.
    pub warnings: Vec<String>,
    /// What the file says already and what was refused.
    pub not_in_force: Vec<String>,
}

impl PluginRegistry {
    /// Prepares every plugin that changed, then records all of them and takes them over together
    /// with the sets. What runs goes on with other settings and limits; the configured component comes
    /// in only where the file names another one, or its place holds other bytes than when it was looked
    /// at last. Fetches components again that nothing pins: a tag may have moved. A shadow does not fit
    /// into all or nothing: under that strategy the gate sees a rehearsal.
    ///
    /// # Errors
    /// When one of them fails at a stage, or nothing can be recorded; then nothing has changed. A
    /// component that cannot be fetched is only a warning where the file names no other one.
    pub async fn reload(
        &self,
        configs: &[PluginConfig],
        sets: Vec<ScaleSet>,
    ) -> Result<Reloaded, CommandError> {
        let mut changed = Vec::new();
        for entry in self.entries.values() {
            let Some(config) = configs.iter().find(|config| config.spec.name == entry.name) else { continue };
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
        let promotion = Promotion { why: WHY.to_owned(), afterwards: Afterwards::Watch };
        for (change, prepared) in changed.iter().zip(&mut taken) {
            if let Some(prepared) = prepared.take() {
                let mut next = self.propose(change.entry, prepared, &change.trace, &promotion)?;
                next.name(change.considered, &change.config.spec.settings);
                ready.push((change, next));
            }
        }
        let records = ready.iter().map(|(change, next)| (change.entry.name.clone(), next.stored.clone()));
        let change = Reconfiguration {
            sets,
            on_failure: configs
                .iter()
                .map(|config| (config.spec.name.clone(), config.spec.on_failure))
                .collect(),
            plugins: records.collect(),
        };
        self.parts.control.ask(By::host(), Command::Reconfigure(change)).await?;
        // Nothing can fail from here on.
        let mut reloaded = Reloaded::default();
        for change in &changed {
            let former = change.entry.with(|state| {
                state.config = change.config.clone();
                state.considered = change.considered.or(state.considered);
                state.last_error.clone_from(&change.warning);
                state.active.digest
            });
            reloaded.warnings.extend(change.warning.iter().chain(&change.hint).cloned());
            let next = ready.iter().find(|(ready, _)| ready.entry.name == change.entry.name);
            if change.part == Part::Changed || next.is_some() {
                let next = next.map_or(former, |(_, next)| next.active.digest);
                reloaded.changed.push(named(&change.entry.name, former, next));
            }
        }
        for (change, next) in ready {
            self.install(change.entry, next, &change.trace, &promotion);
        }
        self.prune();
        reloaded.not_in_force = self.not_in_force(&changed);
        Ok(reloaded)
    }

    async fn prepare_change<'a>(
        &self,
        entry: &'a Entry,
        config: &PluginConfig,
        part: Part,
    ) -> Result<Changed<'a>, CommandError> {
        let guard = entry.loading.lock().await;
        let (active, before) = (entry.active(), entry.config());
        let trace = LoadTrace::new(Arc::new(self.parts.clock));
        let mut change = Changed {
            entry,
            config: config.clone(),
            part,
            trace: trace.clone(),
            prepared: None,
            warning: None,
            hint: None,
            considered: None,
            before: active.generation,
            _one_at_a_time: guard,
        };
        let wanted = Wanted::of(entry, &before, config);
        if wanted.kept.is_none() && wanted.place == Place::Known && !config.may_move() {
            return Ok(change);
        }
        let (strategy, source) = self.begin_load(entry, config, &trace);
        let evidence = entry.tap.evidence();
        let preparation = Preparation {
            runtime: self.parts.runtime.clone(),
            data_dir: self.parts.data_dir.clone(),
            config: config.clone(),
            strategy,
            heed: Heed::Refuse,
            evidence,
            discarded: Arc::default(),
            trace: trace.clone(),
        };
        let working = tokio::task::spawn_blocking(move || wanted.bring(&preparation)).await;
        let brought = working.unwrap_or_else(|error| Err((source.clone(), Unfit::broken(&error))));
        match brought {
            Ok(Brought { prepared, considered, unread }) => {
                change.considered = considered;
                change.warning = unread.map(|why| refused_at_fetch(entry, &source, &why));
                if let Some(warning) = &change.warning {
                    tracing::warn!(plugin = %entry.name, "{warning}");
                }
                change.prepared = prepared.filter(|next| !is_same(next, &active, &before, config));
                if let Some(why) = change.prepared.as_ref().and_then(|next| next.unproved.clone()) {
                    // All or nothing cannot wait for it.
                    let why = format!("{why}; reload again when `phasegate fleet` shows a decision of each");
                    trace.end(Stage::Rehearse, StepState::Failed, Some(why.clone()));
                    let unfit = Unfit { why, digest: None, showed: None };
                    return Err(self.refuse_change(&change, &source, unfit).await);
                }
                self.say_what_stays(&mut change, &active, &source);
                Ok(change)
            }
            Err((source, unfit)) => {
                entry.with(|state| {
                    if let Some(load) = &mut state.load {
                        load.source.clone_from(&source);
                    }
                });
                Err(self.refuse_change(&change, &source, unfit).await)
            }
        }
    }

    /// What the file names and what was refused, of the plugins that a reload leaves as they are.
    fn not_in_force(&self, changed: &[Changed<'_>]) -> Vec<String> {
        let mut found = Vec::new();
        for entry in self.entries.values() {
            let mut of_it = changed.iter().filter(|change| change.entry.name == entry.name);
            if of_it.any(|change| change.part == Part::Changed || change.warning.is_some()) {
                continue;
            }
            found.extend(entry.with(|state| {
                let beside = state.shadow().map(|shadow| configured(shadow.digest, &shadow.settings));
                let State { active, config, considered, refused, .. } = state;
                let considered = (*considered)?;
                let runs = (active.digest, &active.settings) == (considered, &config.spec.settings);
                let named = configured(considered, &config.spec.settings);
                let refused = refused.as_ref().filter(|refused| refused.configured == named)?;
                // What judges beside the active one is on record as refused for as long as it does.
                let is_out = !runs && beside != Some(named);
                is_out.then(|| {
                    format!("what the file says of plugin `{}` is not in force: {}", entry.name, refused.why)
                })
            }));
        }
        found
    }

    /// A component of the configuration that is not taken up is named, so that nobody waits for it.
    fn say_what_stays(&self, change: &mut Changed<'_>, active: &Active, source: &str) {
        let Changed { entry, config, part, considered, prepared, warning, hint, .. } = change;
        let runs = prepared.as_ref().map_or(active.digest, |next| next.digest);
        let Some(considered) = considered.filter(|digest| *digest != runs) else { return };
        let name = &entry.name;
        if let Some(prepared) = prepared {
            entry.with(|state| {
                if let Some(load) = &mut state.load {
                    load.source.clone_from(&prepared.candidate.source);
                }
            });
        }
        let now = configured(considered, &config.spec.settings);
        let was_refused = entry.with(|state| state.refused.clone().filter(|was| was.configured == now));
        if let Some(refused) = was_refused {
            warning.get_or_insert(refused.why);
        } else if *part == Part::Changed && warning.is_none() {
            *hint = Some(format!(
                "plugin `{name}`: component {} stays; `{source}` has {}, as when it was looked at last: `phasegate plugin swap {name} {source}` takes it up",
                runs.short(),
                considered.short()
            ));
        }
    }

    async fn refuse_change(&self, change: &Changed<'_>, source: &str, unfit: Unfit) -> CommandError {
        let Changed { entry, config, part, trace, .. } = change;
        let error = refused(entry, trace, source, &unfit.why);
        entry.with(|state| {
            state.counters.refused += 1;
            state.last_error = Some(error.message.clone());
        });
        if let Some(digest) = unfit.digest.filter(|_| *part == Part::Same) {
            // The next start shall not take up what moved and was refused.
            let _taking_over = entry.swapping.lock().await;
            entry.with(|state| state.considered = Some(digest));
            self.remember_refusal(entry, configured(digest, &config.spec.settings), error.clone()).await;
        }
        error
    }

    /// Puts the load on record; gives what it must pass and where it is from.
    fn begin_load(&self, entry: &Entry, config: &PluginConfig, trace: &LoadTrace) -> (Strategy, String) {
        let strategy = match config.spec.swap.strategy {
            Strategy::Immediate => Strategy::Immediate,
            Strategy::Rehearse | Strategy::Shadow => Strategy::Rehearse,
        };
        let source = Candidate::configured(config).source;
        entry.with(|state| {
            state.begin_load(Load { source: source.clone(), strategy, trace: trace.clone() });
        });
        (strategy, source)
    }
}

/// `plugin `db` (component 0123456789ab -> ba9876543210)`.
fn named(name: &PluginName, former: Digest, next: Digest) -> String {
    if former == next {
        return format!("plugin `{name}`");
    }
    format!("plugin `{name}` (component {} -> {})", former.short(), next.short())
}

fn refused_at_fetch(entry: &Entry, source: &str, why: &str) -> String {
    format!("plugin `{}`, stage fetch: {source} {why}; {} stays active", entry.name, entry.active().shown())
}

/// Whether what runs is what is wanted already.
fn is_same(next: &Prepared, active: &Active, before: &PluginConfig, after: &PluginConfig) -> bool {
    next.digest == active.digest
        && next.candidate.settings == active.settings
        && (before.spec.limits, before.spec.isolation) == (after.spec.limits, after.spec.isolation)
}
