//! `plugin test --mutants`: whether the cases notice when the code says something else.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::subject::Subject;
use crate::author::DEFAULT_LIMITS;
use crate::cli::args::MutantArgs;
use crate::cli::exit::Refused;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use phasegate_wasm::Runtime;
use phasegate_wasm::cases::Case;
use phasegate_wasm::mutants::{self, Bounds, MUTANTS_BYTES_MAX, Mutants};

/// Mutants that are shown by name.
const SHOWN_MAX: usize = 20;

/// Part of the report of `plugin test --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Mutants to which a case comes.
    reached: usize,
    noticed: usize,
    missed: Vec<Missed>,
    /// Places to which no case comes.
    unreached: usize,
    /// Places that could be changed.
    places: usize,
    /// Null where no mutant was reached.
    percent: Option<usize>,
    at_least: usize,
    seed: u64,
    /// Whether the time was over before there were as many as were wanted.
    out_of_time: bool,
    pub(super) good: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missed {
    /// Byte of the component.
    offset: usize,
    /// Counted through all of its modules.
    function: u32,
    what: &'static str,
}

/// Tries mutants of a component all of whose cases pass.
pub(super) fn run(subject: &Subject, cases: &[Case], args: &MutantArgs) -> anyhow::Result<Report> {
    let size = subject.bytes.len();
    if size > MUTANTS_BYTES_MAX {
        anyhow::bail!(
            "`{}` has {size} bytes, and mutants are for components up to {MUTANTS_BYTES_MAX}: what is larger carries the \
             runtime of its language, where decisions are data, which no mutant changes",
            subject.name
        );
    }
    // Nothing of it is worth keeping: neither on the disk nor a process for each.
    let runtime = Runtime::new(Arc::new(Clock::start()))?;
    let bounds = Bounds { count: args.count, time: Duration::from_secs(args.for_seconds), seed: args.seed };
    let tried = Progress::new("testing").during(|step| {
        let mut said = |so_far: &Mutants| {
            step.say(&format!("{} of {} mutants, {} noticed", so_far.reached(), args.count, so_far.noticed));
        };
        mutants::run(&runtime, &subject.bytes, cases, DEFAULT_LIMITS, bounds, &mut said)
    });
    let tried = tried.map_err(|error| Refused(format!("`{}` {error}", subject.name)))?;
    Ok(report(tried, args))
}

fn report(tried: Mutants, args: &MutantArgs) -> Report {
    let (reached, percent) = (tried.reached(), tried.percent());
    let Mutants { noticed, missed, unreached, places, out_of_time } = tried;
    let missed = missed.into_iter().map(|mutant| Missed {
        offset: mutant.offset,
        function: mutant.function,
        what: mutant.what.name(),
    });
    Report {
        reached,
        noticed,
        missed: missed.collect(),
        unreached,
        places,
        percent,
        at_least: args.at_least,
        seed: args.seed,
        out_of_time,
        good: percent.is_some_and(|percent| percent >= args.at_least),
    }
}

pub(super) fn render(report: &Report) -> String {
    let Report { reached, noticed, missed, unreached, percent, at_least, seed, out_of_time, .. } = report;
    let share = percent.map_or_else(|| "none was reached".to_owned(), |percent| format!("{percent} %"));
    let mut text = format!(
        "mutants {noticed} of {reached} noticed ({share}, at least {at_least} % wanted); to {unreached} more places no \
         case comes; seed {seed}\n"
    );
    if *out_of_time {
        text.push_str("        the time was over first; --for SECONDS gives more\n");
    }
    for Missed { offset, function, what } in missed.iter().take(SHOWN_MAX) {
        text.push_str(&format!("MISSED  function {function}, byte {offset:#x}: {what}\n"));
    }
    if let Some(more) = missed.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("        and {more} more; `--json` has them all\n"));
    }
    text
}
