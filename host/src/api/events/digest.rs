//! The one task that puts what the loop tells into words, and looks how upgrades stand. Does nothing while
//! nobody follows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use phasegate_core::domain::{Now, ReadClock, ScaleSetName};
use phasegate_core::kernel::{SetState, report};
use phasegate_core::record::ReadTrail;
use phasegate_core::release::Release;
use phasegate_wire as wire;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::time::{Instant, MissedTickBehavior};

use super::line::Line;
use super::{Events, Standing};
use crate::api::host::add_since;
use crate::api::v1::view;
use crate::clock::Clock;
use crate::shell::{News, View};

/// From one look at the view to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Milliseconds that a turn may take to be told after its view is there; its effects go out in between.
const TOLD_TRIES_MAX: u32 = 100;

/// How often it is told that seconds went by, and nothing else.
const TELL_TIME_EVERY: Duration = Duration::from_secs(2);

/// Runs until the loop has ended.
pub(super) async fn run(events: Arc<Events>, lines: broadcast::Sender<Arc<Line>>, clock: Clock) {
    let mut news = events.door.feed().follow();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = BTreeMap::new();
    let mut released = BTreeMap::new();
    let mut followed = Followed::Yes;
    loop {
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(news) if lines.receiver_count() > 0 => tell(&lines, &news),
                Ok(_) => {}
                // Lines of the trail are not lost: each follower reads what is missing.
                Err(RecvError::Lagged(_)) => missed(&lines),
                Err(RecvError::Closed) => break,
            },
            _ = looks.tick(), if followed == Followed::Yes => {
                if lines.receiver_count() > 0 {
                    look(&events, (&lines, &mut news), clock, &mut told).await;
                    releases(&events, &lines, &mut released);
                } else {
                    followed = Followed::No;
                    told.clear();
                    released.clear();
                    events.forget();
                }
            }
            () = events.joined.notified() => {
                if followed == Followed::No {
                    followed = Followed::Yes;
                    looks.reset_immediately();
                }
            }
        }
    }
    events.end();
}

/// Whether anybody follows, as far as was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    Yes,
    No,
}

