//! `plugin try` and `plugin case`: one answer, judged once.
//!
//! The instance is asked as a host asks it, and the plugin is configured and limited as in a host.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::subject::Subject;
use crate::author::DEFAULT_LIMITS;
use crate::author::live::{self, of_all_sources};
use crate::cli::args::{AskArgs, OutputArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::config::{self, LoadConfigError};
use crate::discovery::look_once;
use crate::drivers::DriverConfig;
use crate::log::{self, Format, Writes};
use crate::net::names::use_resolvers;
use crate::plugins::runtime;
use crate::recording;
use phasegate_core::domain::{
    Answer, InstanceFacts, InstanceId, Observation, PluginFailure, ScaleSet, ScaleSetName, Verdict, Version,
};
use phasegate_wasm::cases::{Got, show, written};
use phasegate_wasm::{Isolation, Limits, LoadPluginError};

/// Limit for an exchange where nobody says another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The report of `plugin try --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    plugin: String,
    /// What the first source answered.
    answer: Value,
    /// What all of them answered, each with its name.
    answers: Vec<Value>,
    /// Null when there is none.
    decision: Option<Value>,
    /// Null when there is a decision.
    failure: Option<String>,
    fuel: u64,
    micros: u64,
}

/// Whom to ask: as the arguments say, or as this configuration does.
pub(super) struct Whom<'a> {
    pub(super) ask: &'a AskArgs,
    pub(super) config: Option<&'a Path>,
}

/// What is to be judged, and how.
struct Question {
    observation: Observation,
    /// The text for `configure`.
    settings: String,
    limits: Limits,
    isolation: Isolation,
}

/// What was judged, when, and what came of it.
struct Judged {
    settings: String,
    observation: Observation,
    now_ms: u64,
    verdict: Verdict,
    fuel: u64,
    micros: u64,
}

