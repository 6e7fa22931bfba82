//! What the API asks of the host: the one file of it that knows who answers.
//!
//! Methods that change something are async and end when that is durable. Everything else is read.
//! Deliberately without JSON of requests and without status codes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use phasegate_core::domain::{
    Actor, By, Digest, Generation, InstanceId, Now, PluginName, PluginStamp, ReadClock, ScaleSetName,
    Timestamp,
};
use phasegate_core::kernel::{self, Command, Refusal, plan_now};
use phasegate_core::plan::{Plan, changes};
use phasegate_core::record::audit::{Entry, Stamp};
use phasegate_core::record::{ReadTrail, TrailQuery};
use phasegate_core::rollout::Wish;
use phasegate_wasm::Runtime;
use phasegate_wire as wire;

pub(super) use crate::net::reference::{InvalidRemoteError, RemoteSource};
pub(super) use crate::plugins::registry::{Offer, SwapOptions};
pub(super) use crate::recording::Used;
pub(super) use crate::shell::{CommandError, CommandErrorKind, View};
pub(super) use phasegate_core::kernel::command::{Quarantined, Selection, StartOptions, Stops, Wanted};

use super::v1::view;
use crate::clock::Clock;
use crate::plugins::registry::PluginRegistry;
use crate::recording::{self, RecordedOutcome, Recorder, Replay};
use crate::reload::Reloader;
use crate::shell::Door;

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
    pub door: Door,
    /// Reads the trail.
    pub trail: Arc<dyn ReadTrail>,
    /// Time.
    pub clock: Clock,
    /// Plans that were shown.
    pub shown: Shown,
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

/// Plans that were shown and are remembered, of all sets.
const SHOWN_MAX: usize = 64;

/// Lines of the audit trail in one answer; the data file has them all.
const LOG_MAX: u32 = 10_000;

/// Plans that were shown, oldest first: a start that names one of them and no longer fits says what has
/// changed since.
#[derive(Debug, Default)]
pub struct Shown(Mutex<VecDeque<Plan>>);

impl Shown {
    fn remember(&self, plan: Plan) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.iter().any(|known| known.digest == plan.digest) {
            return;
        }
        if shown.len() == SHOWN_MAX {
            shown.pop_front();
        }
        shown.push_back(plan);
    }

    fn find(&self, digest: Digest) -> Option<Plan> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.iter().find(|known| known.digest == digest).cloned()
    }
}

impl Host {
    fn now(&self) -> Now {
        ReadClock::now(&self.clock)
    }

    /// Ends when the loop has answered.
    pub(super) async fn ping(&self) -> Result<(), CommandError> {
        Ok(self.door.ask(By::host(), Command::Ping).await.map(drop)?)
    }

    pub(super) fn fleet(&self) -> wire::Fleet {
        view::fleet(&self.door.view(), self.now())
    }

    /// The fleet as it was recorded last.
    pub(super) fn view(&self) -> View {
        self.door.view()
    }

    pub(super) fn plan(&self, set: &ScaleSetName, wanted: &Wanted) -> Result<wire::PlanDetail, CommandError> {
        let fleet = self.door.view();
        let set = fleet.set(set)?;
        let (goal, now) = (kernel::wanted(set, wanted)?, self.now());
        let plan = plan_now(set, &goal, now);
        let shown = view::plan(&plan, set, now);
        self.shown.remember(plan);
        Ok(shown)
    }

    pub(super) fn status(&self, set: &ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
        let fleet = self.door.view();
        let set = fleet.set(set)?;
        let upgrade = set.upgrade.as_ref().ok_or_else(|| {
            let name = &set.spec.name;
            let message = format!(
                "scale set `{name}` has had no upgrade yet; begin with `phasegate upgrade start {name}`"
            );
            CommandError::new(CommandErrorKind::NotFound, message)
        })?;
        let trouble = fleet.refusing.as_deref();
        Ok(view::status(upgrade, set, trouble, self.now()))
    }

    pub(super) fn line(&self) -> wire::Line {
        view::line(self.door.view().line.as_ref())
    }

