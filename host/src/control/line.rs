//! Stop-the-line: one switch that holds every upgrade of every scale set.

use super::commands::unavailable;
use super::run::Control;
use super::{CommandError, CommandErrorKind};
use phasegate_core::record::{AuditEntry, StoppedLine, Write};
use phasegate_wire as wire;

/// Longest reason in bytes: it is shown in one line.
const REASON_MAX: usize = 500;

impl Control {
    pub(super) fn line(&self) -> wire::Line {
        wire::Line {
            stopped: self.line.is_some(),
            since: self.line.as_ref().map(|line| super::rfc3339(line.at)),
            reason: self.line.as_ref().map(|line| line.reason.clone()),
        }
    }

    /// Stops the line with a reason, or lets it go on. The answer is a promise, so it is durable
    /// before it is given, whatever else the store has trouble with.
    pub(super) fn set_line(&mut self, reason: Option<String>) -> Result<wire::Line, CommandError> {
        let now = self.clock.now();
        if let Some(reason) = &reason
            && (reason.trim().is_empty() || reason.len() > REASON_MAX || reason.chars().any(char::is_control))
        {
            let message = format!("the reason must be one line of 1 to {REASON_MAX} bytes");
            return Err(CommandError::new(CommandErrorKind::Invalid, message));
        }
        if reason.is_none() && self.line.is_none() {
            return Err(CommandError::new(CommandErrorKind::Conflict, "the line is not stopped"));
        }
        let text = match &reason {
            Some(reason) => format!("the line was stopped for all scale sets: {reason}"),
            None => "the line goes on".to_owned(),
        };
        let line = reason.map(|reason| StoppedLine { at: now, reason });
        let mut writes = vec![Write::Line(line.clone())];
        writes.extend(self.sets.iter().map(|(name, set)| {
            Write::Audit(AuditEntry {
                at: now,
                scale_set: name.clone(),
                upgrade: set.upgrade.as_ref().filter(|upgrade| upgrade.is_active()).map(|u| u.id.clone()),
                instance: None,
                kind: "line".into(),
                text: text.clone(),
            })
        }));
        self.store.commit(&writes).map_err(|error| unavailable(&error))?;
        tracing::warn!("{text}");
        for set in self.sets.values_mut() {
            set.line.clone_from(&line);
            set.dirty = true;
        }
        self.line = line;
        Ok(self.line())
    }
}
