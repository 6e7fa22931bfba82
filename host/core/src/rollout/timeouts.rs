//! How long an upgrade may take: one batch, all of it, and the wait for an approval.
//!
//! ```text
//!                         time counts            a limit is over
//! Preparing, Between  ─────────────────────────────────────────────> Ended(Faulted)
//! InBatch             ─────────────────────────────────────────────> Stopping ─> Ended(Faulted)
//! ```
//!
//! For as long as `deferDeadline` says, counted from the snapshot on, instances are asked again that say "not now".
//!
//! Time counts while the upgrade can go on: not in a pause or behind a checkpoint, where a person is waited for, not
//! in a freeze, on a stopped line or before its date, and not while the host stood still or doubts itself. The wait
//! for an approval has a watch of its own. Over a restart the fleet's own time goes on, and this with it.
//!
//! Deliberately nothing for a way back, which is never left half-way for its time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{InstanceId, OnInstanceFailure, OnTimeout, Timestamp};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::hooks::BatchHook;
use super::state::{Stage, Upgrade, UpgradeState};
use super::step::{Step, end};
use super::view::{FleetView, Stop};
use super::waiting::{Waiting, approval_before, checkpoint_behind, holds, stopped};
use super::{hooks, stopping};

/// Time that has counted, and since when it goes on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watch {
    counted: Duration,
    since: Option<Timestamp>,
}

impl Watch {
    fn elapsed(self, now: Timestamp) -> Duration {
        self.counted.saturating_add(self.since.map_or(Duration::ZERO, |since| now.since(since)))
    }

    /// Runs from now on, or has stood since a moment that is no later.
    fn set(&mut self, held_since: Option<Timestamp>, now: Timestamp) {
        match (self.since, held_since) {
            (None, None) => self.since = Some(now),
            (Some(since), Some(held)) => {
                self.counted = self.counted.saturating_add(held.min(now).since(since));
                self.since = None;
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}

/// How much time has counted for the limits of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    upgrade: Watch,
    batch: Watch,
    approval: Watch,
    /// Since the snapshot: for as long are instances asked again that say "not now".
    #[serde(default)]
    asking: Watch,
    /// The limit that has ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<LimitName>,
}

impl Spent {
    /// Another batch is in flight from now on.
    pub(super) fn begin_batch(&mut self, now: Timestamp) {
        self.batch = Watch { counted: Duration::ZERO, since: Some(now) };
    }

    /// How much time has counted of that in which instances are asked again.
    pub(super) fn asking(&self, now: Timestamp) -> Duration {
        self.asking.elapsed(now)
    }

    /// The host stood still for so long: that was nobody's time.
    pub(super) fn stood_still(&mut self, length: Duration) {
        for watch in [&mut self.upgrade, &mut self.batch, &mut self.approval, &mut self.asking] {
            watch.since = watch.since.map(|since| since + length);
        }
    }
}

/// Which limit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitName {
    /// `batchTimeout`
    Batch,
    /// `approvalTimeout`
    Approval,
    /// `upgradeTimeout`
    Upgrade,
}

impl LimitName {
    /// Its key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batchTimeout",
            Self::Approval => "approvalTimeout",
            Self::Upgrade => "upgradeTimeout",
        }
    }
}

/// A limit of time that is in force now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Which.
    pub name: LimitName,
    /// What is written.
    pub length: Duration,
    /// How much of it is left.
    pub left: Duration,
    /// When it is over, if time goes on to count; none while it does not.
    pub until: Option<Timestamp>,
}

/// The limits that are in force now.
fn in_force(upgrade: &Upgrade, now: Timestamp) -> impl Iterator<Item = Limit> {
    let timeouts = upgrade.policy.timeouts;
    let open = match upgrade.stage {
        Stage::Preparing { .. } | Stage::Between { .. } | Stage::InBatch | Stage::Baking { .. } => true,
        // What is run after a batch that does not begin, or that was ended, comes to its end: nothing follows it, and
        // nothing else gives back what the hook before took.
        Stage::Hooking { hook: BatchHook::AfterNothing | BatchHook::AfterStop, .. } => false,
        Stage::Hooking { stop: None, .. } => !is_over(upgrade),
        Stage::Hooking { stop: Some(_), .. }
        | Stage::Undoing
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => false,
    };
    let is_in_batch = upgrade.stage == Stage::InBatch;
    let batch = timeouts.batch.filter(|_| is_in_batch);
    let approval = timeouts.approval.filter(|_| approval_before(upgrade).is_some());
    let spent = upgrade.spent;
    let limits = [
        (LimitName::Batch, batch, spent.batch),
        (LimitName::Approval, approval, spent.approval),
        (LimitName::Upgrade, timeouts.upgrade, spent.upgrade),
    ];
    limits.into_iter().filter(move |_| open).filter_map(move |(name, length, watch)| {
        let length = length?;
        let left = length.saturating_sub(watch.elapsed(now));
        Some(Limit { name, length, left, until: watch.since.map(|_| now + left) })
    })
}

/// The limit that ends an upgrade first, as things go on now; one that stands still only where none runs.
#[must_use]
pub fn nearest(upgrade: &Upgrade, now: Timestamp) -> Option<Limit> {
    in_force(upgrade, now).min_by_key(|limit| (limit.until.is_none(), limit.left))
}

/// Whether an upgrade is ending because its time was over.
pub(super) fn is_over(upgrade: &Upgrade) -> bool {
    let timeout = UpgradeErrorCode::RollingUpgradeTimeoutError;
    upgrade.error.as_ref().is_some_and(|error| error.code == timeout)
}

