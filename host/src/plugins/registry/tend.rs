//! Looks after shadows and watches: gates that open or refuse by themselves, generations that come
//! back, and what a person decides of them. Which generation comes back is in `back`.

use phasegate_wire as wire;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::entry::{Active, Entry, Trial, TrialKind};
use super::prepare::{Prepared, pinned};
use super::source::{Candidate, Origin, kept};
use super::take_over::{Afterwards, Promotion};
use super::{PluginRegistry, refused};
use crate::shell::{CommandError, CommandErrorKind};
use phasegate_core::domain::PluginName;
use phasegate_wasm::{LoadTrace, Stage, StepState};

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
        let (now, instances) = (self.parts.clock.now(), entry.tap.all());
        let turn = entry.with(|state| match &state.trial {
            Some(trial) => trial.turn(now, instances),
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
        let instances = entry.tap.all();
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
            if let Some(diff) = &mut state.diff {
                // What was seen since does not matter.
                diff.refusal = Some(why.to_owned());
            }
        });
        let prepared = match self.prepared_again(entry, &former) {
            Ok(prepared) => prepared,
            Err(unfit) => return self.stays_though(entry, why, &former, &unfit).await,
        };
        entry.with(|state| state.leave(why));
        let said = format!("{} {why}; going back to {}", bad.shown(), former.shown());
        tracing::warn!(plugin = %entry.name, "{said}");
        self.audit_way_back(entry, &said).await;
        entry.with(|state| {
            state.counters.reverted += 1;
            state.last_error = Some(format!("plugin `{}`, stage watch: {said}", entry.name));
        });
        let trace = LoadTrace::new(Arc::new(self.parts.clock));
        let why = format!("generation {} {why}", bad.generation.0);
        let promotion = Promotion { why, afterwards: Afterwards::Nothing };
        if let Err(error) = self.promote(entry, prepared, &trace, promotion).await {
            tracing::error!(plugin = %entry.name, "cannot go back: {error}");
            entry.with(|state| state.last_error = Some(error.message));
        }
    }

    /// A generation that did not pass its watch stays, because the one before cannot come back.
    async fn stays_though(&self, entry: &Entry, why: &str, former: &Active, unfit: &str) {
        let (name, bad, back) = (&entry.name, entry.active(), former.shown());
        let error = format!(
            "plugin `{name}`, stage watch: {} {why}, and stays active: {back} cannot come back, because its component {unfit}; swap another one in with `phasegate plugin swap {name} FILE`",
            bad.shown(),
        );
        tracing::error!("{error}");
        entry.with(|state| state.last_error = Some(error));
        self.write_down(entry, "the end of the watch").await;
    }

    /// A component that ran a moment ago; an error is a fragment that follows it.
    fn prepared_again(&self, entry: &Entry, former: &Active) -> Result<Prepared, String> {
        let config = entry.config();
        // The configuration may have asked for another one since.
        pinned(former.digest, config.spec.digest)?;
        let plugin = former
            .compiled
            .configure(&former.settings, config.spec.limits, config.spec.isolation)
            .map_err(|error| error.to_string())?;
        let bytes = kept(&self.parts.data_dir, former.digest)
            .ok_or("is missing from the data directory or damaged")?;
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
}

impl Trial {
    fn turn(&self, now: phasegate_core::domain::Timestamp, instances: usize) -> Turn {
        let comparison = self.shadow.comparison();
        match &self.kind {
            TrialKind::Watch { until, begun, .. } => {
                let awaited = begun.awaited(&comparison, instances);
                match comparison.reversal(self.gate.as_ref(), instances, awaited) {
                    Some(why) => Turn::Revert(why),
                    // A watch that saw nothing proves nothing.
                    None if now >= *until && comparison.observations > 0 => Turn::Keep,
                    None => Turn::Wait,
                }
            }
            TrialKind::Shadow(_) => {
                // Without a gate a person decides.
                let Some(gate) = self.gate.as_ref() else { return Turn::Wait };
                if let Some(why) = comparison.forbidden() {
                    return Turn::Refuse(why);
                }
                if !comparison.is_enough(gate, instances, now.since(self.began_at)) {
                    return Turn::Wait;
                }
                comparison.refusal(Some(gate), instances).map_or(Turn::Promote, Turn::Refuse)
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
