//! The kernel: everything that a host decides, as one value.
//!
//! ```text
//!  events, now ──> turn ──> writes   made durable in one commit, before anything else happens
//!                      ├──> effects  drivers, prober, recording; only then
//!                      ├──> replies  to requests; only then
//!                      └──> wake_at  when to turn again, if nothing happens before
//! ```
//!
//! A turn has two halves. *Facts* come first: what probes, drivers and plugins say is so, whatever becomes
//! of it. *Intents* follow: starts, wishes, admissions, tries that are due. When the commit of a turn is
//! refused, the turn comes back as the first event of the next one: facts stay and go with the next commit;
//! intents are undone, and the requests for them are answered: at once where the store knows that nothing was
//! made, and else with the commit that writes over what may have been. Until the record takes writes again nothing is
//! done and nothing is admitted; answers of probes go on to count.
//!
//! [`Kernel::turn`] only deals out: one file for each thing that can happen. Total: it never waits, reads or
//! fails, formats nothing for people and parses no text of its own.

mod boot;
pub mod command;
mod commit;
mod discovered;
mod done;
mod doubts;
pub mod effect;
mod ended;
pub mod event;
mod held;
mod hooks;
#[cfg(test)]
mod hooks_tests;
mod judged;
mod line;
mod look;
mod members;
mod memory;
mod modes;
#[cfg(test)]
mod newcomers_tests;
mod note;
mod out;
mod perform;
mod plugin;
mod provision;
mod quarantine;
pub mod refusal;
mod release;
mod reload;
pub mod report;
mod requests;
mod retry;
mod rollback;
mod sight;
mod start;
pub mod state;
mod surge;
#[cfg(test)]
pub(crate) mod testing;
mod timers;
mod trail;
mod watched;
mod wish;
mod word;
mod zones;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trip_tests;

pub use boot::SetConfig;
pub use command::{Answer, Command, Reply, Request};
pub use doubts::Most;
pub use effect::Effect;
pub use event::{Event, RefusedCommit};
pub use out::{Changes, SelfDoubt};
pub use refusal::{Kind, Refusal};
pub use release::{Planned, ReleaseRules, Releases, TypeRules, released};
pub use start::{plan_now, wanted};
pub use state::{Fleet, SetState};
pub use watched::{Stepped, Watching};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{By, Now, PluginName, PluginSpec, RequestId, ScaleSetName, TEXT_BYTES_MAX, Timestamp};
use crate::lifecycle::{self, PluginLife};
use crate::record::{Stored, Write};

use command::Reconfiguration;
use commit::{Patience, Recording, Undo};
use memory::Memories;
use out::{Numbers, Out};
use requests::Requests;
use timers::Timers;

/// How often a turn lets releases look again after zones were handed on; what is left goes with the next one.
const HANDED_ON_MAX: usize = 3;

/// Everything that follows from a turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// Made durable in one commit, before anything else happens.
    pub writes: Vec<Write>,
    /// To be done afterwards, in order.
    pub effects: Vec<Effect>,
    /// To be sent afterwards.
    pub replies: Vec<(RequestId, Answer)>,
    /// What a watcher of the fleet should look at again; holds whatever becomes of the commit.
    pub changed: Changes,
    /// When to turn again at the latest.
    pub wake_at: Option<Timestamp>,
    /// The steps that upgrades took, in order; none unless the kernel is watched.
    pub stepped: Vec<Stepped>,
    /// Where facts end and intents begin, for the case that the commit is refused.
    facts: Facts,
    /// Requests that lives of plugins have answered, who hear of such a refusal themselves.
    by_lives: BTreeSet<RequestId>,
    /// What plugins were told, for the same case.
    heard: Vec<(PluginName, lifecycle::Event)>,
}

/// How many of a turn's writes and effects are facts; they come first. What only is remembered comes last.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    writes: usize,
    effects: usize,
    /// Where the intents' writes end.
    intents: usize,
}

/// The value.
#[derive(Debug, Clone)]
pub struct Kernel {
    fleet: Fleet,
    memories: Memories,
    requests: Requests,
    numbers: Numbers,
    timers: Timers<ScaleSetName>,
    plugin_timers: Timers<PluginName>,
    recording: Recording,
    /// What plugins are to be told when the record takes writes again.
    unheard: Vec<(PluginName, lifecycle::Event)>,
    watching: Watching,
    /// What the intents of the latest turn have changed, as it was before.
    undo: Option<Box<Undo>>,
}

