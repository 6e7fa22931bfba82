//! What is known of names and how long it counts. Asks nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Found, LookUpError};

/// Shortest time that an answer counts, whatever it says: a name is not asked for with each probe.
const COUNTS_MIN: Duration = Duration::from_secs(1);

/// Longest time that an answer counts.
const COUNTS_MAX: Duration = Duration::from_secs(3_600);

/// How long "there is none" counts, at most: new instances get their names after they were configured.
const NONE_COUNTS: Duration = Duration::from_secs(5);

/// After a failure it is tried again: so long after the first one, and twice as long after each further one.
const AGAIN_FIRST: Duration = Duration::from_secs(1);

/// Longest time between two tries.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// How long an answer that is over helps out while no server answers.
const OLD_HELPS: Duration = Duration::from_secs(600);

/// Most names that are kept.
const NAMES_MAX: usize = 200_000;

/// Addresses, and how long they count.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) found: Found,
    pub(super) counts: Duration,
}

/// How it stands with a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The addresses count.
    Fresh(Found),
    /// They count, and it is time to ask for newer ones. Said once until there was an answer.
    Ageing(Found),
    /// They are over, and help out when no server answers.
    Old(Found),
    /// It was looked up a moment ago, in vain.
    Failed(LookUpError),
    /// Nothing is known.
    Unknown,
}

#[derive(Debug, Default)]
struct Entry {
    answer: Option<Answer>,
    failure: Option<Failure>,
    is_asked_for: bool,
}

#[derive(Debug)]
struct Answer {
    found: Found,
    ages_at: Instant,
    over_at: Instant,
}

#[derive(Debug)]
struct Failure {
    error: LookUpError,
    again_at: Instant,
    times: u32,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<Box<str>, Entry>>);

impl Known {
    /// How it stands with a name now.
    pub(super) fn standing(&self, host: &str, now: Instant) -> Standing {
        let mut all = self.all();
        let Some(entry) = all.get_mut(host) else { return Standing::Unknown };
        let Entry { answer, failure, is_asked_for } = entry;
        if let Some(answer) = answer.as_ref().filter(|answer| now < answer.over_at) {
            let found = answer.found.clone();
            let waits = failure.as_ref().is_some_and(|failure| now < failure.again_at);
            if now < answer.ages_at || waits || std::mem::replace(is_asked_for, true) {
                return Standing::Fresh(found);
            }
            return Standing::Ageing(found);
        }
        let helps = |answer: &&Answer| now < answer.over_at + OLD_HELPS;
        let old = answer.as_ref().filter(helps).map(|answer| answer.found.clone());
        match (failure.as_ref().filter(|failure| now < failure.again_at), old) {
            (Some(failure), Some(old)) if !failure.error.is_answer() => Standing::Fresh(old),
            (Some(failure), _) => Standing::Failed(failure.error.clone()),
            (None, Some(old)) => Standing::Old(old),
            (None, None) => Standing::Unknown,
        }
    }

    /// Whether the servers were silent when the name was last asked for.
    pub(super) fn was_silent(&self, host: &str) -> bool {
        let all = self.all();
        let failure = all.get(host).and_then(|entry| entry.failure.as_ref());
        failure.is_some_and(|failure| !failure.error.is_answer())
    }

