//! The stream of events: what the loop tells is put into words once, by one task, for all who follow.
//!
//! ```text
//!  loop ── News ──> digest ── Line ──> follower (one for each answer) ── bytes ──> connection
//!  views ─────────>                       └── pages of the trail, where it is behind
//! ```
//!
//! Nothing here waits for a follower but that follower's own task; the routes are in `v1`.

mod digest;
mod follower;
mod line;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use phasegate_core::domain::{ScaleSetName, Timestamp};
use phasegate_core::record::ReadTrail;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::clock::Clock;
use crate::shell::Door;

pub(super) use follower::{Begin, Following, Format, Wanted, follow};
use line::Line;

/// Answers at the same time; more are refused.
pub(super) const FOLLOWERS_MAX: usize = 512;

/// Events that a follower may be behind before it reads the record again.
const LINES_MAX: usize = 4096;

/// What is told as it stands to whoever begins to follow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// The latest upgrade of a set.
    Upgrade(ScaleSetName),
    /// A release, by number.
    Release(u64),
}

/// What followers share.
pub struct Events {
    door: Door,
    trail: Arc<dyn ReadTrail>,
    /// Gone when the loop has ended.
    lines: Mutex<Option<broadcast::Sender<Arc<Line>>>>,
    /// How each latest upgrade and each release stands, as it was told last.
    standing: Mutex<BTreeMap<Standing, Arc<Line>>>,
    places: Arc<Semaphore>,
    clock: Clock,
    /// When the first of those who follow now came, as a date.
    joined_at: Mutex<Timestamp>,
    /// Wakes the digest when there is a follower again.
    joined: tokio::sync::Notify,
}

impl Events {
    /// Begins to listen; what is told ends with the loop.
    #[must_use]
    pub fn start(door: Door, trail: Arc<dyn ReadTrail>, clock: Clock) -> Arc<Self> {
        let (lines, _) = broadcast::channel(LINES_MAX);
        let events = Arc::new(Self {
            door,
            trail,
            lines: Mutex::new(Some(lines.clone())),
            standing: Mutex::default(),
            places: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            clock,
            joined_at: Mutex::default(),
            joined: tokio::sync::Notify::new(),
        });
        tokio::spawn(digest::run(Arc::clone(&events), lines, clock));
        events
    }

    /// How many follow.
    #[must_use]
    pub fn followers(&self) -> usize {
        FOLLOWERS_MAX - self.places.available_permits()
    }

    /// A place among those who follow; none when all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The latest line of the trail.
    pub(super) fn recorded(&self) -> u64 {
        self.door.feed().recorded()
    }

    /// None when the loop has ended.
    fn lines(&self) -> Option<broadcast::Receiver<Arc<Line>>> {
        let all = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = all.as_ref()?.subscribe();
        if all.as_ref()?.receiver_count() == 1 {
            *self.joined_at.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.date().date();
        }
        self.joined.notify_one();
        Some(lines)
    }

    fn joined_at(&self) -> Timestamp {
        *self.joined_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn forget(&self) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn stands(&self, what: Standing, line: Arc<Line>) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).insert(what, line);
    }

    fn standing(&self) -> Vec<Arc<Line>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
