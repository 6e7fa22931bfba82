//! `log --follow`: the trail as far as it is, and then each new line when it is recorded, over lost connections.
//!
//! Ends only when it is interrupted, the host refuses, or is away for good.

use std::ops::ControlFlow;

use super::{WIDTHS, read, row};
use crate::cli::args::LogArgs;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::{self, in_columns};
use crate::cli::stream::{Heard, Wanted, follow_events, latest};
use phasegate_wire::{self as wire, Event};

/// Prints what is there, and then line after line.
pub(super) fn run(client: &Client, args: &LogArgs) -> anyhow::Result<Exit> {
    // In this order: what is recorded between the two stands in both, and is told once.
    let before = latest(client)?;
    let log = read(args, |path| client.get(path))?;
    if let Some(line) = super::more(&log) {
        output::talk(&line);
    }
    let mut last = before;
    for entry in log.entries {
        last = last.max(entry.seq);
        print(args, &wire::Recorded { scale_set: log.scale_set.clone(), entry })?;
    }
    let wanted = Wanted {
        kind: None,
        scale_set: Some(args.name.clone()),
        upgrade: args.upgrade.clone(),
        instance: args.instance.clone(),
        since: Some(last),
    };
    follow_events(client, &wanted, &mut |heard| {
        match heard {
            Heard::Event(Event::Recorded(recorded), _) => print(args, recorded)?,
            Heard::Event(Event::Following(wire::Following { truncated: Some(first), .. }), _) => {
                output::talk(&format!(
                    "lines are missing here: the host keeps none before number {first} any more\n"
                ));
            }
            Heard::Event(Event::Ending(ending), _) => output::talk(&format!("{}\n", ending.text)),
            Heard::Event(_, _) => {}
            Heard::Away(why) => output::talk(&format!("trying again: {why:#}\n")),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Exit::Done)
}

fn print(args: &LogArgs, recorded: &wire::Recorded) -> anyhow::Result<()> {
    if args.output.json {
        return output::json_line(&recorded);
    }
    Ok(output::data(&in_columns(&row(&recorded.entry), &WIDTHS))?)
}