/// Tells what is to be received already.
fn drain(lines: &broadcast::Sender<Arc<Line>>, news: &mut broadcast::Receiver<Arc<News>>) {
    loop {
        match news.try_recv() {
            Ok(news) => tell(lines, &news),
            Err(TryRecvError::Lagged(_)) => missed(lines),
            // An end is received once more, by the one who waits for it.
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

fn missed(lines: &broadcast::Sender<Arc<Line>>) {
    _ = lines.send(Arc::new(Line::own("missed", &wire::Event::Missed)));
}

fn tell(lines: &broadcast::Sender<Arc<Line>>, news: &News) {
    let News { recorded, health } = news;
    let health = health.iter().map(Line::health);
    for line in recorded.iter().map(Line::recorded).chain(health) {
        _ = lines.send(Arc::new(line));
    }
}

/// What was told of an upgrade last.
struct Told {
    /// The set at that look.
    set: Arc<SetState>,
    looked_at: Instant,
    essence: String,
    text: String,
    told_at: Instant,
}

/// Tells of each upgrade that stands otherwise than it was told last.
async fn look(
    events: &Events,
    (lines, news): (&broadcast::Sender<Arc<Line>>, &mut broadcast::Receiver<Arc<News>>),
    clock: Clock,
    told: &mut BTreeMap<ScaleSetName, Told>,
) {
    let view = events.door.view();
    let mark = events.door.feed().mark();
    let (now, looked_at) = (ReadClock::now(&clock), Instant::now());
    let changed = |set: &&Arc<SetState>| {
        told.get(&set.spec.name)
            .is_none_or(|old| !Arc::ptr_eq(&old.set, set) || looked_at >= old.looked_at + TELL_TIME_EVERY)
    };
    let sets: Vec<Arc<SetState>> = view.sets().filter(changed).map(Arc::clone).collect();
    if sets.is_empty() {
        return;
    }
    // A fleet of 50,000 takes a while.
    let trail = Arc::clone(&events.trail);
    let stands = move || standing(&view, sets, (&*trail, now));
    let Ok(all) = tokio::task::spawn_blocking(stands).await else { return };
    // The lines that led there come first: who hears of an end has heard of everything before.
    for _ in 0..TOLD_TRIES_MAX {
        if events.door.feed().is_told(mark) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drain(lines, news);
    for (set, progress) in all {
        let name = set.spec.name.clone();
        let mut new = Told {
            set,
            looked_at,
            essence: essence(&progress),
            text: serde_json::to_string(&progress).unwrap_or_default(),
            told_at: looked_at,
        };
        let old = told.get(&name).filter(|old| {
            let only_time = old.essence == new.essence && looked_at < old.told_at + TELL_TIME_EVERY;
            old.text == new.text || only_time
        });
        if let Some(old) = old {
            (new.essence, new.text, new.told_at) = (old.essence.clone(), old.text.clone(), old.told_at);
            told.insert(name, new);
            continue;
        }
        told.insert(name.clone(), new);
        let line = Arc::new(Line::progress(progress));
        events.stands(Standing::Upgrade(name), Arc::clone(&line));
        _ = lines.send(line);
    }
}

/// Tells of each release that stands otherwise than it was told last; at first of those that have not ended.
fn releases(
    events: &Events,
    lines: &broadcast::Sender<Arc<Line>>,
    told: &mut BTreeMap<u64, (Arc<Release>, String)>,
) {
    let view = events.door.view();
    for (number, release) in &view.releases.all {
        let before = told.get(number);
        if before.is_some_and(|(before, _)| Arc::ptr_eq(before, release)) {
            continue;
        }
        let brief = view::release::brief(release);
        let text = serde_json::to_string(&brief).unwrap_or_default();
        let known = before.map(|(before, _)| before.log.last().cloned());
        let entries: Vec<_> = match &known {
            // What it has told since the first one follows, and at least the latest one.
            None => {
                let new = release.log.iter().filter(|line| line.at >= events.joined_at());
                let new: Vec<_> = new.collect();
                if new.is_empty() { release.log.last().into_iter().collect() } else { new }
            }
            // From the latest one that was told on: the oldest may have gone.
            Some(last) => {
                let new = release.log.iter().rev().take_while(|line| Some(*line) != last.as_ref());
                new.collect::<Vec<_>>().into_iter().rev().collect()
            }
        };
        let is_news = !entries.is_empty() || before.is_none_or(|(_, before)| *before != text);
        let is_old = release.log.last().is_none_or(|line| line.at < events.joined_at());
        let is_first = before.is_none() && !release.is_active() && is_old;
        if is_news && !is_first {
            let entries = entries.into_iter().map(view::release::entry).collect();
            let line = Arc::new(Line::release(wire::ReleaseProgress { release: brief, entries }));
            events.stands(Standing::Release(*number), Arc::clone(&line));
            _ = lines.send(line);
        }
        told.insert(*number, (Arc::clone(release), text));
    }
    told.retain(|number, _| view.releases.all.contains_key(number));
}

fn standing(
    view: &View,
    sets: Vec<Arc<SetState>>,
    (trail, now): (&dyn ReadTrail, Now),
) -> Vec<(Arc<SetState>, wire::UpgradeProgress)> {
    let one = |set: Arc<SetState>| {
        let mut progress = report::status(view, &set, now).map(|report| view::progress(&report, now))?;
        add_since(trail, &progress.upgrade.clone(), progress.waiting_for.as_mut());
        Some((set, progress))
    };
    sets.into_iter().filter_map(one).collect()
}

/// What of it is no mere passing of time.
fn essence(progress: &wire::UpgradeProgress) -> String {
    let wire::UpgradeProgress {
        upgrade, state, progress: counts, batch, waiting_for: waiting, not_yet, ..
    } = progress;
    let wire::Progress { successful, failed, in_progress, pending } = counts;
    // Before it is recorded, since when it waits is the moment of the latest look.
    let code = waiting.as_ref().map(|waiting| (waiting.code.as_str(), &waiting.detail));
    let count = not_yet.count;
    format!("{upgrade} {state} {successful} {failed} {in_progress} {pending} {batch:?} {code:?} {count}")
}
