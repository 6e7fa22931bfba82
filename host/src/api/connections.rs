//! Who holds which connection: those of strangers, few and short, and those of known callers.
//!
//! A connection is a stranger's until its first request was let in. When there are as many of those as there may
//! be, the oldest goes for a new one, so that silence keeps nobody out. Known ones have slots of their own;
//! when those are full, one that rests goes, and the last of them are kept for what must always get through. Who follows
//! the events stays for long, and takes no slot of those who only ask.
//! Counts only; it reads nothing and closes nothing itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::events::FOLLOWERS_MAX;

/// Connections whose first request was not let in yet.
pub(super) const STRANGERS_MAX: usize = 128;

/// Connections of known callers.
pub(super) const KNOWN_MAX: usize = 256;

/// Further ones for requests that change something.
pub(super) const OPERATORS_RESERVE: usize = 32;

/// Further ones for `line stop`, `/healthz` and `/readyz`.
pub(super) const URGENT_RESERVE: usize = 16;

/// How much room a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// What everybody has.
    Ordinary,
    /// It changes something.
    Operators,
    /// It must always get through.
    Urgent,
    /// It follows the events.
    Follower,
}

impl Room {
    fn connections_max(self) -> usize {
        match self {
            Self::Ordinary => KNOWN_MAX,
            Self::Operators => KNOWN_MAX + OPERATORS_RESERVE,
            Self::Urgent => KNOWN_MAX + OPERATORS_RESERVE + URGENT_RESERVE,
            Self::Follower => FOLLOWERS_MAX,
        }
    }
}

/// All connections are busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// Every connection there is.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// By age.
    strangers: BTreeMap<u64, Arc<Notify>>,
    /// By age.
    known: BTreeMap<u64, Known>,
}

#[derive(Debug)]
struct Known {
    gone: Arc<Notify>,
    /// Requests that are being answered.
    busy: usize,
    /// What it takes: a follower is one until its answer has ended.
    takes: Takes,
    /// Given anew at the end of each answer: the smallest has rested longest.
    rests_since: u64,
}

/// Which slots a known connection takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// One of those who ask.
    Asker,
    /// One of those who follow.
    Follower,
}

/// A place among the connections, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    number: u64,
    gone: Arc<Notify>,
}

/// A request that is being answered, until its answer has gone out.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Connections {
    /// Takes in a stranger; the oldest one goes when there are too many.
    pub(super) fn enter(self: &Arc<Self>) -> Seat {
        let gone = Arc::new(Notify::new());
        let mut table = self.table();
        let number = table.next();
        if table.strangers.len() >= STRANGERS_MAX
            && let Some((_, oldest)) = table.strangers.pop_first()
        {
            oldest.notify_one();
        }
        table.strangers.insert(number, Arc::clone(&gone));
        Seat { connections: Arc::clone(self), number, gone }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How many take slots of a kind.
    fn count(&self, takes: Takes) -> usize {
        self.known.values().filter(|known| known.takes == takes).count()
    }

    /// Lets the known connection go that has rested longest, if one rests.
    fn make_room(&mut self) -> bool {
        // A follower is busy for as long as it is one.
        let resting = self.known.iter().filter(|(_, known)| known.busy == 0);
        let Some(longest) = resting.min_by_key(|(_, known)| known.rests_since).map(|(number, _)| *number)
        else {
            return false;
        };
        if let Some(known) = self.known.remove(&longest) {
            known.gone.notify_one();
        }
        true
    }
}

