//! What the API asks of the host: the one file of it that knows who answers.
//!
//! What changes something goes through the door and ends when it is recorded. Everything else is read from
//! the published view and beside the one who writes the record: no reader ever enters the loop.

use std::sync::Arc;

use axum::body::Bytes;
use phasegate_core::domain::{
    Actor, By, Generation, InstanceId, Now, PluginName, ReadClock, RequestKey, ScaleSetName,
};
use phasegate_core::kernel::command::Command;
use phasegate_core::kernel::report::{self, Tally};
use phasegate_core::kernel::{Fleet, Refusal, Reply};
use phasegate_core::lifecycle::{self, Offer, PluginLife};
use phasegate_core::record::audit::{Entry, What};
use phasegate_core::record::{ReadTrail, TrailQuery};
use phasegate_core::rollout::Wish;
use phasegate_wire as wire;

pub(super) use phasegate_core::kernel::command::{Quarantined, Selection, StartOptions, Stops, Wanted};

pub(super) use crate::net::reference::{InvalidRemoteError, RemoteSource};
pub(super) use crate::recording::Used;
pub(super) use crate::shell::{CommandError, CommandErrorKind};
pub(super) use phasegate_core::lifecycle::{SwapMode, SwapOptions};

use super::again::{Kept, Recorded, judge_again};
use super::plugin_view;
use super::shown::Shown;
use super::v1::view;
use crate::clock::Clock;
use crate::net::shortage::Shortages;
use crate::net::text::one_line;
use crate::plugins::hands::Hands;
use crate::reload::Reloader;
use crate::shell::Door;

/// Lines of the audit trail in one answer; the record has them all.
const LOG_MAX: u32 = 10_000;

/// Who the trail says has asked: a token has no name.
const OPERATOR: &str = "operator";

/// A running host, as the API sees it.
pub struct Host {
    /// The way to the loop, and the views that it publishes.
    pub door: Door,
    /// Reads the audit trail.
    pub trail: Arc<dyn ReadTrail>,
    /// Reads both clocks.
    pub clock: Clock,
    /// Plans that were shown.
    pub shown: Shown,
    /// What the plugins' lives have at work.
    pub hands: Hands,
    /// Takes over a changed configuration.
    pub reloader: Arc<Reloader>,
    /// What the host was short of.
    pub shortages: Arc<Shortages>,
    /// The recording; none when nothing is recorded.
    pub recorded: Option<Recorded>,
}

/// Longest name of an uploaded file that is shown.
const FILE_BYTES_MAX: usize = 256;

/// A component that a client wants to have swapped in.
#[derive(Debug, Clone)]
pub(super) enum Offered {
    /// This one.
    Bytes {
        /// The component.
        bytes: Bytes,
        /// What the client calls it.
        file: Option<String>,
    },
    /// One that the host fetches.
    Reference(RemoteSource),
}

/// How an upload is called: `upload of db.wasm`, where its sender named it.
fn uploaded(file: Option<&str>) -> String {
    let cut =
        |text: String| text.get(..text.floor_char_boundary(FILE_BYTES_MAX)).unwrap_or_default().to_owned();
    let file = file.map(|file| cut(one_line(file.trim()))).filter(|file| !file.is_empty());
    file.map_or_else(|| "upload".to_owned(), |file| format!("upload of {file}"))
}

/// Why something is asked for, and under which key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// One line for people.
    pub(super) reason: Option<String>,
    /// The same request, sent again, is answered and not done again.
    pub(super) key: Option<RequestKey>,
}

/// The latest decision of an upgrade about an instance, as the trail has it.
pub(super) struct Decided {
    pub(super) upgrade: phasegate_core::domain::UpgradeId,
    /// None when the upgrade has decided nothing about the instance.
    pub(super) entry: Option<Entry>,
}

impl Host {
    /// Ends when the loop has answered.
    pub(super) async fn ping(&self) -> Result<(), CommandError> {
        self.grant(Command::Ping, Asked::default()).await.map_err(CommandError::from)
    }

    pub(super) async fn fleet(&self) -> Result<wire::Fleet, CommandError> {
        self.read(|fleet, now| Ok(view::fleet(fleet, now))).await
    }

    pub(super) fn tally(&self) -> Tally {
        report::tally(&self.door.view())
    }

