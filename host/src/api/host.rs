//! What the API asks of the host: the one file of it that knows who answers.
//!
//! Methods that change something are async and end when that is durable. Everything else is read.
//! Deliberately without JSON of requests and without status codes.

use std::sync::Arc;

use phasegate_core::domain::{Generation, InstanceId, PluginName, PluginStamp, ScaleSetName, Timestamp};
use phasegate_wasm::Runtime;
use phasegate_wire as wire;

pub(super) use crate::control::{
    CommandError, CommandErrorKind, Quarantined, Selection, StartOptions, Tally, Wanted, WishFor,
};
pub(super) use crate::net::reference::{InvalidRemoteError, RemoteSource};
pub(super) use crate::plugins::registry::{Offer, SwapOptions};
pub(super) use crate::recording::Used;

use crate::control::{Command, ControlHandle, read_stamp, read_stand_in, rfc3339};
use crate::plugins::registry::PluginRegistry;
use crate::recording::{self, RecordedOutcome, Recorder, Replay};
use crate::reload::Reloader;

/// What is needed to judge recorded decisions again.
pub struct Recorded {
    /// The recording.
    pub recorder: Recorder,
    /// Judges again; never with the instances that decide.
    pub runtime: Runtime,
}

/// A running host, as the API sees it.
pub struct Host {
    /// The way to the loop.
    pub control: ControlHandle,
    /// The plugins.
    pub plugins: Arc<PluginRegistry>,
    /// Takes over a changed configuration.
    pub reloader: Arc<Reloader>,
    /// The recording; none when nothing is recorded.
    pub recorded: Option<Recorded>,
}

/// A decision of an upgrade about an instance, from the audit trail.
pub(super) struct Decided {
    pub(super) upgrade: wire::Status,
    /// The line of the trail; none when the upgrade has decided nothing about the instance.
    pub(super) line: Option<DecidedLine>,
}

/// The line of a decision.
pub(super) struct DecidedLine {
    pub(super) at: String,
    /// What the upgrade made of it.
    pub(super) verdict: String,
    pub(super) stands_in: Option<String>,
    /// When the plugin was asked; none when none had judged the instance.
    pub(super) judged_at: Option<Timestamp>,
}

/// A recorded decision, judged again.
pub(super) struct JudgedAgain {
    pub(super) stamp: PluginStamp,
    pub(super) observation: serde_json::Value,
    pub(super) outcome: serde_json::Value,
    /// Whether parts of the observation were not written down.
    pub(super) redacted: bool,
    /// What it says now; a text when it cannot be asked.
    pub(super) again: Result<Again, String>,
}

/// What a component said when it was asked again.
pub(super) struct Again {
    pub(super) outcome: serde_json::Value,
    pub(super) fuel: u64,
    pub(super) same: bool,
    /// Whether it promises the same answer.
    pub(super) pure: bool,
}

/// What the recording has of a decision.
pub(super) enum Kept {
    /// Nothing is recorded.
    Off,
    /// Not this one.
    Missing,
    /// It cannot be read.
    Unreadable(String),
    /// This.
    Found(Box<JudgedAgain>),
}

impl Host {
    /// Ends when the loop has answered.
    pub(super) async fn ping(&self) -> Result<(), CommandError> {
        self.control.ask(Command::Ping).await
    }

    pub(super) async fn fleet(&self) -> Result<wire::Fleet, CommandError> {
        self.control.ask(Command::Fleet).await
    }

    pub(super) async fn tally(&self) -> Result<Tally, CommandError> {
        self.control.ask(Command::Tally).await
    }

    pub(super) async fn plan(
        &self,
        set: ScaleSetName,
        wanted: Wanted,
    ) -> Result<wire::PlanDetail, CommandError> {
        self.control.ask(|reply| Command::Plan(set, wanted, reply)).await
    }

    pub(super) async fn status(&self, set: ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
        self.control.ask(|reply| Command::Status(set, reply)).await
    }

    pub(super) async fn line(&self) -> Result<wire::Line, CommandError> {
        self.control.ask(Command::Line).await
    }

    pub(super) async fn log(
        &self,
        set: ScaleSetName,
        instance: Option<InstanceId>,
    ) -> Result<wire::Log, CommandError> {
        self.control.ask(|reply| Command::Log(set, instance, reply)).await
    }

    pub(super) async fn start(
        &self,
        set: ScaleSetName,
        options: StartOptions,
    ) -> Result<wire::StatusDetail, CommandError> {
        self.control.ask(|reply| Command::Start(set, options, reply)).await
    }

    pub(super) async fn wish(
        &self,
        set: ScaleSetName,
        wish: WishFor,
    ) -> Result<wire::StatusDetail, CommandError> {
        self.control.ask(|reply| Command::Wish(set, wish, reply)).await
    }

