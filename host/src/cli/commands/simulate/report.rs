//! What a simulation amounts to, for people here and for programs in `json`. Everything in here follows from the
//! arguments and the seed.

mod json;
mod numbers;

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::args::SimulateArgs;
use numbers::{clock, decimal, many, said, share, spread_text};
use phasegate_core::sim::forecast::{Ending, Fleet, Rates, Run, Setup, Summary};

pub(super) use numbers::grouped;

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
        row(&mut text, "a batch waits", &self.waits());
        let hooks: Vec<String> = self.setup.rules.hooks.iter().map(|hook| hook.to_string()).collect();
        if !hooks.is_empty() {
            let line =
                format!("{}; what they take is not known, and in none of these times", hooks.join(", "));
            row(&mut text, "hooks", &line);
        }
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

    /// What each batch takes beside the driver, the start of the instance and the time to be Healthy.
    fn waits(&self) -> String {
        let rules = &self.setup.rules;
        let parts = [
            (self.setup.interval, "for answers since the batch before"),
            (rules.gate.wait, "before the gate looks"),
            (rules.gate.stable_for, "of good health"),
            (rules.rolling.pause_time_between_batches, "of pause"),
        ];
        let parts = parts.iter().filter(|(span, _)| !span.is_zero());
        parts.map(|(span, what)| format!("{} {what}", said(*span))).collect::<Vec<_>>().join(", ")
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
}

fn row(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<21} {value}");
}

pub(super) fn faults(rates: &Rates) -> String {
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
