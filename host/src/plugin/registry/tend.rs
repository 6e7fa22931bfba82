//! Looks after shadows and watches: gates that open or refuse by themselves, generations that come
//! back, and what a person decides.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::entry::{Active, Entry, Trial, TrialKind};
use super::prepare::Prepared;
use super::source::{Candidate, Origin, kept};
use super::take_over::{Afterwards, Order, Promotion, WhenBusy};
use super::{PluginRegistry, SwapOptions, refused};
use crate::api::wire;
use crate::config::Strategy;
use crate::control::{CommandError, CommandErrorKind, rfc3339};
use crate::domain::{Generation, PluginName};
use crate::plugin::{LoadTrace, Stage, StepState};
use crate::recording::settings_digest;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be done about a trial.
enum Turn {
    /// Nothing yet.
    Wait,
    /// The shadow takes over.
    Promote,
    /// The shadow is refused, because of this.
    Refuse(String),
    /// The watch has ended well.
    Keep,
    /// The former component comes back, because of this.
    Revert(String),
}

impl PluginRegistry {
    /// Looks after trials until `stop` turns true.
    pub(super) async fn tend(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            for entry in self.entries.values() {
                // Where another one takes over just now there is nothing to look at.
                let Ok(_taking_over) = entry.swapping.try_lock() else { continue };
                self.look_at_trial(entry).await;
            }
        }
    }

    async fn look_at_trial(&self, entry: &Entry) {
        let (now, judged, unseen) = (self.parts.clock.now(), entry.tap.instances(), entry.tap.unseen());
        let turn = entry.with(|state| match &state.trial {
            Some(trial) => trial.turn(now, judged, unseen),
            None => Turn::Wait,
        });
        match turn {
            Turn::Wait => {}
            Turn::Keep => {
                if let Some(trial) = self.end_trial(entry) {
                    let seen = format!("{} observations", trial.shadow.comparison().observations);
                    trial.trace.end(Stage::Watch, StepState::Passed, Some(seen.clone()));
                    let shown = entry.active().shown();
                    tracing::info!(plugin = %entry.name, "{shown} stays: its watch ended well after {seen}");
                    self.write_down(entry, "the end of the watch").await;
                }
            }
            Turn::Promote => {
                // The refusal is in the log and in the list.
                let _ = self.promote_shadow(entry, "its gate let it pass", Afterwards::Watch).await;
            }
            Turn::Refuse(why) => {
                let Some(trial) = self.end_trial(entry) else { return };
                let TrialKind::Shadow(prepared) = &trial.kind else { return };
                trial.trace.end(Stage::Shadow, StepState::Failed, Some(why.clone()));
                let source = &prepared.candidate.source;
                let error = refused(entry, &trial.trace, source, &why);
                self.shadow_ended(entry, prepared, error.clone()).await;
                tracing::warn!(plugin = %entry.name, "{error}");
                entry.with(|state| {
                    state.counters.refused += 1;
                    state.last_error = Some(error.message);
                });
            }
            Turn::Revert(why) => self.revert(entry, &why).await,
        }
    }

    /// Ends the trial and keeps what it showed.
    fn end_trial(&self, entry: &Entry) -> Option<Trial> {
        let instances = entry.tap.instances();
        entry.with(|state| {
            let trial = state.trial.take()?;
            state.diff = Some(trial.diff(&state.active, instances));
            Some(trial)
        })
    }

    async fn promote_shadow(
        &self,
        entry: &Entry,
        why: &str,
        afterwards: Afterwards,
    ) -> Result<(), CommandError> {
        let Some(trial) = self.end_trial(entry) else { return Ok(()) };
        let Trial { shadow, trace, kind, .. } = trial;
        // Gives the tap back before a watch takes it.
        drop(shadow);
        let TrialKind::Shadow(prepared) = kind else { return Ok(()) };
        trace.end(Stage::Shadow, StepState::Passed, Some(why.to_owned()));
        let promotion = Promotion { why: why.to_owned(), afterwards };
        let result = self.promote(entry, *prepared, &trace, promotion).await;
        entry.with(|state| state.last_error = result.as_ref().err().map(|error| error.message.clone()));
        result
    }

    async fn revert(&self, entry: &Entry, why: &str) {
        let Some(trial) = self.end_trial(entry) else { return };
        let TrialKind::Watch { former, .. } = trial.kind else { return };
        trial.trace.end(Stage::Watch, StepState::Failed, Some(why.to_owned()));
        let bad = entry.active();
        entry.with(|state| {
            state.leave(why);
            if let Some(diff) = &mut state.diff {
                // What was seen since does not matter.
                diff.refusal = Some(why.to_owned());
            }
        });
        let said = format!("{} {why}; going back to {}", bad.shown(), former.shown());
        tracing::warn!(plugin = %entry.name, "{said}");
        self.audit_way_back(entry, &said).await;
        entry.with(|state| {
            state.counters.reverted += 1;
            state.last_error = Some(format!("plugin `{}`, stage watch: {said}", entry.name));
        });
        let trace = LoadTrace::new(self.parts.clock);
        let back = match self.prepared_again(entry, &former) {
            Ok(prepared) => {
                let why = format!("generation {} {why}", bad.generation.0);
                let promotion = Promotion { why, afterwards: Afterwards::Nothing };
                self.promote(entry, prepared, &trace, promotion).await.map_err(|error| error.message)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = back {
            tracing::error!(plugin = %entry.name, "cannot go back: {error}");
            entry.with(|state| state.last_error = Some(error));
        }
    }

    /// A component that ran a moment ago.
    fn prepared_again(&self, entry: &Entry, former: &Active) -> Result<Prepared, String> {
        let config = entry.config();
        let plugin = former
            .compiled
            .configure(&former.settings, config.limits, config.isolation)
            .map_err(|error| error.to_string())?;
        let bytes = kept(&self.parts.data_dir, former.digest)
            .ok_or("its component is missing from the data directory")?;
        let candidate = Candidate {
            origin: Origin::Kept(former.digest),
            source: former.source.clone(),
            settings: former.settings.clone(),
        };
        let compiled = Arc::clone(&former.compiled);
        Ok(Prepared {
            candidate,
            bytes: bytes.into(),
            digest: former.digest,
            compiled,
            plugin,
            comparison: None,
            unproved: None,
        })
    }

    /// Lets the shadow take over: a person has looked.
    ///
    /// # Errors
    /// When there is none, or nothing can be recorded.
    pub async fn promote_now(&self, name: &PluginName) -> Result<wire::Plugin, CommandError> {
        let entry = self.entry(name)?;
        let _taking_over = entry.swapping.lock().await;
        needs_shadow(entry)?;
        self.promote_shadow(entry, "promoted by hand", Afterwards::WatchFailures).await?;
        Ok(entry.wire())
    }

    /// Ends the load that is under way, else the shadow, without effect.
    ///
    /// # Errors
    /// When there is neither.
    pub async fn discard(&self, name: &PluginName) -> Result<wire::Plugin, CommandError> {
        let entry = self.entry(name)?;
        let is_loading = entry.loading.try_lock().is_err();
        if let Some(loading) = entry.with(|state| state.loading.take().filter(|_| is_loading)) {
            // It ends by itself, after the call or the compilation that is under way.
            loading.store(true, Ordering::Relaxed);
            tracing::info!(plugin = %entry.name, "the load that is under way was discarded by hand");
            return Ok(entry.wire());
        }
        let _taking_over = entry.swapping.lock().await;
        needs_shadow(entry)?;
        if let Some(trial) = self.end_trial(entry) {
            trial.trace.end(Stage::Shadow, StepState::Failed, Some("discarded by hand".to_owned()));
            if let TrialKind::Shadow(prepared) = &trial.kind {
                let source = &prepared.candidate.source;
                let refusal = refused(entry, &trial.trace, source, "was discarded by hand");
                tracing::info!(plugin = %entry.name, "the shadow of {source} ended: discarded by hand");
                self.shadow_ended(entry, prepared, refusal).await;
            }
        }
        Ok(entry.wire())
    }

    /// The generations that can be gone back to.
    ///
    /// # Errors
    /// When there is no such plugin.
    pub fn history(&self, name: &PluginName) -> Result<wire::PluginHistory, CommandError> {
        let entry = self.entry(name)?;
        let generations = entry.with(|state| state.history.clone());
        let generations = generations.into_iter().map(|one| wire::PluginGeneration {
            generation: one.generation.0,
            digest: one.digest.to_string(),
            settings: settings_digest(&one.settings).to_string(),
            source: one.source,
            at: rfc3339(one.at),
            why: one.why,
        });
        Ok(wire::PluginHistory { name: name.to_string(), generations: generations.collect() })
    }

    /// Goes back to a former generation: its component and its settings, under a new number.
    ///
    /// # Errors
    /// When there is no such generation, its bytes are gone, or nothing can be recorded.
    pub async fn roll_back(
        &self,
        name: &PluginName,
        to: Option<Generation>,
    ) -> Result<wire::Plugin, CommandError> {
        let entry = self.entry(name)?;
        let (history, active) = entry.with(|state| (state.history.clone(), state.active.clone()));
        let differs = |one: &&crate::store::StoredGeneration| {
            (one.digest, &one.settings) != (active.digest, &active.settings)
        };
        let wanted = match to {
            Some(to) => history.iter().find(|one| one.generation == to),
            None => history.iter().rev().find(differs),
        };
        let Some(wanted) = wanted else {
            let known: Vec<String> = history.iter().map(|one| one.generation.0.to_string()).collect();
            let missing = to.map_or_else(
                || "has no former generation that differs from the active one".to_owned(),
                |to| format!("has no generation {} to go back to", to.0),
            );
            let message = format!("plugin `{name}` {missing}; it keeps {}", known.join(", "));
            return Err(CommandError::new(CommandErrorKind::NotFound, message));
        };
        let candidate = Candidate {
            origin: Origin::Kept(wanted.digest),
            source: wanted.source.clone(),
            settings: wanted.settings.clone(),
        };
        let options = SwapOptions { strategy: Some(Strategy::Immediate), ..SwapOptions::default() };
        let (afterwards, when_busy) = (Afterwards::Nothing, WhenBusy::Overtake);
        let order = Order { options, why: "rollback", afterwards, when_busy };
        self.replace(entry, candidate, order).await?;
        Ok(entry.wire())
    }
}

impl Trial {
    fn turn(&self, now: crate::domain::Timestamp, judged: usize, unseen: usize) -> Turn {
        let comparison = self.shadow.comparison();
        match &self.kind {
            TrialKind::Watch { until, .. } => match comparison.reversal(self.gate.as_ref(), judged) {
                Some(why) => Turn::Revert(why),
                // A watch that saw nothing proves nothing.
                None if now >= *until && comparison.observations > 0 => Turn::Keep,
                None => Turn::Wait,
            },
            TrialKind::Shadow(_) => {
                // Without a gate a person decides.
                let Some(gate) = self.gate.as_ref() else { return Turn::Wait };
                if let Some(why) = comparison.forbidden() {
                    return Turn::Refuse(why.to_owned());
                }
                if !comparison.is_enough(gate, judged + unseen, now.since(self.began_at)) {
                    return Turn::Wait;
                }
                comparison.refusal(Some(gate), judged).map_or(Turn::Promote, Turn::Refuse)
            }
        }
    }
}

fn needs_shadow(entry: &Entry) -> Result<(), CommandError> {
    let has = entry
        .with(|state| state.trial.as_ref().is_some_and(|trial| matches!(trial.kind, TrialKind::Shadow(_))));
    if has {
        return Ok(());
    }
    let message = format!(
        "plugin `{0}` has no shadow; begin one with `phasegate plugin swap {0} FILE --strategy shadow`",
        entry.name
    );
    Err(CommandError::new(CommandErrorKind::Conflict, message))
}
