//! The loop: receive, turn, commit, publish, perform. One thread of its own: a slow disk delays decisions,
//! never probes.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use phasegate_core::domain::{ReadClock, RequestId, Timestamp};
use phasegate_core::kernel::{
    Answer, Changes, Configured, Effect, Event, Kernel, Refusal, RefusedCommit, Turn,
};
use phasegate_core::lifecycle::{PluginLife, Standing};
use phasegate_core::record::audit::What;
use phasegate_core::record::{Commit, Made, Opened, Store, StoreError, Write};

use super::door::Inside;
use super::perform::{Hands, perform};
use super::say;
use crate::clock::{Clock, Steps};
use crate::drivers::{Custody, Driver};

/// Events taken in by one turn: one look for many answers.
const EVENTS_PER_TURN: usize = 1024;

/// How long the loop sleeps when nothing is due: it notices that it stood still by having slept too long.
const IDLE: Duration = Duration::from_secs(1);

/// So much longer than it wanted to sleep is no busy machine: the process or the machine was stopped.
const STOOD_STILL: Duration = Duration::from_secs(3);

/// The kernel, its record and its hands.
pub struct Shell {
    kernel: Kernel,
    first: Option<Turn>,
    store: Box<dyn Store>,
    seq: u64,
    clock: Clock,
    inside: Inside,
    hands: Hands,
    /// What waits until every plugin has come so far that it decides: a host does not begin with less than
    /// it was told to, and must not have touched anything when one of them cannot.
    held: Option<Vec<Effect>>,
    /// What its log has quoted.
    said: say::Said,
    steps: Steps,
    /// When it turned last: it may stand still in a turn, in a commit or between two.
    turned_at: Timestamp,
    /// When a view was published last, and whether it has changed since in what nobody waits for.
    published: Published,
}

/// How views go out: at once where something was recorded or answered, else so many a second at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    /// The latest view is out, since then.
    At(Duration),
    /// It is a little older than the fleet; the next one is due then.
    Due(Duration),
}

/// So long the loop waits for what drivers that have ended had to say.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// From one view to the next that nobody waits for.
const VIEWS_EVERY: Duration = Duration::from_millis(50);

impl Shell {
    /// A kernel from what is configured and what was recorded. Nothing has been done yet: [`run`] does it.
    #[must_use]
    pub fn open<S: Store + 'static>(
        configured: Configured,
        opened: Opened<S>,
        clock: Clock,
        (inside, hands): (Inside, Hands),
    ) -> Self {
        let Opened { store, stored } = opened;
        let (kernel, first) = Kernel::boot_with(configured, &stored, ReadClock::now(&clock));
        inside.publisher.put(kernel.fleet());
        inside.announcer.begins_at(stored.audit_seq);
        let held = Some(Vec::new());
        Self {
            kernel,
            first: Some(first),
            store: Box::new(store),
            seq: stored.seq,
            clock,
            inside,
            hands,
            held,
            said: say::Said::default(),
            steps: Steps::default(),
            turned_at: clock.now(),
            published: Published::At(Duration::ZERO),
        }
    }
}

/// Why a loop has ended; its kernel is gone with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// Another host writes the record: nothing that this one decides counts any more.
    Deposed,
}

/// What became of a turn.
enum Closed {
    /// It is recorded, and what follows has begun.
    Well,
    /// It was refused, and comes back.
    Refused(Box<RefusedCommit>),
    /// It is another host's turn.
    Deposed,
}

/// Whether somebody waits for what a turn has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// It was recorded, and is told.
    Now,
    /// It is another health, or a probe that was heard.
    None,
}

/// Ends then; never where there is no such time.
async fn over(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Turns until the host ends. Blocks the calling thread, which is its own.
///
/// # Errors
/// When the runtime of the thread cannot be made.
pub fn run(shell: Shell) -> std::io::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(runtime.block_on(turn_until_told(shell)))
}

