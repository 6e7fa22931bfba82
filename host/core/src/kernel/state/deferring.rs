//! What an instance that an upgrade waits for has said of when it will be ready: the attributes `defer-progress`, an
//! integer that moves while it comes nearer, and `defer-until`, a date.
//!
//! Deliberately changes nothing of what is waited for: how long that is, is the policy's word. It is only said.

use std::sync::Arc;

use super::{InstanceState, SetState};
use crate::domain::{
    DEFER_PROGRESS, DEFER_UNTIL, Decision, Generation, InstanceId, Outcome, Participation, Timestamp,
};
use crate::plan::is_answered;
use crate::record::audit::Stall;

/// So many answers in a row without progress are said.
pub const STALLED_ROUNDS: u32 = 5;

/// How an instance that is waited for comes nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferring {
    /// Its `defer-progress`.
    pub progress: Option<i64>,
    /// Its `defer-until`.
    pub until: Option<Timestamp>,
    /// In how many answers in a row nothing has moved.
    pub rounds: u32,
}

impl Deferring {
    /// What a further answer makes of it; none of one that is not "not now", or that says nothing of it.
    fn after(before: Option<Self>, decision: &Decision, date: Timestamp) -> Option<Self> {
        if decision.participation != Participation::Defer {
            return None;
        }
        let value = |name: &str| {
            decision.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
        };
        let progress = value(DEFER_PROGRESS).and_then(|text| text.parse().ok());
        let until = value(DEFER_UNTIL).and_then(Timestamp::parse);
        if progress.is_none() && until.is_none() {
            return None;
        }
        let stays = match (progress, until, before) {
            (Some(progress), _, Some(before)) => before.progress == Some(progress),
            (Some(_), _, None) => false,
            (None, Some(until), Some(before)) => until <= date || before.until.is_some_and(|was| was < until),
            (None, Some(until), None) => until <= date,
            (None, None, _) => true,
        };
        let rounds = if stays { before.map_or(0, |before| before.rounds).saturating_add(1) } else { 0 };
        Some(Self { progress, until, rounds })
    }

    /// Whether nothing has moved for long.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.rounds >= STALLED_ROUNDS
    }

    /// The same for the trail.
    #[must_use]
    pub fn stall(&self) -> Option<Stall> {
        let Self { progress, until, rounds } = *self;
        self.is_stalled().then_some(Stall { rounds, progress, until })
    }
}

/// What the code that decides has said of taking part, since it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::kernel) struct LetGo {
    by: Option<Generation>,
    answers: u64,
    ever: bool,
}

impl LetGo {
    /// Takes in an answer.
    pub(in crate::kernel) fn heard(&mut self, outcome: &Outcome) {
        let by = Some(outcome.stamp.generation);
        if self.by != by {
            *self = Self { by, ..Self::default() };
        }
        if let Ok(decision) = &outcome.result
            && is_answered(decision)
        {
            self.answers = self.answers.saturating_add(1);
            self.ever |= decision.participation == Participation::Proceed;
        }
    }
}

impl InstanceState {
    /// Takes in what was judged last, while an upgrade waits for it; gives what is to be said of it now.
    pub(in crate::kernel) fn comes_nearer(&mut self, date: Timestamp) -> Option<Stall> {
        let decision = self.latest.as_ref().and_then(|latest| latest.result.as_ref().ok()).map(Arc::clone);
        // A failure says nothing of it, and moves nothing.
        let decision = decision?;
        self.deferring = Deferring::after(self.deferring, &decision, date);
        self.deferring.filter(|deferring| deferring.rounds == STALLED_ROUNDS)?.stall()
    }
}

impl SetState {
    /// Those that the running upgrade waits for and that come no nearer.
    pub fn stalled(&self) -> impl Iterator<Item = (&InstanceId, Deferring)> {
        let waited = self.active().into_iter().flat_map(|upgrade| upgrade.deferred.keys());
        let of = |id| Some((id, self.instance(id)?.deferring.filter(Deferring::is_stalled)?));
        waited.filter_map(of)
    }

