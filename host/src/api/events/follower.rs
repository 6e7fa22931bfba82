//! One who follows: first what is recorded, then what comes, without gap and nothing twice.
//!
//! A task of its own for each, which ends with its reader: it waits for nothing but that one, and for that one
//! not for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use phasegate_core::domain::{InstanceId, ScaleSetName};
use phasegate_core::record::TrailPiece;
use phasegate_core::record::audit::Entry;
use phasegate_core::release::Release;
use phasegate_wire as wire;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};
use tokio::time::Instant;

use super::Events;
use super::line::Line;
use crate::api::guard::StillLetIn;
use crate::api::v1::view;

/// How long a reader may take nothing before it is given up.
const STALLED_MAX: Duration = Duration::from_secs(20);

/// How long nothing happens before that is said.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// How often it is asked whether the reader may still read.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Pieces that wait for the reader; each has [`PIECE_MAX`] bytes and one event more at most.
const PIECES_MAX: usize = 4;

/// Bytes after which a piece is sent.
const PIECE_MAX: usize = 32 * 1024;

/// Lines of the trail that are read at once.
const PAGE_MAX: u32 = 500;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Format {
    /// `text/event-stream`.
    Sse,
    /// One JSON object in each line.
    Ndjson,
}

/// Which events.
#[derive(Debug, Default, Clone)]
pub(in crate::api) struct Wanted {
    pub(in crate::api) scale_set: Option<ScaleSetName>,
    pub(in crate::api) upgrade: Option<String>,
    pub(in crate::api) instance: Option<InstanceId>,
    /// Any of these; all of them where it is empty.
    pub(in crate::api) kinds: Vec<String>,
}

impl Wanted {
    fn wants(&self, line: &Line) -> bool {
        let same = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
        same(self.scale_set.as_ref().map(ScaleSetName::as_str), line.scale_set.as_deref())
            && same(self.upgrade.as_deref(), line.upgrade.as_deref())
            && same(self.instance.as_ref().map(InstanceId::as_str), line.instance.as_deref())
            && (self.kinds.is_empty() || self.kinds.contains(&line.kind))
    }
}

/// Where an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Begin {
    /// Behind this line of the trail.
    Behind(u64),
    /// With what happens next.
    Now,
}

/// The reader's end.
pub(in crate::api) struct Following(pub(in crate::api) mpsc::Receiver<Bytes>);

/// Begins to follow; none when the host ends.
pub(in crate::api) fn follow(
    events: &Arc<Events>,
    (place, still): (OwnedSemaphorePermit, StillLetIn),
    begin: Begin,
    wanted: Wanted,
    format: Format,
) -> Option<Following> {
    // In this order: a line that is recorded in between comes twice, and is dropped once.
    let lines = events.lines()?;
    let last = match begin {
        Begin::Behind(seq) => seq,
        Begin::Now => events.recorded(),
    };
    // One place more, for the last word to a reader that takes nothing.
    let (out, pieces) = mpsc::channel(PIECES_MAX + 1);
    let last_word = out.clone().try_reserve_owned().ok();
    let events = Arc::clone(events);
    let piece = Vec::new();
    let follower = Follower { events, still, wanted, format, begin, last, lines, piece, out, last_word };
    tokio::spawn(async move {
        // The reader has gone, or was given up.
        _ = follower.run().await;
        drop(place);
    });
    Some(Following(pieces))
}

/// The reader is not there any more, or takes nothing.
struct Gone;

struct Follower {
    events: Arc<Events>,
    still: StillLetIn,
    wanted: Wanted,
    format: Format,
    begin: Begin,
    /// The latest line of the trail that was told or left out.
    last: u64,
    lines: broadcast::Receiver<Arc<Line>>,
    piece: Vec<u8>,
    out: mpsc::Sender<Bytes>,
    last_word: Option<mpsc::OwnedPermit<Bytes>>,
}