/// What a kernel is made of, beside its record.
#[derive(Debug, Default)]
pub struct Configured {
    /// Scale sets and their drivers.
    pub sets: Vec<SetConfig>,
    /// Plugins.
    pub plugins: Vec<Arc<PluginSpec>>,
    /// Whether turns hand out the steps that upgrades take.
    pub watching: Watching,
    /// What releases go by.
    pub releases: ReleaseRules,
}

impl Kernel {
    /// A kernel from what is configured and what was recorded, and its first turn.
    #[must_use]
    pub fn boot(sets: Vec<SetConfig>, stored: &Stored, now: Now) -> (Self, Turn) {
        Self::boot_watched(sets, stored, now, Watching::Off)
    }

    /// As [`Self::boot`]; every turn, the first one too, hands out the steps that upgrades take.
    #[must_use]
    pub fn boot_watched(sets: Vec<SetConfig>, stored: &Stored, now: Now, watching: Watching) -> (Self, Turn) {
        Self::boot_with(Configured { sets, watching, ..Configured::default() }, stored, now)
    }

    /// As [`Self::boot`], with everything that is configured.
    #[must_use]
    pub fn boot_with(configured: Configured, stored: &Stored, now: Now) -> (Self, Turn) {
        let Configured { sets, plugins, watching, releases } = configured;
        let numbers = Numbers {
            fence: stored.fence,
            audit: stored.audit_seq,
            upgrade: stored.upgrade_number,
            operation: 0,
        };
        let mut memories = Memories::default();
        let mut out = Out::new(numbers, watching);
        let fleet = boot::boot(sets, Releases::new(releases, stored), stored, &mut memories, now, &mut out);
        let mut kernel = Self {
            fleet,
            memories,
            requests: Requests::new(stored.requests.clone()),
            numbers: out.numbers,
            timers: Timers::default(),
            plugin_timers: Timers::default(),
            recording: Recording::default(),
            unheard: Vec::new(),
            watching,
            undo: None,
        };
        let mut turn = Turn::default();
        for spec in plugins {
            let name = spec.name.clone();
            kernel.fleet.plugins.insert(name.clone(), Arc::new(PluginLife::new(spec)));
            let booted = lifecycle::Event::Booted(stored.plugins.get(&name).cloned().map(Arc::new));
            kernel.plugin(name, booted, now, &mut out, &mut turn);
        }
        // All of it is so whatever becomes of the commit: nothing was wished for.
        turn.facts =
            Facts { writes: out.writes.len(), effects: out.effects.len(), intents: out.writes.len() };
        kernel.close(&mut turn, out, now);
        (kernel, turn)
    }

    /// The fleet as it is now; a copy that costs nothing.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Takes in what has happened, and gives what follows.
    pub fn turn(&mut self, events: Vec<Event>, now: Now) -> Turn {
        let mut events = events.into_iter().peekable();
        let mut turn = Turn::default();
        let mut out = match events.next_if(|event| matches!(event, Event::CommitRefused(_))) {
            Some(Event::CommitRefused(refused)) => self.commit_refused(*refused, now, &mut turn),
            _ => self.committed(),
        };
        let (mut requests, mut plugins) = (Vec::new(), Vec::new());
        let mut ending = false;
        for event in events {
            match event {
                Event::Request(request) => requests.push(request),
                Event::Plugin(name, event) => plugins.push((name, event)),
                Event::Ending => ending = true,
                fact => self.fact(fact, now, &mut out),
            }
        }
        doubts::look(&mut self.fleet, now, &mut out);
        turn.facts = Facts { writes: out.writes.len(), effects: out.effects.len(), intents: 0 };
        let patience = if requests.is_empty() && !ending { Patience::Some } else { Patience::None };
        if self.recording.may_write(now.at, patience) {
            self.undo = Some(Box::new(self.undo_point(&out)));
            // What has waited for the record came first.
            let mut heard = std::mem::take(&mut self.unheard);
            heard.extend(plugins);
            for (name, event) in heard {
                self.plugin(name, event, now, &mut out, &mut turn);
            }
            for request in requests {
                self.request(request, now, &mut out, &mut turn);
            }
            if ending {
                look::last_answers(&mut self.fleet, &mut self.memories, now, &mut out);
            } else {
                for name in self.plugin_timers.due(now.at).cloned().collect::<Vec<_>>() {
                    self.plugin(name, lifecycle::Event::Tick, now, &mut out, &mut turn);
                }
                self.look_around(now, &mut out);
            }
            out.writes.extend(self.proof(&out));
            turn.facts.intents = out.writes.len();
            turn.replies.extend(self.recording.answers());
            let due = ending || self.memories.due().is_some_and(|due| due <= now.at);
            if due || !out.writes.is_empty() {
                out.writes.extend(self.memories.offer());
            }
            self.close(&mut turn, out, now);
        } else {
            // Each may want a record.
            self.unheard.extend(plugins);
            self.wait_for_the_record(&mut turn, out, now);
        }
        turn
    }

