//! Many runs on all processors, with a progress bar; the results are those of one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::wasm::Judge;
use crate::cli::output;
use phasegate_core::sim::forecast::{End, Run, Setup, Tell, Watch, run};

/// Above so many instances runs follow each other, because each takes much memory.
const ALONE_FROM: usize = 100_000;

/// Instances squared, times runs, whose every step is checked: half a minute or less. The others are
/// checked at each admission.
const CHECKED_MAX: usize = 10_000_000;

/// Largest fleet whose every step is checked.
const CHECKED_SIZE_MAX: usize = 2_000;

/// Which runs.
pub(super) struct Wanted {
    pub(super) first: u64,
    pub(super) count: usize,
    pub(super) size: usize,
    pub(super) tell: Tell,
}

/// All of them, by seed.
pub(super) fn all(setup: &Setup, wanted: &Wanted, judge: &Judge) -> anyhow::Result<Vec<Run>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = if wanted.size > ALONE_FROM { 1 } else { processors.min(wanted.count) };
    let bar = bar(wanted.count);
    let next = AtomicUsize::new(0);
    let faulted = AtomicUsize::new(0);
    let work = || -> anyhow::Result<Vec<(usize, Run)>> {
        let mut decider = judge.decider()?;
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= wanted.count {
                return Ok(done);
            }
            let seed = wanted.first.wrapping_add(u64::try_from(number)?);
            let run = run(setup, seed, watch(wanted, number), wanted.tell, &mut *decider);
            if run.end() != End::Completed {
                let count = faulted.fetch_add(1, Ordering::Relaxed) + 1;
                bar.set_message(format!(", {count} did not complete"));
            }
            bar.inc(1);
            done.push((number, run));
        }
    };
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        parts.extend(others.into_iter().map(|other| {
            other.join().unwrap_or_else(|_| Err(anyhow!("a run panicked, a bug in the simulator")))
        }));
        parts
    });
    bar.finish_and_clear();
    let mut runs = parts.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat();
    runs.sort_by_key(|(number, _)| *number);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

fn watch(wanted: &Wanted, number: usize) -> Watch {
    let affordable = CHECKED_MAX / wanted.size.max(1).saturating_pow(2);
    let every_step = wanted.size <= CHECKED_SIZE_MAX && number < affordable;
    if every_step { Watch::Steps } else { Watch::Admissions }
}

fn bar(count: usize) -> ProgressBar {
    let shown = output::stderr_is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(count).ok(), target);
    let template = "[{bar:30}] {pos}/{len} runs{msg}, {elapsed}, about {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