    pub(super) async fn log(
        &self,
        set: &ScaleSetName,
        instance: Option<InstanceId>,
    ) -> Result<wire::Log, CommandError> {
        Ok(view::log(set, &self.trail(set, instance).await?))
    }

    /// Lines of the trail, read beside the loop.
    async fn trail(
        &self,
        set: &ScaleSetName,
        instance: Option<InstanceId>,
    ) -> Result<Vec<Entry>, CommandError> {
        self.door.view().set(set)?;
        let query = TrailQuery { scale_set: set.clone(), instance, limit: LOG_MAX };
        let trail = Arc::clone(&self.trail);
        let unavailable = |why: String| CommandError::new(CommandErrorKind::Unavailable, why);
        let read = tokio::task::spawn_blocking(move || trail.trail(&query)).await;
        read.map_err(|error| unavailable(error.to_string()))?.map_err(|error| unavailable(error.to_string()))
    }

    pub(super) async fn start(
        &self,
        set: &ScaleSetName,
        options: StartOptions,
        reason: Option<String>,
    ) -> Result<wire::StatusDetail, CommandError> {
        let asked = self.door.ask(operator(reason), Command::Start(set.clone(), options.clone())).await;
        match asked {
            Ok(_) => self.status(set),
            Err(Refusal::PlanChanged { wanted, .. }) => Err(self.changed_since(set, &options, wanted)?),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// What has changed since a plan was shown, when this host has shown it.
    fn changed_since(
        &self,
        set: &ScaleSetName,
        options: &StartOptions,
        wanted: Digest,
    ) -> Result<CommandError, CommandError> {
        let fleet = self.door.view();
        let set = fleet.set(set)?;
        let plan = plan_now(set, &kernel::wanted(set, &options.wanted)?, self.now());
        let changed = match self.shown.find(wanted) {
            Some(shown) if shown.goal != plan.goal => {
                format!("it was to {}, and this start is to {}", shown.goal, plan.goal)
            }
            Some(shown) => match changes(&shown, &plan) {
                same if same.is_empty() => "the limits are others".to_owned(),
                changed => changed,
            },
            None => {
                let planned: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
                let (batches, held) = (plan.batches.len(), plan.holds.len());
                format!(
                    "this host has not shown it; {planned} instances would be upgraded in {batches} batches \
                     and {held} left alone"
                )
            }
        };
        let message = format!(
            "the fleet has changed since plan {wanted} was shown, and nothing was started: {changed}; \
             the plan is now {}",
            plan.digest
        );
        Ok(CommandError::new(CommandErrorKind::Conflict, message))
    }

    pub(super) async fn wish(
        &self,
        set: &ScaleSetName,
        wish: Wish,
        reason: Option<String>,
    ) -> Result<wire::StatusDetail, CommandError> {
        self.door.ask(operator(reason), Command::Wish(set.clone(), wish)).await?;
        self.status(set)
    }

    /// Stops the line with a reason, or lets it go on.
    pub(super) async fn set_line(
        &self,
        command: Command,
        reason: Option<String>,
    ) -> Result<wire::Line, CommandError> {
        self.door.ask(operator(reason), command).await?;
        Ok(self.line())
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
        let upgrade = self.status(set)?.status;
        let trail = self.trail(set, Some(instance.clone())).await?;
        let of_it = |entry: &&Entry| {
            let is_decision = matches!(entry.what.code(), "decision" | "hold");
            is_decision && entry.upgrade.as_ref().is_some_and(|id| id.as_str() == upgrade.id)
        };
        let line = trail.iter().rfind(of_it).map(|entry| DecidedLine {
            at: entry.at.to_string(),
            verdict: entry.said(),
            stands_in: entry.stamp.as_ref().and_then(Stamp::older),
            judged_at: entry.stamp.as_ref().map(|stamp| stamp.judged_at),
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

/// Whoever asks: the door does not know names yet.
fn operator(reason: Option<String>) -> By {
    By { actor: Actor::Operator("operator".to_owned()), reason, request: None }
}

pub(super) use super::v1::view::moment;
