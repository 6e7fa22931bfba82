//! `plugin replay`: recorded observations, judged again.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::subject::Subject;
use crate::cli::args::ReplayArgs;
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, table};
use crate::cli::progress::Progress;
use crate::config::{self, ComponentSource, RemoteSource};
use crate::domain::{Digest, PluginFailure};
use crate::plugin::Runtime;
use crate::recording::{self, Reading, Record, RecordedOutcome, Replay, ReplayError, blob_dir};

/// Configuration that is looked at when none is named.
const DEFAULT_CONFIG: &str = "phasegate.toml";

/// The report of `plugin replay --json`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Records that were judged again.
    judged: usize,
    /// Of these, with the same outcome to the byte.
    same: usize,
    /// Records with which nothing can be proved.
    unproved: Vec<Unproved>,
    /// Lines that are no records.
    damaged: usize,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct Unproved {
    records: usize,
    why: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    at: String,
    scale_set: String,
    instance: String,
    before: RecordedOutcome,
    after: RecordedOutcome,
}

/// One side of a comparison.
struct Side {
    component: Digest,
    /// None: those of each record.
    settings: Option<String>,
}

/// Judges, compares, prints.
pub(super) fn run(args: &ReplayArgs, config: Option<&Path>) -> anyhow::Result<Exit> {
    output::init_log("off");
    let Reading { records, damaged } = recording::read(&args.recording)?;
    if records.is_empty() {
        return Err(Refused(format!("`{}` has no records", args.recording.display())).into());
    }
    let folder = blob_dir(&args.recording);
    let mut replay = Replay::new(Runtime::new()?);
    let report = Progress::new("replaying").during(|step| {
        step.say("compiling");
        let mut side = |name: Option<&String>| name.map(|name| side(&mut replay, name, config)).transpose();
        let (plugin, against) = (side(args.plugin.as_ref())?, side(args.against.as_ref())?);
        step.say("judging");
        let mut report = Report { damaged, ..Report::default() };
        for record in &records {
            let compared = match &plugin {
                Some(plugin) => compare(&mut replay, record, &folder, plugin, against.as_ref())?,
                None => verify(&mut replay, record, &folder)?,
            };
            report.take(record, compared);
        }
        anyhow::Ok(report)
    })?;
    if args.output.json {
        output::json(&report)?;
    } else {
        output::data(&render(&report))?;
    }
    let no = !report.differences.is_empty() || (args.verify && report.judged == 0);
    Ok(if no { Exit::No } else { Exit::Done })
}

/// What came of one record.
enum Compared {
    Outcomes(RecordedOutcome, RecordedOutcome),
    Unproved(String),
}

impl Report {
    fn take(&mut self, record: &Record, compared: Compared) {
        let (before, after) = match compared {
            Compared::Outcomes(before, after) => (before, after),
            Compared::Unproved(why) => {
                match self.unproved.iter_mut().find(|known| known.why == why) {
                    Some(known) => known.records += 1,
                    None => self.unproved.push(Unproved { records: 1, why }),
                }
                return;
            }
        };
        self.judged += 1;
        if before == after {
            self.same += 1;
            return;
        }
        let (at, facts) = (record.at.to_string(), record.instance());
        let (scale_set, instance) = (facts.scale_set.to_string(), facts.id.to_string());
        self.differences.push(Difference { at, scale_set, instance, before, after });
    }
}

fn compare(
    replay: &mut Replay,
    record: &Record,
    folder: &Path,
    plugin: &Side,
    against: Option<&Side>,
) -> anyhow::Result<Compared> {
    let mut judge = |side: &Side| {
        replay.with(record, side.component, side.settings.as_deref(), folder).map(|again| again.outcome)
    };
    let after = judge(plugin).map_err(|error| Refused(error.to_string()))?;
    let before = match against {
        Some(side) => judge(side).map_err(|error| Refused(error.to_string()))?,
        None if record.redacted => {
            return Ok(Compared::Unproved("parts of the body were not written down".to_owned()));
        }
        None => record.outcome.clone(),
    };
    Ok(Compared::Outcomes(before, after))
}

