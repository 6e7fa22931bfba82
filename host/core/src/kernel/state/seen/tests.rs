//! What is kept beside a member is what the full way would have brought.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::Rhythm;
use super::*;
use crate::domain::*;
use crate::kernel::Event;
use crate::kernel::testing::{Rig, claims, decision, id, name, version};

const INTERVAL: Duration = Duration::from_secs(5);

fn outcome(result: Verdict) -> Arc<Outcome> {
    let stamp = PluginStamp {
        name: PluginName::parse("db").unwrap(),
        digest: Digest([7; 32]),
        generation: Generation(1),
    };
    Arc::new(Outcome { stamp, evaluation: Evaluation::default(), result })
}

fn round(instance: &InstanceState, at: Timestamp, outcome: &Arc<Outcome>) -> Decided {
    Decided {
        scale_set: name("orders"),
        instance: instance.spec.id.clone(),
        epoch: instance.epoch,
        started_at: at,
        finished_at: at + Duration::from_millis(3),
        again: false,
        heard: Heard::Answer,
        outcome: Arc::clone(outcome),
    }
}

impl Rig {
    /// Everybody says this, in a round that begins now.
    fn all_say(&mut self, said: &Arc<Outcome>) {
        let all = self.set().instances().map(|instance| round(instance, self.now.at, said)).collect();
        self.turn(vec![Event::Judged(all)]);
    }
}

/// A fleet that has said the same for so long that it is settled.
fn settled() -> (Rig, Arc<Outcome>) {
    let (mut rig, said) = (Rig::healthy(), outcome(Ok(Arc::new(decision(0)))));
    for _ in 0..3 {
        rig.pass(INTERVAL);
        rig.all_say(&said);
    }
    (rig, said)
}

#[test]
fn who_says_the_same_again_costs_two_times_and_stays_fresh() {
    let (mut rig, said) = settled();
    let state = |rig: &Rig| Arc::clone(&rig.set().instances[&id("0")]);
    for _ in 0..100 {
        rig.pass(INTERVAL);
        // A look of its driver is another matter.
        let before = state(&rig);
        rig.all_say(&said);
        assert!(Arc::ptr_eq(&before, &state(&rig)), "its state was not touched");
    }
    let (set, instance) = (rig.set(), rig.instance("0"));
    assert_eq!(set.settled_at(instance), rig.now.at);
    assert_eq!(set.answered_at(instance), Some(rig.now.at + Duration::from_millis(3)));
    assert!(set.is_evidence_complete(rig.now.at));
    assert!(!set.is_evidence_complete(rig.now.at + Duration::from_millis(1)));
    assert_eq!(set.standing(instance, rig.now.at).participation(), Some(Participation::Proceed));
}

#[test]
fn an_upgrade_goes_on_nothing_that_was_said_again_before_it_began() {
    let (mut rig, said) = settled();
    rig.pass(INTERVAL);
    rig.all_say(&said);
    rig.pass(Duration::from_secs(1));
    rig.start("v2");
    assert_eq!(rig.asked(), [], "nobody has been asked since it was started");
    // Two of three answer.
    rig.pass(Duration::from_secs(1));
    let two = ["0", "1"].map(|one| round(rig.instance(one), rig.now.at, &said));
    rig.turn(vec![Event::Judged(two.into())]);
    assert_eq!(rig.asked(), []);
    let last = round(rig.instance("2"), rig.now.at, &said);
    rig.turn(vec![Event::Judged(vec![last])]);
    for asked in rig.questions() {
        rig.sees(asked, Seen::Version(version("v1")));
    }
    assert_eq!(rig.asked().len(), 1, "{:?}", rig.upgrade());
}

#[test]
fn what_was_said_again_before_silence_is_old_in_time() {
    let (mut rig, said) = settled();
    let freshness = rig.set().spec.health.freshness();
    rig.pass(INTERVAL);
    rig.all_say(&said);
    let heard_at = rig.now.at;
    // It says nothing that can be understood from then on.
    let silent = outcome(Ok(Arc::new(claims(Claim::Unknown))));
    for _ in 0..20 {
        rig.pass(INTERVAL);
        let decided = Decided { heard: Heard::Silence, ..round(rig.instance("0"), rig.now.at, &silent) };
        rig.turn(vec![Event::Judged(vec![decided])]);
        let proceeds =
            rig.set().standing(rig.instance("0"), rig.now.at).participation() == Some(Participation::Proceed);
        assert!(
            !proceeds || rig.now.at.since(heard_at) <= freshness,
            "after {:?}",
            rig.now.at.since(heard_at)
        );
    }
}