/// Judges one live answer and prints what came of it; 1 when the plugin does not decide.
pub(super) fn attempt(subject: &Subject, whom: &Whom<'_>, format: OutputArgs) -> anyhow::Result<Exit> {
    log::begin("warn", Format::Text, Writes::Itself);
    let judged = judge(subject, question(whom)?)?;
    let exit = if judged.verdict.is_ok() { Exit::Done } else { Exit::No };
    let case = written("", &judged.settings, judged.now_ms, &judged.observation, &judged.verdict);
    let part = |path: &str| case.as_ref().and_then(|case| case.pointer(path)).cloned();
    let answers = answers_of(&judged.observation);
    let report = Report {
        plugin: subject.name.clone(),
        answer: answers.first().cloned().unwrap_or_default(),
        answers,
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
    whom: &Whom<'_>,
    recording: Option<&Path>,
    (name, out): (Option<&str>, Option<&Path>),
) -> anyhow::Result<Exit> {
    log::begin("warn", Format::Text, Writes::Itself);
    let question = match recording {
        Some(path) => by_arguments(recorded(path, whom.ask)?, whom.ask)?,
        None => question(whom)?,
    };
    let judged = judge(subject, question)?;
    let called = name.map_or_else(|| outline(&judged.verdict), str::to_owned);
    let Some(case) = written(&called, &judged.settings, judged.now_ms, &judged.observation, &judged.verdict)
    else {
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

/// The settings that are typed. Blanks round them stay, as far as they are typed.
fn settings(ask: &AskArgs) -> anyhow::Result<Option<String>> {
    let Some(text) = &ask.settings else { return Ok(None) };
    let value: Value = serde_json::from_str(text).context("--settings is no JSON")?;
    // A host leaves out those between.
    let is_bare = text.trim() == text;
    Ok(Some(if is_bare { value.to_string() } else { text.clone() }))
}

/// With the limits of a host that says nothing of them.
fn by_arguments(observation: Observation, ask: &AskArgs) -> anyhow::Result<Question> {
    let settings = settings(ask)?.unwrap_or_else(|| "{}".to_owned());
    Ok(Question { observation, settings, limits: DEFAULT_LIMITS, isolation: Isolation::PerBatch })
}

/// Asks whom the arguments name.
fn question(whom: &Whom<'_>) -> anyhow::Result<Question> {
    match (whom.config, &whom.ask.url) {
        (Some(_), Some(_)) => bail!("give --url, or --config with --scale-set, and not both"),
        (Some(path), None) => of_configuration(path, whom.ask),
        (None, _) => by_arguments(asked(whom.ask)?, whom.ask),
    }
}

/// Asks all sources of an instance of a configuration.
fn of_configuration(path: &Path, ask: &AskArgs) -> anyhow::Result<Question> {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(LoadConfigError::Invalid(problems)) => bail!("{problems}"),
        Err(error) => return Err(error.into()),
    };
    use_resolvers(&config.server.resolvers);
    let named =
        |set: &&ScaleSet<DriverConfig>| ask.scale_set.as_ref().is_none_or(|name| set.name.as_str() == name);
    let sets: Vec<_> = config.scale_sets.iter().filter(named).collect();
    let set = match (sets.as_slice(), &ask.scale_set) {
        ([set], _) => *set,
        (_, Some(name)) => bail!("`{}` has no scale set `{name}`", path.display()),
        (_, None) => bail!("`{}` has {} scale sets; add `--scale-set NAME`", path.display(), sets.len()),
    };
    let instances = match config.discoveries.get(&set.name) {
        None => set.instances.clone(),
        Some(discovery) => {
            let listed = Arc::new(set.instances.clone());
            let found = look_once(discovery, &listed).with_context(|| format!("{}", discovery.source))?;
            found.instances.iter().chain(&*listed).map(|(id, one)| (id.clone(), Arc::clone(one))).collect()
        }
    };
    let mut wanted =
        instances.values().filter(|one| ask.instance.as_ref().is_none_or(|id| one.id.as_str() == id));
    let instance = wanted.next().with_context(|| match &ask.instance {
        Some(id) => format!("scale set `{}` has no instance `{id}`", set.name),
        None => format!("scale set `{}` has no instance", set.name),
    })?;
    let model = || Some(set.model.version.clone());
    let version = versioned(&ask.version)?.or_else(model);
    let desired = versioned(&ask.desired_version)?.or_else(model);
    let asking = of_all_sources(set, instance, (timeout(ask)?, version, desired));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let observation = runtime.block_on(asking)?;
    let plugin = config.plugins.iter().find(|plugin| plugin.spec.name == set.plugin);
    let spec = &plugin.with_context(|| format!("there is no plugin `{}`", set.plugin))?.spec;
    let settings = settings(ask)?.unwrap_or_else(|| spec.settings.clone());
    Ok(Question { observation, settings, limits: spec.limits, isolation: spec.isolation })
}

fn versioned(text: &Option<String>) -> anyhow::Result<Option<Version>> {
    Ok(text.as_deref().map(Version::parse).transpose()?)
}

fn timeout(ask: &AskArgs) -> anyhow::Result<Option<Duration>> {
    let Some(seconds) = ask.timeout else { return Ok(None) };
    let limit = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero());
    limit.with_context(|| format!("--timeout {seconds} is no time in seconds")).map(Some)
}

/// Asks the instance once.
fn asked(ask: &AskArgs) -> anyhow::Result<Observation> {
    let url = ask.url.as_deref().context(
        "nobody is named who is to be asked; add `--url http://…`, or `--config FILE --scale-set NAME`",
    )?;
    let timeout = timeout(ask)?.unwrap_or(PATIENCE);
    let request_headers = ask.request_header.iter().map(|text| {
        let (name, value) = text
            .split_once(':')
            .with_context(|| format!("--request-header `{text}` is no header; write it as `Name: value`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    let question = live::Question {
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
    Ok(InstanceFacts {
        id: InstanceId::parse(ask.instance.as_deref().unwrap_or("0"))?,
        scale_set: ScaleSetName::parse(ask.scale_set.as_deref().unwrap_or("try"))?,
        region: None,
        zone: ask.zone.clone(),
        fault_domain: None,
        update_domain: None,
        version: versioned(&ask.version)?,
        desired_version: versioned(&ask.desired_version)?,
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

fn judge(subject: &Subject, question: Question) -> anyhow::Result<Judged> {
    let Question { observation, settings, limits, isolation } = question;
    let clock = Clock::start();
    let now_ms = u64::try_from(clock.date().0).unwrap_or(0);
    let runtime = runtime::of_command(clock, None)?;
    let refused = |error: LoadPluginError| Refused(format!("`{}` {error}", subject.name));
    let mut loaded = Progress::new("trying").during(|step| {
        step.say("compiling");
        let plugin = runtime.compile(&subject.bytes).map_err(refused)?;
        plugin.configure(&settings, limits, isolation).map_err(refused)
    })?;
    let mut judged = loaded.judge(std::slice::from_ref(&observation), now_ms);
    let verdict = judged.results.pop().unwrap_or(Err(PluginFailure::Overloaded));
    let cost = judged.costs.pop().unwrap_or_default();
    Ok(Judged { settings, observation, now_ms, verdict, fuel: cost.fuel, micros: cost.time_ns / 1000 })
}

/// The answers as a case would hold them.
fn answers_of(observation: &Observation) -> Vec<Value> {
    let nothing = Err(PluginFailure::Refused { kind: "internal".to_owned(), detail: String::new() });
    let case = written("", "{}", 0, observation, &nothing);
    let answers = case.as_ref().and_then(|case| case.pointer("/observation/answers"));
    answers.and_then(Value::as_array).cloned().unwrap_or_default()
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
