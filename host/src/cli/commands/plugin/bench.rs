//! `plugin bench`: what an evaluation costs.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::subject::Subject;
use crate::author::DEFAULT_LIMITS;
use crate::author::bench::{self, Figures, Timing};
use crate::cli::args::OutputArgs;
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, table};
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::log::{self, Format, Writes};
use crate::plugins::runtime;
use phasegate_core::domain::{Answer, InstanceFacts, InstanceId, Observation, Response, ScaleSetName};
use phasegate_wasm::cases::Case;
use phasegate_wasm::{BATCH_MAX, LoadPluginError};

/// The report of `plugin bench --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    plugin: String,
    size: usize,
    compile_micros: u64,
    observations: usize,
    failed: usize,
    /// The first of these.
    failure: Option<String>,
    batch: usize,
    /// Nanoseconds of CPU for each observation.
    fresh_one: TimingReport,
    reused_one: TimingReport,
    fresh_batch: TimingReport,
    reused_batch: TimingReport,
    memory_bytes: usize,
    /// Where that comes from; decides what a fresh instance costs.
    allocation: String,
    /// For one observation.
    fuel: FuelReport,
}

#[derive(Debug, Serialize)]
struct FuelReport {
    median: u64,
    max: u64,
    limit: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimingReport {
    median_ns: u64,
    p99_ns: u64,
    calls: usize,
}

/// Measures a plugin and prints the report.
pub(super) fn run(
    subject: &Subject,
    settings: Option<&str>,
    cases: Option<&Path>,
    format: OutputArgs,
) -> anyhow::Result<Exit> {
    // What a plugin logs thousands of times is not what is measured.
    log::begin("off", Format::Text, Writes::Itself);
    if let Some(text) = settings {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(text);
        parsed.map_err(|error| anyhow::anyhow!("--settings is {text:?}, which is no JSON: {error}"))?;
    }
    let (settings, observations) = input(subject, settings, cases)?;
    let clock = Clock::start();
    let runtime = runtime::of_command(clock, None)?;
    let measured = Progress::new("measuring").during(|step| {
        step.say("compiling");
        let began = clock.now();
        let plugin = runtime.compile(&subject.bytes)?;
        let compile = clock.now().since(began);
        step.say("evaluating");
        let figures = bench::run(&plugin, &settings, &observations, DEFAULT_LIMITS)?;
        Ok((compile, figures))
    });
    let (compile, figures) =
        measured.map_err(|error: LoadPluginError| Refused(format!("`{}` {error}", subject.name)))?;
    let Figures {
        fresh_one,
        reused_one,
        fresh_batch,
        reused_batch,
        memory_bytes,
        fuel: (median, max),
        failed,
        failure,
    } = figures;
    let timing = |Timing { median_ns, p99_ns, calls }| TimingReport { median_ns, p99_ns, calls };
    let report = Report {
        plugin: subject.name.clone(),
        size: subject.bytes.len(),
        compile_micros: u64::try_from(compile.as_micros()).unwrap_or(u64::MAX),
        observations: observations.len(),
        failed,
        failure: failure.map(|failure| failure.to_string()),
        batch: BATCH_MAX,
        fresh_one: timing(fresh_one),
        reused_one: timing(reused_one),
        fresh_batch: timing(fresh_batch),
        reused_batch: timing(reused_batch),
        memory_bytes,
        allocation: runtime.allocation(),
        fuel: FuelReport { median, max, limit: DEFAULT_LIMITS.fuel },
    };
    if format.json {
        output::json(&report)?;
    } else {
        output::data(&render(&report))?;
    }
    // What was measured then is how it fails.
    Ok(if report.failed == report.batch { Exit::No } else { Exit::Done })
}

/// Settings and observations: those of the cases that have the same settings as the first one, or a
/// plain answer where there are no cases.
fn input(
    subject: &Subject,
    settings: Option<&str>,
    named: Option<&Path>,
) -> anyhow::Result<(String, Vec<Observation>)> {
    let cases = subject.cases_if_any(named)?;
    let judged = |case: &Case| case.observation.is_some();
    let wanted = match settings {
        Some(settings) => settings.to_owned(),
        None => cases
            .iter()
            .find(|case| judged(case))
            .map_or_else(|| "{}".to_owned(), |case| case.settings.clone()),
    };
    let fits = |case: &Case| settings.is_some() || case.settings == wanted;
    let mut observations: Vec<Observation> =
        cases.into_iter().filter(fits).filter_map(|case| case.observation).collect();
    if observations.is_empty() {
        observations.push(plain()?);
    }
    Ok((wanted, observations))
}

fn plain() -> anyhow::Result<Observation> {
    let response = Response { status: 200, headers: Vec::new(), body: b"{}".to_vec() };
    Ok(Observation {
        instance: Arc::new(InstanceFacts {
            id: InstanceId::parse("0")?,
            scale_set: ScaleSetName::parse("bench")?,
            region: None,
            zone: None,
            fault_domain: None,
            update_domain: None,
            version: None,
            desired_version: None,
            labels: std::collections::BTreeMap::new(),
        }),
        answers: [Answer { source: "health".to_owned(), outcome: Ok(response) }].into(),
        memory: None,
        attributes: Vec::new(),
    })
}

fn render(report: &Report) -> String {
    let row = |instance: &str, batch: usize, timing: &TimingReport| {
        let base = report.reused_batch.median_ns.max(1);
        let tenths = timing.median_ns.saturating_mul(10) / base;
        vec![
            instance.to_owned(),
            batch.to_string(),
            timing.median_ns.to_string(),
            timing.p99_ns.to_string(),
            format!("{}.{}", tenths / 10, tenths % 10),
            timing.calls.to_string(),
        ]
    };
    let rows = [
        row("fresh", 1, &report.fresh_one),
        row("reused", 1, &report.reused_one),
        row("fresh", report.batch, &report.fresh_batch),
        row("reused", report.batch, &report.reused_batch),
    ];
    let mut text = table(&["INSTANCE", "BATCH", "NS EACH", "P99", "RATIO", "CALLS"], &rows);
    let (whole, tenth) = (report.memory_bytes >> 20, ((report.memory_bytes & 0xf_ffff) * 10) >> 20);
    let compile = report.compile_micros;
    let failures = match report.failed {
        0 => String::new(),
        failed => {
            let why = report.failure.as_deref().unwrap_or_default();
            format!("; {failed} of {} in a batch bring no decision, the first: {why}", report.batch)
        }
    };
    text.push_str(&format!(
        "\nnanoseconds of CPU for each observation; {} observations{}\n\
         RATIO    how many times as long as with a reused instance and whole batches, the last row\n\
         memory   {whole}.{tenth} MiB for each instance, from {}\n\
         compile  {}.{:03} s for {} bytes\n\
         fuel     {} for each observation, at most {} (limit {})\n",
        report.observations,
        failures,
        report.allocation,
        compile / 1_000_000,
        compile % 1_000_000 / 1000,
        report.size,
        report.fuel.median,
        report.fuel.max,
        report.fuel.limit,
    ));
    text
}
