//! What the API asks of the host: the one file of it that knows who answers.
//!
//! What changes something goes through the door and ends when it is recorded. Everything else is read from
//! the published view and beside the one who writes the record: no reader ever enters the loop.

mod explain;
mod past;
mod plugins;
mod releases;
mod since;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use phasegate_core::domain::{
    Actor, By, Change, InstanceId, Now, ReadClock, RequestKey, ScaleSetName, UpgradeId, WallTime, WordKind,
};
use phasegate_core::kernel::command::Command;
use phasegate_core::kernel::report::{self, Tally};
use phasegate_core::kernel::{Fleet, Refusal, SetState};
use phasegate_core::record::ReadTrail;
use phasegate_core::rollout::{Extent, Wish};
use phasegate_wire as wire;

pub(super) use phasegate_core::kernel::command::{Quarantined, Selection, StartOptions, Stops, Wanted};

pub(super) use crate::net::reference::{InvalidRemoteError, RemoteSource};
pub(super) use crate::shell::{CommandError, CommandErrorKind};
pub(super) use explain::Decided;
pub(super) use past::{Bound, Lines, Page};
pub(super) use phasegate_core::lifecycle::{SwapMode, SwapOptions};
pub(super) use plugins::Offered;
pub(super) use releases::ReleaseStart;
pub(super) use since::add as add_since;

use super::begun::Begun;
use super::behind::{Catalogue, Configuration, Plugins, Recording, Source, Sources};
use super::denials::Denials;
use super::events::Events;
use super::fleet_json::FleetJson;
use super::readers::Readers;
use super::shown::Shown;
use super::uploads::Uploads;
use super::v1::view;
use crate::clock::Clock;
use crate::measure::{Measures, ProbesSeen};
use crate::net::shortage::Shortages;
use crate::shell::Door;
use crate::words;

/// A running host, as the API sees it.
pub struct Host {
    /// The way to the loop, and the views that it publishes.
    pub door: Door,
    /// Whether everything decides.
    pub begun: Begun,
    /// Reads the record: the audit trail, and upgrades of the past.
    pub trail: Arc<dyn ReadTrail>,
    /// What is not there any more of the record that was opened, for people; none where all of it is.
    pub missing: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Whose turn it is to read it.
    pub readers: Readers,
    /// What followers share.
    pub events: Arc<Events>,
    /// Reads both clocks.
    pub clock: Clock,
    /// Plans that were shown.
    pub shown: Shown,
    /// What the plugins' lives have at work.
    pub hands: Arc<dyn Plugins>,
    /// Takes over a changed configuration.
    pub configuration: Arc<dyn Configuration>,
    /// Where instances are found.
    pub sources: Arc<dyn Sources>,
    /// Where versions are listed, and who accepts them.
    pub catalogue: Arc<dyn Catalogue>,
    /// What the host was short of.
    pub shortages: Arc<Shortages>,
    /// The recording; none when nothing is recorded.
    pub recording: Option<Arc<dyn Recording>>,
    /// Takes in uploaded components.
    pub uploads: Uploads,
    /// Counts whom the guard turns away.
    pub denials: Arc<Denials>,
    /// The fleet as it was written last.
    pub fleet_json: Arc<FleetJson>,
    /// What was measured since the host started.
    pub measures: Arc<Measures>,
    /// How late probes start.
    pub probes: Arc<dyn Fn() -> ProbesSeen + Send + Sync>,
}

/// What a scrape is told of a scale set.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) scale_set: ScaleSetName,
    pub(super) upgrade: bool,
    pub(super) waiting: Option<wire::WaitingCode>,
    pub(super) quarantined: usize,
    /// Instances that it waits for and that come no nearer.
    pub(super) stalled: usize,
    /// Instances that the latest upgrade leaves out, by the code of the reason.
    pub(super) held: BTreeMap<&'static str, usize>,
    /// When something of the latest upgrade was recorded last that brought it on.
    pub(super) progressed: Option<WallTime>,
}

/// Longest wait for what the loop decides and records; below that of our own clients.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// Longest wait for a reload, which may fetch and compile; below that of our own clients.
const RELOADED_WITHIN: Duration = Duration::from_secs(290);

/// Who asks for something, why, and under which key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// Who; the host itself where it only looks at itself.
    pub(super) actor: Actor,
    /// One line for people.
    pub(super) reason: Option<String>,
    /// The same request, sent again, is answered and not done again.
    pub(super) key: Option<RequestKey>,
}

impl Asked {
    fn by(self) -> By {
        let Self { actor, reason, key } = self;
        By { actor, reason, request: key }
    }
}