    pub(super) async fn plan(
        &self,
        set: ScaleSetName,
        wanted: Wanted,
    ) -> Result<wire::PlanDetail, CommandError> {
        let read = move |fleet: &Fleet, now| {
            let report = report::plan(fleet.set(&set)?, &wanted, now)?;
            Ok((report.plan.clone(), view::plan(report)))
        };
        let (plan, shown) = self.read(read).await?;
        self.shown.remember(plan);
        Ok(shown)
    }

    pub(super) async fn status(&self, set: ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
        self.read(move |fleet, now| match report::status(fleet, fleet.set(&set)?, now) {
            Some(status) => Ok(view::status(&status, now)),
            None => Err(no_upgrade(&set)),
        })
        .await
    }

    pub(super) fn line(&self) -> wire::Line {
        view::line(self.door.view().line.as_ref())
    }

    pub(super) async fn log(
        &self,
        set: ScaleSetName,
        instance: Option<InstanceId>,
    ) -> Result<wire::Log, CommandError> {
        let entries = self.entries(&set, instance).await?;
        Ok(view::log(&set, &entries))
    }

    pub(super) async fn start(
        &self,
        set: ScaleSetName,
        options: StartOptions,
        asked: Asked,
    ) -> Result<wire::StatusDetail, CommandError> {
        let wanted = options.wanted.clone();
        match self.grant(Command::Start(set.clone(), options), asked).await {
            Ok(()) => self.status(set).await,
            Err(Refusal::PlanChanged { wanted: named, .. }) => {
                let now = move |fleet: &Fleet, now| Ok(report::plan(fleet.set(&set)?, &wanted, now)?.plan);
                let message = self.shown.changed_since(named, &self.read(now).await?);
                Err(CommandError::new(CommandErrorKind::Conflict, message))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    pub(super) async fn wish(
        &self,
        set: ScaleSetName,
        wish: Wish,
        asked: Asked,
    ) -> Result<wire::StatusDetail, CommandError> {
        self.grant(Command::Wish(set.clone(), wish), asked).await?;
        self.status(set).await
    }

    pub(super) async fn stop_line(&self, asked: Asked) -> Result<wire::Line, CommandError> {
        self.grant(Command::StopLine, asked).await?;
        Ok(self.line())
    }

    pub(super) async fn start_line(&self, asked: Asked) -> Result<wire::Line, CommandError> {
        self.grant(Command::StartLine, asked).await?;
        Ok(self.line())
    }

    async fn grant(&self, command: Command, asked: Asked) -> Result<(), Refusal> {
        let Asked { reason, key } = asked;
        let by = By { actor: Actor::Operator(OPERATOR.to_owned()), reason, request: key };
        self.door.ask(by, command).await.map(drop)
    }

    /// Reads the published view, away from the threads that serve connections: a large fleet takes a while.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Fleet, Now) -> Result<T, CommandError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let (fleet, now) = (self.door.view(), ReadClock::now(&self.clock));
        let work = tokio::task::spawn_blocking(move || read(&fleet, now));
        work.await.map_err(|error| {
            let message = format!("the fleet could not be read: {error}");
            CommandError::new(CommandErrorKind::Unavailable, message)
        })?
    }

    async fn entries(
        &self,
        set: &ScaleSetName,
        instance: Option<InstanceId>,
    ) -> Result<Vec<Entry>, CommandError> {
        self.door.view().set(set)?;
        let trail = Arc::clone(&self.trail);
        let query = TrailQuery { scale_set: set.clone(), instance, limit: LOG_MAX };
        let unavailable = |why: String| CommandError::new(CommandErrorKind::Unavailable, why);
        let work = tokio::task::spawn_blocking(move || trail.trail(&query));
        let read =
            work.await.map_err(|error| unavailable(format!("the trail could not be read: {error}")))?;
        read.map_err(|error| unavailable(error.to_string()))
    }

    pub(super) async fn reload(&self) -> Result<wire::Reload, CommandError> {
        self.reloader.reload().await
    }

    pub(super) fn plugins(&self) -> wire::Plugins {
        let (fleet, now) = (self.door.view(), ReadClock::now(&self.clock));
        let shown = |life: &Arc<PluginLife>| {
            plugin_view::plugin(&life.report(), &self.hands.view(life.name()), now.at)
        };
        wire::Plugins { plugins: fleet.plugins().filter_map(shown).collect() }
    }

    /// One plugin as it is now.
    fn plugin(&self, name: &PluginName) -> Result<wire::Plugin, CommandError> {
        let (fleet, now) = (self.door.view(), ReadClock::now(&self.clock));
        let report = fleet.plugin(name)?.report();
        plugin_view::plugin(&report, &self.hands.view(name), now.at).ok_or_else(|| {
            let message = format!("plugin `{name}` has no component that decides yet; try again later");
            CommandError::new(CommandErrorKind::Unavailable, message)
        })
    }

    pub(super) fn diff(&self, plugin: &PluginName) -> Result<wire::PluginDiff, CommandError> {
        let report = self.door.view().plugin(plugin)?.report();
        let diff = report.diff.ok_or_else(|| {
            let message = format!(
                "nothing was compared with plugin `{plugin}` yet; try `phasegate plugin swap {plugin} FILE --dry-run`"
            );
            CommandError::new(CommandErrorKind::NotFound, message)
        })?;
        Ok(plugin_view::diff(plugin, &diff, &self.hands))
    }

    pub(super) fn history(&self, plugin: &PluginName) -> Result<wire::PluginHistory, CommandError> {
        Ok(plugin_view::history(&self.door.view().plugin(plugin)?.report()))
    }

    pub(super) async fn swap(
        &self,
        plugin: &PluginName,
        offer: Offered,
        options: SwapOptions,
    ) -> Result<wire::PluginSwap, CommandError> {
        // Held until the swap has come to its end.
        let (_held, offer) = match offer {
            Offered::Reference(source) => (None, Offer::Reference(source.to_string())),
            Offered::Bytes { bytes, file } => {
                let held = self.hands.hold(bytes);
                let offer = Offer::Held { digest: held.digest(), source: uploaded(file.as_deref()) };
                (Some(held), offer)
            }
        };
        let reply = self.of_plugin(plugin, lifecycle::Command::Swap(offer, options)).await?;
        let diff = match reply {
            Reply::Plugin(lifecycle::Reply::Swapped(diff)) => diff,
            _ => None,
        };
        let diff = diff.map(|diff| plugin_view::diff(plugin, &diff, &self.hands));
        Ok(wire::PluginSwap { plugin: self.plugin(plugin)?, diff })
    }

    pub(super) async fn roll_back(
        &self,
        plugin: &PluginName,
        to: Option<Generation>,
    ) -> Result<wire::Plugin, CommandError> {
        self.of_plugin(plugin, lifecycle::Command::Rollback(to)).await?;
        self.plugin(plugin)
    }

    pub(super) async fn promote(&self, plugin: &PluginName) -> Result<wire::Plugin, CommandError> {
        self.of_plugin(plugin, lifecycle::Command::Promote).await?;
        self.plugin(plugin)
    }

    pub(super) async fn discard(&self, plugin: &PluginName) -> Result<wire::Plugin, CommandError> {
        self.of_plugin(plugin, lifecycle::Command::Discard).await?;
        self.plugin(plugin)
    }

    async fn of_plugin(&self, name: &PluginName, wanted: lifecycle::Command) -> Result<Reply, CommandError> {
        let by = By { actor: Actor::Operator(OPERATOR.to_owned()), ..By::host() };
        Ok(self.door.ask(by, Command::Plugin(name.clone(), Box::new(wanted))).await?)
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
        let view = self.door.view();
        let upgrade = view.set(set)?.upgrade.as_ref().ok_or_else(|| no_upgrade(set))?.id.clone();
        let mut entries = self.entries(set, Some(instance.clone())).await?;
        let latest = entries
            .iter()
            .rposition(|entry| entry.upgrade.as_ref() == Some(&upgrade) && decides(&entry.what));
        Ok(Decided { upgrade, entry: latest.map(|index| entries.swap_remove(index)) })
    }

    /// Whether a scale set has an instance now.
    pub(super) fn has(&self, set: &ScaleSetName, instance: &InstanceId) -> bool {
        self.door.view().set(set).is_ok_and(|set| set.instance(instance).is_some())
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

/// Whether a line of the trail is a decision about its instance.
fn decides(what: &What) -> bool {
    matches!(what, What::Decision { .. } | What::MindChanged { .. } | What::Hold { .. } | What::Leaves { .. })
}

fn no_upgrade(set: &ScaleSetName) -> CommandError {
    let message =
        format!("scale set `{set}` has had no upgrade yet; begin with `phasegate upgrade start {set}`");
    CommandError::new(CommandErrorKind::NotFound, message)
}
