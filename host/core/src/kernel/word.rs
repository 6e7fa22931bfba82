//! What persons say about single instances: recorded, heeded by every upgrade from then on, and over at its time.

use std::time::Duration;

use super::look;
use super::memory::Memories;
use super::out::{About, Out};
use super::refusal::Refusal;
use super::state::{Fleet, InstanceState, SetState};
use crate::domain::{By, InstanceId, Now, PersonsWord, ScaleSetName, WordKind};
use crate::record::Write;
use crate::record::audit::{What, WordNote};
use crate::rollout::Event;

/// Takes a person's word, or takes it back.
pub(super) fn say(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, id): (&ScaleSetName, &InstanceId),
    (kind, length): (WordKind, Option<Duration>),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    known(fleet.set(name)?, id)?;
    let reason = by.reason.clone().map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    let reason = reason.ok_or(Refusal::Reason)?;
    let until = length.map(|length| now.at + length);
    let date = until.map(|until| now.date_of(until));
    let word = PersonsWord { kind, by: by.actor.clone(), reason, since: now.at, until, date };
    let Some(set) = fleet.change(name) else { return Ok(()) };
    put(set, id, Some(word), WordNote::Said { kind, until: date }, by, now, out);
    look::look(fleet, memories, name, &[Event::Reask(id.clone())], now, out);
    Ok(())
}

/// A person takes a word back.
pub(super) fn release(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, id): (&ScaleSetName, &InstanceId),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    let Some(word) = set.words.get(id) else {
        known(set, id)?;
        return Err(Refusal::NoWord { scale_set: name.clone(), instance: id.clone() });
    };
    let note = WordNote::Released { kind: word.kind };
    let Some(set) = fleet.change(name) else { return Ok(()) };
    put(set, id, None, note, by, now, out);
    look::look(fleet, memories, name, &[Event::Reask(id.clone())], now, out);
    Ok(())
}

/// Words whose time is over.
pub(super) fn expire(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    now: Now,
    out: &mut Out,
) {
    let Ok(set) = fleet.set(name) else { return };
    let is_over = |word: &PersonsWord| word.until.is_some_and(|until| until <= now.at);
    let over: Vec<(InstanceId, WordKind)> = set
        .words
        .iter()
        .filter(|(_, word)| is_over(word))
        .map(|(id, word)| (id.clone(), word.kind))
        .collect();
    if over.is_empty() {
        return;
    }
    let mut events = Vec::new();
    if let Some(set) = fleet.change(name) {
        for (id, kind) in over {
            put(set, &id, None, WordNote::Over { kind }, &By::host(), now, out);
            events.push(Event::Reask(id));
        }
    }
    look::look(fleet, memories, name, &events, now, out);
}

/// Records a word, or that there is none.
pub(super) fn put(
    set: &mut SetState,
    id: &InstanceId,
    word: Option<PersonsWord>,
    note: WordNote,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    let name = set.spec.name.clone();
    match &word {
        Some(word) => drop(set.words.insert(id.clone(), word.clone())),
        None => drop(set.words.remove(id)),
    }
    set.dirty = true;
    let upgrade = set.active().map(|upgrade| upgrade.id.clone());
    out.writes.push(Write::Word(name.clone(), id.clone(), word));
    let about = About { scale_set: &name, upgrade: upgrade.as_ref(), instance: Some(id) };
    out.audit(about, by.clone(), What::Word { note }, now);
}

