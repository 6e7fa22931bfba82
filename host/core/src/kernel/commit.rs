//! What a kernel does about its commits: the way back from one that was refused, and when to try again.

use std::time::Duration;

use super::command::{Answer, Reply};
use super::event::RefusedCommit;
use super::look;
use super::out::{Numbers, Out};
use super::plugin;
use super::refusal::Refusal;
use super::requests::Requests;
use super::state::Fleet;
use super::surge;
use super::trail;
use super::{Effect, Kernel, Turn};
use crate::domain::{Backoff, Component, Now, ScaleSetName, Timestamp, UpgradeId};
use crate::record::{StoredModel, Write};
use crate::rollout::Upgrade;

/// Between two tries to write.
const WRITE_AGAIN: Backoff = Backoff { first: Duration::from_secs(5), max: Duration::from_secs(5) };

/// How the record stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Recording {
    /// It refuses: when to try again, and how often it has refused.
    refusing: Option<(Timestamp, u32)>,
    /// Facts and what follows from them, not recorded yet.
    writes: Vec<Write>,
    effects: Vec<Effect>,
}

/// Whether a turn can wait for the next try to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A person waits for an answer, or the host ends.
    None,
    /// Nothing is asked for.
    Some,
}

/// The state before the intents of a turn.
#[derive(Debug, Clone)]
pub(super) struct Undo {
    fleet: Fleet,
    requests: Requests,
    numbers: Numbers,
}

impl Recording {
    /// Whether anything may be written now. A request is worth a try of its own: a person waits for it.
    pub(super) fn may_write(&self, at: Timestamp, patience: Patience) -> bool {
        patience == Patience::None || self.refusing.is_none_or(|(again_at, _)| again_at <= at)
    }
}

impl Kernel {
    /// The latest commit was made.
    pub(super) fn committed(&mut self) -> Out {
        self.memories.recorded();
        if self.undo.take().is_some() {
            self.recording.refusing = None;
            self.fleet.refusing = None;
        }
        self.begin()
    }

    /// A turn's collection, with what waits to be recorded.
    fn begin(&mut self) -> Out {
        if self.recording.refusing.is_none() {
            // Else what has changed since the refusal has not been looked at: upgrades hear of it once the
            // record takes writes again, in the turn that records it.
            self.fleet.touched.clear();
        }
        let mut out = Out::new(self.numbers, self.watching);
        out.writes = std::mem::take(&mut self.recording.writes);
        out.effects = std::mem::take(&mut self.recording.effects);
        out
    }

    pub(super) fn undo_point(&self, out: &Out) -> Undo {
        Undo { fleet: self.fleet.clone(), requests: self.requests.clone(), numbers: out.numbers }
    }

    /// The latest commit was refused. Whether it was made all the same is not known, so whatever it may have
    /// left is written over: facts again, and intents as they are without it.
    pub(super) fn commit_refused(&mut self, refused: RefusedCommit, now: Now, turn: &mut Turn) -> Out {
        let RefusedCommit { turn: before, why } = refused;
        let Turn { mut writes, mut effects, replies, facts, heard, .. } = before;
        self.memories.refused();
        let tries = self.recording.refusing.map_or(0, |(_, tries)| tries) + 1;
        let again_at = now.at + WRITE_AGAIN.after(tries, self.numbers.audit);
        self.recording.refusing = Some((again_at, tries));
        if let Some(undo) = self.undo.take() {
            let Undo { fleet, requests, numbers } = *undo;
            let touched = std::mem::take(&mut self.fleet.touched);
            (self.fleet, self.requests, self.numbers) = (fleet, requests, numbers);
            self.fleet.touched.extend(touched);
            self.note_timers();
        }
        self.fleet.refusing = Some(why.as_str().into());
        let intents: Vec<Write> = writes.drain(facts.writes..facts.intents.max(facts.writes)).collect();
        writes.truncate(facts.writes);
        writes.extend(self.written_over(&intents));
        effects.truncate(facts.effects);
        (self.recording.writes, self.recording.effects) = (writes, effects);
        let mut before = Before::Nothing;
        for (id, answer) in replies {
            // What was refused after something was granted may have been refused because of that.
            if answer.is_ok() {
                before = Before::Granted;
            }
            let answer = not_recorded(answer, before, &why);
            turn.replies.extend(answer.map(|answer| (id, answer)));
        }
        let mut out = self.begin();
        for (name, event) in heard {
            let heard = plugin::hear_unrecorded(&mut self.fleet, &name, event, &why, now, &mut out);
            turn.replies.extend(heard.replies);
            self.plugin_timers.note(&name, heard.wake_at);
        }
        out
    }

