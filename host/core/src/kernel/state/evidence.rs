//! Since when each member has been asked, in order: whether everybody has been asked since a moment costs no more
//! in a set of 50,000 than in one of ten.
//!
//! Deliberately no health: that is committed by `health`, probe after probe. This is what a batch is admitted
//! on, and it rests on rounds that *began* late enough.

use imbl::OrdSet;

use crate::domain::{Claim, Decision, Heard, InstanceId, Timestamp};
use crate::plan::is_answered;

/// How often in a row an instance that was well has to miss a probe before its silence counts: asked once, and twice
/// again, whatever one missed probe does to its health.
pub(in crate::kernel) const ASKED: usize = 3;

/// Before everything: asked never.
pub(super) const NEVER: Timestamp = Timestamp(i64::MIN);

/// What the latest rounds of one life have brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Start of the latest round that settled what is known.
    settled_at: Timestamp,
    /// What that round was.
    settled: Option<Settled>,
    /// Starts of the latest rounds without an answer, in a row, oldest first; at most [`ASKED`] of them.
    missed: Vec<Timestamp>,
    /// Start of the first round of that row, if it had answered before.
    silent_since: Option<Timestamp>,
    /// Whether it has answered in this life.
    has_spoken: bool,
    /// Start of the latest round that counted for the health.
    counted_at: Timestamp,
    /// Rounds so far.
    rounds: u32,
}

impl Default for Word {
    fn default() -> Self {
        Self {
            settled_at: NEVER,
            settled: None,
            missed: Vec::new(),
            silent_since: None,
            has_spoken: false,
            counted_at: NEVER,
            rounds: 0,
        }
    }
}

/// What is known of the round that settled what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settled {
    /// What of the health was claimed in it.
    claim: Claim,
    /// Whether the application has said something in it.
    is_answer: bool,
}

/// A round as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heeded {
    pub(super) began_at: Timestamp,
    pub(super) heard: Heard,
    pub(super) claim: Claim,
    /// Whether the application has said something: an answer without a word of it permits nothing.
    pub(super) has_word: bool,
    /// Whether the instance counts as unhealthy with this round.
    pub(super) is_unhealthy: bool,
}

impl Word {
    /// Takes in a round of this life.
    pub(super) fn hear(&mut self, round: Heeded) {
        let Heeded { began_at, heard, claim, has_word, is_unhealthy } = round;
        let settled = Settled { claim, is_answer: heard == Heard::Answer && has_word };
        self.rounds = self.rounds.saturating_add(1);
        match heard {
            Heard::Answer => {
                self.missed.clear();
                self.silent_since = None;
                self.has_spoken = true;
                self.settle(began_at, settled);
            }
            Heard::Silence => {
                if self.has_spoken {
                    self.silent_since.get_or_insert(began_at);
                }
                if self.missed.len() >= ASKED {
                    self.missed.remove(0);
                }
                self.missed.push(began_at);
                let was_well = self.settled.is_some_and(|it| it.is_answer && it.claim == Claim::Healthy);
                if is_unhealthy && !was_well {
                    // It counted as down already: another silence says nothing new.
                    self.settle(began_at, settled);
                } else if self.missed.len() >= ASKED
                    && let Some(first) = self.missed.first().copied()
                {
                    self.settle(first, settled);
                }
            }
        }
    }

    /// A host before this one has heard it: that it says nothing now is silence.
    pub(in crate::kernel) fn has_spoken_before(&mut self) {
        self.has_spoken = true;
    }

    fn settle(&mut self, began_at: Timestamp, settled: Settled) {
        if began_at >= self.settled_at {
            self.settled_at = began_at;
            self.settled = Some(settled);
        }
    }

    /// A round has counted for the health.
    pub(super) fn counted(&mut self, began_at: Timestamp) {
        self.counted_at = self.counted_at.max(began_at);
    }

    /// Start of the latest round that counted for the health.
    pub(super) fn counted_at(&self) -> Timestamp {
        self.counted_at
    }

    /// Rounds of this life so far.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Start of the latest round that settled what is known and was taken in whole; another one may have said the same
    /// again since, see [`super::SetState::settled_at`].
    pub(in crate::kernel) fn settled_at(&self) -> Timestamp {
        self.settled_at
    }

    /// Whether its application has said something in that round.
    pub(super) fn is_answer(&self) -> bool {
        self.settled.is_some_and(|settled| settled.is_answer)
    }

    /// Whether a round would move nothing in here but times.
    pub(super) fn would_repeat(&self, heard: Heard, decision: &Decision) -> bool {
        let same = Settled { claim: decision.claim, is_answer: is_answered(decision) };
        let is_settled = self.missed.is_empty() && self.silent_since.is_none() && self.has_spoken;
        heard == Heard::Answer && is_settled && self.settled == Some(same)
    }

    /// So many rounds that did were taken in, the latest of which began then.
    pub(super) fn repeated(&mut self, rounds: u32, began_at: Timestamp) {
        self.rounds = self.rounds.saturating_add(rounds);
        self.settled_at = self.settled_at.max(began_at);
        self.counted(began_at);
    }

    /// Whether it has not answered the latest probe.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        !self.missed.is_empty()
    }

    /// Since when it has answered nothing, if it had answered before.
    #[must_use]
    pub fn silent_since(&self) -> Option<Timestamp> {
        self.silent_since
    }

    /// Whether what is known now is worse than Healthy.
    pub(super) fn is_worse(&self) -> bool {
        self.settled.is_some_and(|settled| settled.claim != Claim::Healthy)
    }

    /// Time in which nobody looked is no silence.
    pub(super) fn was_not_looked_at(&mut self) {
        self.missed.clear();
        self.silent_since = None;
    }
}

