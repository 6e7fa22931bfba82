//! The stages of a load, and the record of how each of them went.
//!
//! ```text
//! fetch ─> digest ─> shape ─> compile ─> link ─> configure ─> self-test ─> rehearse ─> shadow ─> promote ─> watch
//! ```
//!
//! Runs none of them.

use std::sync::Arc;

use crate::domain::Timestamp;

/// One step on the way from a reference to the code that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its bytes are read or downloaded.
    Fetch,
    /// They are those that were asked for.
    Digest,
    /// They are a component that fits the contract, by its names and types.
    Shape,
    /// They become machine code, or that is taken from the cache.
    Compile,
    /// Its imports meet what the host offers.
    Link,
    /// A first instance takes its settings.
    Configure,
    /// The cases beside the component pass.
    SelfTest,
    /// It judges the last observation of every instance, without effect.
    Rehearse,
    /// It judges live observations beside the active one, without effect.
    Shadow,
    /// It is recorded and takes over.
    Promote,
    /// The one before judges beside it, and comes back if it was better.
    Watch,
}

impl Stage {
    /// As lists, the log and the API write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Digest => "digest",
            Self::Shape => "shape",
            Self::Compile => "compile",
            Self::Link => "link",
            Self::Configure => "configure",
            Self::SelfTest => "self-test",
            Self::Rehearse => "rehearse",
            Self::Shadow => "shadow",
            Self::Promote => "promote",
            Self::Watch => "watch",
        }
    }
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Under way.
    Running,
    /// Passed.
    Passed,
    /// Not needed; the note says why.
    Skipped,
    /// The load ended here.
    Failed,
}

impl StepState {
    /// As lists and the API write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One stage of one load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRun {
    /// Which.
    pub stage: Stage,
    /// How it stands.
    pub state: StepState,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took, in milliseconds; 0 while it runs.
    pub took_ms: u64,
    /// One line for people, for example `cached`.
    pub note: Option<String>,
}

/// The record of one load. Clones share it until one of them changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace(Arc<Vec<StageRun>>);

impl Trace {
    /// The stages so far, in order.
    #[must_use]
    pub fn stages(&self) -> &[StageRun] {
        &self.0
    }

    /// The stage that is under way.
    #[must_use]
    pub fn running(&self) -> Option<Stage> {
        self.0.iter().rev().find(|run| run.state == StepState::Running).map(|run| run.stage)
    }

    /// The stage where the load ended.
    #[must_use]
    pub fn failed(&self) -> Option<Stage> {
        self.0.iter().rev().find(|run| run.state == StepState::Failed).map(|run| run.stage)
    }

    /// Begins a stage; one that runs already goes on.
    pub(super) fn begin(&mut self, stage: Stage, now: Timestamp) {
        if self.running() != Some(stage) {
            let run = StageRun { stage, state: StepState::Running, began_at: now, took_ms: 0, note: None };
            Arc::make_mut(&mut self.0).push(run);
        }
    }

    /// Adds what to know of a stage.
    pub(super) fn note(&mut self, stage: Stage, note: String) {
        if let Some(run) = self.find(stage) {
            run.note = Some(note);
        }
    }

    /// Ends a stage, beginning it first where it has not begun; without a note the one that it has stays.
    pub(super) fn end(&mut self, stage: Stage, state: StepState, note: Option<String>, now: Timestamp) {
        if self.find(stage).is_none() {
            self.begin(stage, now);
        }
        if let Some(run) = self.find(stage) {
            run.state = state;
            run.took_ms = u64::try_from(now.since(run.began_at).as_millis()).unwrap_or(u64::MAX);
            run.note = note.or_else(|| run.note.take());
        }
    }

    /// A stage that is left out.
    pub(super) fn skip(&mut self, stage: Stage, why: String, now: Timestamp) {
        self.begin(stage, now);
        self.end(stage, StepState::Skipped, Some(why), now);
    }

    /// Fails the stage that is under way, else `otherwise`.
    pub(super) fn fail(&mut self, otherwise: Stage, why: String, now: Timestamp) -> Stage {
        let stage = self.running().unwrap_or(otherwise);
        self.end(stage, StepState::Failed, Some(why), now);
        stage
    }

    fn find(&mut self, stage: Stage) -> Option<&mut StageRun> {
        Arc::make_mut(&mut self.0).iter_mut().rev().find(|run| run.stage == stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_where_a_load_stands() {
        let mut trace = Trace::default();
        trace.end(Stage::Fetch, StepState::Passed, None, Timestamp(1));
        trace.begin(Stage::Compile, Timestamp(2));
        assert_eq!((trace.running(), trace.failed()), (Some(Stage::Compile), None));
        trace.note(Stage::Compile, "cached".to_owned());
        trace.end(Stage::Compile, StepState::Passed, None, Timestamp(7));
        trace.skip(Stage::SelfTest, "no cases".to_owned(), Timestamp(8));
        trace.begin(Stage::Rehearse, Timestamp(8));
        assert_eq!(trace.fail(Stage::Promote, "it fails on more".to_owned(), Timestamp(9)), Stage::Rehearse);
        assert_eq!((trace.running(), trace.failed()), (None, Some(Stage::Rehearse)));
        let said: Vec<(Stage, u64, Option<&str>)> =
            trace.stages().iter().map(|run| (run.stage, run.took_ms, run.note.as_deref())).collect();
        let expected = [
            (Stage::Fetch, 0, None),
            (Stage::Compile, 5, Some("cached")),
            (Stage::SelfTest, 0, Some("no cases")),
            (Stage::Rehearse, 1, Some("it fails on more")),
        ];
        assert_eq!(said, expected);
    }
}