    /// After a refusal nothing is done before the record has taken a write: where there is nothing to be
    /// recorded, what is so anyway is.
    pub(super) fn proof(&self, out: &Out) -> Option<Write> {
        let is_needed = self.recording.refusing.is_some() && out.writes.is_empty();
        is_needed.then(|| Write::Line(self.fleet.line.clone()))
    }

    /// What the record is to say where refused intents may stand in it.
    fn written_over(&self, intents: &[Write]) -> Vec<Write> {
        let mut writes: Vec<Write> = intents.iter().filter_map(|write| self.as_it_is(write)).collect();
        if intents.iter().any(|write| matches!(write, Write::Audit(_))) {
            writes.push(Write::TrailEnds(self.numbers.audit));
        }
        writes
    }

    /// The same row as it is without the intent.
    fn as_it_is(&self, write: &Write) -> Option<Write> {
        Some(match write {
            Write::Upgrade(head) => match self.upgrade(&head.scale_set, &head.id) {
                Some(upgrade) => Write::Upgrade(Box::new(upgrade.head())),
                None => Write::UpgradeGone(head.id.clone()),
            },
            // Of an upgrade that never began everything goes with its head.
            Write::Member(id, instance, _) | Write::MemberLeft(id, instance) => {
                look::member_write(self.latest_with(id)?, instance)
            }
            Write::Batch(id, number, _) => look::batch_write(self.latest_with(id)?, *number),
            Write::Order(id, _) => Write::Order(id.clone(), self.latest_with(id)?.order()),
            Write::LeftOut(id, _) => Write::LeftOut(id.clone(), Box::new(self.latest_with(id)?.left_out())),
            Write::Version(name, id, component, _) => {
                let instance = self.fleet.set(name).ok()?.instance(id);
                let version = instance.and_then(|instance| instance.version_of(component)).cloned();
                Write::Version(name.clone(), id.clone(), component.clone(), version)
            }
            Write::Membership(name, id, _) => {
                let instance = self.fleet.set(name).ok()?.instance(id);
                let membership = instance.and_then(surge::membership).map(Box::new);
                Write::Membership(name.clone(), id.clone(), membership)
            }
            Write::Model(name, component, _) => {
                Write::Model(name.clone(), component.clone(), self.model(name, component)?)
            }
            Write::Plugin(name, _) => {
                Write::Plugin(name.clone(), Box::new(self.fleet.plugins.get(name)?.stored()?))
            }
            Write::Quarantine(name, change, _) => {
                let reason = self.fleet.set(name).ok()?.quarantined.get(change).cloned();
                Write::Quarantine(name.clone(), change.clone(), reason)
            }
            Write::Retry(name, _) => Write::Retry(name.clone(), self.fleet.set(name).ok()?.retry.clone()),
            Write::Line(_) => Write::Line(self.fleet.line.clone()),
            Write::Request(key, _) => Write::Request(key.clone(), self.requests.get(key).cloned()),
            // Memories wait where each instance has one; the trail is cut as a whole.
            Write::Memory(..) | Write::UpgradeGone(_) | Write::Audit(_) | Write::TrailEnds(_) => return None,
        })
    }

    fn upgrade(&self, name: &ScaleSetName, id: &UpgradeId) -> Option<&Upgrade> {
        let set = self.fleet.set(name).ok()?;
        set.upgrade.as_deref().filter(|upgrade| upgrade.id == *id)
    }

