//! What there is to see of a plugin: a typed view. JSON is made of it elsewhere.

use std::sync::Arc;

use super::job::Load;
use super::life::{Active, Counters, Diff, PluginLife, Standing};
use super::said::Said;
use super::stage::Stage;
use super::trial::trial_diff;
use crate::domain::{PluginName, PluginSpec};
use crate::record::StoredGeneration;

/// One plugin, as it is now.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which.
    pub name: PluginName,
    /// As it is wanted.
    pub spec: Arc<PluginSpec>,
    /// How far it has come.
    pub standing: Standing,
    /// What decides.
    pub active: Option<Active>,
    /// What went wrong last.
    pub last_error: Option<Arc<Said>>,
    /// The stage that is under way.
    pub stage: Option<Stage>,
    /// The latest load, also one that was refused.
    pub load: Option<Load>,
    /// The load of what judges beside the active component, where a later one stands in `load`.
    pub beside: Option<Load>,
    /// Since the host started.
    pub counters: Counters,
    /// The comparison that is under way, else the latest one.
    pub diff: Option<Diff>,
    /// Oldest first; the last one is active.
    pub history: Arc<Vec<StoredGeneration>>,
}

impl PluginLife {
    /// What there is to see.
    #[must_use]
    pub fn report(&self) -> Report {
        let running = self.load.iter().chain(&self.back).filter(|job| job.is_shown()).map(|job| &job.load);
        let ready = self.ready.as_ref().and_then(|ready| ready.shown());
        let trial = self.trial.as_ref().map(|trial| &trial.load);
        let latest = running.chain(&self.last).chain(ready).chain(trial).max_by_key(|load| load.ticket);
        let beside = trial.filter(|load| latest.is_some_and(|latest| latest.ticket != load.ticket));
        let stage = [latest, beside].into_iter().flatten().find_map(|load| load.trace.running());
        Report {
            name: self.name().clone(),
            spec: Arc::clone(&self.spec),
            standing: self.standing.clone(),
            active: self.active.clone(),
            last_error: self.last_error.clone(),
            stage,
            load: latest.cloned(),
            beside: beside.cloned(),
            counters: self.counters,
            diff: trial_diff(self).or_else(|| self.diff.clone()),
            history: Arc::clone(&self.history),
        }
    }
}