    /// One thing that is so, whatever becomes of it.
    fn fact(&mut self, event: Event, now: Now, out: &mut Out) {
        let fleet = &mut self.fleet;
        match event {
            Event::Judged(batch) => {
                for decided in batch {
                    judged::judged(fleet, &mut self.memories, decided, now, out);
                }
            }
            Event::NotAsked(missed) => judged::not_asked(fleet, &missed),
            Event::StoodStill(length) => doubts::stood_still(fleet, length, now, out),
            Event::Done(done) => done::done(fleet, done, now, out),
            Event::Hooked(hooked) => hooks::hooked(fleet, hooked, now, out),
            Event::HookSays(says) => hooks::says(fleet, says),
            Event::Created(created) => surge::created(fleet, created, now, out),
            Event::Deleted(deleted) => surge::deleted(fleet, deleted, now, out),
            Event::Observed(observed) => sight::observed(fleet, observed, now, out),
            Event::Superseded(heard) => held::superseded(fleet, heard, now, out),
            Event::Note(note) => note::note(fleet, note, now, out),
            Event::DriverSays(word) => hooks::driver_says(fleet, word, now),
            Event::Waits(waits) => note::waits(fleet, *waits, now, out),
            Event::PluginTrouble(trouble) => note::plugin_trouble(fleet, &trouble, now, out),
            // Dealt with where turns begin; nothing is known of one that comes later.
            Event::Request(_) | Event::Plugin(..) | Event::CommitRefused(_) | Event::Ending => {}
        }
    }

    /// Tells the life of a plugin what has happened.
    fn plugin(
        &mut self,
        name: PluginName,
        event: lifecycle::Event,
        now: Now,
        out: &mut Out,
        turn: &mut Turn,
    ) {
        let heard = plugin::hear(&mut self.fleet, &name, event.clone(), now, out);
        turn.by_lives.extend(heard.replies.iter().map(|(id, _)| *id));
        turn.replies.extend(heard.replies);
        self.plugin_timers.note(&name, heard.wake_at);
        turn.heard.push((name, event));
    }

    /// Answers one request, after what it asks for. A plugin's life answers when it has come to an end.
    fn request(&mut self, request: Request, now: Now, out: &mut Out, turn: &mut Turn) {
        let by = request.by();
        let request = match request {
            Request { id, command: Command::Plugin(name, wanted), .. } => {
                match self.fleet.plugin(&name) {
                    Ok(_) => {
                        note::plugin_asked(&self.fleet, &name, (&wanted, by), now, out);
                        self.plugin(name, lifecycle::Event::Wanted(id, *wanted), now, out, turn);
                    }
                    Err(unknown) => turn.replies.push((id, Err(unknown))),
                }
                return;
            }
            other => other,
        };
        let answer = match self.requests.repeated(&request, &self.fleet) {
            Some(answer) => answer,
            None => {
                let answer = if let Command::Reconfigure(change) = &request.command {
                    let answer = self.reconfigure(change.clone(), &by, now, out, turn);
                    if answer.is_ok() {
                        note::reloaded(&self.fleet, &change.changed, &by, now, out);
                    }
                    answer
                } else {
                    self.grant(&request, now, out)
                };
                if let Some(reply) = answer.as_ref().ok().filter(|reply| **reply != Reply::Recalled(None)) {
                    out.writes.extend(self.requests.granted(&request, reply));
                }
                answer
            }
        };
        turn.replies.push((request.id, answer));
    }

