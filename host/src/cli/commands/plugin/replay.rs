//! `plugin replay`: recorded observations, judged again.

mod choose;
mod show;

use std::path::Path;

use serde::Serialize;

use super::subject::Subject;
use crate::cli::args::ReplayArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::config;
use crate::log::{self, Format, Writes};
use crate::net::reference::RemoteSource;
use crate::plugins::config::ComponentSource;
use crate::plugins::fetch::FetchConfig;
use crate::plugins::runtime;
use crate::recording::{self, Record, RecordedOutcome, Replay, ReplayError, blob_dir};
use choose::Choice;
use phasegate_core::domain::{Digest, PluginFailure};

/// Configuration that is looked at when none is named.
const DEFAULT_CONFIG: &str = "phasegate.toml";
/// Why records prove nothing.
const REDACTED: &str = "parts of the body were not written down";
const DEPENDS: &str = "parts of the body were not written down, and the decision depends on them";
const GONE: &str = "the component or its settings are not kept any more";

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
    plugin: String,
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
    /// Name of a plugin of the configuration.
    name: Option<String>,
}

/// Judges, compares, prints; 2 when there is nothing to compare.
pub(super) fn run(args: &ReplayArgs, config: Option<&Path>) -> anyhow::Result<Exit> {
    log::begin("off", Format::Text, Writes::Itself);
    let reading = recording::read(&args.recording)?;
    let damaged = reading.damaged;
    let folder = blob_dir(&args.recording);
    let mut replay = Replay::new(runtime::of_command(Clock::start(), None)?);
    let report = Progress::new("replaying").during(|step| {
        step.say("compiling");
        let mut side = |name: Option<&String>| name.map(|name| side(&mut replay, name, config)).transpose();
        let (plugin, against) = (side(args.plugin.as_ref())?, side(args.against.as_ref())?);
        let choice = Choice {
            plugin: args.name.as_deref(),
            scale_set: args.scale_set.as_deref(),
            judge: plugin.as_ref().and_then(|side| side.name.as_deref()),
            verify: args.verify,
        };
        let records = choose::records(&args.recording, reading, &choice)?;
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
        output::data(&show::render(&report))?;
    }
    // Where nothing could be judged nobody shall read "no differences".
    let no = !report.differences.is_empty() || report.judged == 0;
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
        let (at, plugin, facts) = (record.at.to_string(), record.plugin.to_string(), record.instance());
        let (scale_set, instance) = (facts.scale_set.to_string(), facts.id.to_string());
        self.differences.push(Difference { at, plugin, scale_set, instance, before, after });
    }
}

fn compare(
    replay: &mut Replay,
    record: &Record,
    folder: &Path,
    plugin: &Side,
    against: Option<&Side>,
) -> anyhow::Result<Compared> {
    let mut judge = |record: &Record, side: &Side| match replay.with(
        record,
        side.component,
        side.settings.as_deref(),
        folder,
    ) {
        Ok(again) => Ok(Some(again.outcome)),
        Err(ReplayError::Missing { .. }) => Ok(None),
        Err(error @ ReplayError::Load(_)) => Err(cannot_judge(record, &error)),
    };
    let after = judge(record, plugin)?;
    let before = match against {
        Some(side) => judge(record, side)?,
        None => Some(record.outcome.clone()),
    };
    if record.redacted {
        // What comes out the same whatever stands there does not depend on it.
        let Some(other) = record.with_other_stand_ins() else {
            return Ok(Compared::Unproved(REDACTED.to_owned()));
        };
        let same = judge(&other, plugin)? == after;
        if !same || against.map_or(Ok(false), |side| judge(&other, side).map(|it| it != before))? {
            return Ok(Compared::Unproved(DEPENDS.to_owned()));
        }
    }
    Ok(match (before, after) {
        (Some(before), Some(after)) => Compared::Outcomes(before, after),
        _ => Compared::Unproved(GONE.to_owned()),
    })
}

fn verify(replay: &mut Replay, record: &Record, folder: &Path) -> anyhow::Result<Compared> {
    let unproved = |why: &str| Ok(Compared::Unproved(why.to_owned()));
    if matches!(record.outcome, RecordedOutcome::Failure(PluginFailure::OutOfTime { .. })) {
        return unproved("it ran out of time, which another machine need not do");
    }
    match replay.as_recorded(record, folder) {
        Ok(again) if !again.pure => unproved("the plugin asked for the time or for random numbers"),
        Ok(again) if record.redacted => {
            let Some(other) = record.with_other_stand_ins() else { return unproved(REDACTED) };
            let other = replay.as_recorded(&other, folder).map_err(|error| cannot_judge(record, &error))?;
            // One that comes out otherwise may have depended on what stood there.
            match again.outcome == other.outcome && again.outcome == record.outcome {
                true => Ok(Compared::Outcomes(record.outcome.clone(), again.outcome)),
                false => unproved(DEPENDS),
            }
        }
        Ok(again) => Ok(Compared::Outcomes(record.outcome.clone(), again.outcome)),
        Err(ReplayError::Missing { .. }) => unproved(GONE),
        Err(error @ ReplayError::Load(_)) => Err(cannot_judge(record, &error)),
    }
}

fn cannot_judge(record: &Record, error: &ReplayError) -> anyhow::Error {
    let (at, plugin, instance) = (record.at, &record.plugin, record.instance());
    let whose = format!("{}/{}", instance.scale_set, instance.id);
    anyhow::anyhow!("{error}; nothing was compared (at the record of {at}, plugin `{plugin}`, of {whose})")
}

/// A plugin of the configuration with its settings, a component file, or a project.
fn side(replay: &mut Replay, name: &str, config: Option<&Path>) -> anyhow::Result<Side> {
    let path = Path::new(name);
    let mut compile = |subject: &Subject| {
        replay.compile(&subject.bytes).map_err(|error| anyhow::anyhow!("`{name}`: {error}"))
    };
    let file = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    let is_path = path.exists() || name.starts_with("builtin:") || RemoteSource::looks_like(name);
    // A name means the plugin also where a folder has it; that one is written `./NAME`.
    let config = match config::load(file) {
        Ok(config) if !path.is_file() => Some(config),
        Err(error) if !is_path => {
            let context = format!("`{name}` is no file, and the configuration could not be looked up");
            return Err(anyhow::Error::new(error).context(context));
        }
        Ok(_) | Err(_) => None,
    };
    let mut plugins = config.iter().flat_map(|config| &config.plugins);
    let Some(plugin) = plugins.find(|plugin| plugin.spec.name.as_str() == name) else {
        anyhow::ensure!(is_path, "`{name}` is neither a file nor a plugin of `{}`", file.display());
        let component = compile(&Subject::read(path, &FetchConfig::default())?)?;
        return Ok(Side { component, settings: None, name: None });
    };
    let subject = match &plugin.component {
        ComponentSource::File(path) => Subject::read(path, &FetchConfig::default())?,
        ComponentSource::Remote(source) => Subject::fetch(source, &plugin.fetch, plugin.spec.digest)?,
        ComponentSource::Builtin(builtin) => {
            let name = format!("builtin:{builtin}");
            Subject::read(Path::new(&name), &FetchConfig::default())?
        }
    };
    let component = compile(&subject)?;
    Ok(Side { component, settings: Some(plugin.spec.settings.clone()), name: Some(name.to_owned()) })
}
