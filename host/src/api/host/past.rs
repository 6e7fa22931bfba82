//! What the API asks of the record: the trail, and upgrades of the past. Never of the loop.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use phasegate_core::domain::{InstanceId, ReadClock, ScaleSetName, UpgradeId, WallTime, parse_iso_duration};
use phasegate_core::kernel::report;
use phasegate_core::record::audit::What;
use phasegate_core::record::{Place, ReadTrail, StoreError, TrailQuery, UpgradesPage, UpgradesQuery};
use phasegate_core::rollout::Upgrade;
use phasegate_wire as wire;

use super::Host;
use crate::api::answer::written;
use crate::api::v1::view;
use crate::shell::{CommandError, CommandErrorKind};

/// Lines of the trail in one answer, unless another number is asked for.
const LINES: u32 = 1_000;

/// Upgrades in one answer, unless another number is asked for.
const UPGRADES: u32 = 20;

/// Upgrades that are named where one is not known.
const NAMED_MAX: u32 = 5;

/// Where lines begin or end, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Bound {
    At(Place),
    /// So long ago.
    Ago(Duration),
}

impl Bound {
    /// Reads the number of a line, an ISO 8601 duration or an RFC 3339 time.
    pub(in crate::api) fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(|seq| Self::At(Place::Seq(seq)));
        }
        if let Ok(ago) = parse_iso_duration(text) {
            return Some(Self::Ago(ago));
        }
        let at: jiff::Timestamp = text.parse().ok()?;
        Some(Self::At(Place::Date(WallTime(at.as_millisecond()))))
    }

    fn place(self, now: WallTime) -> Place {
        match self {
            Self::At(place) => place,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Place::Date(WallTime(now.0.saturating_sub(ago)))
            }
        }
    }
}

/// Which lines of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Lines {
    pub(in crate::api) instance: Option<InstanceId>,
    pub(in crate::api) upgrade: Option<UpgradeId>,
    pub(in crate::api) since: Option<Bound>,
    pub(in crate::api) until: Option<Bound>,
    pub(in crate::api) before: Option<u64>,
    pub(in crate::api) limit: u32,
}

impl Default for Lines {
    fn default() -> Self {
        Self { instance: None, upgrade: None, since: None, until: None, before: None, limit: LINES }
    }
}

/// Which upgrades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Page {
    pub(in crate::api) limit: u32,
    pub(in crate::api) before: Option<u64>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: UPGRADES, before: None }
    }
}

impl Host {
    /// Lines of the trail, as JSON.
    pub(in crate::api) async fn log(&self, set: ScaleSetName, lines: Lines) -> Result<Bytes, CommandError> {
        self.door.view().set(&set)?;
        let now = ReadClock::now(&self.clock).wall;
        let query = TrailQuery {
            scale_set: set.clone(),
            instance: lines.instance,
            upgrade: lines.upgrade,
            since: lines.since.map(|since| since.place(now)),
            until: lines.until.map(|until| until.place(now)),
            before: lines.before,
            limit: lines.limit,
        };
        let stranger = query.instance.clone().filter(|instance| !self.has(&set, instance));
        self.record(move |trail| {
            let page = trail.trail(&query)?;
            if page.entries.is_empty()
                && let Some(unknown) = unknown(trail, &query, stranger.as_ref())?
            {
                return Ok(Err(unknown));
            }
            let log = written(&view::log(&query.scale_set, &page));
            let unwritten = |error| format!("the answer cannot be written: {error}");
            Ok(log.map_err(|error| CommandError::new(CommandErrorKind::Unavailable, unwritten(error))))
        })
        .await?
    }

    pub(in crate::api) async fn past_upgrades(
        &self,
        set: ScaleSetName,
        Page { limit, before }: Page,
    ) -> Result<wire::PastUpgrades, CommandError> {
        self.door.view().set(&set)?;
        let query = UpgradesQuery { scale_set: set, before, limit };
        let now = ReadClock::now(&self.clock);
        self.record(move |trail| Ok(view::past_upgrades(&query.scale_set, &trail.upgrades(&query)?, now)))
            .await
    }

    /// How an upgrade stands or stood.
    pub(in crate::api) async fn status_of(
        &self,
        set: ScaleSetName,
        id: UpgradeId,
    ) -> Result<wire::StatusDetail, CommandError> {
        let latest = self.door.view().set(&set)?.upgrade.as_ref().map(|upgrade| upgrade.id.clone());
        if latest.as_ref() == Some(&id) {
            return self.status(set).await;
        }
        let now = ReadClock::now(&self.clock);
        self.record(move |trail| match trail.upgrade(&set, &id)? {
            Some(upgrade) => {
                let status = view::status(&report::past(&upgrade), now);
                let counts = trail.summary(&id)?;
                Ok(Ok(counts.map_or(status.clone(), |counts| view::in_numbers(status, counts))))
            }
            None => Ok(Err(no_such_upgrade(&set, &id, &some_upgrades(trail, &set)?))),
        })
        .await?
    }

