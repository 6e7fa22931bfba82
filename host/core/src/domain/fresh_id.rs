//! Ids for instances that take the place of others: never one that was used before.

use std::collections::BTreeMap;

use super::instance_id::InstanceId;

/// Gives new ids, each above every one that was ever used.
#[derive(Debug, Clone, Default)]
pub struct FreshIds {
    /// Highest number behind each prefix; a wholly numeric id has an empty one.
    highest: BTreeMap<String, u64>,
}

impl FreshIds {
    /// Knows what was used so far, by instances that are gone too.
    #[must_use]
    pub fn new<'a>(used: impl IntoIterator<Item = &'a InstanceId>) -> Self {
        let mut fresh = Self::default();
        used.into_iter().for_each(|id| fresh.note(id));
        fresh
    }

    /// Knows that an id is used, too: with this kept up, a new one costs no look at all the others.
    pub fn note(&mut self, id: &InstanceId) {
        let (prefix, digits) = split(id.as_str());
        self.raise(prefix, number(digits));
        if digits.is_empty() {
            self.raise(&format!("{prefix}-"), 0);
        }
    }

    /// Whether an id is above all that were ever used.
    #[must_use]
    pub fn is_new(&self, id: &InstanceId) -> bool {
        let (prefix, digits) = split(id.as_str());
        self.highest.get(prefix).is_none_or(|highest| number(digits) > *highest)
    }

    /// The next id like this one: `13` after `3` when `12` was the highest, `db-4` after `db-3`,
    /// `leader-1` after `leader`. None when there is no such id left.
    pub fn next_like(&mut self, id: &InstanceId) -> Option<InstanceId> {
        let (prefix, digits) = split(id.as_str());
        let (prefix, width) = if digits.is_empty() {
            (format!("{prefix}-"), 0)
        } else {
            (prefix.to_owned(), if digits.starts_with('0') { digits.len() } else { 0 })
        };
        let number = self.highest.get(&prefix).copied().unwrap_or(0).checked_add(1)?;
        let next = InstanceId::parse(&format!("{prefix}{number:0width$}")).ok()?;
        self.highest.insert(prefix, number);
        Some(next)
    }

    fn raise(&mut self, prefix: &str, number: u64) {
        let highest = self.highest.entry(prefix.to_owned()).or_insert(number);
        *highest = (*highest).max(number);
    }
}

/// The value of the last digits; 0 where there are none. What is too long for a number is above every
/// number, so its prefix is used up.
fn number(digits: &str) -> u64 {
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
}

/// The text before its last digits, and those.
fn split(id: &str) -> (&str, &str) {
    let prefix = id.trim_end_matches(|c: char| c.is_ascii_digit());
    (prefix, id.get(prefix.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_above_all_that_were_used() {
        let id = |text: &str| InstanceId::parse(text).unwrap();
        for (used, like, expected) in [
            ("0 1 2 3", "1", "4 5"),
            ("3 10", "3", "11 12"),
            ("db-3 db-12 7", "db-3", "db-13 db-14"),
            ("db-08", "db-08", "db-09 db-10"),
            ("leader", "leader", "leader-1 leader-2"),
            ("leader leader-4", "leader", "leader-5 leader-6"),
            ("a1b", "a1b", "a1b-1 a1b-2"),
            ("01 1", "01", "02 03"),
        ] {
            let used: Vec<InstanceId> = used.split(' ').map(id).collect();
            let mut fresh = FreshIds::new(&used);
            assert!(used.iter().all(|id| !fresh.is_new(id)), "{used:?}");
            assert!(fresh.clone().next_like(&id(like)).is_some_and(|id| fresh.is_new(&id)), "{used:?}");
            let next = [fresh.next_like(&id(like)), fresh.next_like(&id(like))];
            let next: Vec<String> = next.into_iter().flatten().map(|id| id.to_string()).collect();
            assert_eq!(next.join(" "), expected);
        }
    }

    #[test]
    fn there_may_be_none_left() {
        for text in ["18446744073709551615", "99999999999999999999999", &"x".repeat(128)] {
            let id = InstanceId::parse(text).unwrap();
            assert_eq!(FreshIds::new([&id]).next_like(&id), None, "{text}");
        }
    }
}