fn known(set: &SetState, id: &InstanceId) -> Result<(), Refusal> {
    const SHOWN: usize = 20;
    if set.instance(id).is_some_and(InstanceState::is_member) {
        return Ok(());
    }
    let known: Vec<InstanceId> = set.members().take(SHOWN).map(|one| one.spec.id.clone()).collect();
    let more = set.members().count().saturating_sub(known.len());
    Err(Refusal::NoInstances { scale_set: set.spec.name.clone(), unknown: vec![id.clone()], known, more })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Command, Reply};
    use super::*;
    use crate::domain::*;

    fn because(reason: Option<&str>) -> By {
        By { actor: Actor::Operator("ann".to_owned()), reason: reason.map(str::to_owned), request: None }
    }

    fn say(rig: &mut Rig, instance: &str, kind: WordKind, seconds: Option<u64>) {
        let command = Command::Word(name("orders"), id(instance), kind, seconds.map(Duration::from_secs));
        assert_eq!(rig.ask_as(because(Some("a disk")), command), Some(Ok(Reply::Recorded)), "{kind:?}");
    }

    fn release(rig: &mut Rig, instance: &str) -> Result<Reply, Refusal> {
        rig.ask_as(because(None), Command::Release(name("orders"), id(instance))).unwrap()
    }

    fn versions(rig: &Rig) -> String {
        let all = rig.set().instances().map(|one| one.runs.version().map_or("-", Version::as_str).to_owned());
        all.collect::<Vec<_>>().join(" ")
    }

    fn says(instance: &str, participation: Participation, rig: &mut Rig) {
        rig.judge(instance, Decision { participation, ..decision(0) });
    }

    #[test]
    fn a_word_needs_an_instance_and_a_reason() {
        let mut rig = Rig::healthy();
        let word = |instance: &str| Command::Word(name("orders"), id(instance), WordKind::Hold, None);
        let stranger = rig.ask_as(because(Some("a disk")), word("7")).unwrap();
        assert!(matches!(stranger, Err(Refusal::NoInstances { .. })), "{stranger:?}");
        assert_eq!(rig.ask_as(because(None), word("0")), Some(Err(Refusal::Reason)));
        assert!(matches!(release(&mut rig, "0"), Err(Refusal::NoWord { .. })));
        assert!(rig.set().words.is_empty() && rig.trail().is_empty());
    }

    #[test]
    fn whom_a_person_protects_or_leaves_out_is_not_touched() {
        let mut rig = Rig::healthy();
        say(&mut rig, "0", WordKind::Skip, None);
        say(&mut rig, "1", WordKind::Protect, None);
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(versions(&rig), "v1 v1 v2");
        let reasons: Vec<String> = rig.upgrade().holds.iter().map(|hold| hold.reason.to_string()).collect();
        assert_eq!(reasons[0], "left out by ann: a disk");
        let mut rig = rig.restart();
        assert_eq!(rig.set().words.len(), 2, "recorded");
        assert!(release(&mut rig, "0").is_ok());
        assert_eq!(rig.restart().set().words.len(), 1);
    }

    #[test]
    fn whom_a_person_holds_joins_when_that_is_over() {
        for by_itself in [true, false] {
            let mut rig = Rig::healthy();
            say(&mut rig, "0", WordKind::Hold, Some(60));
            rig.start("v2");
            for _ in 0..2 {
                let asked = rig.asked().remove(0);
                let instance = asked.instance.id.clone();
                assert_ne!(instance.as_str(), "0");
                rig.done(asked, Ok(()));
                rig.judge(instance.as_str(), decision(0));
                rig.pass(Duration::from_secs(1));
                rig.everybody_answers();
            }
            assert!(rig.asked().is_empty() && rig.set().active().is_some(), "it waits");
            if by_itself {
                rig.pass(Duration::from_secs(61));
            } else {
                assert!(release(&mut rig, "0").is_ok());
            }
            rig.run_to_the_end();
            assert_eq!(versions(&rig), "v2 v2 v2");
            assert!(rig.set().words.is_empty());
        }
    }

    #[test]
    fn a_word_counts_for_an_upgrade_that_runs() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        say(&mut rig, "1", WordKind::Skip, None);
        rig.run_to_the_end();
        assert_eq!(versions(&rig), "v2 v1 v2");
    }

    #[test]
    fn who_is_forced_goes_in_spite_of_its_plugin_and_not_of_its_silence() {
        for participation in [Participation::Skip, Participation::Defer] {
            let mut rig = Rig::healthy();
            says("1", participation, &mut rig);
            say(&mut rig, "1", WordKind::Force, None);
            rig.start("v2");
            rig.run_to_the_end();
            assert_eq!(versions(&rig), "v2 v2 v2", "{participation:?}");
        }
        let mut rig = Rig::healthy();
        says("1", Participation::Skip, &mut rig);
        say(&mut rig, "1", WordKind::Force, None);
        rig.judge("1", Decision { claim: Claim::Unknown, ..decision(0) });
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(versions(&rig), "v2 v1 v2", "unknown is no permission, whoever says so");
        let mut rig = Rig::healthy();
        let unread = Decision { claim: Claim::Unknown, participation: Participation::Skip, ..decision(0) };
        rig.judge("1", unread);
        say(&mut rig, "1", WordKind::Force, None);
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(versions(&rig), "v2 v1 v2", "nor is the word of one that nobody can read");
    }

    #[test]
    fn who_is_forced_while_the_upgrade_runs_joins_it() {
        let mut rig = Rig::healthy();
        says("2", Participation::Skip, &mut rig);
        rig.start("v2");
        say(&mut rig, "2", WordKind::Force, None);
        rig.run_to_the_end();
        assert_eq!(versions(&rig), "v2 v2 v2");
    }

    #[test]
    fn a_word_that_cannot_be_recorded_was_not_said() {
        for mood in [DiskMood::Refuses, DiskMood::Lies, DiskMood::Doubts] {
            let mut rig = Rig::healthy();
            rig.mood = mood;
            let command = Command::Word(name("orders"), id("0"), WordKind::Skip, None);
            let _ = rig.ask_as(because(Some("a disk")), command);
            rig.mood = DiskMood::Takes;
            rig.pass(Duration::from_secs(10));
            assert!(rig.set().words.is_empty() && rig.restart().set().words.is_empty(), "{mood:?}");
        }
    }
}