fn verify(replay: &mut Replay, record: &Record, folder: &Path) -> anyhow::Result<Compared> {
    let unproved = |why: &str| Ok(Compared::Unproved(why.to_owned()));
    if record.redacted {
        return unproved("parts of the body were not written down");
    }
    if matches!(record.outcome, RecordedOutcome::Failure(PluginFailure::OutOfTime { .. })) {
        return unproved("it ran out of time, which another machine need not do");
    }
    match replay.as_recorded(record, folder) {
        Ok(again) if !again.pure => unproved("the plugin is not pure: it may ask for time or randomness"),
        Ok(again) => Ok(Compared::Outcomes(record.outcome.clone(), again.outcome)),
        Err(ReplayError::Missing { .. }) => unproved("the component or its settings are not kept any more"),
        Err(error @ ReplayError::Load(_)) => Err(Refused(error.to_string()).into()),
    }
}

/// A component file, a project, or a plugin of the configuration with its settings.
fn side(replay: &mut Replay, name: &str, config: Option<&Path>) -> anyhow::Result<Side> {
    let path = Path::new(name);
    if path.exists() || name.starts_with("builtin:") || RemoteSource::looks_like(name) {
        let subject = Subject::read(path)?;
        let component =
            replay.compile(&subject.bytes).map_err(|error| Refused(format!("`{name}`: {error}")))?;
        return Ok(Side { component, settings: None });
    }
    let file = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    let config = config::load(file)
        .with_context(|| format!("`{name}` is no file, and the configuration could not be looked up"))?;
    let plugin = config.plugins.iter().find(|plugin| plugin.name.as_str() == name);
    let plugin =
        plugin.with_context(|| format!("`{name}` is neither a file nor a plugin of `{}`", file.display()))?;
    let subject = match &plugin.component {
        ComponentSource::File(path) => Subject::read(path)?,
        ComponentSource::Remote(source) => Subject::fetch(source, &plugin.fetch, plugin.digest)?,
        ComponentSource::Builtin(builtin) => Subject::read(Path::new(&format!("builtin:{builtin}")))?,
    };
    let component = replay.compile(&subject.bytes).map_err(|error| Refused(format!("`{name}`: {error}")))?;
    Ok(Side { component, settings: Some(plugin.settings.clone()) })
}

fn render(report: &Report) -> String {
    let mut text = String::new();
    if !report.differences.is_empty() {
        let row = |difference: &Difference| {
            let Difference { at, scale_set, instance, before, after } = difference;
            vec![at.clone(), scale_set.clone(), instance.clone(), short(before), short(after)]
        };
        let rows: Vec<Vec<String>> = report.differences.iter().map(row).collect();
        text.push_str(&table(&["AT", "SCALE SET", "INSTANCE", "BEFORE", "AFTER"], &rows));
        text.push('\n');
    }
    let (judged, same) = (report.judged, report.same);
    text.push_str(&format!("{judged} judged again, {same} the same, {} differ\n", report.differences.len()));
    for Unproved { records, why } in &report.unproved {
        text.push_str(&format!("{records} not proved: {why}\n"));
    }
    if report.damaged > 0 {
        text.push_str(&format!("{} lines are no records; a crash leaves one\n", report.damaged));
    }
    text
}

fn short(outcome: &RecordedOutcome) -> String {
    match outcome {
        RecordedOutcome::Failure(failure) => format!("failed: {failure}"),
        RecordedOutcome::Decision(decision) => {
            let phase = decision.phase.map_or_else(|| "last".to_owned(), |phase| phase.get().to_string());
            let why = decision.reason.as_ref().map_or("", |reason| reason.detail.as_str());
            let (health, takes_part) = (decision.claim, decision.participation.name());
            format!("{health:?}, phase {phase}, {takes_part}: {why}")
        }
    }
}
