//! One step of a plugin's life: an event in, everything that follows out.
//!
//! Only deals out; each handler has a file of its own.

use std::sync::Arc;

use super::effect::Effect;
use super::event::{Answer, Command, Event, Ticket};
use super::life::{Diff, PluginLife, Standing};
use super::refusal::{Refusal, RefusalReason};
use super::said::{Fact, Said};
use super::{
    circuit, discard, file, prepare, promote, reload, rollback, shadow, startup, swap, trial, unfit, watch,
    wishes,
};
use crate::domain::{Generation, Now, RequestId, Timestamp};
use crate::record::StoredPlugin;

/// Everything that follows from one event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// The plugin's record, where it changed: durable before anything else happens.
    pub record: Option<StoredPlugin>,
    /// What there is to say: for the trail, the log and the list.
    pub audit: Vec<Said>,
    /// What the hands are to do.
    pub effects: Vec<Effect>,
    /// Answers to requests.
    pub replies: Vec<(RequestId, Result<Reply, Refusal>)>,
    /// The generation that decides from now on, where that is another one.
    pub in_force: Option<Generation>,
    /// When to come again with [`Event::Tick`]; none while only events count.
    pub wake_at: Option<Timestamp>,
}

/// What a request brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A component was swapped in, or judges beside the active one, or was only compared; what it changes.
    Swapped(Option<Box<Diff>>),
    /// An earlier generation is active.
    RolledBack,
    /// What judged beside the active component is active.
    Promoted,
    /// A load or a shadow was ended.
    Discarded,
    /// What a changed configuration says is ready to be taken up.
    Prepared,
    /// It was taken up.
    TakenUp(Box<reload::TakenUp>),
    /// It was given up.
    Abandoned,
}

/// Whether the store takes a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Store<'a> {
    /// As far as is known.
    Takes,
    /// It did not just now, because of this.
    Refuses(&'a str),
}

/// What a handler adds to.
pub(super) struct Out<'a> {
    pub(super) store: Store<'a>,
    pub(super) audit: Vec<Fact>,
    pub(super) effects: Vec<Effect>,
    pub(super) replies: Vec<(RequestId, Result<Reply, Refusal>)>,
    pub(super) in_force: Option<Generation>,
}

impl Out<'_> {
    pub(super) fn say(&mut self, fact: Fact) {
        self.audit.push(fact);
    }

    pub(super) fn act(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.replies.push((request, Ok(reply)));
    }

    pub(super) fn refuse(&mut self, life: &PluginLife, request: RequestId, reason: RefusalReason) {
        self.replies.push((request, Err(Refusal { plugin: life.name().clone(), reason })));
    }
}

/// Applies one event. Total: an event that makes no sense here, and an answer to a job that is over, change
/// nothing.
pub fn step(life: &mut PluginLife, event: Event, now: Now) -> Step {
    run(life, event, now, Store::Takes)
}

/// Applies an event whose step could not be recorded: the life is as it was before that step, and nothing of
/// it was done. No generation takes over, a request that waits for one is told `why`, and what else would have been
/// recorded goes with the next step's record.
pub fn step_unrecorded(life: &mut PluginLife, event: Event, why: &str, now: Now) -> Step {
    run(life, event, now, Store::Refuses(why))
}

fn run(life: &mut PluginLife, event: Event, now: Now, store: Store<'_>) -> Step {
    let mut out = Out { store, audit: Vec::new(), effects: Vec::new(), replies: Vec::new(), in_force: None };
    deal(life, &mut out, event, now);
    due(life, &mut out, now);
    promote::go_on(life, &mut out, now);
    wishes::go_on(life, &mut out, now);
    let record = match store {
        Store::Takes => changed(life),
        Store::Refuses(_) => None,
    };
    let Out { audit, effects, replies, in_force, .. } = out;
    let said = |fact| Said { plugin: life.name().clone(), fact };
    Step {
        record,
        audit: audit.into_iter().map(said).collect(),
        effects,
        replies,
        in_force,
        wake_at: wake_at(life, now.at),
    }
}

fn deal(life: &mut PluginLife, out: &mut Out<'_>, event: Event, now: Now) {
    match event {
        Event::Booted(stored) => startup::booted(life, out, stored, now),
        Event::Wanted(request, command) => wanted(life, out, (request, command), now),
        Event::Hand(ticket, answer) => answered(life, out, (ticket, answer), now),
        Event::FileSeen(digest) => file::seen(life, out, digest, now),
        Event::Trouble(generation, failing) => circuit::trouble_seen(life, generation, failing),
        Event::Failing(generation, failing) => circuit::failing(life, generation, failing),
        Event::Tick => {}
    }
}

fn wanted(life: &mut PluginLife, out: &mut Out<'_>, (request, command): (RequestId, Command), now: Now) {
    if life.standing != Standing::Running {
        return out.refuse(life, request, RefusalReason::Starting);
    }
    match command {
        Command::Swap(offer, options) => swap::wanted(life, out, request, (offer, options), now),
        Command::Rollback(to) => rollback::wanted(life, out, request, to, now),
        Command::Promote => shadow::promote_by_hand(life, out, request, now),
        Command::Discard => discard::wanted(life, out, request, now),
        Command::Prepare(spec, place) => reload::prepare(life, out, request, (spec, place), now),
        Command::TakeUp => reload::take_up(life, out, request, now),
        Command::Abandon => reload::abandon(life, out, request),
    }
}

/// Finds the job that an answer is about. What is not found is over.
fn answered(life: &mut PluginLife, out: &mut Out<'_>, (ticket, answer): (Ticket, Answer), now: Now) {
    let is = |job: &mut super::job::Job| job.load.ticket == ticket;
    if let Some(job) = life.load.take_if(is).or_else(|| life.back.take_if(is)) {
        prepare::answered(life, out, job, answer, now);
    } else if life.trial.as_ref().is_some_and(|trial| trial.ticket == ticket) {
        shadow::answered(life, out, answer, now);
    }
}

/// What is due by the time alone.
fn due(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    unfit::give_up(life, out, now);
    shadow::due(life, out, now);
    watch::due(life, out, now);
    circuit::look(life, out, now);
    reload::give_up(life, out, now);
}

/// The record, where it is not the one that the store has. What was taken over with it is kept for the next
/// comparison; a step that is undone undoes that too.
fn changed(life: &mut PluginLife) -> Option<StoredPlugin> {
    let stored = life.stored()?;
    if life.recorded.as_deref() == Some(&stored) {
        return None;
    }
    life.recorded = Some(Arc::new(stored.clone()));
    Some(stored)
}

/// What is past already waits for an event.
fn wake_at(life: &PluginLife, now: Timestamp) -> Option<Timestamp> {
    let jobs = life.load.iter().chain(&life.back).map(|job| job.until);
    let ready = life.ready.as_ref().map(|ready| ready.until);
    let trial = life.trial.as_ref().and_then(|trial| trial::due_at(trial, &life.spec));
    let all = jobs.chain(ready).chain(trial).chain(circuit::due_at(life)).chain(wishes::due_at(life));
    all.filter(|at| *at > now).min()
}
