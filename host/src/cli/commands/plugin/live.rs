//! `plugin try` and `plugin case`: one answer, judged once.
//!
//! The instance is asked as a host asks it, and the plugin is configured and limited as in a host.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::subject::Subject;
use crate::author::DEFAULT_LIMITS;
use crate::author::live::Question;
use crate::cli::args::{AskArgs, OutputArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::log::{self, Format, Writes};
use crate::plugins::runtime;
use crate::recording;
use phasegate_core::domain::{
    Answer, InstanceFacts, InstanceId, Observation, PluginFailure, ScaleSetName, Verdict, Version,
};
use phasegate_wasm::cases::{Got, show, written};
use phasegate_wasm::{Isolation, LoadPluginError};

/// The report of `plugin try --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    plugin: String,
    answer: Value,
    /// Null when there is none.
    decision: Option<Value>,
    /// Null when there is a decision.
    failure: Option<String>,
    fuel: u64,
    micros: u64,
}

/// What was judged, when, and what came of it.
struct Judged {
    observation: Observation,
    now_ms: u64,
    verdict: Verdict,
    fuel: u64,
    micros: u64,
}

/// Judges one live answer and prints what came of it; 1 when the plugin does not decide.
pub(super) fn attempt(subject: &Subject, ask: &AskArgs, format: OutputArgs) -> anyhow::Result<Exit> {
    log::begin("warn", Format::Text, Writes::Itself);
    let settings = settings(ask)?;
    let observation = asked(ask)?;
    let judged = judge(subject, &settings, observation)?;
    let exit = if judged.verdict.is_ok() { Exit::Done } else { Exit::No };
    let case = written("", &settings, judged.now_ms, &judged.observation, &judged.verdict);
    let part = |path: &str| case.as_ref().and_then(|case| case.pointer(path)).cloned();
    let report = Report {
        plugin: subject.name.clone(),
        answer: answer_of(&judged.observation),
        decision: part("/expect/decision"),
        failure: judged.verdict.as_ref().err().map(ToString::to_string),
        fuel: judged.fuel,
        micros: judged.micros,
    };
    if format.json {
        output::json(&report)?;
    } else {
        output::data(&render(&judged))?;
    }
    Ok(exit)
}

