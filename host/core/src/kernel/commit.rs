//! What a kernel does about its commits: the way back from one that was refused, and when to try again.

mod over;

use std::time::Duration;

use super::command::{Answer, Reply};
use super::doubts;
use super::event::RefusedCommit;
use super::out::{Numbers, Out};
use super::plugin;
use super::refusal::Refusal;
use super::requests::Requests;
use super::state::Fleet;
use super::trail;
use super::{Effect, Kernel, Turn, lifecycle};
use crate::domain::{Backoff, Now, RequestId, Timestamp};
use crate::record::{Made, Write};

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
    /// Answers about what was undone and may stand in the record all the same. A host that starts from it would
    /// do it, so they wait until it is written over.
    held: Vec<(RequestId, Answer)>,
}

/// Answers that wait at most. Of an older one the kernel says nothing, and the door says that it is not known.
const HELD_MAX: usize = 1_000;

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

    /// What is answered once the commit of this turn, which begins with what is written over, is made.
    pub(super) fn answers(&self) -> impl Iterator<Item = (RequestId, Answer)> {
        self.held.iter().cloned()
    }

    fn is_held(&self, request: RequestId) -> bool {
        self.held.iter().any(|(held, _)| *held == request)
    }

    fn hold(&mut self, answers: impl IntoIterator<Item = (RequestId, Answer)>) {
        self.held.extend(answers);
        let beyond = self.held.len().saturating_sub(HELD_MAX);
        self.held.drain(..beyond);
    }
}

impl Kernel {
    /// The latest commit was made.
    pub(super) fn committed(&mut self) -> Out {
        self.memories.recorded();
        if self.undo.take().is_some() {
            self.recording.refusing = None;
            self.fleet.refusing = None;
            self.recording.held.clear();
        }
        self.begin()
    }

    /// A turn's collection, with what waits to be recorded.
    fn begin(&mut self) -> Out {
        if self.recording.refusing.is_none() {
            // Else what has changed since the refusal has not been looked at: upgrades hear of it once the
            // record takes writes again, in the turn that records it.
            doubts::count(&mut self.fleet);
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

    /// The latest commit was refused. It may have been made all the same, so whatever it may have left is
    /// written over: facts again, and intents as they are without it. Where that is not known, the answer to what
    /// was undone waits until it is: else the host could die before, and what was answered with no be done.
    pub(super) fn commit_refused(&mut self, refused: RefusedCommit, now: Now, turn: &mut Turn) -> Out {
        let RefusedCommit { turn: before, why, made } = refused;
        let Turn { mut writes, mut effects, replies, facts, heard, by_lives, .. } = before;
        self.memories.refused();
        let tries = self.recording.refusing.map_or(0, |(_, tries)| tries) + 1;
        let again_at = now.at + WRITE_AGAIN.after(tries, self.numbers.audit);
        self.recording.refusing = Some((again_at, tries));
        if let Some(undo) = self.undo.take() {
            let Undo { fleet, requests, numbers } = *undo;
            let touched = std::mem::take(&mut self.fleet.touched);
            (self.fleet, self.requests, self.numbers) = (fleet, requests, numbers);
            self.fleet.touched.extend(touched);
            self.memories.correct(&self.fleet);
            self.note_timers();
        }
        self.fleet.refusing = Some(why.as_str().into());
        let intents: Vec<Write> = writes.drain(facts.writes..facts.intents.max(facts.writes)).collect();
        writes.truncate(facts.writes);
        writes.extend(self.written_over(&intents));
        effects.truncate(facts.effects);
        (self.recording.writes, self.recording.effects) = (writes, effects);
        let mut before = Before::Nothing;
        let (mut undone, mut others) = (Vec::new(), Vec::new());
        for (id, answer) in replies {
            // The life of a plugin answers for itself.
            if self.recording.is_held(id) || by_lives.contains(&id) {
                continue;
            }
            // What was refused after something was granted may have been refused because of that.
            if answer.is_ok() {
                before = Before::Granted;
            }
            let answers = if promises(&answer) { &mut undone } else { &mut others };
            answers.push((id, not_recorded(answer, before, &why)));
        }
        let mut out = self.begin();
        for (name, event) in heard {
            let heard = plugin::hear_unrecorded(&mut self.fleet, &name, event, &why, now, &mut out);
            undone.extend(heard.replies);
            self.plugin_timers.note(&name, heard.wake_at);
            // What it has become all the same is recorded with a step of its own, once the record takes writes.
            let again = (name, lifecycle::Event::Tick);
            if !self.unheard.contains(&again) {
                self.unheard.push(again);
            }
        }
        turn.replies.extend(others);
        match made {
            Made::No => turn.replies.extend(undone),
            Made::NotKnown => self.recording.hold(undone),
        }
        out
    }

    /// After a refusal nothing is done before the record has taken a write: where there is nothing to be
    /// recorded, what is so anyway is.
    pub(super) fn proof(&self, out: &Out) -> Option<Write> {
        let is_needed = self.recording.refusing.is_some() && out.writes.is_empty();
        is_needed.then(|| Write::Line(self.fleet.line.clone()))
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
        // What is due of the sets waits until a person has adopted the record.
        let sets = self.timers.next().into_iter().chain(self.fleet.releases.wake_at);
        let sets = sets.min().filter(|_| self.fleet.held.is_none());
        sets.into_iter().chain(self.plugin_timers.next()).chain(self.memories.due()).min()
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
        | Write::Runs(..)
        | Write::Membership(..)
        | Write::Forgotten(..)
        | Write::Discovered(..)
        | Write::Memory(..)
        | Write::Model(..)
        | Write::Plugin(..)
        | Write::Quarantine(..)
        | Write::Retry(..)
        | Write::Word(..)
        | Write::Provision(..)
        | Write::Line(_)
        | Write::Hold(_)
        | Write::Fence(_)
        | Write::Request(..)
        | Write::Published(..)
        | Write::Release(..)
        | Write::ReleaseSet(..)
        | Write::OptOut(..)
        | Write::Feature(..)
        | Write::TrailEnds(_) => None,
    }
}

/// Whether anything was granted by a turn so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Granted,
}

/// Whether an answer says that something is so from now on.
fn promises(answer: &Answer) -> bool {
    match answer {
        Ok(Reply::Pong | Reply::Recalled(_)) | Err(_) => false,
        Ok(
            Reply::Upgrade { .. }
            | Reply::Line(_)
            | Reply::Recorded
            | Reply::Reconfigured(_)
            | Reply::Plugin(_),
        ) => true,
    }
}

/// What was granted and could not be recorded was not done, and what was refused since may have been refused
/// because of it.
fn not_recorded(answer: Answer, before: Before, why: &str) -> Answer {
    match answer {
        Err(refused) if before == Before::Nothing => Err(refused),
        Ok(_) | Err(_) => Err(Refusal::NotRecorded { why: why.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
