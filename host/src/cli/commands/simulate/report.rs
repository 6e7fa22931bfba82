//! What a simulation amounts to, for people and for programs. Everything in here follows from the
//! arguments and the seed.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cli::args::SimulateArgs;
use phasegate_core::sim::forecast::{Ending, Fleet, Rates, Run, Setup, Spread, Summary};

/// Everything that is reported.
pub(super) struct Report<'a> {
    pub(super) args: &'a SimulateArgs,
    pub(super) setup: &'a Setup,
    pub(super) size: usize,
    pub(super) runs: &'a [Run],
    pub(super) summary: &'a Summary,
}

impl Report<'_> {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if self.args.timeline.is_some() {
            self.timeline(&mut text);
        }
        self.what(&mut text);
        let summary = self.summary;
        row(&mut text, "ended", &self.endings());
        let takes = match (summary.duration, summary.any_duration) {
            (Some(spread), _) => spread_text(&spread, |span| said(*span)),
            (None, Some(spread)) => {
                format!("no run completed; to the end {}", spread_text(&spread, |span| said(*span)))
            }
            (None, None) => "nothing ran".to_owned(),
        };
        row(&mut text, "takes", &takes);
        if self.setup.regions > 1 {
            self.regions(&mut text);
        }
        row(&mut text, "batches", &spread_text(&summary.batches, |n| grouped(*n)));
        row(&mut text, "failed instances", &spread_text(&summary.failed, |n| grouped(*n)));
        row(&mut text, "left alone", &spread_text(&summary.held, |n| grouped(*n)));
        if let Some(worst) = summary.worst {
            let share = share(worst.unavailable, worst.total);
            let budget = self.setup.rules.rolling.max_unhealthy_instance_percent.get();
            let line = format!(
                "{} of {} ({share}), seed {}; maxUnhealthyInstancePercent {budget} allows {}",
                grouped(worst.unavailable),
                grouped(worst.total),
                worst.seed,
                grouped(worst.budget),
            );
            row(&mut text, "not Healthy at once", &line);
        }
        row(&mut text, "budget passed", &self.verdict());
        for broken in &summary.broken {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\nseed {}: {}", broken.seed, broken.violation);
            let _ = writeln!(text, "replay it: {}", self.replay(broken.seed));
        }
        text
    }

    fn what(&self, text: &mut String) {
        let count = self.summary.runs;
        let last = self.runs.last().map_or(0, |run| run.seed);
        let first = self.runs.first().map_or(0, |run| run.seed);
        let seeds = if count == 1 { format!("seed {first}") } else { format!("seeds {first} to {last}") };
        let _ = writeln!(
            text,
            "{} of an upgrade of {} to {}; {seeds}; faults: {}",
            many(count, "run"),
            self.fleet(),
            self.setup.to,
            faults(&self.setup.rates),
        );
    }

    fn fleet(&self) -> String {
        let mut text = many(self.size, "instance");
        let regions = self.setup.regions;
        if regions > 1 {
            let _ = write!(text, " in {regions} regions");
        }
        match &self.setup.fleet {
            Fleet::Invented(invented) => {
                let _ = write!(
                    text,
                    ", {}, {}",
                    many(usize::from(invented.zones), "zone"),
                    many(invented.phases.len(), "phase")
                );
                if invented.update_domains > 0 {
                    let _ = write!(
                        text,
                        ", {}",
                        many(usize::try_from(invented.update_domains).unwrap_or(0), "update domain")
                    );
                }
            }
            Fleet::Recorded(crowd) => {
                let _ = write!(text, " of `{}`, {}", self.setup.name, many(crowd.zones.len(), "zone"));
            }
        }
        text
    }

    fn endings(&self) -> String {
        let runs = self.summary.runs;
        let line = |ending: &Ending| {
            let mut line =
                format!("{} {} ({})", ending.end.name(), grouped(ending.runs), share(ending.runs, runs));
            if let Some(code) = ending.code {
                let _ = write!(line, " {code}");
            }
            if ending.rolled_back {
                line.push_str(", rolled back");
            }
            let _ = write!(line, "; seed {}", ending.seed);
            line
        };
        let lines: Vec<String> = self.summary.endings.iter().map(line).collect();
        lines.join(&format!("\n{:22}", ""))
    }

    fn regions(&self, text: &mut String) {
        for (index, region) in self.summary.regions.iter().enumerate() {
            let takes = region.duration.map_or_else(
                || "never completed".to_owned(),
                |spread| spread_text(&spread, |span| said(*span)),
            );
            let line = format!(
                "began in {}, completed in {}; {takes}",
                grouped(region.began),
                grouped(region.completed)
            );
            row(text, &format!("  region {}", index + 1), &line);
        }
    }

    fn verdict(&self) -> String {
        let Summary { runs, checked, broken_runs, .. } = *self.summary;
        let how = match (checked, runs - checked) {
            (_, 0) => "all invariants were checked at every step".to_owned(),
            (0, _) => "size, budget, borders, phases and consent were checked at each admission".to_owned(),
            (checked, _) => format!(
                "all invariants were checked at every step of {} runs, the others at each admission",
                grouped(checked)
            ),
        };
        match broken_runs {
            0 => format!("never; {how}"),
            broken => format!(
                "{} run{} broke an invariant; {how}",
                grouped(broken),
                if broken == 1 { "" } else { "s" }
            ),
        }
    }

    /// The command that tells one run line by line.
    fn replay(&self, seed: u64) -> String {
        let mut command = String::from("phasegate");
        let mut skip = false;
        for argument in std::env::args().skip(1) {
            if std::mem::take(&mut skip) && !argument.starts_with('-') {
                continue;
            }
            match argument.as_str() {
                "--runs" | "--seed" | "--timeline" => skip = true,
                text if text.starts_with("--runs=") || text.starts_with("--seed=") || text == "--json" => {}
                text if text.starts_with("--timeline") => {}
                text => {
                    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./,=:%".contains(c));
                    let _ = if plain { write!(command, " {text}") } else { write!(command, " '{text}'") };
                }
            }
        }
        let _ = write!(command, " --timeline {seed}");
        command
    }

    fn timeline(&self, text: &mut String) {
        let Some(run) = self.runs.first() else { return };
        let _ = writeln!(text, "  TIME      WHAT");
        let mut begun = Duration::ZERO;
        for (index, region) in run.regions.iter().enumerate() {
            if run.regions.len() > 1 || self.setup.regions > 1 {
                let _ = writeln!(text, "{}  region {} begins", clock(begun), index + 1);
            }
            for entry in &region.timeline {
                let _ = writeln!(text, "{}  {}", clock(begun + entry.after), entry.text);
            }
            begun += region.duration;
        }
        text.push('\n');
    }

    /// For programs.
    pub(super) fn json(&self) -> impl Serialize {
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

fn row(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<21} {value}");
}