    /// Every scale set with its latest upgrade.
    pub(in crate::api) async fn latest_upgrades(&self) -> Result<wire::LatestUpgrades, CommandError> {
        let trail = Arc::clone(&self.trail);
        self.read(move |fleet, now| {
            let mut latest = view::latest_upgrades(fleet, now);
            for upgrade in latest.scale_sets.iter_mut().filter_map(|set| set.upgrade.as_mut()) {
                super::since::add(&*trail, &upgrade.id.clone(), upgrade.waiting_for.as_mut());
            }
            Ok(latest)
        })
        .await
    }

    /// An upgrade of a scale set as it is kept.
    pub(super) async fn kept(&self, set: &ScaleSetName, id: UpgradeId) -> Result<Upgrade, CommandError> {
        self.door.view().set(set)?;
        let set = set.clone();
        self.record(move |trail| match trail.upgrade(&set, &id)? {
            Some(upgrade) => Ok(Ok(upgrade)),
            None => Ok(Err(no_such_upgrade(&set, &id, &some_upgrades(trail, &set)?))),
        })
        .await?
    }

    /// Whether a scale set has, or its record still keeps, an upgrade.
    pub(super) async fn must_have(&self, set: &ScaleSetName, id: &UpgradeId) -> Result<(), CommandError> {
        let (set, id) = (set.clone(), id.clone());
        self.record(move |trail| match trail.upgrade(&set, &id)? {
            Some(_) => Ok(Ok(())),
            None => Ok(Err(no_such_upgrade(&set, &id, &some_upgrades(trail, &set)?))),
        })
        .await?
    }

    /// That the trail still has what an upgrade of a scale set has decided.
    pub(super) async fn must_tell_of(&self, set: &ScaleSetName, id: &UpgradeId) -> Result<(), CommandError> {
        self.must_have(set, id).await?;
        let id = id.clone();
        self.record(move |trail| {
            let oldest = trail.first_of(&id)?;
            if oldest.is_some_and(|entry| matches!(entry.what, What::Start { .. })) {
                return Ok(Ok(()));
            }
            let message = format!(
                "what upgrade `{id}` has decided is no longer kept: its lines are older than `retention.audit`, or \
                 more than `retention.auditLines`"
            );
            Ok(Err(CommandError::new(CommandErrorKind::NotFound, message)))
        })
        .await?
    }

    /// Reads the record when it is this reader's turn.
    pub(super) async fn record<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn ReadTrail) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let trail = Arc::clone(&self.trail);
        let unavailable = |why: String| CommandError::new(CommandErrorKind::Unavailable, why);
        let read = self.readers.run(move || read(trail.as_ref())).await;
        read.map_err(|error| unavailable(error.to_string()))?.map_err(|error| unavailable(error.to_string()))
    }
}

/// What of a query that found nothing is not known at all; a stranger is an instance that the scale set has not now.
fn unknown(
    trail: &dyn ReadTrail,
    query: &TrailQuery,
    stranger: Option<&InstanceId>,
) -> Result<Option<CommandError>, StoreError> {
    let set = &query.scale_set;
    if let Some(instance) = stranger
        && !trail.has_line_of(set, instance)?
    {
        let message = format!(
            "scale set `{set}` has no instance `{instance}`, and its trail has no line about it; see \
             `phasegate fleet`"
        );
        return Ok(Some(CommandError::new(CommandErrorKind::NotFound, message)));
    }
    match &query.upgrade {
        Some(id) if trail.upgrade(set, id)?.is_none() => {
            Ok(Some(no_such_upgrade(set, id, &some_upgrades(trail, set)?)))
        }
        Some(_) | None => Ok(None),
    }
}

/// The latest upgrades of a scale set, to be named.
fn some_upgrades(trail: &dyn ReadTrail, set: &ScaleSetName) -> Result<UpgradesPage, StoreError> {
    trail.upgrades(&UpgradesQuery { scale_set: set.clone(), before: None, limit: NAMED_MAX })
}

fn no_such_upgrade(set: &ScaleSetName, id: &UpgradeId, known: &UpgradesPage) -> CommandError {
    let ids: Vec<&str> = known.upgrades.iter().map(|upgrade| upgrade.head.id.as_str()).collect();
    let known = match (ids.is_empty(), known.more) {
        (true, _) => "it has had none yet".to_owned(),
        (false, false) => format!("known: {}", ids.join(", ")),
        (false, true) => {
            format!("the latest: {}; `phasegate upgrade list {set}` lists all that are kept", ids.join(", "))
        }
    };
    let message = format!("scale set `{set}` has no upgrade `{id}`; {known}");
    CommandError::new(CommandErrorKind::NotFound, message)
}
