//! What a forecast and a plan of a large fleet cost: `cargo bench -p phasegate-core`. Sizes behind `--` are
//! forecast instead of those of the table.
//!
//! CPU time of the one thread that works, and the most memory that the process has had. The fleet is that of
//! `phasegate simulate --instances N --zones 3 --update-domains 5 --phases 4 --runs 1`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, and its table goes to stdout"
)]

use std::time::Duration;

use phasegate_core::domain::*;
use phasegate_core::health::{FoldSettings, GraceEnd};
use phasegate_core::sim::forecast::{
    AtTheirWord, Fleet, Invented, Pace, Probes, Rates, Setup, Span, Tell, Watch, plan_of, run,
};

/// Fleets of the table.
const FLEETS: [usize; 3] = [10_000, 100_000, 1_000_000];

fn gate(deadline: u64) -> HealthGate {
    HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::from_secs(deadline) }
}

fn setup(instances: usize) -> Setup {
    let span = |low, high| Span { low: Duration::from_secs(low), high: Duration::from_secs(high) };
    let interval = Duration::from_secs(5);
    Setup {
        name: ScaleSetName::parse("simulated").unwrap(),
        to: Version::parse("wanted").unwrap(),
        fleet: Fleet::Invented(Invented {
            instances,
            zones: 3,
            update_domains: 5,
            phases: vec![250_000; 4],
            skip: 0,
            protected: 0,
        }),
        regions: 1,
        rules: UpgradePolicy {
            decisions: Decisions::Snapshot,
            defer_max: Duration::from_secs(600),
            prepare_max: prepare_max(Duration::from_secs(10), 1, interval, interval),
            ..UpgradePolicy::plain(RollingUpgradePolicy::plain(Percent::clamped(20)), gate(300))
        },
        freeze: FreezeWindows::default(),
        health: FoldSettings {
            number_of_probes: 1,
            grace_period: Duration::from_secs(10),
            fail_state: Claim::Unknown,
            at_grace_end: GraceEnd::HearOut,
        },
        interval,
        pace: Pace { apply: span(2, 10), start: span(1, 10), person: Duration::from_secs(300) },
        rates: Rates::default(),
        begin: Timestamp(1_767_603_600_000),
        limit: Duration::from_secs(60 * 24 * 3600),
        probes: Probes::Telling,
    }
}

/// CPU time of this thread so far.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Most memory so far in MiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() / 1024
}

fn main() {
    let named: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let sizes = if named.is_empty() { FLEETS.to_vec() } else { named };
    println!("{:>10} {:>8} {:>11} {:>12} {:>7}", "instances", "plan", "forecast", "peak memory", "steps");
    for size in sizes {
        let setup = setup(size);
        let plan = plan_of(&setup, 0, &mut AtTheirWord, |plan| {
            let before = spent();
            drop(plan());
            spent() - before
        });
        let before = spent();
        let run = run(&setup, 0, Watch::Admissions, Tell::Figures, &mut AtTheirWord);
        let (forecast, steps) = (spent() - before, run.regions.first().unwrap().looks);
        let (plan, forecast) = (plan.unwrap().as_secs_f64(), forecast.as_secs_f64());
        println!("{size:>10} {plan:>6.2} s {forecast:>9.2} s {:>8} MiB {steps:>7}", peak());
        println!("{:>10} took {} s of its own time", "", run.duration().as_secs());
    }
}
