//! `plugin test`: the cases on the component, hidden state, and the budget.

use std::path::Path;

use serde::Serialize;

use super::mutants;
use super::subject::Subject;
use crate::author::DEFAULT_LIMITS;
use crate::cli::args::{MutantArgs, OutputArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::log::{self, Format, Writes};
use crate::plugins::runtime;
use phasegate_wasm::cases::Difference;
use phasegate_wasm::trial::{self, Budget, Trial};
use phasegate_wasm::{BATCH_MAX, inspect};

/// The report of `plugin test --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    plugin: String,
    passed: usize,
    failed: usize,
    cases: Vec<CaseReport>,
    /// Null when no case was judged.
    hidden_state: Option<Vec<StateReport>>,
    budget: BudgetReport,
    /// Left out where nobody asked, or cases fail without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    mutants: Option<mutants::Report>,
    good: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CaseReport {
    file: String,
    name: String,
    passed: bool,
    got: String,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StateReport {
    case: String,
    when: &'static str,
    alone: String,
    then: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BudgetReport {
    batch: usize,
    longest_call_micros: u64,
    timeout_micros: u64,
    memory_bytes: usize,
    memory_limit_bytes: usize,
    /// For one observation.
    fuel: u64,
    fuel_limit: u64,
    /// Null when no case was judged.
    within: Option<bool>,
}

/// Tests a plugin and prints the report.
pub(super) fn run(
    subject: &Subject,
    cases: Option<&Path>,
    mutants: Option<&MutantArgs>,
    format: OutputArgs,
) -> anyhow::Result<Exit> {
    log::begin("warn", Format::Text, Writes::Itself);
    // What is no policy at all needs no cases to say so.
    inspect(&subject.bytes).fits.map_err(|error| Refused(format!("`{}` {error}", subject.name)))?;
    let cases = subject.cases(cases)?;
    let runtime = runtime::of_command(Clock::start(), None)?;
    let progress = Progress::new("testing");
    let trial = progress.during(|step| {
        step.say("compiling");
        let plugin = runtime.compile(&subject.bytes)?;
        step.say(&format!("{} cases", cases.len()));
        trial::run(&plugin, &cases, DEFAULT_LIMITS)
    });
    let trial = trial.map_err(|error| Refused(format!("`{}` {error}", subject.name)))?;
    let mut report = report(subject.name.clone(), trial);
    if let Some(args) = mutants.filter(|_| report.failed == 0) {
        let tried = mutants::run(subject, &cases, args)?;
        report.good &= tried.good;
        report.mutants = Some(tried);
    }
    if format.json {
        output::json(&report)?;
    } else {
        output::data(&render(&report))?;
    }
    Ok(if report.good { Exit::Done } else { Exit::No })
}

fn report(plugin: String, trial: Trial) -> Report {
    let Trial { outcomes, states, budget } = trial;
    let cases: Vec<CaseReport> = outcomes
        .into_iter()
        .map(|outcome| CaseReport {
            file: outcome.file,
            name: outcome.name,
            passed: outcome.differences.is_empty(),
            got: outcome.got,
            differences: outcome.differences,
        })
        .collect();
    let failed = cases.iter().filter(|case| !case.passed).count();
    let hidden_state: Vec<StateReport> = states
        .into_iter()
        .map(|state| StateReport { case: state.case, when: state.when, alone: state.alone, then: state.then })
        .collect();
    let budget = budget_report(budget);
    let good = failed == 0 && hidden_state.is_empty() && budget.within != Some(false);
    let hidden_state = budget.within.map(|_| hidden_state);
    Report { plugin, passed: cases.len() - failed, failed, cases, hidden_state, budget, mutants: None, good }
}

fn budget_report(budget: Budget) -> BudgetReport {
    let Budget { longest, batch, memory_bytes, fuel, limits } = budget;
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let memory_limit_bytes = usize::try_from(u64::from(limits.memory_mib) << 20).unwrap_or(usize::MAX);
    let within = longest <= limits.timeout && memory_bytes <= memory_limit_bytes && fuel <= limits.fuel;
    BudgetReport {
        batch,
        longest_call_micros: micros(longest),
        timeout_micros: micros(limits.timeout),
        memory_bytes,
        memory_limit_bytes,
        fuel,
        fuel_limit: limits.fuel,
        within: (batch > 0).then_some(within),
    }
}

fn render(report: &Report) -> String {
    let mut text = String::new();
    for case in report.cases.iter().filter(|case| !case.passed) {
        text.push_str(&format!("FAILED  {}: {}\n", case.file, case.name));
        for Difference { what, expected, got } in &case.differences {
            text.push_str(&format!("    {what}\n      - expected {expected}\n      + got      {got}\n"));
        }
        if case.differences.iter().all(|difference| difference.got != case.got) {
            text.push_str(&format!("    whole answer: {}\n", case.got));
        }
        text.push('\n');
    }
    for state in report.hidden_state.iter().flatten() {
        text.push_str(&format!("HIDDEN STATE  {}\n", state.case));
        text.push_str(&format!("      - alone in a new instance: {}\n", state.alone));
        text.push_str(&format!("      + {}: {}\n", state.when, state.then));
    }
    let found = report.hidden_state.as_ref().map(|states| !states.is_empty());
    if found == Some(true) {
        text.push_str(
            "    An answer may depend on its observation and the settings alone. Keep what must last in\n    \
             `memory`: globals may vanish between any two calls.\n\n",
        );
    }
    let total = report.passed + report.failed;
    text.push_str(&format!("cases   {} of {total} passed\n", report.passed));
    text.push_str(match found {
        Some(false) => "state   none found: fresh and used instances, batches in three orders\n",
        Some(true) => "state   FOUND: fresh and used instances, batches in three orders\n",
        None => "state   not looked for: no case was judged\n",
    });
    text.push_str(&render_budget(&report.budget));
    text.push_str(&report.mutants.as_ref().map(mutants::render).unwrap_or_default());
    text
}

fn render_budget(budget: &BudgetReport) -> String {
    let mut text = String::new();
    if budget.batch > 0 {
        let share = percent(budget.longest_call_micros, budget.timeout_micros);
        let (took, limit) = (millis(budget.longest_call_micros), millis(budget.timeout_micros));
        text.push_str(&format!(
            "time    {took} of {limit} ms ({share} %) for a call with {} observations",
            budget.batch
        ));
        text.push_str(if budget.longest_call_micros > budget.timeout_micros {
            "; TOO LONG: the host makes such batches smaller, down to one\n"
        } else {
            "\n"
        });
        let as_u64 = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let share = percent(as_u64(budget.memory_bytes), as_u64(budget.memory_limit_bytes));
        let (used, limit) = (mib(budget.memory_bytes), mib(budget.memory_limit_bytes));
        text.push_str(&format!("memory  {used} of {limit} MiB ({share} %)\n"));
        let (fuel, limit) = (budget.fuel, budget.fuel_limit);
        let share = percent(fuel, limit);
        text.push_str(&format!("fuel    {fuel} of {limit} ({share} %) for one observation\n"));
    } else {
        text.push_str(&format!("budget  not measured: no case was judged (a full batch is {BATCH_MAX})\n"));
    }
    text
}

fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1000, micros % 1000 / 10)
}

fn mib(bytes: usize) -> String {
    format!("{}.{}", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

fn percent(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1000) / whole.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