impl Host {
    /// Ends when the loop has answered; that it cannot record is an answer, too.
    pub(super) async fn ping(&self) -> Result<(), CommandError> {
        match self.grant(Command::Ping, Asked::default()).await {
            Ok(()) | Err(Refusal::NotRecorded { .. }) => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Why what is asked for cannot be done now, if so.
    pub(super) fn why_not_ready(&self) -> Option<String> {
        let fleet = self.door.view();
        let refusing = fleet.refusing.as_deref().map(str::to_owned).or_else(|| (self.missing)());
        let refusing = refusing.map(|why| format!("nothing can be recorded: {why}"));
        let holding = || {
            let doubts: Vec<String> =
                fleet.held.iter().flat_map(|hold| hold.doubts()).map(ToString::to_string).collect();
            let why = doubts.join("; ");
            (!doubts.is_empty()).then(|| format!("the host holds until `phasegate data adopt`: {why}"))
        };
        refusing.or_else(holding).or_else(|| self.begun.why_not())
    }

    pub(super) fn scale_sets(&self) -> wire::ScaleSets {
        view::scale_sets(&self.door.view())
    }

    /// The fleet as JSON.
    pub(super) async fn fleet(&self) -> Result<Bytes, CommandError> {
        let (view, now, shared) =
            (self.door.view(), ReadClock::now(&self.clock), Arc::clone(&self.fleet_json));
        let sources = Arc::clone(&self.sources);
        let work = tokio::task::spawn_blocking(move || shared.of(&view, &*sources, now));
        let why = |error: String| {
            let message = format!("the fleet could not be read: {error}");
            CommandError::new(CommandErrorKind::Unavailable, message)
        };
        work.await.map_err(|error| why(error.to_string()))?.map_err(|error| why(error.to_string()))
    }

    /// One instance; none where the set has none of that id.
    pub(super) async fn instance(
        &self,
        set: ScaleSetName,
        id: InstanceId,
    ) -> Result<Option<wire::Instance>, CommandError> {
        self.read(move |fleet, now| Ok(view::one_of(fleet, fleet.set(&set)?, &id, now))).await
    }

    pub(super) fn tally(&self) -> Tally {
        report::tally(&self.door.view())
    }

    /// What the latest upgrade of each set waits for, and how many versions are in quarantine there.
    pub(super) async fn standing(&self) -> Result<Vec<Standing>, CommandError> {
        let trail = Arc::clone(&self.trail);
        let one = move |fleet: &Fleet, now| {
            let of = |set: &Arc<SetState>| Standing {
                held: held(set),
                progressed: set.upgrade.as_ref().and_then(|upgrade| {
                    let line = trail.latest_progress(&upgrade.id).ok().flatten()?;
                    Some(line.at)
                }),
                scale_set: set.spec.name.clone(),
                upgrade: set.upgrade.is_some(),
                waiting: report::waiting(fleet, set, now).map(|waiting| words::waiting_code(&waiting)),
                quarantined: set.quarantined.len(),
                stalled: set.stalled().count(),
            };
            Ok(fleet.sets().map(of).collect())
        };
        self.read(one).await
    }

    pub(super) async fn plan(
        &self,
        set: ScaleSetName,
        wanted: Wanted,
    ) -> Result<wire::PlanDetail, CommandError> {
        let read = move |fleet: &Fleet, now| {
            let report = report::plan(fleet.set(&set)?, &wanted, Extent::Missing, now)?;
            Ok((report.plan.clone(), view::plan(report, fleet.set(&set)?, now)))
        };
        let (plan, shown) = self.read(read).await?;
        self.shown.remember(plan);
        Ok(shown)
    }

    pub(super) async fn status(&self, set: ScaleSetName) -> Result<wire::StatusDetail, CommandError> {
        let trail = Arc::clone(&self.trail);
        self.read(move |fleet, now| {
            let report = report::status(fleet, fleet.set(&set)?, now).ok_or_else(|| no_upgrade(&set))?;
            let mut detail = view::status(&report, now);
            since::add(&*trail, report.upgrade.id.as_str(), detail.waiting_for.as_mut());
            Ok(detail)
        })
        .await
    }

    /// Whether there is such a scale set.
    pub(super) fn known(&self, set: &ScaleSetName) -> Result<(), CommandError> {
        self.door.view().set(set)?;
        Ok(())
    }

    pub(super) fn line(&self) -> wire::Line {
        view::line(self.door.view().line.as_ref(), ReadClock::now(&self.clock))
    }

    pub(super) async fn start(
        &self,
        set: ScaleSetName,
        options: StartOptions,
        asked: Asked,
    ) -> Result<wire::StatusDetail, CommandError> {
        let (wanted, extent) = (options.wanted.clone(), options.extent);
        match self.grant(Command::Start(set.clone(), options), asked).await {
            Ok(()) => self.status(set).await,
            Err(Refusal::PlanChanged { wanted: named, .. }) => {
                let now =
                    move |fleet: &Fleet, now| Ok(report::plan(fleet.set(&set)?, &wanted, extent, now)?.plan);
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

    pub(super) async fn quarantine(&self, set: ScaleSetName) -> Result<wire::Quarantine, CommandError> {
        self.read(move |fleet, _| {
            let quarantined = view::quarantined(fleet.set(&set)?);
            Ok(wire::Quarantine { scale_set: set.to_string(), quarantined })
        })
        .await
    }

    pub(super) async fn lift_quarantine(
        &self,
        set: ScaleSetName,
        change: Change,
        asked: Asked,
    ) -> Result<wire::Quarantine, CommandError> {
        self.grant(Command::LiftQuarantine(set.clone(), change), asked).await?;
        self.quarantine(set).await
    }

    /// Takes a person's word about an instance.
    pub(super) async fn say(
        &self,
        set: ScaleSetName,
        instance: InstanceId,
        (kind, length): (WordKind, Option<Duration>),
        asked: Asked,
    ) -> Result<wire::InstanceOverride, CommandError> {
        self.grant(Command::Word(set.clone(), instance.clone(), kind, length), asked).await?;
        self.word(&set, &instance)
    }

    /// Takes a person's word back.
    pub(super) async fn release(
        &self,
        set: ScaleSetName,
        instance: InstanceId,
        asked: Asked,
    ) -> Result<wire::InstanceOverride, CommandError> {
        self.grant(Command::Release(set.clone(), instance.clone()), asked).await?;
        self.word(&set, &instance)
    }

    fn word(
        &self,
        set: &ScaleSetName,
        instance: &InstanceId,
    ) -> Result<wire::InstanceOverride, CommandError> {
        let view = self.door.view();
        let now = ReadClock::now(&self.clock);
        let word = view.set(set)?.words.get(instance).map(|word| words::word(word, now));
        Ok(wire::InstanceOverride { scale_set: set.to_string(), instance: instance.to_string(), word })
    }

    /// Brings instances to what a former upgrade had brought.
    pub(super) async fn roll_back_to(
        &self,
        set: ScaleSetName,
        id: UpgradeId,
        asked: Asked,
    ) -> Result<wire::StatusDetail, CommandError> {
        let former = self.kept(&set, id).await?;
        self.grant(Command::RollBackTo(set.clone(), Box::new(former)), asked).await?;
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

    pub(super) fn data(&self) -> wire::Data {
        let held = self.door.view().held.clone();
        let doubts = held.iter().flat_map(|hold| hold.doubts());
        wire::Data { holding: doubts.map(ToString::to_string).collect() }
    }

    pub(super) async fn adopt(&self, asked: Asked) -> Result<wire::Data, CommandError> {
        self.grant(Command::Adopt, asked).await?;
        Ok(self.data())
    }

    async fn grant(&self, command: Command, asked: Asked) -> Result<(), Refusal> {
        self.door.ask_within(ANSWER_WITHIN, asked.by(), command).await.map(drop)
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

    /// Goes on to its end also when the client does not wait for it: half of it would be worse.
    pub(super) async fn reload(&self, asked: Asked) -> Result<wire::Reload, CommandError> {
        let by = asked.by();
        let configuration = Arc::clone(&self.configuration);
        let reload = tokio::spawn(async move { configuration.reload(by).await });
        match tokio::time::timeout(RELOADED_WITHIN, reload).await {
            Ok(Ok(reload)) => reload,
            Ok(Err(error)) => Err(CommandError::new(CommandErrorKind::Unavailable, error.to_string())),
            Err(_) => {
                let why = format!("the reload has not ended within {} s", RELOADED_WITHIN.as_secs());
                Err(Refusal::NotKnown { why }.into())
            }
        }
    }

    /// Where the instances of a set are found.
    pub(super) fn discovery(&self, set: &ScaleSetName) -> Result<wire::Discovery, CommandError> {
        self.known(set)?;
        self.sources.of(set).map(|source| source.shown).ok_or_else(|| {
            let message =
                format!("scale set `{set}` has no discovery: the configuration lists its instances");
            CommandError::new(CommandErrorKind::NotFound, message)
        })
    }

    /// Lets those go that are held.
    pub(super) async fn accept_removed(
        &self,
        set: ScaleSetName,
        asked: Asked,
    ) -> Result<wire::Discovery, CommandError> {
        self.discovery(&set)?;
        let accepting = self.sources.accept(set.clone(), asked.by());
        match tokio::time::timeout(RELOADED_WITHIN, accepting).await {
            Ok(accepted) => accepted?,
            Err(_) => {
                let why = format!("the source has not answered within {} s", RELOADED_WITHIN.as_secs());
                return Err(Refusal::NotKnown { why }.into());
            }
        }
        self.discovery(&set)
    }

    /// All sources by scale set.
    pub(super) fn sources(&self) -> Vec<Source> {
        self.door.view().sets().filter_map(|set| self.sources.of(&set.spec.name)).collect()
    }

    /// Records of decisions that were lost; none when nothing is recorded.
    pub(super) fn lost_records(&self) -> Option<u64> {
        self.recording.as_ref().map(|recording| recording.lost())
    }
}

/// Who is left out of the latest upgrade, by the code of the reason.
fn held(set: &SetState) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for hold in set.upgrade.iter().flat_map(|upgrade| &upgrade.holds) {
        *counts.entry(hold.reason.code()).or_default() += 1;
    }
    counts
}

fn no_upgrade(set: &ScaleSetName) -> CommandError {
    let message =
        format!("scale set `{set}` has had no upgrade yet; begin with `phasegate upgrade start {set}`");
    CommandError::new(CommandErrorKind::NotFound, message)
}
