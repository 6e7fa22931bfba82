//! The audit trail and the line, as the API shows them.

use phasegate_core::domain::ScaleSetName;
use phasegate_core::record::StoppedLine;
use phasegate_core::record::audit::Entry;
use phasegate_wire as wire;

use crate::words;

/// The trail of a scale set, oldest first.
pub(crate) fn log(name: &ScaleSetName, entries: &[Entry]) -> wire::Log {
    wire::Log { scale_set: name.to_string(), entries: entries.iter().map(entry).collect() }
}

/// One line of the trail.
pub(crate) fn entry(entry: &Entry) -> wire::LogEntry {
    wire::LogEntry {
        at: entry.at.to_string(),
        upgrade: entry.upgrade.as_ref().map(ToString::to_string),
        instance: entry.instance.as_ref().map(ToString::to_string),
        kind: words::log_kind(&entry.what),
        actor: entry.by.actor.to_string(),
        reason: entry.by.reason.clone(),
        text: entry.to_string(),
    }
}

/// How the line stands.
pub(crate) fn line(line: Option<&StoppedLine>) -> wire::Line {
    wire::Line {
        stopped: line.is_some(),
        since: line.map(|line| line.at.to_string()),
        actor: line.map(|line| line.by.to_string()),
        reason: line.map(|line| line.reason.clone()),
    }
}
