//! A judged probe round: into the health of its instance, and to the upgrade that it concerns.

use std::sync::Arc;
use std::time::Duration;

use super::doubts;
use super::effect::{Ask, Effect};
use super::memory::Memories;
use super::out::{About, Out};
use super::state::{Fleet, Rhythm, SetState, Word};
use crate::domain::{By, Decided, Health, Heard, InstanceId, NotAsked, Now, Profile};
use crate::record::audit::What;

/// Takes in one judged round.
pub(super) fn judged(fleet: &mut Fleet, memories: &mut Memories, decided: Decided, now: Now, out: &mut Out) {
    let Some(set) = fleet.change(&decided.scale_set) else { return };
    if decided.outcome.stamp.name != set.spec.plugin {
        // Another one judges the set since.
        return;
    }
    let id = decided.instance.clone();
    if stood_still_meanwhile(set, &decided) {
        let instances = vec![id];
        let ask = Ask { scale_set: decided.scale_set, instances, after: Duration::ZERO };
        out.effects.push(Effect::Ask(ask));
        return;
    }
    let rhythm =
        Rhythm { interval: set.spec.health.interval, on_failure: set.on_failure, stands_in: set.stands_in() };
    if set.heard_the_same(&decided) {
        set.let_go.heard(&decided.outcome);
        return;
    }
    let name = decided.scale_set.clone();
    // What was kept beside it comes first.
    set.take_in(&id);
    let word =
        |set: &SetState| set.instance(&id).map(|instance| (instance.word.clone(), instance.is_doubted()));
    let before_round = word(set);
    let mut asked_again = false;
    let waited_for = set.active().is_some_and(|upgrade| upgrade.deferred.contains_key(&id));
    let mut stall = None;
    set.let_go.heard(&decided.outcome);
    let folded = set.change(&id, |instance| {
        asked_again = instance.is_asked_again(&decided);
        memories.take(&name, instance, &decided.outcome, now.at);
        // Also the first of a generation: what another one has said is not in force.
        let stamp = &decided.outcome.stamp;
        let first = instance.latest.as_ref().is_none_or(|latest| latest.stamp != *stamp);
        let in_turn = !decided.again;
        let (before, after) = instance.judged(decided, rhythm)?;
        match (waited_for, in_turn) {
            (true, true) => stall = instance.comes_nearer(now.wall.date()),
            (true, false) => {}
            (false, _) => instance.deferring = None,
        }
        Some((first, before, after))
    });
    if asked_again {
        set.unasked.remove(&id);
        // What waited for it, goes on.
        set.dirty = true;
    }
    let Some((first, before, after)) = folded.flatten() else { return };
    if let (Some(before), Some(after)) = (before_round, word(set)) {
        heeded(set, &id, (&before, &after), out);
        silenced(set, &id, (&before.0, &after.0), now, out);
    }
    if let Some((upgrade, stall)) = set.active().zip(stall) {
        out.audit(About::upgrade(upgrade, Some(&id)), By::host(), What::Stalls(stall), now);
    }
    if after == Health::Initializing {
        soon_again(set, &id, out);
    }
    if before != after {
        out.changes.health.push((name, id.clone(), before, after));
    }
    // A running upgrade looks again when something moved: a health, or the first answer. An instance that
    // said "not now" may say something else.
    let deferred = |upgrade: &Arc<crate::rollout::Upgrade>| upgrade.deferred.contains_key(&id);
    set.dirty |= first || before != after || set.upgrade.as_ref().is_some_and(deferred);
}

/// Whether a probe took longer than its time limit allows: it was not the instance that let it wait.
fn stood_still_meanwhile(set: &SetState, decided: &Decided) -> bool {
    let limit = set.spec.health.timeout.saturating_add(TIMEOUT_LATE);
    decided.heard == Heard::Silence && decided.finished_at.since(decided.started_at) > limit
}

/// How late a busy machine may notice that a time limit has passed.
const TIMEOUT_LATE: Duration = Duration::from_secs(2);

