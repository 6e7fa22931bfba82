//! One run told in lines: what began, what was waited for, what failed, how it ended.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::domain::{InstanceId, PhaseName, Timestamp};
use crate::rollout::{
    BatchProgress, BatchState, MemberState, PartState, Restored, Stage, Step, Upgrade, Waiting, waiting_now,
};

use super::setup::Crowd;
use super::world::World;

/// Ids that are written out; more are counted.
const IDS_MAX: usize = 12;

/// Troubles of single instances that are told; a large fleet always has some.
const INSTANCES_MAX: usize = 1000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Since the upgrade was asked for.
    pub after: Duration,
    /// Stable word for its kind.
    pub kind: &'static str,
    /// For people.
    pub text: String,
}

/// Collects lines, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    on: Option<Timestamp>,
    /// In order.
    pub entries: Vec<Entry>,
    waiting: Option<Waiting>,
    preparing: bool,
    running: Option<u32>,
    failed: BTreeSet<InstanceId>,
}

impl Timeline {
    /// One that collects lines from a time on.
    #[must_use]
    pub fn from(begin: Timestamp) -> Self {
        Self { on: Some(begin), ..Self::default() }
    }

    pub(super) fn note(&mut self, at: Timestamp, kind: &'static str, text: impl FnOnce() -> String) {
        if let Some(begin) = self.on {
            self.entries.push(Entry { after: at.since(begin), kind, text: text() });
        }
    }

    /// As [`Self::note`], unless the fleet is so large that nobody would read it.
    pub(super) fn note_instance(
        &mut self,
        at: Timestamp,
        kind: &'static str,
        whom: u32,
        crowd: &Crowd,
        what: impl FnOnce() -> String,
    ) {
        if crowd.facts.len() <= INSTANCES_MAX {
            let id = usize::try_from(whom).ok().and_then(|index| crowd.facts.get(index));
            let id = id.map_or("", |facts| facts.id.as_str());
            self.note(at, kind, || format!("instance {id} {}", what()));
        }
    }

    /// What a step changed.
    pub(super) fn after(&mut self, upgrade: &Upgrade, step: &Step, world: &World<'_>) {
        if self.on.is_none() {
            return;
        }
        let now = world.now;
        if !self.preparing && upgrade.digest.is_some() {
            self.preparing = true;
            self.note(now, "plan", || plan(upgrade));
        }
        self.failures(upgrade, step, now);
        self.batch_over(upgrade, now);
        self.batch_begins(upgrade, now);
        let waiting = waiting_now(upgrade, world, now);
        if waiting != self.waiting {
            self.waiting = waiting;
            if let Some(waiting) = waiting {
                self.note(now, "wait", || format!("waits for {}", wait(waiting, now)));
            }
        }
        if let Stage::Ended { .. } = upgrade.stage {
            self.note(now, "end", || end(upgrade));
        }
    }

    fn failures(&mut self, upgrade: &Upgrade, step: &Step, now: Timestamp) {
        for id in &step.changed {
            let Some(member) = upgrade.members.get(id) else { continue };
            let over = matches!(member.state, MemberState::Failed { .. });
            if member.has_failed_part() && self.failed.insert(id.clone()) && !over {
                let why = member.failure().unwrap_or_default();
                self.note(now, "fail", || format!("instance {id} failed: {why}"));
            } else if over {
                let restored = member
                    .parts
                    .iter()
                    .any(|part| matches!(&part.state, PartState::Failed { restored: Restored::Yes, .. }));
                let kind = if restored { "restore" } else { "fail" };
                let why = member.failure().unwrap_or_default();
                self.note(now, kind, || format!("instance {id} failed: {why}"));
            }
        }
    }

    fn batch_over(&mut self, upgrade: &Upgrade, now: Timestamp) {
        let Some(index) = self.running.and_then(|number| upgrade.batch_index(number)) else { return };
        let Some(batch) = upgrade.batches.get(index) else { return };
        if batch.state == BatchState::InProgress {
            return;
        }
        self.running = None;
        let members = upgrade.batch_members(index);
        let failed = |id: &&&InstanceId| {
            let member = upgrade.members.get(id);
            member.is_some_and(|member| matches!(member.state, MemberState::Failed { .. }))
        };
        let (all, failed) = (members.len(), members.iter().filter(failed).count());
        let took = batch.started_at.zip(batch.ended_at).map_or(Duration::ZERO, |(from, to)| to.since(from));
        self.note(now, "batch-end", || {
            let number = index + 1;
            format!("batch {number} is over after {}: {} well, {failed} failed", span(took), all - failed)
        });
    }

