//! What a simulation cost: said on stderr, because it differs from run to run.

use anyhow::Context;

use crate::cli::output;
use crate::clock::Clock;
use phasegate_core::sim::forecast::{Decider, Run, Setup, plan_of};

use super::report::grouped;

/// A clock that began with the work.
pub(super) struct Cost {
    clock: Clock,
}

impl Cost {
    pub(super) fn begin() -> Self {
        Self { clock: Clock::start() }
    }

    /// Makes the plan once by itself and says how long it took.
    pub(super) fn of_the_plan(
        &self,
        setup: &Setup,
        seed: u64,
        decider: &mut dyn Decider,
    ) -> anyhow::Result<()> {
        let clock = self.clock;
        let measured = plan_of(setup, seed, decider, |plan| {
            let memory = peak_memory();
            let begun_at = clock.now();
            let plan = plan();
            let took = clock.now().since(begun_at);
            let planned: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
            let grown = peak_memory().zip(memory).map(|(after, before)| after.saturating_sub(before));
            (took, planned + plan.holds.len() + plan.already.len(), plan.batches.len(), grown)
        });
        let (took, instances, batches, grown) = measured.context("the fleet has no names")?;
        let grown = grown.map_or_else(String::new, |grown| format!(", {grown} MiB"));
        output::talk(&format!(
            "plan of {} instances: {:.2} s{grown}, {} batches\n",
            grouped(instances),
            took.as_secs_f64(),
            grouped(batches),
        ));
        Ok(())
    }

    /// Says what all of it took.
    pub(super) fn say(&self, runs: &[Run]) {
        let took = self.clock.now().since(self.clock.started_at());
        let regions = || runs.iter().flat_map(|run| &run.regions);
        let happened: u64 = regions().map(|region| region.happened).sum();
        let looks: u64 = regions().map(|region| region.looks).sum();
        let memory =
            peak_memory().map_or_else(String::new, |mib| format!(", peak memory {} MiB", grouped(mib)));
        let count = |number: u64| grouped(usize::try_from(number).unwrap_or(usize::MAX));
        output::talk(&format!(
            "{} run{} in {:.2} s: {} events, {} steps of the core{memory}\n",
            grouped(runs.len()),
            if runs.len() == 1 { "" } else { "s" },
            took.as_secs_f64(),
            count(happened),
            count(looks),
        ));
    }
}

/// Most memory so far in MiB, where the system tells.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}
