//! The host round the kernel: starts, turns, commits, ends. What can go wrong with those goes wrong here.

use std::time::Duration;

use crate::domain::Generation;
use crate::kernel::{Effect, Event, Kernel, RefusedCommit, Stepped, Turn, Watching};
use crate::record::{Anchor, Commit, Made};
use crate::rollout::invariants::Rule;

use super::same;
use super::scenario::{CrashAt, Fate};
use super::world::{Happening, World};

/// Longer than any deadline of a scenario.
const AWAY_LONG: Duration = Duration::from_secs(600);

/// A commit that was made and of which the host heard that it was refused: until the next one is made, a
/// crash makes it true.
pub(super) struct Doubtful {
    steps: Vec<Stepped>,
}

/// Whether the host is still there.
enum Closed {
    Well,
    Refused(Event),
    Crashed,
}

/// Which turn is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The first one of a kernel: nothing of it is undone when it cannot be recorded.
    First,
    Later,
}

impl World {
    /// A host starts from the record.
    pub(super) fn boot(&mut self) {
        if self.counts.commits > 0 {
            self.reconfigure_at_start();
        }
        let stored = self.disk.open();
        self.seq = stored.seq;
        if stored.fence <= self.fence {
            self.violation(Rule::Generations, format!("fence {:?} after {:?}", stored.fence, self.fence));
        }
        self.fence = stored.fence;
        self.in_use = self.config.clone();
        for set in &self.in_use {
            let plugin = set.spec.plugin.clone();
            let recorded = stored.plugins.get(&plugin).map_or(Generation(1), |stored| stored.generation);
            self.generations.insert(plugin, recorded);
        }
        self.targets.clear();
        self.rounds.clear();
        self.is_refused = false;
        let (kernel, turn) =
            Kernel::boot_watched(self.in_use.clone(), &stored, self.moment(), Watching::Steps);
        self.kernel = Some(kernel);
        let fence = self.fence;
        self.note(|| format!("boot {fence:?}: {:?} => {:?}", turn.writes, turn.effects));
        let closed = self.close(turn, Which::First);
        self.follow(closed);
        // The first turn of a kernel has looked at nothing yet but what was recorded.
        self.turn(Vec::new());
    }

    /// The kernel takes in events, and what follows is done.
    pub(super) fn turn(&mut self, events: Vec<Event>) {
        let now = self.moment();
        let Some(mut kernel) = self.kernel.take() else { return };
        let told = self.trace.is_some().then(|| format!("{events:?}"));
        let turn = kernel.turn(events, now);
        self.kernel = Some(kernel);
        if let Some(told) = told {
            self.note(|| format!("{told} => {:?} {:?} {:?}", turn.writes, turn.effects, turn.replies));
        }
        let closed = self.close(turn, Which::Later);
        self.follow(closed);
    }

    fn follow(&mut self, closed: Closed) {
        match closed {
            Closed::Well => {}
            Closed::Refused(event) => self.turn(vec![event]),
            Closed::Crashed => self.crash(),
        }
    }

    fn close(&mut self, mut turn: Turn, which: Which) -> Closed {
        self.counts.turns += 1;
        self.wake += 1;
        if let Some(at) = turn.wake_at {
            self.at(at.since(self.now), Happening::Wake(self.wake));
        }
        if turn.writes.is_empty() {
            self.steps(&turn.stepped);
            let is_call =
                |effect: &Effect| matches!(effect, Effect::Ensure(_) | Effect::Create(_) | Effect::Delete(_));
            if self.is_refused && turn.effects.iter().any(is_call) {
                self.violation(Rule::Record, format!("{:?} while the record refuses", turn.effects));
            }
        } else {
            let number = self.counts.commits;
            self.counts.commits += 1;
            if self.crashes_here(CrashAt::BeforeCommit, number) {
                return Closed::Crashed;
            }
            match self.fate(number) {
                Fate::Made => {}
                fate @ (Fate::Refused | Fate::AnswerLost | Fate::Doubted) => {
                    return self.refused(turn, fate, which);
                }
            }
            let writes = std::mem::take(&mut turn.writes);
            self.apply(writes);
            self.doubtful = None;
            self.is_refused = false;
            let carried = std::mem::take(&mut self.carried);
            self.steps(&carried);
            self.steps(&turn.stepped);
            self.rules.committed();
            self.compare();
            if self.crashes_here(CrashAt::AfterCommit, number) {
                return Closed::Crashed;
            }
        }
        for (id, answer) in std::mem::take(&mut turn.replies) {
            self.replied(id, answer);
        }
        self.perform_all(turn.effects)
    }

