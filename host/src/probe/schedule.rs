//! When each target is due: pure arithmetic on times since the prober's start.
//!
//! ```text
//!  insert ──> waiting(due) ──take_due──> running(ticket) ──finish──> waiting(next due) …
//!                  ^                           │
//!                  └────────── renew ──────────┘   the running probe's end no longer matters
//! ```
//!
//! Strictly one probe after the other per target: the next is due one interval after the last
//! was, or when the last ends, whichever is later. Times are laid out from due time to due time,
//! not from the moment the machine got round to it, so that small delays do not add up.
//!
//! It deliberately starts nothing, reads no clock and knows nothing of what is probed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phasegate_core::domain::{InstanceId, ScaleSetName};

/// A target, as a small number; that of one that is gone is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u64);

impl Slot {
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// One started probe. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[cfg(test)]
impl Ticket {
    pub(super) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// The scale set of a target, as a small number. Places for running probes are shared by scale set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group(pub(super) u32);

/// How a target's last probe went. Targets that hang hold their place among the running probes
/// for the whole time limit, and slow ones for long; kept apart, they cannot take every place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Answered or failed soon, or was not probed yet.
    Prompt,
    /// Took long, or ran into its time limit.
    Slow,
}

/// The whole of a place, in millionths.
pub(super) const WHOLE: u64 = 1_000_000;

/// Targets of one group in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Members {
    pub(super) count: usize,
    /// How many places they need at once on average, in millionths, by what their last probes took.
    pub(super) busy: u64,
}

/// Who may start a probe now.
pub(super) trait Admission {
    /// Whether anybody of this lane may.
    fn lane(&self, lane: Lane) -> bool;
    /// Whether somebody of this group and lane may; asked only where the lane may.
    fn group(&self, group: Group, lane: Lane) -> bool;
}

/// A probe that is to start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) slot: Slot,
    pub(super) ticket: Ticket,
    pub(super) group: Group,
    pub(super) lane: Lane,
    /// When it should have started.
    pub(super) due: Duration,
}

/// Due times of all targets.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// By slot.
    plans: Vec<Option<Plan>>,
    prompt: BTreeSet<(Duration, Slot)>,
    slow: BTreeSet<(Duration, Slot)>,
    /// Those that were due while their group had no place: out of the way of the others.
    held: BTreeMap<(Lane, Group), BTreeSet<(Duration, Slot)>>,
    members: BTreeMap<(Lane, Group), Members>,
    tickets: u64,
}

#[derive(Debug)]
struct Plan {
    group: Group,
    interval: Duration,
    lane: Lane,
    /// Millionths of the interval that its last probe took.
    busy: u64,
    turn: Turn,
    moved: Moved,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Waiting { due: Duration },
    Running { ticket: Ticket, due: Duration, started: Duration, then: Then },
}

/// What follows a running probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    AfterInterval,
    AtOnce,
}

/// Delay of a target's first probe: anywhere in the interval, by a hash of its name. The same
/// after a restart, and spread evenly, so that a fleet is never asked all at once.
pub(super) fn first_offset(scale_set: &ScaleSetName, id: &InstanceId, interval: Duration) -> Duration {
    let name = [scale_set.as_str().as_bytes(), &[0], id.as_str().as_bytes()].concat();
    // The upper half of the product is `hash / 2^64 * interval`: uses the well-mixed upper bits.
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    let scaled = (u128::from(mix(fnv1a(&name))) * u128::from(nanos)) >> 64;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(0))
}

/// FNV-1a: short, stable for ever, and good enough for spreading.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The last steps of `SplitMix64`. FNV-1a alone leaves names that differ in their last character
/// close together in the upper bits.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Coarsest grid of due times: what is due together is started together.
const GRID_MAX: Duration = Duration::from_millis(5);

/// The next point of time at which targets of this interval are due.
fn on_grid(due: Duration, interval: Duration) -> Duration {
    let grid = nanos((interval / 100).min(GRID_MAX)).max(1);
    let over = nanos(due).rem_euclid(grid);
    if over == 0 { due } else { shifted(due, grid - over) }
}

/// When a new target is first due.
pub(super) fn first_due(
    scale_set: &ScaleSetName,
    id: &InstanceId,
    interval: Duration,
    now: Duration,
) -> Duration {
    on_grid(now.saturating_add(first_offset(scale_set, id, interval)), interval)
}

/// How far the rhythm of a target was moved from its own times, in nanoseconds; positive is later. At most half an
/// interval: the way back is the shorter one.
#[derive(Debug, Clone, Copy, Default)]
struct Moved(i64);

impl Moved {
    /// It is due at another time than it would have been.
    fn by(self, from: Duration, to: Duration, interval: Duration) -> Self {
        let interval = nanos(interval).max(1);
        let sum = self.0.saturating_add(nanos(to)).saturating_sub(nanos(from)).rem_euclid(interval);
        Self(if sum > interval / 2 { sum - interval } else { sum })
    }

