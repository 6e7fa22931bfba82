//! What a simulation amounts to, for programs.

use std::time::Duration;

use serde::Serialize;

use super::Report;
use phasegate_core::sim::forecast::{Ending, Spread};

impl Report<'_> {
    /// For programs.
    pub(in crate::cli::commands::simulate) fn json(&self) -> impl Serialize {
        let summary = self.summary;
        let spread =
            |spread: Spread<usize>| Numbers { median: spread.median, p95: spread.p95, max: spread.max };
        Json {
            runs: summary.runs,
            first_seed: self.runs.first().map_or(0, |run| run.seed),
            instances: self.size,
            regions: self.setup.regions,
            to: self.setup.to.to_string(),
            endings: summary.endings.iter().map(EndingJson::from).collect(),
            seconds: summary.duration.map(seconds),
            seconds_of_all: summary.any_duration.map(seconds),
            per_region: summary
                .regions
                .iter()
                .map(|region| RegionJson {
                    began: region.began,
                    completed: region.completed,
                    seconds: region.duration.map(seconds),
                })
                .collect(),
            batches: spread(summary.batches),
            failed_instances: spread(summary.failed),
            held_instances: spread(summary.held),
            most_unavailable: summary.worst.map(|worst| WorstJson {
                instances: worst.unavailable,
                of: worst.total,
                budget: worst.budget,
                seed: worst.seed,
            }),
            runs_checked_at_every_step: summary.checked,
            runs_that_broke_an_invariant: summary.broken_runs,
            violations: summary
                .broken
                .iter()
                .map(|broken| BrokenJson {
                    seed: broken.seed,
                    invariant: broken.violation.rule.number(),
                    detail: broken.violation.detail.clone(),
                    replay: self.replay(broken.seed),
                })
                .collect(),
            timeline: self.args.timeline.map(|_| self.entries()),
        }
    }

    fn entries(&self) -> Vec<EntryJson> {
        let mut entries = Vec::new();
        let mut begun = Duration::ZERO;
        for (index, region) in self.runs.iter().flat_map(|run| &run.regions).enumerate() {
            entries.extend(region.timeline.iter().map(|entry| EntryJson {
                seconds: (begun + entry.after).as_secs_f64(),
                region: index + 1,
                kind: entry.kind,
                text: entry.text.clone(),
            }));
            begun += region.duration;
        }
        entries
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    runs: usize,
    first_seed: u64,
    instances: usize,
    regions: u32,
    to: String,
    endings: Vec<EndingJson>,
    seconds: Option<SecondsJson>,
    seconds_of_all: Option<SecondsJson>,
    per_region: Vec<RegionJson>,
    batches: Numbers,
    failed_instances: Numbers,
    held_instances: Numbers,
    most_unavailable: Option<WorstJson>,
    runs_checked_at_every_step: usize,
    runs_that_broke_an_invariant: usize,
    violations: Vec<BrokenJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<EntryJson>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndingJson {
    state: &'static str,
    code: Option<&'static str>,
    rolled_back: bool,
    runs: usize,
    first_seed: u64,
}

impl From<&Ending> for EndingJson {
    fn from(ending: &Ending) -> Self {
        let Ending { end, code, rolled_back, runs, seed } = *ending;
        Self { state: end.name(), code, rolled_back, runs, first_seed: seed }
    }
}

#[derive(Serialize)]
struct SecondsJson {
    median: f64,
    p95: f64,
    max: f64,
}

#[derive(Serialize)]
struct Numbers {
    median: usize,
    p95: usize,
    max: usize,
}

#[derive(Serialize)]
struct RegionJson {
    began: usize,
    completed: usize,
    seconds: Option<SecondsJson>,
}

#[derive(Serialize)]
struct WorstJson {
    instances: usize,
    of: usize,
    budget: usize,
    seed: u64,
}

#[derive(Serialize)]
struct BrokenJson {
    seed: u64,
    invariant: u8,
    detail: String,
    replay: String,
}

#[derive(Serialize)]
struct EntryJson {
    seconds: f64,
    region: usize,
    kind: &'static str,
    text: String,
}

fn seconds(spread: Spread<Duration>) -> SecondsJson {
    let Spread { median, p95, max } = spread;
    SecondsJson { median: median.as_secs_f64(), p95: p95.as_secs_f64(), max: max.as_secs_f64() }
}