async fn turn_until_told(mut shell: Shell) -> Ended {
    let mut closed = match shell.first.take() {
        Some(turn) => shell.close(turn),
        None => Closed::Well,
    };
    // The first turn of a kernel has looked at nothing yet but what was recorded.
    shell.turned_at = shell.clock.now();
    let mut wake_at = Some(shell.turned_at);
    loop {
        let mut events = match closed {
            Closed::Well => Vec::new(),
            Closed::Refused(refused) => vec![Event::CommitRefused(refused)],
            Closed::Deposed => {
                shell.answer_all(&Refusal::Deposed);
                return Ended::Deposed;
            }
        };
        let mut ends = false;
        if events.is_empty() {
            let (stood_still, next) = shell.next(wake_at).await;
            events.extend(stood_still.map(Event::StoodStill));
            match next {
                Some(Event::Ending) => ends = true,
                Some(event) => events.push(event),
                None => {}
            }
        }
        while !ends && events.len() < EVENTS_PER_TURN {
            match shell.inside.events.try_recv() {
                Ok(Event::Ending) => ends = true,
                Ok(event) => events.push(event),
                Err(_) => break,
            }
        }
        if ends {
            return shell.end(events).await;
        }
        let now = ReadClock::now(&shell.clock);
        shell.turned_at = now.at;
        let turn = shell.kernel.turn(events, now);
        wake_at = turn.wake_at;
        shell.publish_what_is_due();
        closed = shell.close(turn);
    }
}

impl Shell {
    /// How long the host stood still, if it did, and the next event, or none when something is due.
    async fn next(&mut self, wake_at: Option<Timestamp>) -> (Option<Duration>, Option<Event>) {
        let before = self.clock.now();
        let wait = wake_at.map_or(IDLE, |at| at.since(before)).min(IDLE);
        let wait = match self.published {
            Published::Due(at) => wait.min(at.saturating_sub(self.clock.elapsed())),
            Published::At(_) => wait,
        };
        let next = self.event(wait).await;
        let longer = self.clock.now().since(self.turned_at).saturating_sub(wait);
        let stood_still = Some(longer).filter(|longer| *longer >= STOOD_STILL);
        if let Some(length) = stood_still {
            say::stood_still(length);
        }
        if let Some(step) = self.steps.look(ReadClock::now(&self.clock)) {
            say::clock_step(step);
        }
        (stood_still, next)
    }

    async fn event(&mut self, wait: Duration) -> Option<Event> {
        tokio::select! {
            // The door is never the last to go: the hands of this loop hold one.
            event = self.inside.events.recv() => Some(event.unwrap_or(Event::Ending)),
            () = tokio::time::sleep(wait) => None,
        }
    }

    /// Commits what a turn wants recorded, and only then does what follows. A refusal comes back.
    fn close(&mut self, mut turn: Turn) -> Closed {
        say::changed(&mut self.said, &turn.changed);
        // Nothing of it waits for the record.
        self.inside.announcer.health(&turn.changed.health);
        let mut recorded = Vec::new();
        if !turn.writes.is_empty() {
            // The number is used up either way: a refused commit may have been made.
            self.seq += 1;
            let writes = std::mem::take(&mut turn.writes);
            let commit =
                Commit { version: Commit::VERSION, seq: self.seq, anchor: self.clock.anchor(), writes };
            let begun = self.clock.elapsed();
            let result = self.store.commit(&commit);
            self.hands.measures.commits.record(self.clock.elapsed().saturating_sub(begun));
            let Commit { writes, .. } = commit;
            if let Err(error) = result {
                let made = match &error {
                    StoreError::Refused(_) => Made::No,
                    StoreError::Unsure(_) => Made::NotKnown,
                    StoreError::Deposed => {
                        tracing::error!("{error}; this one does nothing any more");
                        return Closed::Deposed;
                    }
                };
                self.hands.measures.refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!("cannot record, so nothing is upgraded until it works again: {error}");
                turn.writes = writes;
                return Closed::Refused(Box::new(RefusedCommit { turn, why: error.to_string(), made }));
            }
            for write in &writes {
                say::recorded(&self.said, write);
                if let Write::Audit(entry) = write
                    && let What::End { state, .. } = &entry.what
                {
                    self.hands.measures.upgrade_ended(&entry.scale_set, *state);
                }
            }
            recorded = writes;
        }
        say::plugins(&turn.changed);
        self.inside.announcer.begins();
        self.follow(turn, if recorded.is_empty() { Haste::None } else { Haste::Now });
        // After the view: who hears of a line and looks finds what it tells of.
        self.inside.announcer.recorded(recorded);
        Closed::Well
    }

    fn follow(&mut self, turn: Turn, haste: Haste) {
        let Changes { sets, plugins, .. } = &turn.changed;
        if haste == Haste::Now || !plugins.is_empty() || !turn.replies.is_empty() {
            self.publish();
        } else if !sets.is_empty()
            && let Published::At(at) = self.published
        {
            self.published = Published::Due(at + VIEWS_EVERY);
            self.publish_what_is_due();
        }
        for effect in self.released(turn.effects) {
            perform(&self.hands, effect);
        }
        turn.replies.into_iter().for_each(|(id, answer)| self.answer(id, answer));
    }

