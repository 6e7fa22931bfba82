//! What the loop tells of each commit to those who follow: one send, however many there are.
//!
//! Deliberately keeps nothing for those who are slow: lines of the trail are in the record, and up to where
//! they are there says [`Feed::recorded`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use phasegate_core::domain::{Health, InstanceId, ScaleSetName};
use phasegate_core::record::Write;
use phasegate_core::record::audit::Entry;

/// Turns that a follower may be behind.
const TURNS_MAX: usize = 1024;

/// What one turn has changed.
#[derive(Debug, Default)]
pub struct News {
    /// Lines of the trail that are durable now, in order.
    pub recorded: Vec<Entry>,
    /// Committed health: before and after.
    pub health: Vec<(ScaleSetName, InstanceId, Health, Health)>,
}

/// The loop's end of a feed.
#[derive(Debug)]
pub(super) struct Announcer {
    news: broadcast::Sender<Arc<News>>,
    marks: Arc<Marks>,
}

/// How far the loop has come.
#[derive(Debug, Default)]
struct Marks {
    /// The latest line of the trail.
    recorded: AtomicU64,
    /// Turns that have begun to be published.
    begun: AtomicU64,
    /// Turns of which all is told.
    told: AtomicU64,
}

/// Where one can follow.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Is never read: others begin where it stands.
    news: Arc<broadcast::Receiver<Arc<News>>>,
    marks: Arc<Marks>,
}

impl Announcer {
    pub(super) fn new() -> (Self, Feed) {
        let (sender, receiver) = broadcast::channel(TURNS_MAX);
        let marks = Arc::new(Marks::default());
        let feed = Feed { news: Arc::new(receiver), marks: Arc::clone(&marks) };
        (Self { news: sender, marks }, feed)
    }

    /// The trail that the record begins with ends at this line.
    pub(super) fn begins_at(&self, seq: u64) {
        self.marks.recorded.store(seq, Ordering::Release);
    }

    /// The view of a turn is about to be published; [`Self::recorded`] follows.
    pub(super) fn begins(&self) {
        self.marks.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells what a commit has made durable.
    pub(super) fn recorded(&self, writes: Vec<Write>) {
        let recorded: Vec<Entry> = writes.into_iter().filter_map(line).collect();
        if let Some(last) = recorded.last() {
            // Before it is told: who reads the record up to here and then follows misses nothing.
            self.marks.recorded.store(last.seq, Ordering::Release);
            self.tell(News { recorded, ..News::default() });
        }
        self.marks.told.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells whose health is another one now.
    pub(super) fn health(&self, health: &[(ScaleSetName, InstanceId, Health, Health)]) {
        if !health.is_empty() {
            self.tell(News { health: health.to_vec(), ..News::default() });
        }
    }

    fn tell(&self, news: News) {
        // An end without a reader is of no matter.
        let _ = self.news.send(Arc::new(news));
    }
}

fn line(write: Write) -> Option<Entry> {
    match write {
        Write::Audit(entry) => Some(*entry),
        _ => None,
    }
}

impl Feed {
    /// Follows from now on; ends with the loop.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.resubscribe()
    }

    /// A mark for [`Self::is_told`]: whatever a view shows that was taken before has one that is not above it.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.marks.begun.load(Ordering::Acquire)
    }

    /// Whether everything up to a mark is told, so that it can be received.
    #[must_use]
    pub fn is_told(&self, mark: u64) -> bool {
        self.marks.told.load(Ordering::Acquire) >= mark
    }

    /// The latest line of the trail that is durable for good: a line behind it may yet be taken back.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.marks.recorded.load(Ordering::Acquire)
    }
}
