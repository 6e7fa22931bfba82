//! The host round the kernel: starts, turns, commits, ends. What can go wrong with those goes wrong here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Membership, PluginName, WallTime};
use crate::kernel::{Configured, Effect, Event, Kernel, RefusedCommit, SetConfig, Stepped, Turn, Watching};
use crate::lifecycle::{self, Standing};
use crate::record::audit::What;
use crate::record::{Anchor, Commit, Doubt, Made, Retention, Write};
use crate::rollout::invariants::Rule;

use super::generations::takeovers;
use super::hands::Hands;
use super::releasing;
use super::same;
use super::scenario::{CrashAt, Fate};
use super::world::{Happening, World};

/// Longer than any deadline of a scenario.
const AWAY_LONG: Duration = Duration::from_secs(600);

/// How many crashes there are to one that takes the disk along.
const CRASHES_TO_A_COPY: usize = 4;

/// A commit that was made and of which the host heard that it was refused: until the next one is made, a
/// crash makes it true.
pub(super) struct Doubtful {
    steps: Vec<Stepped>,
}

/// Whether the host is still there.
enum Closed {
    Well,
    Refused(Box<Event>),
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
        if self.counts.crashes.is_multiple_of(2) {
            // As little as there may be is kept: a start needs no more.
            let least = Retention { audit: Duration::MAX, lines: u64::MAX, upgrades: 0, members: 0 };
            self.disk.tend(&least, WallTime(self.now.0));
        }
        let stored = self.disk.open();
        self.seq = stored.seq;
        if stored.fence <= self.fence {
            self.violation(Rule::Generations, format!("fence {:?} after {:?}", stored.fence, self.fence));
        }
        self.fence = stored.fence;
        self.in_use = self.config.clone();
        self.go_where_they_are_listed();
        for plugin in self.plugins.values_mut() {
            plugin.in_use = Arc::new(plugin.file.clone());
            plugin.hands = Hands::default();
        }
        self.held = Some(Vec::new());
        self.told.clear();
        self.preparing = None;
        self.targets.clear();
        self.rounds.clear();
        self.heard.clear();
        self.booted_at = self.now;
        self.is_refused = false;
        let plugins = self.plugins.values().map(|plugin| Arc::clone(&plugin.in_use)).collect();
        let (sets, watching) = (self.in_use.clone(), Watching::Steps);
        let releases = releasing::rules(&self.scenario);
        let configured = Configured { sets, plugins, watching, releases };
        let (kernel, turn) = Kernel::boot_with(configured, &stored, self.moment());
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
        self.tell(&events);
        let Some(mut kernel) = self.kernel.take() else { return };
        let told = self.trace.is_some().then(|| format!("{events:?}"));
        let turn = kernel.turn(events, now);
        self.kernel = Some(kernel);
        if let Some(told) = told {
            self.note(|| format!("{told} => {:?} {:?} {:?}", turn.writes, turn.effects, turn.replies));
        }
        self.generations(&turn);
        let closed = self.close(turn, Which::Later);
        self.follow(closed);
    }

    fn follow(&mut self, closed: Closed) {
        match closed {
            Closed::Well => self.well(),
            Closed::Refused(event) => self.turn(vec![*event]),
            Closed::Crashed => self.crash(),
        }
    }

    /// Looks at what has become of a turn. A host that lacks a plugin ends.
    fn well(&mut self) {
        self.one_decides();
        let failed = |kernel: &Kernel| {
            kernel.fleet().plugins().any(|life| matches!(life.standing(), Standing::Failed(_)))
        };
        if self.kernel.as_ref().is_some_and(failed) {
            self.gone();
            let away = self.seconds(1, 30);
            self.at(away, Happening::HostStart);
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
        let closed = self.perform_all(turn.effects);
        if matches!(closed, Closed::Well) {
            self.stays_awake(turn.wake_at);
        }
        closed
    }

    fn perform_all(&mut self, effects: Vec<Effect>) -> Closed {
        for effect in self.released(effects) {
            let is_call = is_call(&effect);
            let acts = matches!(
                effect,
                Effect::Ensure(_)
                    | Effect::Create(_)
                    | Effect::Delete(_)
                    | Effect::Dismiss(_)
                    | Effect::Hook(_)
            );
            if acts && self.kernel.as_ref().is_some_and(|kernel| kernel.fleet().held.is_some()) {
                self.violation(Rule::Record, format!("{effect:?} before the record was adopted"));
            }
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

    /// What may go out now: nothing but what plugins want, until a generation of each of them decides.
    fn released(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let Some(held) = &mut self.held else { return effects };
        let (plugins, others): (Vec<Effect>, Vec<Effect>) =
            effects.into_iter().partition(|effect| matches!(effect, Effect::Plugin(..)));
        held.extend(others);
        let mut lives = self.kernel.iter().flat_map(|kernel| kernel.fleet().plugins());
        if !lives.all(|life| *life.standing() == Standing::Running) {
            return plugins;
        }
        plugins.into_iter().chain(self.held.take().unwrap_or_default()).collect()
    }

    /// The number of a commit is used up either way.
    fn apply(&mut self, writes: Vec<crate::record::Write>) {
        self.seq += 1;
        let anchor = Anchor { boot: "sim".to_owned(), since_boot: self.now.0, at: self.now, date: None };
        let commit = Commit { version: Commit::VERSION, seq: self.seq, anchor, writes };
        self.violations.extend(self.rules.writes(&self.disk, &commit, self.now));
        self.violations.extend(takeovers(&self.disk, &commit.writes, &self.sets_of_plugins(), self.now));
        for write in &commit.writes {
            match write {
                Write::Plugin(name, stored) if !self.plugins[name].is_kept(&stored.digest) => {
                    let detail = format!("`{name}`: the bytes of {:?} are not kept", stored.generation);
                    self.violation(Rule::Takeover, detail);
                }
                Write::Membership(set, _, Some(row)) if matches!(**row, Membership::Removed { .. }) => {
                    self.rules.left(set, 1);
                }
                Write::Audit(entry) if matches!(entry.what, What::PluginReverted { .. }) => {
                    self.counts.reverts += 1;
                }
                _ => {}
            }
        }
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
        Closed::Refused(Box::new(Event::CommitRefused(Box::new(RefusedCommit { turn, why, made }))))
    }

    /// How many sets each plugin judges.
    fn sets_of_plugins(&self) -> BTreeMap<PluginName, usize> {
        let mut sets = BTreeMap::new();
        for set in &self.in_use {
            *sets.entry(set.spec.plugin.clone()).or_default() += 1;
        }
        sets
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

    /// What was recorded must be what the kernel goes by, and a kernel that starts from it the same. Looked at
    /// with every second commit: what parts once stays parted, and a look costs as much as a start.
    fn compare(&mut self) {
        if self.counts.commits.is_multiple_of(2) {
            return;
        }
        let Some(kernel) = &self.kernel else { return };
        let fleet = kernel.fleet().clone();
        self.none_is_ready_too_soon(&fleet);
        let Some(kernel) = &self.kernel else { return };
        // A reload that was granted in this turn has not been heard of yet.
        let config = |set: &Arc<crate::kernel::SetState>| SetConfig {
            spec: (*set.spec).clone(),
            driver: set.driver,
            on_failure: set.on_failure,
        };
        let config: Vec<SetConfig> = kernel.fleet().sets().map(config).collect();
        if let Some(detail) = same::differs(kernel, &self.disk, &config, self.moment()) {
            self.violation(Rule::Replay, format!("the record is not the state: {detail}"));
        }
    }

    /// The host ends, and a person starts it again. What was not committed is gone.
    pub(super) fn crash(&mut self) {
        self.counts.crashes += 1;
        self.gone();
        if self.counts.crashes.is_multiple_of(CRASHES_TO_A_COPY) {
            // The disk was lost, and the next host finds a copy of it.
            self.counts.copies += 1;
            self.disk.doubt(Doubt::Copied);
        }
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
        self.held = None;
        self.preparing = None;
        for plugin in self.plugins.values_mut() {
            plugin.hands = Hands::default();
        }
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

/// Whether an effect is for a driver, or lets another generation decide: a crash there is of interest.
fn is_call(effect: &Effect) -> bool {
    match effect {
        Effect::Ensure(_)
        | Effect::Create(_)
        | Effect::Delete(_)
        | Effect::Dismiss(_)
        | Effect::Hook(_)
        | Effect::End(..) => true,
        Effect::Plugin(_, effects) => {
            effects.iter().any(|effect| matches!(effect, lifecycle::Effect::Activate { .. }))
        }
        Effect::Observe(_)
        | Effect::Probe(_)
        | Effect::Forget(..)
        | Effect::Remember(..)
        | Effect::Drive(_)
        | Effect::Ask(_)
        | Effect::Keep(_) => false,
    }
}
