//! A generation that fails for most of its instances outside its watch gives way to a former one that does
//! better, on the very observations that it fails on: so a fleet whose answers changed does not send its
//! plugins through their whole history. A generation that was left for being worse is not gone back to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::entry::{Entry, Load, TrialKind};
use super::history::ways_back;
use super::prepare::{Evidence, Heed, Preparation, Prepared, Unfit};
use super::shadow::Failing;
use super::source::{Candidate, Origin};
use super::take_over::{Afterwards, Promotion};
use super::{PluginRegistry, take_over};
use crate::plugins::config::PluginConfig;
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{Generation, PluginName, Timestamp};
use phasegate_core::kernel::Event;
use phasegate_wasm::LoadTrace;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time before the former generations are asked again when none did better.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What was found out about a generation in trouble.
#[derive(Default)]
struct Looked {
    generation: Option<Generation>,
    again_at: Option<Timestamp>,
    said: Option<String>,
}

impl PluginRegistry {
    /// Looks after a plugin until `stop` turns true.
    pub(super) async fn break_circuit(self: Arc<Self>, name: PluginName, mut stop: watch::Receiver<bool>) {
        let Ok(entry) = self.entry(&name) else { return };
        let mut looked = Looked::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.look_at_trouble(entry, &mut looked).await;
        }
    }

    async fn look_at_trouble(&self, entry: &Entry, looked: &mut Looked) {
        let now = self.parts.clock.now();
        let active = entry.active().generation;
        if !entry.tap.was_in_trouble(active) {
            return;
        }
        if looked.generation != Some(active) {
            *looked = Looked { generation: Some(active), ..Looked::default() };
        }
        let failing = entry.tap.failing().filter(|it| it.failed * 2 > it.instances);
        let Some(failing) = failing else {
            // It has found back by itself.
            let said = looked.said.take();
            entry.with(|state| {
                state.last_error = state.last_error.take().filter(|it| Some(it) != said.as_ref())
            });
            looked.again_at = None;
            return;
        };
        let is_watched = entry.with(|state| {
            state.trial.as_ref().is_some_and(|trial| matches!(trial.kind, TrialKind::Watch { .. }))
        });
        if is_watched || looked.again_at.is_some_and(|at| now < at) {
            return;
        }
        // While another one is loaded there is time: it may be what helps.
        let Ok(_one_at_a_time) = entry.loading.try_lock() else { return };
        looked.again_at = Some(now + ASK_AGAIN);
        let is_forced =
            entry.with(|state| state.history.last().is_some_and(|last| last.why == take_over::FORCED));
        let why_not = if is_forced {
            "it was swapped in with --force, so nothing takes it back by itself".to_owned()
        } else {
            match self.better(entry, active).await {
                Ok(better) => return self.go_back(entry, active, &failing, better).await,
                Err(why) => why,
            }
        };
        let Failing { failed, instances, cause } = failing;
        let (name, shown) = (&entry.name, entry.active().shown());
        let error = format!(
            "plugin `{name}`: {shown} fails for {failed} of {instances} instances, and {why_not}: {cause}; swap another component in"
        );
        if looked.said.is_none() {
            tracing::error!("{error}");
        }
        entry.with(|state| state.last_error = Some(error.clone()));
        looked.said = Some(error);
    }

    /// The latest former generation that fails on fewer of the latest observations; else why there is none,
    /// as a fragment.
    async fn better(&self, entry: &Entry, active: Generation) -> Result<Better, String> {
        let mut unfit = Vec::new();
        let (history, runs, config) = entry.with(|state| {
            let runs = (state.active.digest, state.active.settings.clone());
            (state.history.clone(), runs, state.config.clone())
        });
        let evidence = || {
            let Evidence { mut last, .. } = entry.tap.evidence();
            last.retain(|(_, seen)| seen.generation == active);
            Evidence { last, unseen: 0 }
        };
        for one in ways_back(&history, (runs.0, &runs.1)) {
            let trace = LoadTrace::new(Arc::new(self.parts.clock));
            let mut config: PluginConfig = config.clone();
            // Nobody asks what changes: no decision is worse than another one.
            config.spec.swap.gate = None;
            let preparation = Preparation {
                runtime: self.parts.runtime.clone(),
                data_dir: self.parts.data_dir.clone(),
                config,
                strategy: Strategy::Rehearse,
                heed: Heed::Show,
                evidence: evidence(),
                discarded: Arc::default(),
                trace: trace.clone(),
            };
            let candidate = Candidate {
                origin: Origin::Kept(one.digest),
                source: one.source.clone(),
                settings: one.settings.clone(),
            };
            let prepared = tokio::task::spawn_blocking(move || preparation.run(candidate)).await;
            let prepared = match prepared.unwrap_or_else(|error| Err(Unfit::broken(&error))) {
                Ok(prepared) => prepared,
                Err(Unfit { why, .. }) => {
                    unfit.push(format!("generation {} {why}", one.generation.0));
                    continue;
                }
            };
            if prepared.comparison.as_ref().is_some_and(|seen| seen.failed_old > seen.failed_new) {
                return Ok(Better { generation: one.generation, prepared, trace });
            }
        }
        let why = match unfit.is_empty() {
            true => String::new(),
            false => format!(" ({})", unfit.join("; ")),
        };
        Err(format!("no former generation that it could go back to does better{why}"))
    }

    async fn go_back(&self, entry: &Entry, active: Generation, failing: &Failing, better: Better) {
        let Better { generation, prepared, trace } = better;
        let _taking_over = entry.swapping.lock().await;
        let bad = entry.active();
        if bad.generation != active {
            return;
        }
        let Failing { failed, instances, cause } = failing;
        let why = format!("failed for {failed} of {instances} instances: {cause}");
        let said = format!("{} {why}; going back to generation {}", bad.shown(), generation.0);
        tracing::warn!(plugin = %entry.name, "{said}");
        self.audit_way_back(entry, &said).await;
        entry.with(|state| {
            state.leave(&why);
            state.counters.reverted += 1;
            let source = prepared.candidate.source.clone();
            state.begin_load(Load { source, strategy: Strategy::Rehearse, trace: trace.clone() });
        });
        let why = format!("generation {} {why}", bad.generation.0);
        let promotion = Promotion { why, afterwards: Afterwards::Nothing };
        let error = match self.promote(entry, prepared, &trace, promotion).await {
            Ok(()) => format!("plugin `{}`: {said}", entry.name),
            Err(error) => {
                tracing::error!("cannot go back: {error}");
                error.message
            }
        };
        entry.with(|state| state.last_error = Some(error));
    }

    /// Says in the audit trail that a plugin goes back by itself.
    pub(super) async fn audit_way_back(&self, entry: &Entry, said: &str) {
        let text = format!("plugin {}: {said}", entry.name);
        self.parts.control.send(Event::PluginReverted(entry.name.clone(), text)).await;
    }
}

/// A former generation that does better.
struct Better {
    generation: Generation,
    prepared: Prepared,
    trace: LoadTrace,
}