/// Most may have gone silent at once, or answer again.
fn silenced(set: &mut SetState, id: &InstanceId, (before, after): (&Word, &Word), now: Now, out: &mut Out) {
    if after.silent_since().is_some() {
        doubts::suspect(set, now, out);
    } else if let Some(since) = set.suspicion.filter(|_| !after.is_silent()) {
        if before.is_silent() {
            set.change(id, |instance| instance.was_not_heard(now.at.since(since)));
        }
        // Whoever was silent may be so no more without an answer: an effect began a life of its own.
        doubts::reconsider(set, now, out);
    }
}

/// One that is Initializing is asked again soon: how long it takes to come up says nothing about how often it has to be
/// asked afterwards. Not as in Azure, where the first verdict comes in the rhythm of all others.
fn soon_again(set: &SetState, id: &InstanceId, out: &mut Out) {
    let health = &set.spec.health;
    let Some(instance) = set.instance(id) else { return };
    // What a driver is busy with begins another life when it is done.
    if health.profile == Profile::Azure || !instance.busy.is_empty() {
        return;
    }
    let starting = u64::try_from(set.census().initializing().len()).unwrap_or(u64::MAX);
    let after = SOON.of(health.interval, instance.word.rounds(), starting);
    if after < health.interval {
        let instances = vec![id.clone()];
        out.effects.push(Effect::Ask(Ask { scale_set: set.spec.name.clone(), instances, after }));
    }
}

/// How soon one is asked again that is Initializing: an eighth of the interval, then twice that, and so on.
struct Soon {
    least: Duration,
    most: Duration,
    /// A whole fleet that starts at once is asked no faster than so many instances a second.
    a_second: u64,
}

const SOON: Soon = Soon { least: Duration::from_millis(100), most: Duration::from_secs(1), a_second: 1_000 };

impl Soon {
    fn of(&self, interval: Duration, rounds: u32, starting: u64) -> Duration {
        let first = (interval / 8).clamp(self.least, self.most);
        let grown = first.saturating_mul(1 << rounds.saturating_sub(1).min(16));
        grown.max(Duration::from_millis(starting.saturating_mul(1_000) / self.a_second)).min(interval)
    }
}

/// What an upgrade waits for may have come; what has not is asked for again, out of turn.
fn heeded(
    set: &mut SetState,
    id: &InstanceId,
    ((before, doubted_before), (after, doubted)): (&(Word, bool), &(Word, bool)),
    out: &mut Out,
) {
    let Some(from) = set.active().and_then(|upgrade| upgrade.waits_for_evidence()) else { return };
    let came = before.settled_at() < from && after.settled_at() >= from;
    let answers_again = before.is_silent() && !after.is_silent();
    set.dirty |= doubted != doubted_before || answers_again || (came && set.is_evidence_complete(from));
    if after.settled_at() < from && after.is_silent() {
        let instances = vec![id.clone()];
        // A connection that is refused is so at once, and again in the same millisecond.
        let after = set.spec.health.interval / 8;
        let after = after.clamp(SOON.least, SOON.most).min(set.spec.health.interval);
        out.effects.push(Effect::Ask(Ask { scale_set: set.spec.name.clone(), instances, after }));
    }
}

