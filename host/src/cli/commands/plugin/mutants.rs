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
    /// Places to which no case comes, of those that were looked at.
    unreached: usize,
    /// Of a hundred places that were looked at, so many to which some case comes; null where none was.
    coverage: Option<usize>,
    /// Places that could be changed.
    places: usize,
    /// How it is known which code is the author's: `lines`, `names` or `unknown`.
    scope: &'static str,
    /// Places in code that is not.
    not_tried: usize,
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
    /// Left out where the component does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// As `file:line`; left out where the component does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    what: &'static str,
}

/// Tries mutants of a component all of whose cases pass.
pub(super) fn run(subject: &Subject, cases: &[Case], args: &MutantArgs) -> anyhow::Result<Report> {
    if let Some(interpreter) = mutants::interpreter(&subject.bytes) {
        anyhow::bail!(
            "`{}` carries {interpreter}: there decisions are data, which no mutant changes",
            subject.name
        );
    }
    let size = subject.bytes.len();
    if size > MUTANTS_BYTES_MAX {
        anyhow::bail!(
            "`{}` has {size} bytes, and mutants are for components up to {MUTANTS_BYTES_MAX}: each one is compiled anew, \
             whole, which takes too long of a larger one",
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
    let (reached, percent, coverage) = (tried.reached(), tried.percent(), tried.coverage());
    let Mutants { noticed, missed, unreached, places, scope, not_tried, out_of_time } = tried;
    let missed = missed.into_iter().map(|mutant| Missed {
        offset: mutant.offset,
        function: mutant.function,
        name: mutant.name,
        source: mutant.line.map(|(file, line)| format!("{file}:{line}")),
        what: mutant.what.name(),
    });
    Report {
        reached,
        noticed,
        missed: missed.collect(),
        unreached,
        coverage,
        places,
        scope: scope.name(),
        not_tried,
        percent,
        at_least: args.at_least,
        seed: args.seed,
        out_of_time,
        good: percent.is_some_and(|percent| percent >= args.at_least),
    }
}

pub(super) fn render(report: &Report) -> String {
    let Report {
        reached,
        noticed,
        missed,
        unreached,
        coverage,
        places,
        percent,
        at_least,
        seed,
        out_of_time,
        scope,
        not_tried,
        ..
    } = report;
    let share = percent.map_or_else(|| "none was reached".to_owned(), |percent| format!("{percent} %"));
    let mut text = format!(
        "mutants {noticed} of {reached} noticed ({share}, at least {at_least} % wanted); seed {seed}\n"
    );
    let seen = reached + unreached;
    let coverage = coverage.map_or_else(String::new, |percent| format!(" ({percent} %)"));
    text.push_str(&format!(
        "        cases come to {reached} of {seen} places that were looked at{coverage}, of {places} that there are\n"
    ));
    text.push_str(&match *scope {
        "lines" => format!("        of the author's own lines; {not_tried} places of libraries and of generated code not tried\n"),
        "names" => format!("        of functions that are not a language's by their names; {not_tried} places of others not tried\n"),
        _ => "        of all code: the component does not say which is its author's; build it with `phasegate plugin build`\n".to_owned(),
    });
    if *out_of_time {
        text.push_str("        the time was over first; --for SECONDS gives more\n");
    }
    for Missed { offset, function, name, source, what } in missed.iter().take(SHOWN_MAX) {
        let place = match (source, name) {
            (Some(source), _) => source.clone(),
            (None, Some(name)) => format!("`{name}`"),
            (None, None) => format!("function {function}"),
        };
        text.push_str(&format!("MISSED  {place}, byte {offset:#x}: {what}\n"));
    }
    if let Some(more) = missed.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("        and {more} more; `--json` has them all\n"));
    }
    text
}
