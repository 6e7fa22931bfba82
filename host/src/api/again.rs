//! A decision of the recording, judged again by the component that made it.
//!
//! Never with the instances that decide. Takes as long as the component does, so it is called on a thread
//! that may block.

use phasegate_core::domain::PluginStamp;
use phasegate_wasm::Runtime;

use crate::recording::{self, RecordedOutcome, Recorder, Replay, Used};

/// What is needed to judge recorded decisions again.
pub struct Recorded {
    /// The recording.
    pub recorder: Recorder,
    /// Judges again; never with the instances that decide.
    pub runtime: Runtime,
}

/// A recorded decision, judged again.
pub(super) struct JudgedAgain {
    pub(super) stamp: PluginStamp,
    pub(super) observation: serde_json::Value,
    pub(super) outcome: serde_json::Value,
    /// Whether parts of the observation were not written down.
    pub(super) redacted: bool,
    /// What it says now; a text when it cannot be asked.
    pub(super) again: Result<Again, String>,
}

/// What a component said when it was asked again.
pub(super) struct Again {
    pub(super) outcome: serde_json::Value,
    pub(super) fuel: u64,
    pub(super) same: bool,
    /// Whether it promises the same answer.
    pub(super) pure: bool,
}

/// What the recording has of a decision.
pub(super) enum Kept {
    /// Nothing is recorded.
    Off,
    /// Not this one.
    Missing,
    /// It cannot be read.
    Unreadable(String),
    /// This.
    Found(Box<JudgedAgain>),
}

/// Looks a decision up and judges it again.
pub(super) fn judge_again(recorder: &Recorder, runtime: Runtime, used: &Used) -> Kept {
    recorder.flush();
    let record = match recording::find_used(recorder.folder(), used) {
        Ok(Some(record)) => record,
        Ok(None) => return Kept::Missing,
        Err(error) => return Kept::Unreadable(error.to_string()),
    };
    let json = |outcome: &RecordedOutcome| serde_json::to_value(outcome).unwrap_or_default();
    let mut whole = serde_json::to_value(&record).unwrap_or_default();
    let parts = ["instance", "answers", "memory", "attributes"];
    let taken =
        parts.into_iter().filter_map(|part| whole.get_mut(part).map(|value| (part.to_owned(), value.take())));
    let again = Replay::new(runtime).as_recorded(&record, recorder.folder());
    Kept::Found(Box::new(JudgedAgain {
        stamp: PluginStamp {
            name: record.plugin.clone(),
            digest: record.digest,
            generation: record.generation,
        },
        observation: serde_json::Value::Object(taken.collect()),
        outcome: json(&record.outcome),
        redacted: record.redacted,
        again: again.map_err(|error| error.to_string()).map(|again| Again {
            outcome: json(&again.outcome),
            fuel: again.cost.fuel,
            same: again.outcome == record.outcome,
            pure: again.pure,
        }),
    }))
}
