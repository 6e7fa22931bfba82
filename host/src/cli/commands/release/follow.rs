//! Follows a release on the event stream to its end.
//!
//! Decides nothing of it; how often it is heard of is the host's affair.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{has_ended, render};
use crate::cli::args::OutputArgs;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::stream::{Heard, Wanted, follow_events, latest};
use phasegate_wire::{self as wire, ReleaseSetState, ReleaseState};

/// Follows a release until it has ended, or nothing goes on before a person or a retry: 0 when it completed.
pub(in crate::cli::commands) fn follow(
    client: &Client,
    id: &str,
    format: OutputArgs,
) -> anyhow::Result<Exit> {
    follow_to(client, id, &ReleaseState::Completed, format)
}

/// As [`follow`]; 0 when it ended as was wanted.
pub(super) fn follow_to(
    client: &Client,
    id: &str,
    wanted: &ReleaseState,
    format: OutputArgs,
) -> anyhow::Result<Exit> {
    let mut teller = Teller { format, told: BTreeSet::new() };
    let path = format!("/v1/releases/{id}");
    // In this order: what happens in between is told twice, and said once.
    let since = latest(client)?;
    let first: wire::ReleaseDetail = client.get(&path)?;
    let log: wire::ReleaseLog = client.get(&format!("{path}/log"))?;
    teller.tell(&log.entries)?;
    if !is_over(&first.brief) {
        let of_releases = Wanted { kind: Some("release"), since: Some(since), ..Wanted::default() };
        follow_events(client, &of_releases, &mut |heard| {
            let Heard::Event(wire::Event::Release(heard), _) = heard else {
                return Ok(ControlFlow::Continue(()));
            };
            if heard.release.id != id {
                return Ok(ControlFlow::Continue(()));
            }
            teller.tell(&heard.entries)?;
            let over = is_over(&heard.release);
            Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    let detail: wire::ReleaseDetail = client.get(&path)?;
    if format.json {
        output::json_line(&detail)?;
    } else {
        output::data(&render(&detail))?;
    }
    if let Some(why) = &detail.brief.waits_for_people {
        output::talk(&format!("nothing goes on before a person has decided: {why}\n"));
    }
    // It is over, and yet somebody does not have it.
    let short = [ReleaseSetState::Incomplete, ReleaseSetState::Cancelled, ReleaseSetState::NotApproved];
    let is_short = count(&detail.brief, &short) > 0;
    Ok(if detail.brief.state == *wanted && !is_short { Exit::Done } else { Exit::No })
}

/// Says each line of a release's log once.
struct Teller {
    format: OutputArgs,
    told: BTreeSet<(String, String, String)>,
}

impl Teller {
    fn tell(&mut self, entries: &[wire::ReleaseLogEntry]) -> anyhow::Result<()> {
        for entry in entries {
            if !self.told.insert((entry.at.clone(), entry.code.clone(), entry.text.clone())) {
                continue;
            }
            if self.format.json {
                output::json_line(entry)?;
            } else {
                output::talk(&format!("{} {}\n", entry.at, entry.text));
            }
        }
        Ok(())
    }
}

/// How many of its sets stand like that.
fn count(brief: &wire::ReleaseInBrief, states: &[ReleaseSetState]) -> usize {
    states.iter().map(|state| brief.scale_sets.get(&state.to_string()).copied().unwrap_or(0)).sum()
}

/// Whether it has ended, or nothing happens before a person says so or before a retry.
fn is_over(brief: &wire::ReleaseInBrief) -> bool {
    let count = |states: &[ReleaseSetState]| count(brief, states);
    let moves = count(&[ReleaseSetState::Running, ReleaseSetState::GoingBack]);
    let failed = count(&[
        ReleaseSetState::Failed,
        ReleaseSetState::Incomplete,
        ReleaseSetState::Cancelled,
        ReleaseSetState::NotApproved,
    ]);
    let halted = brief.state == ReleaseState::Halted;
    let ends = brief.state == ReleaseState::Ending;
    let waits =
        if halted || brief.state == ReleaseState::Paused { 0 } else { count(&[ReleaseSetState::Waiting]) };
    has_ended(&brief.state)
        || brief.waits_for_people.is_some()
        || (halted && moves == 0)
        || (failed > 0 && moves == 0 && waits == 0 && !ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(state: ReleaseState, sets: &[(ReleaseSetState, usize)]) -> wire::ReleaseInBrief {
        wire::ReleaseInBrief {
            id: "agent-1.1-1".to_owned(),
            subject: "contoso/agent".to_owned(),
            version: "1.1".to_owned(),
            state,
            started_at: String::new(),
            actor: String::new(),
            reason: None,
            region_phase: 1,
            region_phases: 1,
            scale_sets: sets.iter().map(|(state, count)| (state.to_string(), *count)).collect(),
            waits_for_people: None,
        }
    }

    #[test]
    fn it_is_followed_no_longer_where_nothing_goes_on_before_a_person_has_decided() {
        use ReleaseSetState::{Incomplete, Waiting};
        let mut stuck = brief(ReleaseState::Running, &[(Waiting, 1), (Incomplete, 1)]);
        assert!(!is_over(&stuck), "its retry may be due");
        stuck.waits_for_people = Some("scale set `a` is Incomplete".to_owned());
        assert!(is_over(&stuck));
    }

    #[test]
    fn it_is_followed_for_as_long_as_anything_goes_on_by_itself() {
        use ReleaseSetState::{Done, Failed, Running, Waiting};
        for (state, sets, over) in [
            (ReleaseState::Running, vec![(Running, 1)], false),
            (ReleaseState::Running, vec![(Waiting, 1), (Done, 2)], false),
            (ReleaseState::Running, vec![(Waiting, 1), (Failed, 1)], false),
            (ReleaseState::Running, vec![(Failed, 1), (Done, 1)], true),
            (ReleaseState::Paused, vec![(Waiting, 1)], false),
            (ReleaseState::Paused, vec![(Waiting, 1), (Failed, 1)], true),
            (ReleaseState::Halted, vec![(Running, 1), (Failed, 1)], false),
            (ReleaseState::Halted, vec![(Waiting, 1), (Failed, 1)], true),
            (ReleaseState::Ending, vec![(Running, 1)], false),
            (ReleaseState::Ending, vec![(Failed, 1), (Done, 1)], false),
            (ReleaseState::Completed, vec![(Done, 1)], true),
        ] {
            assert_eq!(is_over(&brief(state.clone(), &sets)), over, "{state} {sets:?}");
        }
    }
}