    fn batch_begins(&mut self, upgrade: &Upgrade, now: Timestamp) {
        let Some(batch) = upgrade.batches.get(upgrade.current) else { return };
        if batch.state != BatchState::InProgress || self.running == Some(batch.number) {
            return;
        }
        self.running = Some(batch.number);
        let members = upgrade.batch_members(upgrade.current);
        let (number, of) = (upgrade.current + 1, upgrade.batches.len());
        let place = place(batch);
        self.note(now, "batch", || format!("batch {number} of {of} begins ({place}): {}", ids(&members)));
    }
}

fn plan(upgrade: &Upgrade) -> String {
    let mut text = format!(
        "the plan is made: {} batch{} of {} instance{}",
        upgrade.batches.len(),
        if upgrade.batches.len() == 1 { "" } else { "es" },
        upgrade.members.len(),
        if upgrade.members.len() == 1 { "" } else { "s" },
    );
    if !upgrade.holds.is_empty() {
        let held: Vec<&InstanceId> = upgrade.holds.iter().map(|hold| &hold.instance).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, "; left alone: {}", ids(&held));
    }
    text
}

fn place(batch: &BatchProgress) -> String {
    let mut parts = vec![phase(batch.phase.into())];
    parts.extend(batch.zone.as_ref().map(|zone| format!("zone {zone}")));
    parts.extend(batch.update_domain.map(|domain| format!("update domain {domain}")));
    parts.join(", ")
}

fn phase(phase: PhaseName) -> String {
    match phase {
        PhaseName::Number(phase) => format!("phase {}", phase.get()),
        PhaseName::Last => "last phase".to_owned(),
    }
}

fn ids(ids: &[&InstanceId]) -> String {
    let shown: Vec<&str> = ids.iter().take(IDS_MAX).map(|id| id.as_str()).collect();
    let more = ids.len().saturating_sub(shown.len());
    let shown = shown.join(" ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn wait(waiting: Waiting, now: Timestamp) -> String {
    let left = |until: Timestamp| span(until.since(now));
    match waiting {
        Waiting::Pause { until } => format!("the pause between batches, {}", left(until)),
        Waiting::Scheduled { until } => format!("the time of its start, {}", left(until)),
        Waiting::Paused => "a person who paused it".to_owned(),
        Waiting::Line => "a person who stopped the line".to_owned(),
        Waiting::Freeze { until } => format!("the end of a freeze window, {}", left(until)),
        Waiting::Resume { after } => format!("a person to resume after {}", phase(after)),
        Waiting::Approval { before } => format!("a person to approve {}", phase(before)),
        Waiting::Initializing => "instances to leave Initializing".to_owned(),
        Waiting::Deferred { until } => {
            format!("instances that say \"not now\", {} at most", left(until))
        }
        Waiting::NotAsked => "instances that the host could not ask".to_owned(),
        Waiting::Evidence { until } => {
            format!("answers to probes that began after the batch before, {} at most", left(until))
        }
        Waiting::Suspicion => "the host, which doubts what it sees".to_owned(),
        Waiting::Release => "the release that it belongs to".to_owned(),
        Waiting::Zone => "another zone of its region".to_owned(),
        Waiting::Group => "other stand-alone machines of its group".to_owned(),
        Waiting::Silence { until } => format!("whether more go silent, {} at most", left(until)),
        Waiting::Bake { until } => format!("the bake, {} left", left(until)),
        Waiting::Look => "a look at what instances run".to_owned(),
        Waiting::Doubted => "instances that have just said something worse".to_owned(),
        Waiting::Recovery { until } => format!("the fleet to recover, {} at most", left(until)),
    }
}

fn end(upgrade: &Upgrade) -> String {
    let progress = upgrade.progress();
    let mut text = upgrade.state.name().to_owned();
    let _ = write!(text, ": {} upgraded, {} failed", progress.successful, progress.failed);
    if progress.pending > 0 {
        let _ = write!(text, ", {} not begun", progress.pending);
    }
    if let Some(error) = &upgrade.error {
        let _ = write!(text, "; {}: {}", error.code.name(), error.message);
    }
    text
}

/// A time span as people say it.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_millis() >= 500);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