    fn latest_with(&self, id: &UpgradeId) -> Option<&Upgrade> {
        self.fleet.sets().find_map(|set| set.upgrade.as_deref().filter(|upgrade| upgrade.id == *id))
    }

    fn model(&self, name: &ScaleSetName, component: &Component) -> Option<StoredModel> {
        let set = self.fleet.set(name).ok()?;
        let configured = set.spec.model.goal().of(component)?.clone();
        Some(StoredModel { version: set.model.of(component)?.clone(), configured })
    }

    /// Hands the turn over.
    pub(super) fn close(&mut self, turn: &mut Turn, mut out: Out, now: Now) {
        self.numbers = out.numbers;
        let used: Vec<_> = out.writes.iter().filter_map(used).collect();
        if !used.is_empty() {
            out.effects.push(Effect::Keep(used));
        }
        out.changes.sets.clone_from(&self.fleet.touched);
        self.note_timers();
        (turn.writes, turn.effects, turn.changed) = (out.writes, out.effects, out.changes);
        turn.stepped = out.stepped;
        turn.wake_at = self.wake_at(now);
    }

    /// Facts wait for the record, and so does everything that is due.
    pub(super) fn wait_for_the_record(&mut self, turn: &mut Turn, mut out: Out, now: Now) {
        self.numbers = out.numbers;
        (self.recording.writes, self.recording.effects) = (out.writes, out.effects);
        out.changes.sets.clone_from(&self.fleet.touched);
        turn.changed = out.changes;
        turn.facts = super::Facts::default();
        self.note_timers();
        turn.wake_at = self.wake_at(now);
    }

    fn note_timers(&mut self) {
        for name in &self.fleet.touched {
            let due = self.fleet.set(name).ok().and_then(|set| set.next_due());
            self.timers.note(name, due);
        }
    }

    fn wake_at(&self, now: Now) -> Option<Timestamp> {
        if let Some((again_at, _)) = self.recording.refusing {
            // Whatever is due waits for it.
            return Some(again_at.max(now.at));
        }
        let timers = self.timers.next().into_iter().chain(self.plugin_timers.next());
        timers.chain(self.memories.due()).min()
    }
}

fn used(write: &Write) -> Option<super::effect::Used> {
    match write {
        Write::Audit(entry) => trail::used(entry),
        Write::Upgrade(_)
        | Write::UpgradeGone(_)
        | Write::Order(..)
        | Write::Batch(..)
        | Write::LeftOut(..)
        | Write::Member(..)
        | Write::MemberLeft(..)
        | Write::Version(..)
        | Write::Membership(..)
        | Write::Memory(..)
        | Write::Model(..)
        | Write::Plugin(..)
        | Write::Quarantine(..)
        | Write::Retry(..)
        | Write::Line(_)
        | Write::Request(..)
        | Write::TrailEnds(_) => None,
    }
}

/// Whether anything was granted by a turn so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Granted,
}