/// The three numbers, or one when they are the same.
fn spread_text<T: PartialEq>(spread: &Spread<T>, show: impl Fn(&T) -> String) -> String {
    let Spread { median, p95, max } = spread;
    if median == max {
        return show(median);
    }
    format!("median {}, p95 {}, max {}", show(median), show(p95), show(max))
}

fn faults(rates: &Rates) -> String {
    let Rates { crash, flap, zone_loss, lost_probe, slow, bad_version, driver } = *rates;
    let hourly = [("crash", crash), ("flap", flap), ("zone-loss", zone_loss)];
    let chances =
        [("slow", slow), ("lost-probe", lost_probe), ("bad-version", bad_version), ("driver", driver)];
    let mut parts = Vec::new();
    for (name, rate) in hourly.into_iter().filter(|(_, rate)| *rate > 0) {
        parts.push(format!("{name} {}/h", decimal(rate)));
    }
    for (name, chance) in chances.into_iter().filter(|(_, chance)| *chance > 0) {
        parts.push(format!("{name} {} %", decimal(u64::from(chance) * 100)));
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Millionths as a decimal number without needless zeros.
fn decimal(millionths: u64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn share(part: usize, total: usize) -> String {
    let tenths = (part * 1000 + total / 2).checked_div(total).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A number of things.
fn many(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with commas between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span as people say it.
fn said(span: Duration) -> String {
    phasegate_core::sim::forecast::span_text(span)
}

/// A point of time since the beginning.
fn clock(at: Duration) -> String {
    let tenths = at.as_millis() / 100;
    let seconds = tenths / 10;
    format!("{:>3}:{:02}:{:02}.{}", seconds / 3600, seconds / 60 % 60, seconds % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!((many(1, "run"), many(2000, "run")), ("1 run".to_owned(), "2,000 runs".to_owned()));
        assert_eq!(decimal(20_000), "0.02");
        assert_eq!(decimal(3_000_000), "3");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(clock(Duration::from_millis(3_725_250)), "  1:02:05.2");
    }
}