/// Takes in that an instance was not asked: its health stays as it is, and ages.
pub(super) fn not_asked(fleet: &mut Fleet, missed: &NotAsked) {
    let NotAsked { scale_set, instance: id, epoch, started_at, short_of } = missed;
    let Some(set) = fleet.change(scale_set) else { return };
    let taken = set.change(id, |instance| instance.not_asked(*epoch, *started_at, *short_of));
    if taken == Some(true) {
        set.unasked.insert(id.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::*;
    use crate::domain::*;

    #[test]
    fn a_round_of_an_earlier_life_changes_nothing() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        let instance = asked.instance.id.clone();
        let before = rig.instance(instance.as_str()).fold.clone();
        let old = rig.instance(instance.as_str()).epoch - 1;
        let ill = Decision { claim: Claim::Unhealthy, ..decision(0) };
        rig.judge_in(instance.as_str(), old, 1, Ok(std::sync::Arc::new(ill)));
        assert_eq!(rig.instance(instance.as_str()).fold, before);
    }

    fn not_asked(rig: &Rig, instance: &str) -> super::super::Event {
        super::super::Event::NotAsked(NotAsked {
            scale_set: name("orders"),
            instance: id(instance),
            epoch: rig.instance(instance).epoch,
            started_at: rig.now.at,
            short_of: Shortage::Descriptors,
        })
    }

    fn participation(rig: &Rig, instance: &str) -> Option<Participation> {
        rig.set().standing(rig.instance(instance), rig.now.at).participation()
    }

    #[test]
    fn who_was_not_asked_keeps_the_health_and_is_no_candidate_once_that_is_old() {
        let mut rig = Rig::healthy();
        let before = rig.instance("0").fold.clone();
        for _ in 0..14 {
            rig.turn(["0", "1", "2"].map(|one| not_asked(&rig, one)).into());
            rig.pass(Duration::from_secs(5));
        }
        assert_eq!(rig.instance("0").fold, before, "neither the health nor its memory has moved");
        assert_eq!(participation(&rig, "0"), Some(Participation::Skip), "after 70 s");
        rig.start("v2");
        rig.pass(Duration::from_secs(600));
        assert_eq!(rig.asked(), [], "nothing goes forward on what is old");
        assert!(rig.upgrade().is_active(), "and nothing has failed");

        ["0", "1", "2"].iter().for_each(|one| rig.judge(one, decision(0)));
        assert_eq!(participation(&rig, "0"), Some(Participation::Proceed));
        rig.pass(Duration::from_secs(1));
        rig.run_to_the_end();
        assert_eq!(rig.upgrade().state, crate::rollout::UpgradeState::Completed);
    }

    #[test]
    fn one_round_that_was_not_asked_changes_nothing() {
        let mut rig = Rig::healthy();
        rig.turn(vec![not_asked(&rig, "0")]);
        assert_eq!(participation(&rig, "0"), Some(Participation::Proceed));
        let mut old = not_asked(&rig, "1");
        if let super::super::Event::NotAsked(missed) = &mut old {
            missed.epoch += 1;
        }
        rig.turn(vec![old]);
        assert_eq!(rig.instance("1").unasked, None, "another life");
    }

    #[test]
    fn the_gate_counts_no_time_in_which_nobody_could_be_asked() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        let instance = asked.instance.id.clone();
        rig.done(asked, Ok(()));
        rig.pass(Duration::from_secs(100));
        for _ in 0..60 {
            rig.turn(vec![not_asked(&rig, instance.as_str())]);
            rig.pass(Duration::from_secs(5));
        }
        let deadline = rig.upgrade().policy.gate.deadline;
        assert!(deadline < Duration::from_secs(400));
        assert_eq!(rig.asked(), [], "nothing was brought back");
        rig.judge(instance.as_str(), decision(0));
        assert_eq!(rig.upgrade().progress().successful, 1);
    }

    #[test]
    fn the_gate_goes_on_where_it_stood() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        let instance = asked.instance.id.clone();
        rig.done(asked, Ok(()));
        rig.turn(vec![not_asked(&rig, instance.as_str())]);
        rig.pass(Duration::from_secs(300));
        let ill = || Decision { claim: Claim::Unknown, ..decision(0) };
        rig.judge(instance.as_str(), ill());
        assert_eq!(rig.asked(), [], "its own time is not over");
        rig.pass(Duration::from_secs(121));
        assert_eq!(rig.asked().len(), 1, "it is brought back");
    }

    #[test]
    fn what_moves_wakes_and_what_does_not_does_not() {
        let mut rig = Rig::healthy();
        let good = || Ok(std::sync::Arc::new(decision(0)));
        let ill = || Ok(std::sync::Arc::new(Decision { claim: Claim::Unhealthy, ..decision(0) }));
        for (result, generation, woken) in
            [(good(), 1, false), (good(), 2, true), (ill(), 2, true), (ill(), 2, false)]
        {
            rig.kernel.fleet.change(&name("orders")).unwrap().dirty = false;
            rig.judge_by("0", generation, result.clone());
            assert_eq!(rig.set().dirty, woken, "{result:?} of generation {generation}");
        }
        assert_eq!(rig.set().census().of(Health::Unhealthy), 1);
    }
}