    /// How many answers its plugin has given, where that was enough to tell and none of them let an instance go.
    #[must_use]
    pub fn never_proceeds(&self) -> Option<u64> {
        let LetGo { by, answers, ever } = self.let_go;
        let enough =
            u64::try_from(self.members.total()).unwrap_or(u64::MAX).saturating_mul(STALLED_ROUNDS.into());
        (!ever && answers > 0 && answers >= enough && self.in_force.is_none_or(|it| by == Some(it)))
            .then_some(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::kernel::testing::{Rig, decision, id, orders};
    use crate::record::audit::What;

    fn says(attributes: &[(&str, &str)]) -> Decision {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Decision { participation: Participation::Defer, attributes: attributes.collect(), ..decision(0) }
    }

    fn rounds(answers: &[&[(&str, &str)]]) -> Option<u32> {
        // 2026-01-05T09:00:00Z and a minute for each answer.
        let begin = Timestamp::parse("2026-01-05T09:00:00Z").unwrap();
        let mut now = begin;
        let mut deferring = None;
        for answer in answers {
            deferring = Deferring::after(deferring, &says(answer), now);
            now = now + Duration::from_secs(60);
        }
        deferring.map(|it| it.rounds)
    }

    #[test]
    fn what_moves_is_progress_and_what_stays_is_counted() {
        let at = |text: &'static str| [(DEFER_PROGRESS, text)];
        let until = |text: &'static str| [(DEFER_UNTIL, text)];
        assert_eq!(rounds(&[&at("9"), &at("9"), &at("9")]), Some(2));
        assert_eq!(rounds(&[&at("9"), &at("9"), &at("8")]), Some(0));
        assert_eq!(rounds(&[&at("9"), &at("12")]), Some(0), "it moves, whichever way");
        assert_eq!(rounds(&[&[]]), None, "nothing is said of it");
        assert_eq!(rounds(&[&at("9"), &[]]), None);
        assert_eq!(rounds(&[&at("many")]), None);
        let ahead = until("2026-01-05T12:00:00Z");
        assert_eq!(rounds(&[&ahead, &ahead, &ahead]), Some(0), "it keeps its word so far");
        let whenever = until("9999-12-31T23:59:59Z");
        assert_eq!(rounds(&[&whenever, &whenever, &whenever]), Some(0), "a date like another one");
        let over = until("2026-01-05T08:00:00Z");
        assert_eq!(rounds(&[&over, &over]), Some(2));
        let away =
            [until("2026-01-05T12:00:00Z"), until("2026-01-05T12:01:00Z"), until("2026-01-05T12:02:00Z")];
        assert_eq!(rounds(&[&away[0], &away[1], &away[2]]), Some(2), "the date moves away");
    }

    #[test]
    fn who_goes_is_not_deferring() {
        let before = Deferring { progress: Some(3), until: None, rounds: 4 };
        let goes = Decision { participation: Participation::Proceed, ..says(&[(DEFER_PROGRESS, "3")]) };
        assert_eq!(Deferring::after(Some(before), &goes, Timestamp(0)), None);
    }

    /// A rig whose instance 0 says "not now" with these attributes, and waits for it.
    fn waits_for_one(attributes: &[(&str, &str)]) -> Rig {
        let mut rig = Rig::healthy();
        rig.judge("0", says(attributes));
        rig.start("v2");
        rig.pass(Duration::from_secs(1));
        rig.judge("0", says(attributes));
        ["1", "2"].iter().for_each(|one| rig.judge(one, decision(0)));
        rig.pass(Duration::from_secs(1));
        assert!(rig.upgrade().is_active() && rig.upgrade().deferred.contains_key(&id("0")), "it waits");
        rig
    }

    fn stalled_lines(rig: &Rig) -> usize {
        rig.trail().iter().filter(|code| **code == "stalled").count()
    }

    #[test]
    fn five_answers_without_progress_are_said_once() {
        let mut rig = waits_for_one(&[(DEFER_PROGRESS, "12")]);
        let mut rounds = 0;
        while rig.set().stalled().next().is_none() {
            rig.judge("0", says(&[(DEFER_PROGRESS, "12")]));
            rounds += 1;
            assert!(rounds <= 6, "said by then");
        }
        let lines = |rig: &Rig| {
            rig.disk
                .trail()
                .filter(|entry| matches!(entry.what, What::Stalls(_)))
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&rig), ["not now, and no progress in 5 answers (defer-progress stays 12)"]);
        rig.judge("0", says(&[(DEFER_PROGRESS, "12")]));
        assert_eq!(lines(&rig).len(), 1, "once");
        rig.judge("0", says(&[(DEFER_PROGRESS, "11")]));
        assert_eq!(rig.set().stalled().count(), 0, "it moves again");
        assert!(rig.upgrade().is_active(), "nothing else follows from it");
    }

    #[test]
    fn nothing_is_said_of_one_that_no_upgrade_waits_for() {
        let mut rig = Rig::healthy();
        for _ in 0..20 {
            rig.judge("0", says(&[(DEFER_PROGRESS, "12")]));
        }
        assert_eq!(rig.instance("0").deferring, None);
        assert_eq!(stalled_lines(&rig), 0);
    }

    #[test]
    fn a_plugin_that_never_lets_go_is_known_after_a_few_answers_of_all() {
        let mut rig = Rig::new(vec![orders()]);
        let defers = || says(&[]);
        for round in 0..5 {
            assert_eq!(rig.set().never_proceeds(), None, "after {round}");
            ["0", "1", "2"].iter().for_each(|one| rig.judge(one, defers()));
        }
        assert_eq!(rig.set().never_proceeds(), Some(15));
        rig.judge("1", decision(0));
        assert_eq!(rig.set().never_proceeds(), None, "once is enough");
    }
}