    fn grant(&mut self, request: &Request, now: Now, out: &mut Out) -> Answer {
        let by = request.by();
        if by.reason.as_ref().is_some_and(|reason| reason.len() > TEXT_BYTES_MAX) {
            return Err(Refusal::Reason);
        }
        let (fleet, memories) = (&mut self.fleet, &mut self.memories);
        match &request.command {
            Command::Ping => Ok(Reply::Pong),
            Command::Start(name, options) => {
                held::check(fleet)?;
                start::start(fleet, memories, name, options, &by, now, out)?;
                self.latest(name)
            }
            Command::Wish(name, wish) => {
                held::check(fleet)?;
                wish::wish(fleet, memories, (name, *wish), &by, now, out)?;
                self.latest(name)
            }
            Command::RollBackTo(name, former) => {
                held::check(fleet)?;
                rollback::to(fleet, memories, name, former, &by, now, out)?;
                self.latest(name)
            }
            Command::Word(name, id, kind, length) => {
                held::check(fleet)?;
                word::say(fleet, memories, (name, id), (*kind, *length), &by, now, out)?;
                Ok(Reply::Recorded)
            }
            Command::Release(name, id) => {
                held::check(fleet)?;
                word::release(fleet, memories, (name, id), &by, now, out)?;
                Ok(Reply::Recorded)
            }
            Command::Discovered(name, change) => {
                held::check(fleet)?;
                discovered::take_over(fleet, name, change, &by, now, out)?;
                Ok(Reply::Recorded)
            }
            Command::Adopt => {
                held::adopt(fleet, memories, &by, now, out)?;
                Ok(Reply::Recorded)
            }
            Command::LiftQuarantine(name, change) => {
                quarantine::lift(fleet, name, change, &by, now, out)?;
                Ok(Reply::Recorded)
            }
            Command::StopLine => {
                line::stop(fleet, &by, now, out)?;
                Ok(Reply::Line(fleet.line.clone()))
            }
            Command::StartLine => {
                line::start(fleet, &by, now, out)?;
                Ok(Reply::Line(None))
            }
            Command::Releases(wanted) => {
                held::check(fleet)?;
                release::grant(fleet, memories, wanted, &by, now, out)?;
                Ok(Reply::Recorded)
            }
            // Dealt with where requests come in.
            Command::Plugin(..) | Command::Reconfigure(_) => Ok(Reply::Recorded),
            Command::Recall => Ok(Reply::Recalled(None)),
        }
    }

    /// Goes by a changed configuration: all of it, in this turn.
    fn reconfigure(
        &mut self,
        change: Reconfiguration,
        by: &By,
        now: Now,
        out: &mut Out,
        turn: &mut Turn,
    ) -> Answer {
        // All of it or nothing: none takes anything up where another one would refuse.
        let mut lives = change.plugins.iter();
        if let Some(refusal) = lives.find_map(|(name, id)| plugin::not_taken_up(&self.fleet, name, *id, now))
        {
            return Err(refusal);
        }
        let mut taken = Vec::new();
        for (name, prepared) in &change.plugins {
            let take_up = lifecycle::Event::Wanted(*prepared, lifecycle::Command::TakeUp);
            let before = turn.replies.len();
            self.plugin(name.clone(), take_up, now, out, turn);
            for (id, answer) in turn.replies.split_off(before) {
                if id != *prepared {
                    // Whose load is overtaken hears of it.
                    turn.replies.push((id, answer));
                    continue;
                }
                match answer {
                    Ok(Reply::Plugin(lifecycle::Reply::TakenUp(it))) => taken.push((name.clone(), it)),
                    Ok(_) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        let is_other = |(_, taken): &(PluginName, Box<lifecycle::TakenUp>)| {
            taken.changed == lifecycle::Part::Changed || taken.from != taken.to
        };
        if change.is_empty() && !taken.iter().any(is_other) {
            modes::read_again(&mut self.fleet, now, out);
        }
        reload::reconfigure(&mut self.fleet, &mut self.memories, change, by, now, out);
        Ok(Reply::Reconfigured(taken))
    }

    fn latest(&self, name: &ScaleSetName) -> Answer {
        let upgrade = self.fleet.set(name)?.upgrade.as_ref();
        let upgrade = upgrade.ok_or_else(|| Refusal::NoRunningUpgrade(name.clone()))?;
        Ok(Reply::Upgrade { scale_set: name.clone(), id: upgrade.id.clone() })
    }

    /// Lets every upgrade look that has a reason to, and tries again what is due.
    fn look_around(&mut self, now: Now, out: &mut Out) {
        if self.fleet.held.is_some() {
            return;
        }
        let (fleet, memories) = (&mut self.fleet, &mut self.memories);
        let mut names = fleet.touched.clone();
        names.extend(self.timers.due(now.at).cloned());
        for name in names {
            word::expire(fleet, memories, &name, now, out);
            zones::settle(fleet, &name, now.at);
            if fleet.set(&name).is_ok_and(|set| look::is_woken(set, now)) {
                look::look(fleet, memories, &name, &[], now, out);
            }
            boot::try_again(fleet, memories, &name, now, out);
            provision::go_on(fleet, &name, now, out);
            members::settle(fleet, memories, &name, now, out);
            sight::look_again(fleet, &name, now, out);
            retry::begin_due(fleet, memories, &name, now, out);
        }
        // What is handed on may end something, and what ends may begin the next.
        for _ in 0..HANDED_ON_MAX {
            release::look(fleet, memories, now, out);
            if !zones::hand_on(fleet, memories, now, out) {
                break;
            }
        }
    }
}