    /// Takes note of what came of a question, and gives what those get who wait for it.
    pub(super) fn learn(
        &self,
        host: &str,
        outcome: Result<Fresh, LookUpError>,
        now: Instant,
    ) -> Result<Found, LookUpError> {
        let mut all = self.all();
        if all.len() >= NAMES_MAX && !all.contains_key(host) {
            all.retain(|_, entry| entry.answer.as_ref().is_some_and(|answer| now < answer.over_at));
            if all.len() >= NAMES_MAX {
                return outcome.map(|fresh| fresh.found);
            }
        }
        let entry = all.entry(host.into()).or_default();
        entry.is_asked_for = false;
        match outcome {
            Ok(Fresh { found, counts }) => {
                let counts = counts.clamp(COUNTS_MIN, COUNTS_MAX);
                let answer =
                    Answer { found: found.clone(), ages_at: now + counts * 3 / 4, over_at: now + counts };
                *entry = Entry { answer: Some(answer), failure: None, is_asked_for: false };
                Ok(found)
            }
            Err(error) => {
                let times = entry.failure.as_ref().map_or(0, |failure| failure.times.saturating_add(1));
                let again = if error.is_answer() {
                    entry.answer = None;
                    NONE_COUNTS
                } else {
                    (AGAIN_FIRST * 2_u32.saturating_pow(times.min(8))).min(AGAIN_MAX)
                };
                entry.failure = Some(Failure { error: error.clone(), again_at: now + again, times });
                let helps = |answer: &&Answer| now < answer.over_at + OLD_HELPS;
                match entry.answer.as_ref().filter(helps) {
                    Some(answer) => Ok(answer.found.clone()),
                    None => Err(error),
                }
            }
        }
    }

    /// Forgets everything: the files of the system say something else now.
    pub(super) fn forget(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        Found::from(vec![text.parse().unwrap()])
    }

    fn fresh(text: &str, seconds: u64) -> Result<Fresh, LookUpError> {
        Ok(Fresh { found: found(text), counts: Duration::from_secs(seconds) })
    }

    #[test]
    fn an_answer_counts_as_long_as_it_says_and_is_renewed_ahead() {
        let (known, mut now) = (Known::default(), Instant::now());
        assert_eq!(known.standing("a", now), Standing::Unknown);
        known.learn("a", fresh("10.0.0.1", 100), now).unwrap();
        assert_eq!(known.standing("a", now), Standing::Fresh(found("10.0.0.1")));
        now += Duration::from_secs(76);
        assert_eq!(known.standing("a", now), Standing::Ageing(found("10.0.0.1")));
        assert_eq!(known.standing("a", now), Standing::Fresh(found("10.0.0.1")), "it is asked for once");
        known.learn("a", fresh("10.0.0.2", 100), now).unwrap();
        now += Duration::from_secs(74);
        assert_eq!(known.standing("a", now), Standing::Fresh(found("10.0.0.2")));
        now += Duration::from_secs(30);
        assert_eq!(known.standing("a", now), Standing::Old(found("10.0.0.2")));
        now += OLD_HELPS;
        assert_eq!(known.standing("a", now), Standing::Unknown);
    }

    #[test]
    fn silence_takes_no_address_back_and_a_no_does() {
        let (known, mut now) = (Known::default(), Instant::now());
        known.learn("a", fresh("10.0.0.1", 10), now).unwrap();
        now += Duration::from_secs(11);
        assert_eq!(known.learn("a", Err(LookUpError::Silent), now), Ok(found("10.0.0.1")));
        assert_eq!(known.standing("a", now), Standing::Fresh(found("10.0.0.1")), "until it is tried again");
        assert!(known.was_silent("a"));
        now += AGAIN_FIRST;
        assert_eq!(known.standing("a", now), Standing::Old(found("10.0.0.1")));
        assert_eq!(known.learn("a", Err(LookUpError::NoSuchName), now), Err(LookUpError::NoSuchName));
        assert_eq!(known.standing("a", now), Standing::Failed(LookUpError::NoSuchName));
        assert!(!known.was_silent("a"));
        now += NONE_COUNTS;
        assert_eq!(known.standing("a", now), Standing::Unknown);
    }

    #[test]
    fn who_is_silent_is_asked_less_often() {
        let (known, mut now) = (Known::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 10, 10] {
            assert_eq!(known.learn("a", Err(LookUpError::Silent), now), Err(LookUpError::Silent));
            now += Duration::from_secs(seconds) - Duration::from_millis(1);
            assert_eq!(known.standing("a", now), Standing::Failed(LookUpError::Silent), "{seconds}");
            now += Duration::from_millis(1);
            assert_eq!(known.standing("a", now), Standing::Unknown, "{seconds}");
        }
    }
}