impl Seat {
    /// Its request is let in: from now on the connection is a known one.
    ///
    /// # Errors
    /// When all connections that it may count on are busy.
    pub(super) fn admit(self: &Arc<Self>, room: Room) -> Result<Busy, Full> {
        let mut table = self.connections.table();
        let takes = if room == Room::Follower { Takes::Follower } else { Takes::Asker };
        let before = table.known.get(&self.number).map(|known| known.takes);
        // A connection that is in stays in, and a second request on one that follows takes nothing more.
        let is_in = before.is_some_and(|before| before == takes || before == Takes::Follower);
        if !is_in && table.count(takes) >= room.connections_max() {
            let freed = takes == Takes::Asker && table.make_room();
            if !freed {
                return Err(Full);
            }
        }
        table.strangers.remove(&self.number);
        let new = || Known { gone: Arc::clone(&self.gone), busy: 0, takes, rests_since: 0 };
        let known = table.known.entry(self.number).or_insert_with(new);
        known.busy += 1;
        if takes == Takes::Follower {
            known.takes = takes;
        }
        Ok(Busy(Arc::clone(self)))
    }

    /// Whether a request of it was let in.
    pub(super) fn is_known(&self) -> bool {
        self.connections.table().known.contains_key(&self.number)
    }

    /// Ends when its place was given to another one.
    pub(super) async fn given_away(&self) {
        self.gone.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.strangers.remove(&self.number);
        table.known.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(seat) = self;
        let mut table = seat.connections.table();
        let rests_since = table.next();
        if let Some(known) = table.known.get_mut(&seat.number) {
            known.busy = known.busy.saturating_sub(1);
            known.rests_since = rests_since;
            if known.busy == 0 {
                known.takes = Takes::Asker;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    /// Whether its place was given away; asks once for each time.
    fn is_gone(seat: &Seat) -> bool {
        let mut gone = std::pin::pin!(seat.given_away());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        gone.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn the_oldest_stranger_goes_for_a_new_one_and_known_callers_stay() {
        let connections = Arc::new(Connections::default());
        let known = Arc::new(connections.enter());
        let busy = known.admit(Room::Ordinary).unwrap();
        let strangers: Vec<Seat> = (0..STRANGERS_MAX).map(|_| connections.enter()).collect();
        assert!(!strangers.iter().any(is_gone));
        let further = connections.enter();
        let gone: Vec<usize> = (0..STRANGERS_MAX).filter(|at| is_gone(&strangers[*at])).collect();
        assert_eq!(gone, [0]);
        assert!(!is_gone(&further) && !is_gone(&known) && known.is_known() && !further.is_known());
        drop(busy);
        drop(strangers);
        assert_eq!(connections.table().strangers.len(), 1);
    }

    #[test]
    fn a_resting_connection_goes_first_and_reserves_are_kept() {
        let connections = Arc::new(Connections::default());
        let admit = |room| {
            let seat = Arc::new(connections.enter());
            seat.admit(room).map(|busy| (seat, busy))
        };
        let mut all: Vec<_> = (0..KNOWN_MAX).map(|_| admit(Room::Ordinary).unwrap()).collect();
        assert_eq!(admit(Room::Ordinary).err(), Some(Full), "all are busy");
        let (first, busy) = all.remove(0);
        let (second, later) = all.remove(0);
        drop(later);
        drop(busy);
        all.push(admit(Room::Ordinary).unwrap());
        assert!(is_gone(&second) && !is_gone(&first), "the one that has rested longest goes");
        drop(first);
        all.push(admit(Room::Ordinary).unwrap());
        let operators: Vec<_> = (0..OPERATORS_RESERVE).map(|_| admit(Room::Operators).unwrap()).collect();
        assert_eq!(admit(Room::Operators).err(), Some(Full));
        let urgent: Vec<_> = (0..URGENT_RESERVE).map(|_| admit(Room::Urgent).unwrap()).collect();
        assert_eq!(admit(Room::Urgent).err(), Some(Full));
        let followers: Vec<_> = (0..FOLLOWERS_MAX).map(|_| admit(Room::Follower).unwrap()).collect();
        assert_eq!(admit(Room::Follower).err(), Some(Full), "they have slots of their own, and no more");
        drop(followers);
        let (seat, _busy) = &all[0];
        assert!(seat.admit(Room::Ordinary).is_ok(), "a connection that is in stays in");
        drop((operators, urgent, all));
        assert_eq!(connections.table().known.len(), 0);
    }
}
