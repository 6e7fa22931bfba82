//! Who of the sources that are programs runs next: a few at once for the whole host, shared out by scale set.
//!
//! Programs that hang hold their place to the end of their time, so no set takes more places than it leaves free, once
//! there is more than one set with programs. A place that becomes free goes to the set that holds the fewest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use phasegate_core::domain::ScaleSetName;

/// Most programs at once, over all scale sets: a machine that runs a fleet's probes has other things to do.
const AT_ONCE: usize = 16;

/// The places of this process.
pub(super) static ROOM: Room = Room::new();

/// Sources that have waited for a place for longer than they may run.
static KEPT_WAITING: AtomicU64 = AtomicU64::new(0);

/// How many sources have waited for a place for longer than they may run.
pub(in crate::probe) fn kept_waiting() -> u64 {
    KEPT_WAITING.load(Ordering::Relaxed)
}

/// Places, and who waits for one.
pub(super) struct Room(Mutex<Shares>);

/// One that waits, and may be told at any moment that it does so no more.
struct Waiting<'a> {
    room: &'a Room,
    set: &'a ScaleSetName,
    turn: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turn.close();
        // Its turn had come, and nobody has taken it.
        if self.turn.try_recv().is_ok() {
            self.room.shares().give_back(self.set);
        }
    }
}

/// A place. It is given back when it is dropped.
pub(super) struct Place<'a> {
    room: &'a Room,
    set: ScaleSetName,
}

impl Room {
    const fn new() -> Self {
        Self(Mutex::new(Shares { sets: BTreeMap::new() }))
    }

    /// Waits for a place. No part of the program's own time: that others take long is not its fault. What waits for
    /// longer than `patience` is said once and counted, and waits on.
    pub(super) async fn place(&self, set: &ScaleSetName, patience: Duration) -> Place<'_> {
        let turn = self.shares().ask(set);
        let mut waiting = Waiting { room: self, set, turn };
        let got = timeout(patience, &mut waiting.turn).await;
        if got.is_err() {
            KEPT_WAITING.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                scale_set = %set,
                "a source that is a program has waited for {patience:?}, all it may take itself, for one of the \
                 {AT_ONCE} places: programs that hang hold them"
            );
            // Never closed: who asks stays in the list until it has its turn.
            _ = (&mut waiting.turn).await;
        }
        Place { room: self, set: set.clone() }
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.room.shares().give_back(&self.set);
    }
}

/// What one set has and wants.
#[derive(Default)]
struct Share {
    held: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// Who holds how many places. A set stays known once it has asked: it may come again at any moment.
struct Shares {
    sets: BTreeMap<ScaleSetName, Share>,
}

impl Shares {
    fn ask(&mut self, set: &ScaleSetName) -> oneshot::Receiver<()> {
        let (turn, wait) = oneshot::channel();
        self.sets.entry(set.clone()).or_default().waiting.push_back(turn);
        self.deal();
        wait
    }

    fn give_back(&mut self, set: &ScaleSetName) {
        if let Some(share) = self.sets.get_mut(set) {
            share.held = share.held.saturating_sub(1);
        }
        self.deal();
    }

    /// Gives places to those who wait, as long as there are some that they may have.
    fn deal(&mut self) {
        let alone = self.sets.len() == 1;
        loop {
            let free = AT_ONCE.saturating_sub(self.sets.values().map(|share| share.held).sum());
            let may = |share: &Share| free > 0 && (alone || share.held < free);
            let waiting = self.sets.values_mut().filter(|share| !share.waiting.is_empty() && may(share));
            let Some(next) = waiting.min_by_key(|share| share.held) else { return };
            // Whoever has gone meanwhile takes none.
            if next.waiting.pop_front().is_some_and(|turn| turn.send(()).is_ok()) {
                next.held += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> ScaleSetName {
        ScaleSetName::parse(name).unwrap()
    }

    /// Asks so many times; gives how many have a place at once, and everybody who asked.
    fn ask(shares: &mut Shares, name: &str, count: usize) -> (usize, Vec<oneshot::Receiver<()>>) {
        let mut all: Vec<_> = (0..count).map(|_| shares.ask(&set(name))).collect();
        (come(&mut all), all)
    }

    /// How many of those who ask have their turn now.
    fn come(waiting: &mut [oneshot::Receiver<()>]) -> usize {
        waiting.iter_mut().map(|turn| usize::from(turn.try_recv().is_ok())).sum()
    }

    #[test]
    fn one_set_alone_has_all_places_and_leaves_some_once_there_are_others() {
        let mut shares = Shares { sets: BTreeMap::new() };
        let (given, mut waiting) = ask(&mut shares, "a", 40);
        assert_eq!(given, AT_ONCE);
        let (given, _others) = ask(&mut shares, "b", 3);
        assert_eq!(given, 0, "nobody is thrown out");
        let mut of_a = 0;
        for _ in 0..3 {
            shares.give_back(&set("a"));
            of_a += come(&mut waiting);
        }
        assert_eq!(
            (of_a, shares.sets[&set("b")].held),
            (0, 2),
            "one place stays free for whoever comes next"
        );
    }

    #[test]
    fn sets_that_hang_leave_a_place_to_each_that_comes() {
        let mut shares = Shares { sets: BTreeMap::new() };
        let (_, _known) = ask(&mut shares, "z", 1);
        shares.give_back(&set("z"));
        let mut kept = Vec::new();
        for (name, expected) in [("a", 8), ("b", 4), ("c", 2), ("d", 1), ("e", 1)] {
            let (given, turns) = ask(&mut shares, name, 40);
            assert_eq!(given, expected, "{name}");
            kept.push(turns);
        }
    }

    #[tokio::test]
    async fn what_waits_too_long_is_counted_and_has_its_turn() {
        let room = Room::new();
        let mut places = Vec::new();
        for _ in 0..AT_ONCE {
            places.push(room.place(&set("a"), Duration::from_secs(60)).await);
        }
        let before = kept_waiting();
        let end = async {
            while kept_waiting() == before {
                tokio::task::yield_now().await;
            }
            places.truncate(AT_ONCE - 2);
        };
        let b = set("b");
        let (place, ()) = tokio::join!(room.place(&b, Duration::ZERO), end);
        assert_eq!(room.shares().sets[&b].held, 1);
        drop(place);
        assert_eq!(room.shares().sets[&b].held, 0);
    }

    #[tokio::test]
    async fn whoever_goes_while_waiting_holds_nothing() {
        let room = Room::new();
        let turn = room.shares().ask(&set("a"));
        drop(Waiting { room: &room, set: &set("a"), turn });
        assert_eq!(room.shares().sets[&set("a")].held, 0);
    }
}