/// What was granted and could not be recorded was not done, and what was refused since may have been refused
/// because of it.
fn not_recorded(answer: Answer, before: Before, why: &str) -> Option<Answer> {
    match answer {
        // The life of the plugin answers for itself.
        Ok(Reply::Plugin(_)) | Err(Refusal::Plugin(_)) => None,
        Err(refused) if before == Before::Nothing => Some(Err(refused)),
        Ok(_) | Err(_) => Some(Err(Refusal::NotRecorded { why: why.to_owned() })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::testing::*;
    use super::*;
    use crate::domain::*;
    use crate::rollout::Wish;

    /// What a kernel that starts from the record now would know.
    fn recorded(rig: &Rig) -> (Option<Upgrade>, Vec<Option<Version>>, usize) {
        let stored = rig.disk.clone().open();
        let versions = stored.versions.values().cloned().collect();
        (stored.upgrades.get(&name("orders")).cloned(), versions, rig.disk.trail().count())
    }

    #[test]
    fn a_start_that_cannot_be_recorded_never_was() {
        for mood in [DiskMood::Refuses, DiskMood::Lies] {
            let mut rig = Rig::healthy();
            rig.mood = mood;
            let answer = rig.start("v2").unwrap();
            assert!(matches!(answer, Err(Refusal::NotRecorded { .. })), "{mood:?}: {answer:?}");
            assert!(rig.set().upgrade.is_none() && rig.effects.is_empty(), "{mood:?}");
            assert_eq!(rig.kernel.fleet().refusing.as_deref(), Some("the disk is full"));
            rig.mood = DiskMood::Takes;
            rig.pass(Duration::from_secs(6));
            assert!(rig.asked().is_empty(), "{mood:?}: nothing of it is done later");
            assert_eq!(
                recorded(&rig),
                (None, vec![Some(version("v1")); 3], 0),
                "{mood:?}: also when it was made"
            );
            // That it was made is known by the next turn, which is due at once.
            rig.pass(Duration::ZERO);
            assert!(rig.kernel.fleet().refusing.is_none());
            assert!(rig.start("v2").unwrap().is_ok(), "and it can be asked for again");
        }
    }

    #[test]
    fn facts_stay_and_nothing_goes_out_until_the_record_takes_writes() {
        for mood in [DiskMood::Refuses, DiskMood::Lies] {
            let mut rig = Rig::healthy();
            rig.start("v2");
            let asked = rig.asked().remove(0);
            let instance = asked.instance.id.clone();
            rig.mood = mood;
            rig.done(asked, Ok(()));
            rig.judge(instance.as_str(), decision(0));
            rig.pass(Duration::from_secs(1));
            assert!(rig.effects.is_empty(), "{mood:?}: no probe is told of what is not recorded");
            assert!(rig.asked().is_empty(), "{mood:?}: the next batch waits");
            assert_eq!(rig.instance(instance.as_str()).version, Some(version("v2")), "a fact");
            assert_eq!(rig.instance(instance.as_str()).fold.health(), Health::Healthy, "decisions go on");
            rig.mood = DiskMood::Takes;
            rig.pass(Duration::from_secs(6));
            let (upgrade, versions, _) = recorded(&rig);
            assert_eq!(upgrade.as_ref(), Some(rig.upgrade()), "{mood:?}: the record is the state");
            assert_eq!(versions.iter().flatten().filter(|seen| **seen == version("v2")).count(), 1);
            let next = rig.asked();
            assert_eq!(next.len(), 1, "{mood:?}: and it goes on, once");
            assert_ne!(next[0].instance.id, instance);
        }
    }

    #[test]
    fn a_wish_is_undone_and_its_answer_says_so() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.mood = DiskMood::Lies;
        let answer = rig.ask(Command::Wish(name("orders"), Wish::Pause)).unwrap();
        assert!(matches!(answer, Err(Refusal::NotRecorded { .. })) && !rig.upgrade().paused);
        let by = By { reason: Some("the network".to_owned()), ..By::host() };
        assert!(rig.ask_as(by.clone(), Command::StopLine).unwrap().is_err());
        rig.mood = DiskMood::Takes;
        rig.pass(Duration::from_secs(6));
        let stored = rig.disk.clone().open();
        assert!(stored.line.is_none() && !stored.upgrades[&name("orders")].paused, "the record says so, too");
        assert!(matches!(rig.ask_as(by, Command::StopLine), Some(Ok(Reply::Line(Some(_))))));
    }

    #[test]
    fn a_request_is_worth_a_try_before_it_is_due() {
        let mut rig = Rig::healthy();
        rig.mood = DiskMood::Refuses;
        rig.start("v2");
        rig.mood = DiskMood::Takes;
        assert!(rig.start("v2").unwrap().is_ok(), "the disk has room again");
    }

    #[test]
    fn while_it_refuses_the_next_try_is_all_that_is_due() {
        let mut rig = Rig::healthy();
        rig.mood = DiskMood::Refuses;
        rig.start("v2");
        let wake = rig.wake_at.unwrap();
        assert!(wake > rig.now.at && wake <= rig.now.at + WRITE_AGAIN.max, "{wake} at {}", rig.now.at);
    }
}
