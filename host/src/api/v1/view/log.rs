//! The audit trail and the line, as the API shows them.

use phasegate_core::domain::{Now, Phase, ScaleSetName};
use phasegate_core::record::audit::{Admission, Entry, What};
use phasegate_core::record::{StoppedLine, TrailPage};
use phasegate_wire as wire;

use crate::words;

/// A part of the trail of a scale set, oldest first.
pub(crate) fn log(name: &ScaleSetName, page: &TrailPage) -> wire::Log {
    let first = page.entries.first().filter(|_| page.more);
    wire::Log {
        scale_set: name.to_string(),
        entries: page.entries.iter().map(entry).collect(),
        truncated: page.more,
        next: first.map(|entry| entry.seq),
    }
}

/// One line of the trail.
pub(crate) fn entry(entry: &Entry) -> wire::LogEntry {
    wire::LogEntry {
        seq: entry.seq,
        at: entry.at.to_string(),
        upgrade: entry.upgrade.as_ref().map(ToString::to_string),
        instance: entry.instance.as_ref().map(ToString::to_string),
        kind: words::log_kind(&entry.what),
        actor: entry.by.actor.to_string(),
        reason: entry.by.reason.clone(),
        text: entry.to_string(),
        admission: admission(entry).map(Box::new),
    }
}

/// On which word an instance was let go, if that is what a line says.
pub(crate) fn admission(entry: &Entry) -> Option<wire::Admission> {
    let What::Admitted(admission) = &entry.what else { return None };
    let Admission { batch, phase, health, participation, answered_at, detail: _ } = admission;
    let stamp = entry.stamp.as_ref();
    Some(wire::Admission {
        at: entry.at.to_string(),
        batch: *batch,
        phase: phase.map(Phase::get),
        health: words::health(*health),
        participation: participation.map(words::participation),
        answered_at: answered_at.map(|at| at.to_string()),
        judged_at: stamp.map(|stamp| stamp.judged_at.to_string()),
        plugin: stamp.map(|stamp| words::stamp(&stamp.plugin)),
    })
}

/// How the line stands.
pub(crate) fn line(line: Option<&StoppedLine>, now: Now) -> wire::Line {
    wire::Line {
        stopped: line.is_some(),
        since: line.map(|line| now.date_of(line.at).to_string()),
        actor: line.map(|line| line.by.to_string()),
        reason: line.map(|line| line.reason.clone()),
    }
}
