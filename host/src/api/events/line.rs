//! One event in the words of the wire, made once for all who follow, with what filters look at beside it.

use axum::body::Bytes;
use phasegate_core::domain::{Health, InstanceId, ScaleSetName};
use phasegate_core::record::audit::Entry;
use phasegate_wire as wire;

use crate::api::v1::view;
use crate::words;

/// An event.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number, if it is a line of the trail.
    pub(super) seq: Option<u64>,
    /// The word that `kind=` names.
    pub(super) kind: String,
    /// The name of its type.
    pub(super) name: &'static str,
    /// What it is about; nothing of the four is true of what is for everybody.
    pub(super) scale_set: Option<String>,
    pub(super) upgrade: Option<String>,
    pub(super) instance: Option<String>,
    /// JSON without line breaks.
    pub(super) json: Bytes,
}

impl Line {
    pub(super) fn recorded(entry: &Entry) -> Self {
        let recorded = wire::Recorded { scale_set: entry.scale_set.to_string(), entry: view::entry(entry) };
        Self {
            seq: Some(entry.seq),
            kind: recorded.entry.kind.to_string(),
            name: "recorded",
            scale_set: Some(recorded.scale_set.clone()),
            upgrade: recorded.entry.upgrade.clone(),
            instance: recorded.entry.instance.clone(),
            json: json(&wire::Event::Recorded(recorded)),
        }
    }

    pub(super) fn health(change: &(ScaleSetName, InstanceId, Health, Health)) -> Self {
        let (scale_set, instance, from, to) = change;
        let change = wire::HealthChange {
            scale_set: scale_set.to_string(),
            instance: instance.to_string(),
            from: words::health(*from),
            to: words::health(*to),
        };
        Self {
            seq: None,
            kind: "health".to_owned(),
            name: "health",
            scale_set: Some(change.scale_set.clone()),
            upgrade: None,
            instance: Some(change.instance.clone()),
            json: json(&wire::Event::Health(change)),
        }
    }

    pub(super) fn progress(progress: wire::UpgradeProgress) -> Self {
        Self {
            seq: None,
            kind: "progress".to_owned(),
            name: "progress",
            scale_set: Some(progress.scale_set.clone()),
            upgrade: Some(progress.upgrade.clone()),
            instance: None,
            json: json(&wire::Event::Progress(Box::new(progress))),
        }
    }

    pub(super) fn release(progress: wire::ReleaseProgress) -> Self {
        Self {
            seq: None,
            kind: "release".to_owned(),
            name: "release",
            scale_set: None,
            upgrade: None,
            instance: None,
            json: json(&wire::Event::Release(Box::new(progress))),
        }
    }

    /// An event for everybody, which no filter leaves out.
    pub(super) fn own(name: &'static str, event: &wire::Event) -> Self {
        Self {
            seq: None,
            kind: name.to_owned(),
            name,
            scale_set: None,
            upgrade: None,
            instance: None,
            json: json(event),
        }
    }
}

fn json(event: &wire::Event) -> Bytes {
    // None of these types has a key that is no text or a value that is no JSON.
    serde_json::to_vec(event).unwrap_or_default().into()
}