    fn publish(&mut self) {
        self.inside.publisher.put(self.kernel.fleet());
        self.published = Published::At(self.clock.elapsed());
    }

    fn publish_what_is_due(&mut self) {
        if matches!(self.published, Published::Due(at) if at <= self.clock.elapsed()) {
            self.publish();
        }
    }

    fn answer(&self, id: RequestId, answer: Answer) {
        let mut waiting = self.inside.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = waiting.remove(&id) {
            // The client may have gone meanwhile.
            let _ = reply.send(answer);
        }
    }

    fn answer_all(&self, refusal: &Refusal) {
        let mut waiting = self.inside.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, reply) in std::mem::take(&mut *waiting) {
            let _ = reply.send(Err(refusal.clone()));
        }
    }

    /// The effects that may go out now. Probing touches nothing and does not wait for a compiler.
    fn released(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let Some(held) = &mut self.held else { return effects };
        let touches_nothing = |effect: &Effect| match effect {
            Effect::Plugin(..)
            | Effect::Probe(_)
            | Effect::Forget(..)
            | Effect::Remember(..)
            | Effect::Ask(_) => true,
            Effect::Ensure(_)
            | Effect::Hook(_)
            | Effect::Observe(_)
            | Effect::Create(_)
            | Effect::Delete(_)
            | Effect::Dismiss(_)
            | Effect::Drive(_)
            | Effect::End(..)
            | Effect::Keep(_) => false,
        };
        let (harmless, others): (Vec<Effect>, Vec<Effect>) = effects.into_iter().partition(touches_nothing);
        held.extend(others);
        let runs = |life: &Arc<PluginLife>| *life.standing() == Standing::Running;
        if !self.kernel.fleet().plugins().all(runs) {
            return harmless;
        }
        harmless.into_iter().chain(self.held.take().unwrap_or_default()).collect()
    }

    /// What is only remembered is recorded, and no effect goes out any more. Drivers still say how it ended what they
    /// have under way, until the end is told a second time.
    async fn end(mut self, events: Vec<Event>) -> Ended {
        let mut ended = self.last(events);
        self.answer_all(&Refusal::Ending);
        let mut under_way = std::mem::take(&mut self.hands.under_way);
        let mut all_said = pin!(under_way.over());
        let mut until = None;
        while ended == Ended::Told {
            let event = tokio::select! {
                biased;
                event = self.inside.events.recv() => event,
                () = &mut all_said, if until.is_some() => None,
                () = over(until) => None,
            };
            match event {
                None => break,
                Some(Event::Ending) => until = Some(tokio::time::Instant::now() + LAST_WORDS),
                Some(event) if self.still_counts(&event) => ended = self.last(vec![event]),
                Some(_) => {}
            }
        }
        // The last answer may have come in the moment in which nobody had anything more to say.
        while ended == Ended::Told
            && let Ok(event) = self.inside.events.try_recv()
        {
            if self.still_counts(&event) {
                ended = self.last(vec![event]);
            }
        }
        self.answer_all(&Refusal::Ending);
        ended
    }

    /// Whether it is the end of something that a host after this one would do again otherwise. What ended badly says
    /// nothing where the host itself has ended it.
    fn still_counts(&self, event: &Event) -> bool {
        let is_sites =
            |set| self.hands.drivers.of(set).is_some_and(|driver| driver.custody() == Custody::Site);
        match event {
            Event::Done(done) => done.answer.is_ok() || is_sites(&done.scale_set),
            Event::Created(created) => created.answer.is_ok() || is_sites(&created.scale_set),
            Event::Deleted(deleted) => deleted.answer.is_ok() || is_sites(&deleted.scale_set),
            Event::Hooked(hooked) => hooked.answer.is_ok(),
            Event::Superseded(_) => true,
            _ => false,
        }
    }

    fn last(&mut self, mut events: Vec<Event>) -> Ended {
        events.push(Event::Ending);
        let mut turn = self.kernel.turn(events, ReadClock::now(&self.clock));
        turn.effects.clear();
        match self.close(turn) {
            Closed::Well => Ended::Told,
            Closed::Refused(refused) => {
                let RefusedCommit { turn, why, made: _ } = *refused;
                tracing::warn!("what plugins remember is a little older in the data file");
                // Also of those that have waited since an earlier commit: no later one settles it.
                let why = format!("the host has ended, and its record did not answer: {why}");
                for (id, _) in turn.replies {
                    self.answer(id, Err(Refusal::NotKnown { why: why.clone() }));
                }
                Ended::Told
            }
            Closed::Deposed => Ended::Deposed,
        }
    }
}
