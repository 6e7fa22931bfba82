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

/// A target, as a small number. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u64);

/// One started probe. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// How a target's last probe went. Targets that hang hold their place among the running probes
/// for the whole time limit, and slow ones for long; kept apart, they cannot take every place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Answered or failed soon, or was not probed yet.
    Prompt,
    /// Took long, or ran into its time limit.
    Slow,
}

/// Which lanes may start a probe now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admit {
    Both,
    PromptOnly,
    Neither,
}

/// A probe that is to start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) slot: Slot,
    pub(super) ticket: Ticket,
    pub(super) lane: Lane,
    /// When it should have started.
    pub(super) due: Duration,
}

/// Due times of all targets.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    plans: BTreeMap<Slot, Plan>,
    prompt: BTreeSet<(Duration, Slot)>,
    slow: BTreeSet<(Duration, Slot)>,
    tickets: u64,
}

#[derive(Debug)]
struct Plan {
    interval: Duration,
    lane: Lane,
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
    pub(super) fn insert(&mut self, slot: Slot, interval: Duration, due: Duration) {
        self.remove(slot);
        self.plans.insert(
            slot,
            Plan { interval, lane: Lane::Prompt, turn: Turn::Waiting { due }, moved: Moved::default() },
        );
        self.prompt.insert((due, slot));
    }

    /// Forgets a target; the end of its running probe will change nothing.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(Plan { turn: Turn::Waiting { due }, lane, .. }) = self.plans.remove(&slot) {
            self.queue(lane).remove(&(due, slot));
        }
    }

    /// Changes the interval. A waiting target waits for no longer than the new one.
    pub(super) fn set_interval(&mut self, slot: Slot, interval: Duration, now: Duration) {
        if let Some(plan) = self.plans.get_mut(&slot)
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
        if let Some(Plan { turn: Turn::Running { then, .. }, .. }) = self.plans.get_mut(&slot) {
            *then = Then::AtOnce;
        } else {
            self.advance(slot, now);
        }
    }

    /// Begins a new life: due now, even while a probe of the old life is running.
    pub(super) fn renew(&mut self, slot: Slot, now: Duration) {
        let Some(plan) = self.plans.get_mut(&slot) else { return };
        let (due, waited) = match plan.turn {
            Turn::Waiting { due } => (due.min(now), Some((due, plan.lane))),
            Turn::Running { .. } => (now, None),
        };
        plan.move_to(due);
        // A clean slate: what hung is gone.
        plan.lane = Lane::Prompt;
        if let Some((due, lane)) = waited {
            self.queue(lane).remove(&(due, slot));
        }
        self.prompt.insert((due, slot));
    }

    /// The earliest due time among the admitted lanes.
    pub(super) fn next_due(&self, admit: Admit) -> Option<Duration> {
        self.first(admit).map(|(due, _)| due)
    }

    /// Takes the target that has been due for longest at `now`, if any; it is running then.
    pub(super) fn take_due(&mut self, now: Duration, admit: Admit) -> Option<Start> {
        let (due, slot) = self.first(admit).filter(|(due, _)| *due <= now)?;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let plan = self.plans.get_mut(&slot)?;
        let lane = plan.lane;
        plan.turn = Turn::Running { ticket, due, started: now, then: Then::AfterInterval };
        self.queue(lane).remove(&(due, slot));
        Some(Start { slot, ticket, lane, due })
    }

    /// A probe ended. Changes nothing when its target is gone or lives a new life.
    pub(super) fn finish(&mut self, slot: Slot, ticket: Ticket, now: Duration, lane: Lane) {
        let Some(plan) = self.plans.get_mut(&slot) else { return };
        let Turn::Running { ticket: running, due, started, then } = plan.turn else { return };
        if running != ticket {
            return;
        }
        let due = match then {
            Then::AfterInterval => plan.next_due(due, started, now),
            Then::AtOnce => {
                plan.move_to(now);
                now
            }
        };
        plan.lane = lane;
        plan.turn = Turn::Waiting { due };
        self.queue(lane).insert((due, slot));
    }

    fn first(&self, admit: Admit) -> Option<(Duration, Slot)> {
        let prompt = self.prompt.first().copied();
        let slow = self.slow.first().copied();
        match admit {
            Admit::Both => prompt.into_iter().chain(slow).min(),
            Admit::PromptOnly => prompt,
            Admit::Neither => None,
        }
    }

    /// Moves a waiting target forward to `latest`, never back.
    fn advance(&mut self, slot: Slot, latest: Duration) {
        let Some(plan) = self.plans.get_mut(&slot) else { return };
        let lane = plan.lane;
        if let Turn::Waiting { due } = plan.turn
            && latest < due
        {
            plan.move_to(latest);
            let queue = self.queue(lane);
            queue.remove(&(due, slot));
            queue.insert((latest, slot));
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