    /// Stops the line with a reason, or lets it go on.
    pub(super) async fn set_line(&self, reason: Option<String>) -> Result<wire::Line, CommandError> {
        self.control.ask(|reply| Command::SetLine(reason, reply)).await
    }

    pub(super) async fn reload(&self) -> Result<wire::Reload, CommandError> {
        self.reloader.reload().await
    }

    pub(super) fn plugins(&self) -> wire::Plugins {
        self.plugins.list()
    }

    pub(super) fn diff(&self, plugin: &PluginName) -> Result<wire::PluginDiff, CommandError> {
        self.plugins.diff(plugin)
    }

    pub(super) fn history(&self, plugin: &PluginName) -> Result<wire::PluginHistory, CommandError> {
        self.plugins.history(plugin)
    }

    pub(super) async fn swap(
        &self,
        plugin: &PluginName,
        offer: Offer,
        options: SwapOptions,
    ) -> Result<wire::PluginSwap, CommandError> {
        self.plugins.swap(plugin, offer, options).await
    }

    pub(super) async fn roll_back(
        &self,
        plugin: &PluginName,
        to: Option<Generation>,
    ) -> Result<wire::Plugin, CommandError> {
        self.plugins.roll_back(plugin, to).await
    }

    pub(super) async fn promote(&self, plugin: &PluginName) -> Result<wire::Plugin, CommandError> {
        self.plugins.promote_now(plugin).await
    }

    pub(super) async fn discard(&self, plugin: &PluginName) -> Result<wire::Plugin, CommandError> {
        self.plugins.discard(plugin).await
    }

    /// Records of decisions that were lost; none when nothing is recorded.
    pub(super) fn lost_records(&self) -> Option<u64> {
        self.recorded.as_ref().map(|recorded| recorded.recorder.lost())
    }

    /// The latest decision that the latest upgrade of a scale set took about an instance.
    pub(super) async fn decided(
        &self,
        set: &ScaleSetName,
        instance: &InstanceId,
    ) -> Result<Decided, CommandError> {
        let upgrade = self.status(set.clone()).await?.status;
        let log = self.log(set.clone(), Some(instance.clone())).await?;
        let of_it = |entry: &&wire::LogEntry| {
            let decision = matches!(entry.kind, wire::LogKind::Decision | wire::LogKind::Hold);
            decision && entry.upgrade.as_deref() == Some(&upgrade.id)
        };
        let line = log.entries.iter().rfind(of_it).map(|entry| {
            let stamp = read_stamp(&entry.text);
            let verdict = stamp.map_or(entry.text.as_str(), |(said, _)| said);
            DecidedLine {
                at: entry.at.clone(),
                verdict: verdict.to_owned(),
                stands_in: read_stand_in(verdict).map(str::to_owned),
                judged_at: stamp.map(|(_, at)| at),
            }
        });
        Ok(Decided { upgrade, line })
    }

    /// Looks a decision up in the recording and judges it again. Takes as long as the component does.
    pub(super) async fn judged_again(&self, used: Used) -> Result<Kept, CommandError> {
        let Some(Recorded { recorder, runtime }) = &self.recorded else { return Ok(Kept::Off) };
        let (recorder, runtime) = (recorder.clone(), runtime.clone());
        let work = tokio::task::spawn_blocking(move || judge_again(&recorder, runtime, &used));
        work.await.map_err(|error| {
            let message = format!("the decision could not be judged again: {error}");
            CommandError::new(CommandErrorKind::Unavailable, message)
        })
    }
}

fn judge_again(recorder: &Recorder, runtime: Runtime, used: &Used) -> Kept {
    recorder.flush();
    let record = match recording::find_used(recorder.folder(), used) {
        Ok(Some(record)) => record,
        Ok(None) => return Kept::Missing,
        Err(error) => return Kept::Unreadable(error.to_string()),
    };
    let json = |outcome: &RecordedOutcome| serde_json::to_value(outcome).unwrap_or_default();
    let mut whole = serde_json::to_value(&record).unwrap_or_default();
    let parts = ["instance", "answers", "memory", "attributes"];
    let taken =
        parts.into_iter().filter_map(|part| whole.get_mut(part).map(|value| (part.to_owned(), value.take())));
    let again = Replay::new(runtime).as_recorded(&record, recorder.folder());
    Kept::Found(Box::new(JudgedAgain {
        stamp: PluginStamp {
            name: record.plugin.clone(),
            digest: record.digest,
            generation: record.generation,
        },
        observation: serde_json::Value::Object(taken.collect()),
        outcome: json(&record.outcome),
        redacted: record.redacted,
        again: again.map_err(|error| error.to_string()).map(|again| Again {
            outcome: json(&again.outcome),
            fuel: again.cost.fuel,
            same: again.outcome == record.outcome,
            pure: again.pure,
        }),
    }))
}

/// As the API writes a moment.
pub(super) fn moment(at: Timestamp) -> String {
    rfc3339(at)
}
