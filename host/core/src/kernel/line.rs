//! Stop-the-line: one switch that holds every upgrade of every scale set.

use super::out::{About, Out};
use super::refusal::Refusal;
use super::state::Fleet;
use crate::domain::{By, Now, ScaleSetName, TEXT_BYTES_MAX};
use crate::record::audit::{LineState, What};
use crate::record::{StoppedLine, Write};

/// Stops the line, for the reason that is given.
pub(super) fn stop(fleet: &mut Fleet, by: &By, now: Now, out: &mut Out) -> Result<(), Refusal> {
    let reason = by.reason.as_deref().map(str::trim).filter(|reason| is_line(reason));
    let reason = reason.ok_or(Refusal::Reason)?.to_owned();
    let line = StoppedLine { at: now.at, reason, by: by.actor.clone() };
    set(fleet, Some(line), LineState::Stopped, by, now, out);
    Ok(())
}

/// Lets the line go on.
pub(super) fn start(fleet: &mut Fleet, by: &By, now: Now, out: &mut Out) -> Result<(), Refusal> {
    if fleet.line.is_none() {
        return Err(Refusal::LineNotStopped);
    }
    set(fleet, None, LineState::GoesOn, by, now, out);
    Ok(())
}

/// Whether a text can be shown in one line.
fn is_line(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

fn set(fleet: &mut Fleet, line: Option<StoppedLine>, state: LineState, by: &By, now: Now, out: &mut Out) {
    out.writes.push(Write::Line(line.clone()));
    fleet.line.clone_from(&line);
    let names: Vec<ScaleSetName> = fleet.names(|_| true);
    for name in names {
        let Some(set) = fleet.change(&name) else { continue };
        set.line.clone_from(&line);
        set.dirty = true;
        let upgrade = set.active().map(|upgrade| upgrade.id.clone());
        let about = About { scale_set: &name, upgrade: upgrade.as_ref(), instance: None };
        out.audit(about, by.clone(), What::Line { state }, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Command, Refusal, Reply};
    use crate::domain::*;

    fn because(reason: Option<&str>) -> By {
        By { reason: reason.map(str::to_owned), ..By::host() }
    }

    #[test]
    fn a_stop_needs_a_line_that_says_why() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        for reason in [None, Some(""), Some("  "), Some("two\nlines"), Some(long.as_str())] {
            let mut rig = Rig::healthy();
            let answer = rig.ask_as(because(reason), Command::StopLine);
            assert_eq!(answer, Some(Err(Refusal::Reason)), "{reason:?}");
            assert!(rig.kernel.fleet().line.is_none() && rig.trail().is_empty());
        }
    }

    #[test]
    fn it_holds_what_starts_and_goes_on() {
        let mut rig = Rig::healthy();
        assert_eq!(rig.ask_as(because(None), Command::StartLine), Some(Err(Refusal::LineNotStopped)));
        let stopped = rig.ask_as(because(Some("the network")), Command::StopLine);
        assert!(matches!(stopped, Some(Ok(Reply::Line(Some(line)))) if line.reason == "the network"));
        rig.start("v2");
        assert!(rig.asked().is_empty(), "held");
        let mut rig = rig.restart();
        rig.all_healthy();
        assert!(rig.asked().is_empty(), "also after a restart");
        assert_eq!(rig.ask_as(because(None), Command::StartLine), Some(Ok(Reply::Line(None))));
        assert_eq!(rig.asked().len(), 1);
    }
}