/// Writes a case; 1 when what came is nothing that a plugin can be held to.
pub(super) fn case(
    subject: &Subject,
    ask: &AskArgs,
    recording: Option<&Path>,
    (name, out): (Option<&str>, Option<&Path>),
) -> anyhow::Result<Exit> {
    log::begin("warn", Format::Text, Writes::Itself);
    let settings = settings(ask)?;
    let observation = match recording {
        Some(path) => recorded(path, ask)?,
        None => asked(ask)?,
    };
    let judged = judge(subject, &settings, observation)?;
    let called = name.map_or_else(|| outline(&judged.verdict), str::to_owned);
    let Some(case) = written(&called, &settings, judged.now_ms, &judged.observation, &judged.verdict) else {
        let why = judged.verdict.err().map_or_else(String::new, |failure| failure.to_string());
        return Err(
            Refused(format!("`{}` gave no answer that a case can expect: {why}", subject.name)).into()
        );
    };
    let text = format!("{}\n", serde_json::to_string_pretty(&case)?);
    match out {
        None => output::data(&text)?,
        Some(path) => {
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
            let mut file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
            file.write_all(text.as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

fn settings(ask: &AskArgs) -> anyhow::Result<Value> {
    serde_json::from_str(&ask.settings).context("--settings is no JSON")
}

/// Asks the instance once.
fn asked(ask: &AskArgs) -> anyhow::Result<Observation> {
    let url = ask.url.as_deref().context("nobody is named who is to be asked; add `--url http://…`")?;
    let timeout = Duration::try_from_secs_f64(ask.timeout).ok().filter(|limit| !limit.is_zero());
    let timeout = timeout.with_context(|| format!("--timeout {} is no time in seconds", ask.timeout))?;
    let request_headers = ask.request_header.iter().map(|text| {
        let (name, value) = text
            .split_once(':')
            .with_context(|| format!("--request-header `{text}` is no header; write it as `Name: value`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    let question = Question {
        url,
        timeout,
        request_headers: request_headers.collect::<anyhow::Result<_>>()?,
        headers: ask.header.iter().map(|name| name.to_ascii_lowercase()).collect(),
        facts: facts(ask)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(question.ask())?)
}

fn facts(ask: &AskArgs) -> anyhow::Result<InstanceFacts> {
    let labels = ask.label.iter().map(|text| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--label `{text}` is none; write it as name=value"))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let version = |text: &Option<String>| text.as_deref().map(Version::parse).transpose();
    Ok(InstanceFacts {
        id: InstanceId::parse(ask.instance.as_deref().unwrap_or("0"))?,
        scale_set: ScaleSetName::parse(ask.scale_set.as_deref().unwrap_or("try"))?,
        region: None,
        zone: ask.zone.clone(),
        fault_domain: None,
        update_domain: None,
        version: version(&ask.version)?,
        desired_version: version(&ask.desired_version)?,
        labels: labels.collect::<anyhow::Result<_>>()?,
    })
}

/// The latest record of the instance that the arguments name, or of any.
fn recorded(path: &Path, ask: &AskArgs) -> anyhow::Result<Observation> {
    let reading = recording::read(path)?;
    let is_wanted = |record: &&recording::Record| {
        let facts = record.instance();
        ask.instance.as_ref().is_none_or(|id| facts.id.to_string() == *id)
            && ask.scale_set.as_ref().is_none_or(|name| facts.scale_set.as_str() == name)
    };
    let latest = reading.records.iter().filter(is_wanted).max_by_key(|record| record.at);
    let latest = latest.with_context(|| format!("`{}` has no such record", path.display()))?;
    if latest.redacted {
        output::talk(
            "note: parts of the body were not written down; the case holds what stands in their place\n",
        );
    }
    Ok(latest.observation())
}

fn judge(subject: &Subject, settings: &Value, observation: Observation) -> anyhow::Result<Judged> {
    let clock = Clock::start();
    let now_ms = u64::try_from(clock.date().0).unwrap_or(0);
    let runtime = runtime::of_command(clock, None)?;
    let refused = |error: LoadPluginError| Refused(format!("`{}` {error}", subject.name));
    let mut loaded = Progress::new("trying").during(|step| {
        step.say("compiling");
        let plugin = runtime.compile(&subject.bytes).map_err(refused)?;
        plugin.configure(&settings.to_string(), DEFAULT_LIMITS, Isolation::PerBatch).map_err(refused)
    })?;
    let mut judged = loaded.judge(std::slice::from_ref(&observation), now_ms);
    let verdict = judged.results.pop().unwrap_or(Err(PluginFailure::Overloaded));
    let cost = judged.costs.pop().unwrap_or_default();
    Ok(Judged { observation, now_ms, verdict, fuel: cost.fuel, micros: cost.time_ns / 1000 })
}

/// The answer as a case would hold it.
fn answer_of(observation: &Observation) -> Value {
    let nothing = Err(PluginFailure::Refused { kind: "internal".to_owned(), detail: String::new() });
    let case = written("", &Value::Null, 0, observation, &nothing);
    case.and_then(|case| case.pointer("/observation/answers/0").cloned()).unwrap_or_default()
}

fn outline(verdict: &Verdict) -> String {
    show(&Got::Judged(verdict.clone()))
}

fn render(judged: &Judged) -> String {
    let mut text = String::new();
    for Answer { source, outcome } in judged.observation.answers.iter() {
        match outcome {
            Ok(response) => {
                text.push_str(&format!("{source}: status {}\n", response.status));
                for (name, value) in &response.headers {
                    text.push_str(&format!("  {name}: {value}\n"));
                }
                text.push_str(&format!("  {}\n", String::from_utf8_lossy(&response.body)));
            }
            Err(failure) => text.push_str(&format!("{source}: {failure}\n")),
        }
    }
    text.push_str(&format!("decision: {}\n", outline(&judged.verdict)));
    if let Ok(decision) = &judged.verdict {
        if let Some(reason) = &decision.reason {
            text.push_str(&format!("  reason: {}: {}\n", reason.code, reason.detail));
        }
        for (name, value) in &decision.attributes {
            text.push_str(&format!("  {name} = {value}\n"));
        }
        if let Some(memory) = &decision.memory {
            text.push_str(&format!("  remembers {} bytes\n", memory.len()));
        }
    }
    text.push_str(&format!("took {} us, {} fuel\n", judged.micros, judged.fuel));
    text
}