    fn perform_all(&mut self, effects: Vec<Effect>) -> Closed {
        for effect in effects {
            let is_call = matches!(effect, Effect::Ensure(_) | Effect::Create(_) | Effect::Delete(_));
            self.perform(effect);
            if is_call {
                self.counts.calls += 1;
                if self.crashes_here(CrashAt::AfterAct, self.counts.calls - 1) {
                    return Closed::Crashed;
                }
            }
        }
        Closed::Well
    }

    /// The number of a commit is used up either way.
    fn apply(&mut self, writes: Vec<crate::record::Write>) {
        self.seq += 1;
        let anchor = Anchor { boot: "sim".to_owned(), since_boot: self.now.0, at: self.now };
        let commit = Commit { version: Commit::VERSION, seq: self.seq, anchor, writes };
        self.violations.extend(self.rules.writes(&self.disk, &commit, self.now));
        self.disk.apply(&commit);
    }

    fn refused(&mut self, mut turn: Turn, fate: Fate, which: Which) -> Closed {
        self.counts.refused += 1;
        self.is_refused = true;
        let steps = turn.stepped.clone();
        if which == Which::First {
            // They were taken, and wait for the record.
            self.carried.clone_from(&steps);
        }
        if fate == Fate::AnswerLost {
            self.apply(turn.writes.clone());
            let steps = if which == Which::First { Vec::new() } else { steps };
            self.doubtful = Some(Doubtful { steps });
        } else {
            self.seq += 1;
        }
        let seq = self.seq;
        self.note(|| format!("commit {seq}: {fate:?}"));
        turn.stepped.clear();
        let made = if fate == Fate::Refused { Made::No } else { Made::NotKnown };
        let why = "disk full".to_owned();
        Closed::Refused(Event::CommitRefused(Box::new(RefusedCommit { turn, why, made })))
    }

    fn fate(&mut self, number: usize) -> Fate {
        if let Some(bad) = self.scenario.commit {
            return if bad.number == number { bad.fate } else { Fate::Made };
        }
        if self.is_quiet() {
            return Fate::Made;
        }
        if self.now < self.refuses_until {
            return Fate::Refused;
        }
        let faults = self.scenario.faults;
        if self.rng.chance(faults.refuses) {
            self.refuses_until = self.now + self.seconds(0, 60);
            return Fate::Refused;
        }
        if self.rng.chance(faults.loses) {
            return if self.rng.chance(500) { Fate::Doubted } else { Fate::AnswerLost };
        }
        Fate::Made
    }

    /// What was recorded must be what the kernel goes by, and a kernel that starts from it the same.
    fn compare(&mut self) {
        let Some(kernel) = &self.kernel else { return };
        if let Some(detail) = same::differs(kernel, &self.disk, &self.in_use, self.moment()) {
            self.violation(Rule::Replay, format!("the record is not the state: {detail}"));
        }
    }

    /// The host ends, and a person starts it again. What was not committed is gone.
    pub(super) fn crash(&mut self) {
        self.counts.crashes += 1;
        self.gone();
        // A planned crash is a long one: every deadline passes meanwhile.
        let away = match self.scenario.crash {
            Some(_) => AWAY_LONG,
            None => Duration::from_millis(self.rng.between(500, 60_000)),
        };
        self.at(away, Happening::HostStart);
    }

    fn gone(&mut self) {
        self.kernel = None;
        self.inbox.clear();
        self.note(|| "the host is gone".to_owned());
        if let Some(Doubtful { steps }) = self.doubtful.take() {
            // It was made after all.
            let carried = std::mem::take(&mut self.carried);
            self.steps(&carried);
            self.steps(&steps);
            self.rules.committed();
        }
        self.carried.clear();
        self.rules.crashed();
        self.people_hear_nothing();
        self.drivers_lose_their_host();
    }

    /// A person restarts the host: what is only remembered is recorded, and no effect goes out any more.
    pub(super) fn stop(&mut self) {
        let mut events = std::mem::take(&mut self.inbox);
        events.push(Event::Ending);
        let now = self.moment();
        let Some(mut kernel) = self.kernel.take() else { return };
        let mut turn = kernel.turn(events, now);
        turn.effects.clear();
        turn.replies.clear();
        self.kernel = Some(kernel);
        let _ = self.close(turn, Which::Later);
        self.gone();
        let away = self.seconds(1, 30);
        self.at(away, Happening::HostStart);
    }

    fn crashes_here(&mut self, place: CrashAt, number: usize) -> bool {
        match self.scenario.crash {
            Some(crash) => self.counts.crashes == 0 && crash.at == place && crash.number == number,
            None if self.is_quiet() => false,
            None => self.rng.chance(self.scenario.faults.host_crash),
        }
    }

    /// Whether the host with this fence runs.
    pub(super) fn is_up(&self, fence: crate::domain::Fence) -> bool {
        self.kernel.is_some() && self.fence == fence
    }
}