/// Why an answer goes on no further.
enum Stop {
    Gone,
    Record(String),
    /// Its token was taken away, or its time is over.
    LetInNoMore,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Follower {
    async fn run(mut self) -> Result<(), Gone> {
        let text = match self.tell_all().await {
            Ok(()) => "the host ends".to_owned(),
            Err(Stop::Record(why)) => why,
            Err(Stop::LetInNoMore) => "the token of the reader counts no more".to_owned(),
            Err(Stop::Gone) => return Err(Gone),
        };
        self.write(&Line::own("ending", &wire::Event::Ending(wire::Ending { text })));
        self.send().await
    }

    /// Ends when the host does.
    async fn tell_all(&mut self) -> Result<(), Stop> {
        let first = self.first().await?;
        let truncated = first.filter(|first| *first > self.last.saturating_add(1));
        let following = wire::Following { since: self.last, truncated };
        self.write(&Line::own("following", &wire::Event::Following(following)));
        self.send().await?;
        let releases = self.releases_since().await?;
        self.catch_up().await?;
        self.standing(&releases);
        self.send().await?;
        let mut quiet_at = Instant::now() + HEARTBEAT_EVERY;
        let mut look_at = Instant::now() + LOOKED_AT_EVERY;
        loop {
            let heard = tokio::select! {
                line = self.lines.recv() => Some(line),
                () = self.out.closed() => return Err(Stop::Gone),
                () = tokio::time::sleep_until(quiet_at.min(look_at)) => None,
            };
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOKED_AT_EVERY;
                if !self.still.is() {
                    return Err(Stop::LetInNoMore);
                }
            }
            match heard {
                Some(Ok(line)) => {
                    self.offer(&line).await?;
                    self.offer_waiting().await?;
                }
                Some(Err(RecvError::Lagged(_))) => self.behind().await?,
                Some(Err(RecvError::Closed)) => {
                    // What was recorded at the end was told to nobody.
                    self.catch_up().await?;
                    return Ok(());
                }
                None if Instant::now() < quiet_at => {}
                None => self.beat(),
            }
            if !self.piece.is_empty() {
                self.send().await?;
                quiet_at = Instant::now() + HEARTBEAT_EVERY;
            } else if Instant::now() >= quiet_at {
                quiet_at = Instant::now() + HEARTBEAT_EVERY;
            }
        }
    }

    /// Takes in what has come meanwhile, so that it goes out as one piece.
    async fn offer_waiting(&mut self) -> Result<(), Stop> {
        loop {
            match self.lines.try_recv() {
                Ok(line) => self.offer(&line).await?,
                Err(TryRecvError::Lagged(_)) => self.behind().await?,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
            }
        }
    }

    async fn behind(&mut self) -> Result<(), Stop> {
        self.write(&Line::own("missed", &wire::Event::Missed));
        self.catch_up().await?;
        self.standing(&[]);
        Ok(())
    }

    async fn offer(&mut self, line: &Line) -> Result<(), Stop> {
        match line.name {
            "missed" => self.behind().await,
            _ => Ok(self.put(line).await?),
        }
    }

