//! The prober: one task keeps all due times and starts a short task for each probe.
//!
//! ```text
//!  set, remove, ask ────────> runner task: schedule ──> probe tasks (bounded in number)
//!                                  ^  │                        │
//!                                  │  └──> sink(round)         │
//!                                  └───────────────────────────┘
//! ```
//!
//! Deliberately no task and no timer per target: a target at rest is a few entries in maps.
//! Rounds leave from the runner task alone, hence none after it has stopped.

mod flight;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use self::flight::{Ask, Flights, Landed, Limits};
use super::ask::ask;
use super::lateness::{Lateness, LatenessStats};
use super::schedule::{Lane, Schedule, Slot, first_offset};
use super::tls::Tls;
use super::{Ended, RoundSink, Target};
use crate::clock::Clock;
use crate::measure::Distribution;
use crate::net::shortage::{Missed, Shortages};
use phasegate_core::domain::{InstanceId, ProbeFailure, ScaleSetName};

/// Probes a changing set of targets until it is stopped or dropped.
#[derive(Debug)]
pub struct Prober {
    // Unbounded, because the one sender is the kernel: a command for each change of an
    // instance, which the runner takes at once.
    commands: mpsc::UnboundedSender<Command>,
    runner: JoinHandle<()>,
    lateness: Arc<Lateness>,
}

/// Names a target: instance ids are unique within their scale set only.
type Name = (ScaleSetName, InstanceId);

#[derive(Debug)]
enum Command {
    Set(Target),
    Remove(Name),
    Ask(Name, Duration),
}

impl Prober {
    /// Starts without targets. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(clock: Clock, shortages: Arc<Shortages>, sink: RoundSink) -> Self {
        let tls = Tls::new();
        let ask: Ask = Arc::new(move |target| Box::pin(ask(target, tls.clone())));
        let sink: RoundSink = Arc::new(move |ended| {
            match &ended {
                Ended::Round(_) => shortages.worked(),
                Ended::NotAsked(missed) => shortages.met(Missed::Probe, missed.short_of),
            }
            sink(ended);
        });
        Self::start_with(clock, sink, ask, Limits::for_process())
    }

    fn start_with(clock: Clock, sink: RoundSink, ask: Ask, limits: Limits) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let lateness = Arc::new(Lateness::default());
        let runner = Runner {
            sink,
            lateness: Arc::clone(&lateness),
            zero: Instant::now(),
            slots: BTreeMap::new(),
            targets: BTreeMap::new(),
            slots_used: 0,
            schedule: Schedule::default(),
            flights: Flights::new(clock, ask, limits),
        };
        Self { commands, runner: tokio::spawn(runner.run(receiver)), lateness }
    }

    /// Adds a target, or replaces the one of the same scale set and id.
    ///
    /// A new target is first probed within one interval, at a time that its name fixes. A
    /// replaced one keeps its times; but when the epoch rose it is probed at once, even while a
    /// probe of the old epoch is running. That one still ends in a round, with its old epoch.
    pub fn set(&self, target: Target) {
        self.send(Command::Set(target));
    }

    /// Forgets a target and abandons its running probe. A round that was already under way to
    /// the sink may still arrive.
    pub fn remove(&self, scale_set: &ScaleSetName, instance: &InstanceId) {
        self.send(Command::Remove((scale_set.clone(), instance.clone())));
    }

    /// Probes a target so long from now at the latest, or as soon as its running probe has ended.
    pub fn ask(&self, scale_set: &ScaleSetName, instance: &InstanceId, after: Duration) {
        self.send(Command::Ask((scale_set.clone(), instance.clone()), after));
    }

    /// How late probes start.
    #[must_use]
    pub fn lateness(&self) -> LatenessStats {
        self.lateness.stats()
    }

    /// How late all of them started.
    #[must_use]
    pub fn late(&self) -> Distribution {
        self.lateness.all.read()
    }

    /// Abandons all running probes. The sink is not called after this has returned.
    pub async fn stop(self) {
        drop(self.commands);
        // Fails only when the runtime is going down, which stops the runner as well.
        let _ = self.runner.await;
    }

    fn send(&self, command: Command) {
        // Fails only when the runtime is going down.
        let _ = self.commands.send(command);
    }
}

struct Runner {
    sink: RoundSink,
    lateness: Arc<Lateness>,
    /// The schedule's times count from here.
    zero: Instant,
    slots: BTreeMap<Name, Slot>,
    targets: BTreeMap<Slot, Arc<Target>>,
    slots_used: u64,
    schedule: Schedule,
    flights: Flights,
}

impl Runner {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            self.start_due();
            let wake_at = self.schedule.next_due(self.flights.admit()).map(|due| self.zero + due);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                landed = self.flights.next_landing(), if !self.flights.is_empty() => {
                    landed.into_iter().for_each(|landed| self.land(landed));
                }
                () = sleep_until(wake_at.unwrap_or(self.zero)), if wake_at.is_some() => {}
            }
        }
        self.flights.abandon_all().await;
    }

    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    fn start_due(&mut self) {
        let now = self.now();
        while let Some(start) = self.schedule.take_due(now, self.flights.admit()) {
            if let Some(target) = self.targets.get(&start.slot) {
                self.lateness.record(now.saturating_sub(start.due));
                self.flights.launch(start, Arc::clone(target));
            }
        }
    }

    fn land(&mut self, Landed { slot, ticket, ended }: Landed) {
        let hung = match &ended {
            Some(Ended::Round(round)) => {
                round.observation.answers.iter().any(|answer| answer.outcome == Err(ProbeFailure::Timeout))
            }
            Some(Ended::NotAsked(_)) | None => false,
        };
        let lane = if hung { Lane::Hung } else { Lane::Prompt };
        self.schedule.finish(slot, ticket, self.now(), lane);
        if let Some(ended) = ended {
            (self.sink)(ended);
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Set(target) => self.set(target, now),
            Command::Remove(name) => {
                if let Some(slot) = self.slots.remove(&name) {
                    self.targets.remove(&slot);
                    self.schedule.remove(slot);
                    self.flights.abandon(slot);
                }
            }
            Command::Ask(name, after) => {
                if let Some(slot) = self.slots.get(&name) {
                    self.schedule.hasten(*slot, now.saturating_add(after));
                }
            }
        }
    }

    fn set(&mut self, target: Target, now: Duration) {
        let interval = target.settings.interval;
        let name = (target.facts.scale_set.clone(), target.facts.id.clone());
        let epoch = target.epoch;
        if let Some(slot) = self.slots.get(&name).copied() {
            let old = self.targets.insert(slot, Arc::new(target));
            self.schedule.set_interval(slot, interval, now);
            if old.is_some_and(|old| epoch > old.epoch) {
                self.schedule.renew(slot, now);
            }
            return;
        }
        let first_due = now + first_offset(&name.0, &name.1, interval);
        self.slots_used += 1;
        let slot = Slot(self.slots_used);
        self.slots.insert(name, slot);
        self.targets.insert(slot, Arc::new(target));
        self.schedule.insert(slot, interval, first_due);
    }
}

#[cfg(test)]
mod tests;
