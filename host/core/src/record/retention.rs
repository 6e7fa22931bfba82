//! What of the record is kept, as a decision. Whatever keeps the record looks, asks here, and removes as much at a
//! time as it likes.
//!
//! However little is to be kept, nothing goes that a running upgrade, a rollback or the explanation of one of the
//! latest three upgrades needs. Deliberately removes nothing.

use std::time::Duration;

use crate::domain::UpgradeId;
use crate::rollout::{Purpose, Upgrade};

/// How many of the latest upgrades of a scale set are needed whole, with all of their lines; and as many of the
/// latest that did anything, which a rollback may take back.
pub const NEEDED: u32 = 3;

/// The latest upgrades of a scale set that are looked at: as many as a start looks at.
pub const LOOKED_AT: u32 = 100;

/// How much of the record is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Lines of the trail that are older go.
    pub audit: Duration,
    /// Lines of the trail beyond so many go, the oldest first.
    pub lines: u64,
    /// Upgrades of a scale set beyond so many go, the oldest first.
    pub upgrades: u32,
    /// Of upgrades of a scale set beyond so many the members and batches go, and their counts stay.
    pub members: u32,
}

/// An upgrade of a scale set, as far as what is needed depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    id: UpgradeId,
    number: u64,
    is_active: bool,
    trace: Trace,
    takes_back: Option<UpgradeId>,
}

/// Whether an upgrade did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// It did, and a rollback may take it back.
    Left,
    /// It found all instances there already.
    None,
}

impl Past {
    /// Of an upgrade with its members.
    #[must_use]
    pub fn of(upgrade: &Upgrade) -> Self {
        Self::of_head(upgrade, if upgrade.left_a_trace() { Trace::Left } else { Trace::None })
    }

    /// Of the head of one whose members have been looked at.
    #[must_use]
    pub fn of_head(head: &Upgrade, trace: Trace) -> Self {
        let takes_back = match &head.purpose {
            Purpose::Rollback { of, .. } => Some(of.clone()),
            Purpose::Forward | Purpose::Manual => None,
        };
        Self { id: head.id.clone(), number: head.number, is_active: head.is_active(), trace, takes_back }
    }
}

/// The oldest upgrade of a scale set that is needed, of its latest ones, newest first: its number.
#[must_use]
pub fn needed_from(latest: &[Past]) -> Option<u64> {
    let needed = usize::try_from(NEEDED).unwrap_or(usize::MAX);
    let mut traces = 0;
    let mut oldest = None;
    for (index, past) in latest.iter().enumerate() {
        if index < needed || traces < needed || past.is_active {
            oldest = Some(index);
        }
        traces += usize::from(past.trace == Trace::Left);
    }
    // A rollback under way needs what it takes back, wherever that stands.
    let taken_back = latest.iter().take(oldest? + 1).filter_map(|past| past.takes_back.as_ref());
    let taken_back = taken_back.filter_map(|of| latest.iter().position(|past| past.id == *of));
    let oldest = oldest.into_iter().chain(taken_back).max()?;
    latest.get(oldest).map(|past| past.number)
}

/// What is seen of a scale set before anything of it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Of its oldest upgrade that is needed: the number. None when it has had none.
    pub needed: Option<u64>,
    /// The first line of that one; none when it is no longer kept.
    pub needed_line: Option<u64>,
    /// The number of the oldest of as many upgrades as are to be kept; none when there are not as many.
    pub upgrade: Option<u64>,
    /// The same of those that are to be kept with their members.
    pub with_members: Option<u64>,
    /// Its first line that is young enough; none when all are too old.
    pub young_line: Option<u64>,
    /// The latest line of the whole trail.
    pub last_line: u64,
}

/// What of a scale set goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Upgrades with lower numbers.
    pub upgrades: u64,
    /// Members and batches of upgrades with lower numbers.
    pub members: u64,
    /// Lines with lower numbers.
    pub lines: u64,
}

impl Retention {
    /// What of a scale set goes.
    #[must_use]
    pub fn cut(&self, seen: &Seen) -> Cut {
        let needed = seen.needed.unwrap_or(u64::MAX);
        let upgrades = seen.upgrade.unwrap_or(0).min(needed);
        let members = seen.with_members.unwrap_or(0).min(needed).max(upgrades);
        // The last line stays, whoever it is about: the next one has the number after it.
        let of_age = seen.young_line.unwrap_or(u64::MAX);
        let surplus = seen.last_line.saturating_sub(self.lines).saturating_add(1);
        let needed_line = if seen.needed.is_some() { seen.needed_line.unwrap_or(0) } else { u64::MAX };
        Cut { upgrades, members, lines: of_age.max(surplus).min(needed_line).min(seen.last_line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has ended and did something.
    fn plain(number: u64) -> Past {
        let id = UpgradeId::parse(&format!("orders-{number}")).unwrap();
        Past { id, number, is_active: false, trace: Trace::Left, takes_back: None }
    }

    #[test]
    fn the_latest_three_are_needed_and_three_that_did_anything_and_what_is_taken_back() {
        let idle = |number| Past { trace: Trace::None, ..plain(number) };
        let active = |number, of| Past { is_active: true, takes_back: of, ..plain(number) };
        let back = |number, of| active(number, Some(plain(of).id));
        for (latest, needed) in [
            (vec![], None),
            (vec![plain(7)], Some(7)),
            (vec![plain(9), plain(8), plain(7), plain(6)], Some(7)),
            (vec![idle(9), plain(8), idle(7), plain(6), plain(5), plain(4)], Some(5)),
            (vec![idle(9), idle(8), idle(7), idle(6)], Some(6)),
            (vec![back(9, 4), plain(8), plain(7), plain(6), plain(4), plain(3)], Some(4)),
            (vec![back(9, 2), plain(8), plain(7), plain(6)], Some(7)),
            (vec![plain(9), plain(8), plain(7), active(6, None), plain(5)], Some(6)),
        ] {
            assert_eq!(needed_from(&latest), needed, "{latest:?}");
        }
    }

    #[test]
    fn nothing_that_is_needed_goes_however_little_is_to_be_kept() {
        let none = Retention { audit: Duration::ZERO, lines: 0, upgrades: 0, members: 0 };
        let seen = Seen {
            needed: Some(7),
            needed_line: Some(70),
            upgrade: Some(9),
            with_members: Some(9),
            young_line: None,
            last_line: 99,
        };
        assert_eq!(none.cut(&seen), Cut { upgrades: 7, members: 7, lines: 70 });
        let all = Seen { upgrade: None, with_members: None, young_line: Some(1), ..seen };
        let plenty = Retention { lines: 1_000, ..none };
        assert_eq!(plenty.cut(&all), Cut { upgrades: 0, members: 0, lines: 1 });
        assert_eq!(Retention { lines: 40, ..none }.cut(&all).lines, 60, "the latest forty stay");
        let heads = Seen { upgrade: Some(3), with_members: Some(5), ..seen };
        assert_eq!((none.cut(&heads).upgrades, none.cut(&heads).members), (3, 5));
        // Members are not kept longer than their upgrade.
        let heads = Seen { upgrade: Some(5), with_members: Some(3), ..seen };
        assert_eq!((none.cut(&heads).upgrades, none.cut(&heads).members), (5, 5));
        assert_eq!(none.cut(&Seen { needed_line: None, ..seen }).lines, 0, "what it does not find it keeps");
        assert_eq!(none.cut(&Seen { needed: None, needed_line: None, ..seen }).lines, 99, "all but the last");
    }
}