    /// How much of it is taken back with one probe: a tenth of the interval, so that the next one is no sooner or
    /// later than it may be.
    fn step_back(&mut self, interval: Duration) -> i64 {
        let most = nanos(interval / 10);
        let step = self.0.clamp(-most, most);
        self.0 -= step;
        -step
    }
}

/// Steps in which that is counted, in millionths: prompt answers differ by less, and change nothing.
const BUSY_STEP: u64 = 1_000;

/// What a probe that took so long needs of a place, in millionths.
fn busy(took: Duration, interval: Duration) -> u64 {
    let share = took.as_nanos().saturating_mul(u128::from(WHOLE)) / interval.as_nanos().max(1);
    u64::try_from(share).unwrap_or(WHOLE).min(WHOLE).next_multiple_of(BUSY_STEP)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn shifted(time: Duration, by: i64) -> Duration {
    let amount = Duration::from_nanos(by.unsigned_abs());
    if by < 0 { time.saturating_sub(amount) } else { time.saturating_add(amount) }
}

impl Plan {
    /// When the probe after one that was `due`, `started` and `ended` then is due.
    ///
    /// A start that is late by more than a tenth of the interval moves the target's rhythm, because otherwise the
    /// next probe would follow too soon to be a second opinion. With the probes after it the rhythm goes back to its
    /// own times: after a stall, those that were started together are spread again.
    fn next_due(&mut self, due: Duration, started: Duration, ended: Duration) -> Duration {
        let interval = self.interval;
        let mut rhythm = due;
        if started.saturating_sub(due) > interval / 10 {
            self.moved = self.moved.by(due, started, interval);
            rhythm = started;
        }
        let exact = shifted(rhythm.saturating_add(interval), self.moved.step_back(interval));
        let next = on_grid(exact, interval);
        self.moved = self.moved.by(exact, next, interval);
        next.max(ended)
    }

    /// It is due at another time than its rhythm says.
    fn move_to(&mut self, due: Duration) {
        let was = match self.turn {
            Turn::Waiting { due } => due,
            Turn::Running { due, .. } => due.saturating_add(self.interval),
        };
        self.moved = self.moved.by(was, due, self.interval);
        self.turn = Turn::Waiting { due };
    }
}

impl Schedule {
    /// Adds a target that waits for its first probe.
    pub(super) fn insert(&mut self, (slot, group): (Slot, Group), interval: Duration, due: Duration) {
        self.remove(slot);
        let (lane, turn, moved) = (Lane::Prompt, Turn::Waiting { due }, Moved::default());
        while self.plans.len() <= slot.index() {
            self.plans.push(None);
        }
        let plan = Plan { group, interval, lane, busy: 0, turn, moved };
        if let Some(place) = self.plans.get_mut(slot.index()) {
            *place = Some(plan);
        }
        self.prompt.insert((due, slot));
        self.count(group, None, Some((lane, 0)));
    }

    fn plan(&mut self, slot: Slot) -> Option<&mut Plan> {
        self.plans.get_mut(slot.index())?.as_mut()
    }

    /// The targets of a group in a lane.
    pub(super) fn members(&self, group: Group, lane: Lane) -> Members {
        self.members.get(&(lane, group)).copied().unwrap_or_default()
    }

    /// A target is in another lane from now on, or is busy for another part of its interval.
    fn count(&mut self, group: Group, from: Option<(Lane, u64)>, to: Option<(Lane, u64)>) {
        if from == to {
            return;
        }
        if let Some((lane, busy)) = to {
            let members = self.members.entry((lane, group)).or_default();
            members.count += 1;
            members.busy += busy;
        }
        let Some((lane, busy)) = from else { return };
        if let Some(members) = self.members.get_mut(&(lane, group)) {
            members.count = members.count.saturating_sub(1);
            members.busy = members.busy.saturating_sub(busy);
            if members.count == 0 {
                self.members.remove(&(lane, group));
            }
        }
    }

    /// Forgets a target; the end of its running probe will change nothing.
    pub(super) fn remove(&mut self, slot: Slot) {
        let plan = self.plans.get_mut(slot.index()).and_then(Option::take);
        let Some(Plan { group, turn, lane, busy, .. }) = plan else { return };
        if let Turn::Waiting { due } = turn {
            self.unqueue(group, lane, (due, slot));
        }
        self.count(group, Some((lane, busy)), None);
    }

    /// Changes the interval. A waiting target waits for no longer than the new one.
    pub(super) fn set_interval(&mut self, slot: Slot, interval: Duration, now: Duration) {
        if let Some(plan) = self.plan(slot)
            && plan.interval != interval
        {
            plan.interval = interval;
            // Its own times of before mean nothing now.
            plan.moved = Moved::default();
            self.advance(slot, now.saturating_add(interval));
        }
    }

    /// Makes a target due at a time at the latest, or as soon as its running probe ends: it is never asked twice at
    /// once, and no other target is asked sooner or later for it.
    pub(super) fn hasten(&mut self, slot: Slot, now: Duration) {
        if let Some(Plan { turn: Turn::Running { then, .. }, .. }) = self.plan(slot) {
            *then = Then::AtOnce;
        } else {
            self.advance(slot, now);
        }
    }

    /// Begins a new life: due now, even while a probe of the old life is running.
    pub(super) fn renew(&mut self, slot: Slot, now: Duration) {
        let Some(plan) = self.plan(slot) else { return };
        let (group, before, busy) = (plan.group, plan.lane, plan.busy);
        let (due, waited) = match plan.turn {
            Turn::Waiting { due } => (due.min(now), Some(due)),
            Turn::Running { .. } => (now, None),
        };
        plan.move_to(due);
        // A clean slate: what hung is gone.
        (plan.lane, plan.busy) = (Lane::Prompt, 0);
        if let Some(due) = waited {
            self.unqueue(group, before, (due, slot));
        }
        self.prompt.insert((due, slot));
        self.count(group, Some((before, busy)), Some((Lane::Prompt, 0)));
    }

    /// The earliest due time among those that may start.
    pub(super) fn next_due(&self, admission: &impl Admission) -> Option<Duration> {
        self.first(admission).map(|(due, _)| due)
    }

    /// Takes the target that has been due for longest at `now` and may start, if any; it is running then.
    pub(super) fn take_due(&mut self, now: Duration, admission: &impl Admission) -> Option<Start> {
        loop {
            let (due, slot) = self.first(admission).filter(|(due, _)| *due <= now)?;
            let (group, lane) = self.plan(slot).map(|plan| (plan.group, plan.lane))?;
            if !admission.group(group, lane) {
                self.queue(lane).remove(&(due, slot));
                self.held.entry((lane, group)).or_default().insert((due, slot));
                continue;
            }
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.plan(slot)?.turn = Turn::Running { ticket, due, started: now, then: Then::AfterInterval };
            self.unqueue(group, lane, (due, slot));
            return Some(Start { slot, ticket, group, lane, due });
        }
    }

    /// A probe ended. Changes nothing when its target is gone or lives a new life. Tells the target's group when its
    /// members want other places than before.
    pub(super) fn finish(&mut self, slot: Slot, ticket: Ticket, now: Duration, lane: Lane) -> Option<Group> {
        let plan = self.plan(slot)?;
        let Turn::Running { ticket: running, due, started, then } = plan.turn else { return None };
        if running != ticket {
            return None;
        }
        let due = match then {
            Then::AfterInterval => plan.next_due(due, started, now),
            Then::AtOnce => {
                plan.move_to(now);
                now
            }
        };
        let busy = busy(now.saturating_sub(started), plan.interval);
        let (group, before) = (plan.group, (plan.lane, plan.busy));
        (plan.lane, plan.busy) = (lane, busy);
        plan.turn = Turn::Waiting { due };
        self.queue(lane).insert((due, slot));
        self.count(group, Some(before), Some((lane, busy)));
        (before != (lane, busy)).then_some(group)
    }

    fn first(&self, admission: &impl Admission) -> Option<(Duration, Slot)> {
        let prompt = self.prompt.first().filter(|_| admission.lane(Lane::Prompt));
        let slow = self.slow.first().filter(|_| admission.lane(Lane::Slow));
        let may = |(lane, group): &(Lane, Group)| admission.lane(*lane) && admission.group(*group, *lane);
        let held = self.held.iter().filter(|(of, _)| may(of)).filter_map(|(_, held)| held.first());
        prompt.into_iter().chain(slow).chain(held).min().copied()
    }

    /// Takes a waiting target out of wherever it waits.
    fn unqueue(&mut self, group: Group, lane: Lane, entry: (Duration, Slot)) {
        if self.queue(lane).remove(&entry) {
            return;
        }
        if let Some(held) = self.held.get_mut(&(lane, group)) {
            held.remove(&entry);
            if held.is_empty() {
                self.held.remove(&(lane, group));
            }
        }
    }

    /// Moves a waiting target forward to `latest`, never back.
    fn advance(&mut self, slot: Slot, latest: Duration) {
        let Some(plan) = self.plan(slot) else { return };
        let (group, lane) = (plan.group, plan.lane);
        if let Turn::Waiting { due } = plan.turn
            && latest < due
        {
            plan.move_to(latest);
            self.unqueue(group, lane, (due, slot));
            self.queue(lane).insert((latest, slot));
        }
    }

    fn queue(&mut self, lane: Lane) -> &mut BTreeSet<(Duration, Slot)> {
        match lane {
            Lane::Prompt => &mut self.prompt,
            Lane::Slow => &mut self.slow,
        }
    }
}

#[cfg(test)]
mod tests;