/// Whether an upgrade has ended because nobody approved what came next: that says nothing of the version.
#[must_use]
pub fn nobody_approved(upgrade: &Upgrade) -> bool {
    !upgrade.is_active() && is_over(upgrade) && upgrade.spent.over == Some(LimitName::Approval)
}

/// Brings the watches to this moment: what they counted is counted, and they run or stand by what holds now.
pub(super) fn tick(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    let before = upgrade.spent;
    let held = held_since(upgrade, fleet, now);
    // What has not begun asks nobody.
    let asks = matches!(upgrade.stage, Stage::Preparing { .. } | Stage::Ended { .. });
    upgrade.spent.asking.set(if asks { held.or(Some(now)) } else { held }, now);
    if upgrade.policy.timeouts.are_none() {
        out.head_changed |= upgrade.spent != before;
        return;
    }
    let for_a_person = checkpoint_behind(upgrade).or_else(|| approval_before(upgrade)).is_some();
    let stands = |stands: bool| if stands { held.or(Some(now)) } else { held };
    let is_asked_for = match upgrade.stage {
        Stage::Between { resume_at } => {
            now >= resume_at && checkpoint_behind(upgrade).is_none() && approval_before(upgrade).is_some()
        }
        Stage::Preparing { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Undoing
        | Stage::Baking { .. }
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => false,
    };
    if !is_asked_for && approval_before(upgrade).is_none() {
        upgrade.spent.approval = Watch::default();
    }
    let is_in_batch = upgrade.stage == Stage::InBatch;
    upgrade.spent.upgrade.set(stands(for_a_person || !upgrade.is_active()), now);
    upgrade.spent.batch.set(stands(!is_in_batch), now);
    upgrade.spent.approval.set(stands(!is_asked_for), now);
    out.head_changed |= upgrade.spent != before;
}

/// Since when time has not counted; none where it counts.
fn held_since(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp) -> Option<Timestamp> {
    if matches!(stopped(upgrade, fleet, now)?, Waiting::Scheduled { .. } | Waiting::Paused) {
        return Some(now);
    }
    let holding = fleet.stops().into_iter().filter(|stop| holds(upgrade, *stop).is_some());
    let since = holding.map(|stop| match stop {
        Stop::Line { since } => since,
        Stop::Freeze { since, .. } => fleet.moment(since),
        Stop::NotAsked | Stop::Suspicion | Stop::Release => now,
    });
    Some(since.min().unwrap_or(now))
}

/// Ends an upgrade one of whose limits is over; gives whether it did.
pub(super) fn end_overdue(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    if upgrade.policy.timeouts.are_none() || held_since(upgrade, fleet, now).is_some() {
        return false;
    }
    let Some(limit) = in_force(upgrade, now).find(|limit| limit.left.is_zero()) else { return false };
    let then = upgrade.policy.timeouts.then;
    // A person who cancels waits for nothing but the batch in flight.
    if !upgrade.cancel_requested {
        upgrade.error = Some(error(upgrade, limit));
        upgrade.spent.over = Some(limit.name);
        out.head_changed = true;
        upgrade.then_roll_back |= then == OnTimeout::RollBack;
    }
    // What is run after a batch that does not begin comes first.
    if matches!(upgrade.stage, Stage::Between { .. }) && hooks::close(upgrade, out) {
        return true;
    }
    let batch = if upgrade.then_roll_back { OnInstanceFailure::Leave } else { OnInstanceFailure::Restore };
    match upgrade.stage {
        // A hook has a limit of its own, and is ended when that of the upgrade is over.
        Stage::InBatch | Stage::Hooking { hook: BatchHook::Before | BatchHook::After, stop: None } => {
            stopping::begin(upgrade, batch, now, out);
        }
        Stage::Preparing { .. } | Stage::Between { .. } | Stage::Baking { .. } => {
            let state =
                if upgrade.cancel_requested { UpgradeState::Cancelled } else { UpgradeState::Faulted };
            end(upgrade, state, now);
        }
        Stage::Hooking { hook: BatchHook::AfterNothing | BatchHook::AfterStop, .. }
        | Stage::Hooking { stop: Some(_), .. }
        | Stage::Undoing
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => return false,
    }
    true
}

/// Azure's error, with what had not ended.
fn error(upgrade: &Upgrade, limit: Limit) -> UpgradeError {
    let (name, length) = (limit.name.name(), limit.length.as_secs_f64());
    let open: Vec<InstanceId> = upgrade.members.in_flight().cloned().collect();
    let batch = upgrade.current + 1;
    let what = match limit.name {
        LimitName::Batch => format!("batch {batch} of {} has not ended", upgrade.batches.len()),
        LimitName::Upgrade => {
            let progress = upgrade.members.progress();
            let all = progress.successful + progress.failed + progress.in_progress + progress.pending;
            format!("it has not ended: {} of {all} instances have succeeded", progress.successful)
        }
        LimitName::Approval => "nobody has approved what comes next".to_owned(),
    };
    let first = open.first().map_or_else(String::new, |id| format!("; the first that is open is `{id}`"));
    let message = format!("{name} = {length} s is over and {what}{first}");
    let detail = |id: InstanceId| (id, format!("had not ended when {name} was over"));
    UpgradeError {
        code: UpgradeErrorCode::RollingUpgradeTimeoutError,
        message,
        details: open.into_iter().map(detail).collect(),
    }
}

/// Asks for a look when the first limit is over, or when time counts again.
pub(super) fn wake(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    if upgrade.policy.timeouts.are_none() || !upgrade.is_active() {
        return;
    }
    if let Some(held) = stopped(upgrade, fleet, now) {
        return held.until().into_iter().for_each(|until| out.wake(until));
    }
    in_force(upgrade, now).filter_map(|limit| limit.until).for_each(|until| out.wake(until));
}