/// What the index keeps of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) settled_at: Timestamp,
    /// It counts as Healthy, and what is known is worse.
    pub(super) is_doubted: bool,
    pub(super) silent_since: Option<Timestamp>,
    /// It has not answered the latest probe, whether it ever did or not.
    pub(super) is_unanswered: bool,
}

/// Members by what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    settled: OrdSet<(Timestamp, InstanceId)>,
    doubted: OrdSet<InstanceId>,
    silent: OrdSet<(Timestamp, InstanceId)>,
    unanswered: usize,
}

impl Evidence {
    /// Whether every member has been asked in a round that began at this time or later and was taken in whole.
    pub(super) fn is_complete(&self, since: Timestamp) -> bool {
        self.settled.get_min().is_none_or(|(at, _)| *at >= since)
    }

    /// Those that have not; costs no more than those.
    pub(super) fn missing(&self, since: Timestamp) -> impl Iterator<Item = &InstanceId> {
        self.settled.iter().take_while(move |(at, _)| *at < since).map(|(_, id)| id)
    }

    /// Those that count as Healthy, and of which worse is known.
    #[must_use]
    pub fn doubted(&self) -> &OrdSet<InstanceId> {
        &self.doubted
    }

    /// Those that are silent, by the start of the first round without an answer.
    #[must_use]
    pub fn silent(&self) -> &OrdSet<(Timestamp, InstanceId)> {
        &self.silent
    }

    /// How many have not answered the latest probe, also of those that never have.
    pub(in crate::kernel) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// A member is known otherwise; none before it was a member, and after it was one.
    pub(super) fn moved(&mut self, id: &InstanceId, before: Option<Told>, after: Option<Told>) {
        if before == after {
            return;
        }
        if let Some(Told { settled_at, is_doubted, silent_since, is_unanswered }) = before {
            self.unanswered = self.unanswered.saturating_sub(usize::from(is_unanswered));
            self.settled.remove(&(settled_at, id.clone()));
            silent_since.into_iter().for_each(|at| drop(self.silent.remove(&(at, id.clone()))));
            if is_doubted {
                self.doubted.remove(id);
            }
        }
        if let Some(Told { settled_at, is_doubted, silent_since, is_unanswered }) = after {
            self.unanswered += usize::from(is_unanswered);
            self.settled.insert((settled_at, id.clone()));
            silent_since.into_iter().for_each(|at| drop(self.silent.insert((at, id.clone()))));
            if is_doubted {
                self.doubted.insert(id.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(at: i64, claim: Claim) -> Heeded {
        let has_word = claim != Claim::Unknown;
        Heeded { began_at: Timestamp(at), heard: Heard::Answer, claim, has_word, is_unhealthy: false }
    }

    fn silence(at: i64) -> Heeded {
        Heeded { heard: Heard::Silence, ..answer(at, Claim::Unknown) }
    }

    #[test]
    fn an_answer_without_a_word_counts_at_once_and_permits_nothing() {
        let mut word = Word::default();
        word.hear(answer(10, Claim::Healthy));
        word.hear(answer(20, Claim::Unknown));
        assert_eq!(word.settled_at(), Timestamp(20));
        assert!(word.is_worse() && !word.is_answer());
    }

    #[test]
    fn silence_counts_when_it_was_asked_twice_again() {
        let mut word = Word::default();
        word.hear(answer(10, Claim::Healthy));
        for (at, settled) in [(20, 10), (30, 10), (40, 20), (50, 30)] {
            word.hear(silence(at));
            assert_eq!(word.settled_at(), Timestamp(settled), "after {at}");
        }
        assert!(word.is_worse() && !word.is_answer());
        assert_eq!(word.silent_since(), Some(Timestamp(20)));
        word.hear(answer(60, Claim::Healthy));
        assert_eq!((word.settled_at(), word.is_answer(), word.is_worse()), (Timestamp(60), true, false));
    }

    #[test]
    fn what_counted_as_down_is_asked_once() {
        let mut word = Word::default();
        word.hear(Heeded { is_unhealthy: true, ..silence(10) });
        assert_eq!(word.settled_at(), Timestamp(10));
    }

    #[test]
    fn a_worse_answer_counts_at_once_and_an_old_one_not_at_all() {
        let mut word = Word::default();
        word.hear(answer(20, Claim::Unhealthy));
        assert!(word.is_worse());
        word.hear(answer(10, Claim::Healthy));
        assert!(word.is_worse(), "it began before");
    }

    #[test]
    fn everybody_has_been_asked_when_the_last_one_has() {
        let id = |text: &str| InstanceId::parse(text).unwrap();
        let told = |at: i64| {
            Some(Told {
                settled_at: Timestamp(at),
                is_doubted: false,
                silent_since: None,
                is_unanswered: false,
            })
        };
        let mut evidence = Evidence::default();
        assert!(evidence.is_complete(Timestamp(5)), "there is nobody");
        evidence.moved(&id("a"), None, told(7));
        evidence.moved(&id("b"), None, told(3));
        assert!(!evidence.is_complete(Timestamp(5)));
        assert_eq!(evidence.missing(Timestamp(5)).collect::<Vec<_>>(), [&id("b")]);
        evidence.moved(&id("b"), told(3), told(5));
        assert!(evidence.is_complete(Timestamp(5)));
        evidence.moved(&id("a"), told(7), None);
        evidence.moved(&id("b"), told(5), None);
        assert_eq!(evidence, Evidence::default());
    }
}
