//! The record of one load: how each of its stages went.
//!
//! A record is shared: the list shows the stage that is under way while it runs.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use phasegate_core::domain::{ReadClock, Timestamp};

pub use phasegate_core::lifecycle::{Stage, StepState};

/// A stage of one load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// How it stands.
    pub state: StepState,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took, in milliseconds; so far, while it runs.
    pub took_ms: u64,
    /// One line for people, for example `cached`.
    pub note: Option<String>,
}

/// Is told of each stage as it begins.
pub type OnStage = Arc<dyn Fn(Stage) + Send + Sync>;

/// The record of one load. Clones share it.
#[derive(Clone)]
pub struct LoadTrace {
    clock: Arc<dyn ReadClock>,
    steps: Arc<Mutex<Vec<Step>>>,
    on_stage: Option<OnStage>,
}

impl LoadTrace {
    /// An empty record.
    #[must_use]
    pub fn new(clock: Arc<dyn ReadClock>) -> Self {
        Self { clock, steps: Arc::default(), on_stage: None }
    }

    /// An empty record that tells somebody.
    #[must_use]
    pub fn telling(clock: Arc<dyn ReadClock>, on_stage: OnStage) -> Self {
        Self { on_stage: Some(on_stage), ..Self::new(clock) }
    }

    /// Whether it is the record of the same load.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.steps, &other.steps)
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn ReadClock> {
        Arc::clone(&self.clock)
    }

    /// Runs a stage and records how it went.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn run<T, E: Display>(&self, stage: Stage, run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.begin(stage);
        let result = run();
        match &result {
            Ok(_) => self.end(stage, StepState::Passed, None),
            Err(error) => self.end(stage, StepState::Failed, Some(error.to_string())),
        }
        result
    }

    /// Begins a stage; [`Self::end`] ends it.
    pub fn begin(&self, stage: Stage) {
        if let Some(on_stage) = &self.on_stage {
            on_stage(stage);
        }
        let began_at = self.clock.now().at;
        let step = Step { stage, state: StepState::Running, began_at, took_ms: 0, note: None };
        self.with(|steps| steps.push(step));
    }

    /// Adds what to know of a stage that has begun.
    pub fn note(&self, stage: Stage, note: impl Into<String>) {
        let note = note.into();
        self.with(|steps| {
            if let Some(step) = steps.iter_mut().rev().find(|step| step.stage == stage) {
                step.note = Some(note);
            }
        });
    }

    /// Ends a stage; without a note the one that it has stays.
    pub fn end(&self, stage: Stage, state: StepState, note: Option<String>) {
        let now = self.clock.now().at;
        self.with(|steps| {
            if let Some(step) = steps.iter_mut().rev().find(|step| step.stage == stage) {
                step.state = state;
                step.took_ms = millis(step.began_at, now);
                step.note = note.or_else(|| step.note.take());
            }
        });
    }

    /// A stage that is left out.
    pub fn skip(&self, stage: Stage, why: impl Into<String>) {
        self.begin(stage);
        self.end(stage, StepState::Skipped, Some(why.into()));
    }

    /// All stages so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let now = self.clock.now().at;
        let mut steps = self.with(|steps| steps.clone());
        for step in steps.iter_mut().filter(|step| step.state == StepState::Running) {
            step.took_ms = millis(step.began_at, now);
        }
        steps
    }

    /// The stage that is under way.
    #[must_use]
    pub fn running(&self) -> Option<Stage> {
        self.with(|steps| {
            steps.iter().rev().find(|step| step.state == StepState::Running).map(|step| step.stage)
        })
    }

    /// The stage where the load ended.
    #[must_use]
    pub fn failed(&self) -> Option<Stage> {
        self.with(|steps| steps.iter().find(|step| step.state == StepState::Failed).map(|step| step.stage))
    }

    /// One line: the stages with their times.
    #[must_use]
    pub fn summary(&self) -> String {
        let step = |step: &Step| match (step.state, &step.note) {
            (StepState::Skipped, _) => format!("{} skipped", step.stage.name()),
            (_, Some(note)) => format!("{} {} ms ({note})", step.stage.name(), step.took_ms),
            (_, None) => format!("{} {} ms", step.stage.name(), step.took_ms),
        };
        self.steps().iter().map(step).collect::<Vec<_>>().join(", ")
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Step>) -> T) -> T {
        act(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_where_a_load_stands() {
        let trace = LoadTrace::new(super::super::tests::clock());
        trace.run(Stage::Fetch, || Ok::<_, String>(())).unwrap();
        trace.begin(Stage::Compile);
        assert_eq!(trace.running(), Some(Stage::Compile));
        trace.note(Stage::Compile, "cached");
        trace.end(Stage::Compile, StepState::Passed, None);
        trace.skip(Stage::SelfTest, "no cases");
        let failed = trace.run(Stage::Rehearse, || Err::<(), _>("it fails on more"));
        assert_eq!(failed, Err("it fails on more"));
        assert_eq!((trace.running(), trace.failed()), (None, Some(Stage::Rehearse)));
        let notes: Vec<Option<String>> = trace.steps().into_iter().map(|step| step.note).collect();
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(notes, [None, said("cached"), said("no cases"), said("it fails on more")]);
    }
}