    /// Takes in a line that is new and wanted.
    async fn put(&mut self, line: &Line) -> Result<(), Gone> {
        if let Some(seq) = line.seq {
            if seq <= self.last {
                return Ok(());
            }
            self.last = seq;
        }
        if self.wanted.wants(line) {
            self.write(line);
            if self.piece.len() >= PIECE_MAX {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Tells what is recorded behind the last line, up to now.
    async fn catch_up(&mut self) -> Result<(), Stop> {
        loop {
            let until = self.events.recorded();
            if self.last >= until {
                return Ok(());
            }
            let page = self.page(until).await?;
            let more = u32::try_from(page.len()).is_ok_and(|lines| lines >= PAGE_MAX);
            let last = page.last().map_or(until, |entry| entry.seq);
            for entry in page {
                self.put(&Line::recorded(&entry)).await?;
            }
            self.last = if more { last } else { until };
        }
    }

    /// Tells how everything stands; of releases, where they were looked at just now, as they stood then.
    fn standing(&mut self, releases: &[Line]) {
        for line in self.events.standing() {
            let is_told = line.name == "release" && !releases.is_empty();
            if !is_told && self.wanted.wants(&line) {
                self.write(&line);
            }
        }
        for line in releases {
            if self.wanted.wants(line) {
                self.write(line);
            }
        }
    }

    /// What releases have told of themselves since the line of the trail behind which the answer begins, by its date:
    /// their lines have no numbers in the trail. What was told at that very moment may come once more.
    async fn releases_since(&self) -> Result<Vec<Line>, Stop> {
        let Begin::Behind(seq) = self.begin else { return Ok(Vec::new()) };
        let all = &self.events.door.view().releases.all.clone();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let piece = TrailPiece {
            after: seq.saturating_sub(1),
            until: seq,
            scale_set: None,
            instance: None,
            limit: 1,
        };
        let trail = Arc::clone(&self.events.trail);
        let line = read(move || trail.piece(&piece)).await?.into_iter().next();
        // A line that is kept no longer is older than all that are.
        let since = line.map(|line| line.at.date()).filter(|_| seq > 0);
        let told = |release: &Arc<Release>| {
            let new = release.log.iter().filter(|line| since.is_none_or(|since| line.at >= since));
            let entries: Vec<_> = new.map(view::release::entry).collect();
            let is_news = release.is_active() || !entries.is_empty();
            let release = view::release::brief(release);
            is_news.then(|| Line::release(wire::ReleaseProgress { release, entries }))
        };
        Ok(all.values().filter_map(told).collect())
    }

    async fn page(&self, until: u64) -> Result<Vec<Entry>, Stop> {
        let page = TrailPiece {
            after: self.last,
            until,
            scale_set: self.wanted.scale_set.clone(),
            instance: self.wanted.instance.clone(),
            limit: PAGE_MAX,
        };
        let trail = Arc::clone(&self.events.trail);
        read(move || trail.piece(&page)).await
    }

    async fn first(&self) -> Result<Option<u64>, Stop> {
        let trail = Arc::clone(&self.events.trail);
        read(move || trail.first()).await
    }

    fn beat(&mut self) {
        match self.format {
            Format::Sse => self.piece.extend_from_slice(b": heartbeat\n\n"),
            Format::Ndjson => self.write(&Line::own("heartbeat", &wire::Event::Heartbeat)),
        }
    }

    fn write(&mut self, line: &Line) {
        match self.format {
            Format::Sse => {
                if let Some(seq) = line.seq {
                    self.piece.extend_from_slice(format!("id: {seq}\n").as_bytes());
                }
                self.piece.extend_from_slice(format!("event: {}\ndata: ", line.name).as_bytes());
                self.piece.extend_from_slice(&line.json);
                self.piece.extend_from_slice(b"\n\n");
            }
            Format::Ndjson => {
                self.piece.extend_from_slice(&line.json);
                self.piece.push(b'\n');
            }
        }
    }

    /// Tells a reader that takes nothing why it hears no more, for when it reads on.
    fn let_go(&mut self) {
        let text = format!(
            "the reader took nothing for {} s; ask again with the last `seq` as `since`",
            STALLED_MAX.as_secs()
        );
        tracing::info!(
            last = self.last,
            "a reader of the events is let go: it took nothing for {STALLED_MAX:?}"
        );
        self.write(&Line::own("ending", &wire::Event::Ending(wire::Ending { text })));
        if let Some(place) = self.last_word.take() {
            _ = place.send(Bytes::from(std::mem::take(&mut self.piece)));
        }
    }

    async fn send(&mut self) -> Result<(), Gone> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        match tokio::time::timeout(STALLED_MAX, self.out.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                self.let_go();
                Err(Gone)
            }
        }
    }
}

/// Reads the record away from the threads that serve connections.
async fn read<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, phasegate_core::record::StoreError> + Send + 'static,
) -> Result<T, Stop> {
    let work = tokio::task::spawn_blocking(read).await;
    let read = work.map_err(|error| Stop::Record(format!("the trail could not be read: {error}")))?;
    read.map_err(|error| Stop::Record(error.to_string()))
}
