//! A new component begins to judge beside the active one, and does so again after a restart of the
//! host: it is on record from its begin until it takes over or ends.
//!
//! What it has seen is not on record. After a restart it is counted anew, so its gate waits longer
//! and never decides on less.

use std::sync::Arc;

use super::entry::{Entry, Load, Trial, TrialKind};
use super::prepare::{Preparation, Prepared, Unfit};
use super::shadow::{Role, Shadow, ShadowParts};
use super::source::{Candidate, Origin, configured, keep};
use super::{PluginRegistry, refused};
use crate::plugins::config::PluginConfig;
use crate::shell::CommandError;
use phasegate_core::domain::Digest;
use phasegate_core::domain::ReadClock;
use phasegate_core::record::{StoredRefusal, StoredShadow};
use phasegate_wasm::{LoadTrace, Stage, StepState};

/// Why a start does not take up what judges beside the active one, though the configuration names it.
const WAS_BESIDE: &str =
    "was judging beside the active one when the host stopped; swap it in, or write another one there";

impl PluginRegistry {
    /// Lets a component judge beside the active one, in place of the one that did so far.
    pub(super) async fn begin_shadow(
        &self,
        entry: &Entry,
        prepared: Prepared,
        config: &PluginConfig,
        trace: &LoadTrace,
    ) -> Result<(), CommandError> {
        // From keeping the bytes to naming them in the record nobody else may tidy up.
        let _kept = self.keeping.lock().await;
        let source = prepared.candidate.source.clone();
        let named = configured(prepared.digest, &prepared.candidate.settings);
        let is_configured = matches!(prepared.candidate.origin, Origin::Configured(_));
        trace.begin(Stage::Shadow);
        let began = keep(&self.parts.data_dir, prepared.digest, &prepared.bytes)
            .map_err(|error| format!("cannot be kept in the data directory: {error}"))
            .and_then(|()| begin(entry, prepared, config, trace, Arc::new(self.parts.clock)));
        began.map_err(|why| {
            trace.end(Stage::Shadow, StepState::Failed, Some(why.clone()));
            refused(entry, trace, &source, &why)
        })?;
        if is_configured {
            let refusal = refused(entry, trace, &source, WAS_BESIDE);
            self.remember_refusal(entry, named, refusal).await;
        } else {
            self.write_down(entry, "the component beside the active one").await;
        }
        self.prune();
        Ok(())
    }

    /// Puts on record that a component no longer judges beside the active one and has not taken over,
    /// so that no start of the host brings it back.
    pub(super) async fn shadow_ended(&self, entry: &Entry, prepared: &Prepared, refusal: CommandError) {
        let Prepared { candidate, digest, .. } = prepared;
        if matches!(candidate.origin, Origin::Configured(_)) {
            let named = configured(*digest, &candidate.settings);
            self.remember_refusal(entry, named, refusal).await;
        } else {
            self.write_down(entry, "the end of the component beside the active one").await;
        }
    }

    /// So that a start of the host does not take up what was refused. Best effort: a start that
    /// does is no worse than a start with a new file.
    pub(super) async fn remember_refusal(&self, entry: &Entry, named: Digest, refusal: CommandError) {
        let why = refusal.message;
        entry.with(|state| state.refused = Some(StoredRefusal { configured: named, why }));
        self.write_down(entry, "the refusal").await;
    }

    /// Records what has no effect on decisions; best effort.
    pub(super) async fn write_down(&self, entry: &Entry, what: &str) {
        let stored = entry.with(|state| state.stored());
        if let Err(error) = self.record(entry, stored).await {
            tracing::warn!(plugin = %entry.name, "a restart will not know of {what}: {error}");
        }
    }
}

/// Lets the component judge on that did so when the host stopped. One that no longer can is named in the
/// log and the list: the host starts without it.
pub(super) fn resume(entry: &Entry, shadow: &StoredShadow, preparation: &Preparation) {
    let StoredShadow { digest, source, settings } = shadow;
    let Preparation { config, strategy, trace, .. } = preparation;
    let named = configured(*digest, settings);
    let is_configured =
        entry.with(|state| state.refused.as_ref().is_some_and(|refused| refused.configured == named));
    let load = Load { source: source.clone(), strategy: *strategy, trace: trace.clone() };
    entry.with(|state| state.load = Some(load));
    let mut candidate =
        Candidate { origin: Origin::Kept(*digest), source: source.clone(), settings: settings.clone() };
    let resumed = preparation.fetch(&candidate).map_err(|error| error.to_string()).and_then(|read| {
        if is_configured {
            candidate.origin = Origin::Configured(config.component.clone());
        }
        let prepared = preparation.go_on(candidate, read.bytes).map_err(|Unfit { why, .. }| why)?;
        trace.begin(Stage::Shadow);
        begin(entry, prepared, config, trace, trace.clock())
    });
    match resumed {
        Ok(()) => {
            trace.note(Stage::Shadow, "again after a restart of the host; what it saw before does not count");
            tracing::info!(plugin = %entry.name, "{source} judges beside the active one again");
            if is_configured {
                // What was said about it is no longer so.
                entry.with(|state| state.last_error = None);
            }
        }
        Err(why) => has_ended(entry, shadow, &format!("it {why}")),
    }
}

/// Says in the log and the list that a component does not judge on that did so when the host stopped.
pub(super) fn has_ended(entry: &Entry, shadow: &StoredShadow, why: &str) {
    let (name, StoredShadow { source, .. }) = (&entry.name, shadow);
    let error = format!(
        "plugin `{name}`: {source} judged beside the active one when the host stopped and does not any more: {why}; begin anew with `phasegate plugin swap {name} FILE --strategy shadow`"
    );
    tracing::warn!("{error}");
    entry.with(|state| state.last_error = Some(error));
}

/// Starts it; an error is a fragment that follows its source.
fn begin(
    entry: &Entry,
    mut prepared: Prepared,
    config: &PluginConfig,
    trace: &LoadTrace,
    clock: Arc<dyn ReadClock>,
) -> Result<(), String> {
    // Its own instance goes beside; another one waits to take over.
    let spare = prepared
        .compiled
        .configure(&prepared.candidate.settings, config.spec.limits, config.spec.isolation)
        .map_err(|error| error.to_string())?;
    let plugin = std::mem::replace(&mut prepared.plugin, spare);
    // One at a time has the tap.
    entry.with(|state| {
        state.end_for(&format!("{} judges beside the active one now", prepared.candidate.source))
    });
    let (live, gate) = (entry.active().generation, config.spec.swap.gate.clone());
    let began_at = clock.now().at;
    let label = format!("{} (shadow)", entry.name);
    let parts = ShadowParts { plugin, label, role: Role::Candidate, live, gate: gate.clone(), clock };
    let shadow = Shadow::start(&entry.tap, parts).map_err(|error| error.to_string())?;
    let kind = TrialKind::Shadow(Box::new(prepared));
    let trial = Trial { shadow, gate, trace: trace.clone(), began_at, kind };
    entry.with(|state| state.trial = Some(trial));
    Ok(())
}