#[test]
fn a_life_that_is_over_is_not_said_again() {
    let (mut rig, said) = settled();
    let old = round(rig.instance("0"), rig.now.at + INTERVAL, &said);
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.all_say(&said);
    let asked = rig.asked().remove(0);
    let instance = asked.instance.id.clone();
    rig.done(asked, Ok(()));
    rig.pass(INTERVAL);
    rig.turn(vec![Event::Judged(vec![Decided { instance: instance.clone(), ..old }])]);
    let set = rig.set();
    assert!(!set.has_answered(set.instance(&instance).unwrap(), rig.now.at));
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// What can be seen of an instance, whatever is kept where.
fn seen(set: &SetState, one: &InstanceState) -> impl PartialEq + std::fmt::Debug + use<> {
    let unheard = one.unheard(Timestamp(1 << 40));
    let times = (set.settled_at(one), set.answered_at(one));
    let said = (one.latest.clone(), one.fold.health(), one.fold.observed(), one.is_doubted());
    (times, said, unheard.length, one.word.silent_since(), one.trouble.clone(), one.deferring)
}

/// The same rounds, taken in whole and kept beside: nobody can tell the two apart.
fn history(seed: u64) -> usize {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let rig = Rig::healthy();
    let spec = Arc::clone(&rig.set().spec);
    let (mut set, mut whole) = (rig.set().clone(), rig.set().clone());
    let rhythm = Rhythm { interval: spec.health.interval, on_failure: OnFailure::LastGood, stands_in: None };
    let skip = Decision { participation: Participation::Skip, ..decision(0) };
    let says = [
        outcome(Ok(Arc::new(decision(0)))),
        outcome(Ok(Arc::new(skip))),
        outcome(Ok(Arc::new(claims(Claim::Unhealthy)))),
        outcome(Ok(Arc::new(claims(Claim::Unknown)))),
        outcome(Err(PluginFailure::Overloaded)),
    ];
    let (one, mut at, mut said, mut kept) = (id("0"), rig.now.at, 0, 0);
    for step in 0..400 {
        at = at + [INTERVAL, INTERVAL, INTERVAL, INTERVAL / 4, Duration::ZERO][dice.below(5) as usize];
        if dice.below(6) == 0 {
            said = dice.below(5) as usize;
        }
        let heard = if dice.below(12) == 0 { Heard::Silence } else { Heard::Answer };
        let again = dice.below(20) == 0;
        let decided = round(set.instance(&one).unwrap(), at, &says[said]);
        // A few are of a life that is over.
        let epoch = decided.epoch.saturating_sub(u64::from(dice.below(20) == 0));
        let decided = Decided { heard, again, epoch, ..decided };
        if set.heard_the_same(&decided) {
            kept += 1;
        } else {
            set.take_in(&one);
            set.change(&one, |it| (it.is_asked_again(&decided), it.judged(decided.clone(), rhythm)));
        }
        whole.change(&one, |it| (it.is_asked_again(&decided), it.judged(decided, rhythm)));
        let happens = dice.below(40);
        for side in [&mut set, &mut whole] {
            match happens {
                1 => drop(side.change(&one, |it| it.not_asked(it.epoch, at, Shortage::Descriptors))),
                2 => drop(side.change(&one, |it| it.was_not_looked_at(INTERVAL))),
                3 => drop(side.change(&one, |it| it.fold.stopped())),
                4 => drop(side.change(&one, |it| it.begin_life(&spec, at))),
                5 => drop(side.change(&one, |it| it.down = !it.down)),
                6 => side.take_in(&one),
                _ => {}
            }
        }
        let of = |set: &SetState| seen(set, set.instance(&one).unwrap());
        assert!(of(&set) == of(&whole), "seed {seed}, step {step}: {:?} and {:?}", of(&set), of(&whole));
        for since in [at, at + Duration::from_millis(1), Timestamp(at.0 - 5_000), Timestamp(at.0 - 20_000)] {
            let of = |set: &SetState| {
                let missing: BTreeSet<InstanceId> = set.unasked_since(since).cloned().collect();
                (
                    set.has_answered(set.instance(&one).unwrap(), since),
                    missing,
                    set.is_evidence_complete(since),
                )
            };
            assert_eq!(of(&set), of(&whole), "seed {seed}, step {step}");
        }
        if happens == 6 {
            let word = |set: &SetState| set.instance(&one).unwrap().word.clone();
            assert_eq!(word(&set), word(&whole), "seed {seed}, step {step}");
        }
    }
    kept
}

#[test]
fn what_is_kept_beside_a_member_is_what_the_whole_way_would_have_brought() {
    let kept: usize = (1..=300).map(history).sum();
    assert!(kept > 5_000, "only {kept} rounds were kept beside their member");
}
