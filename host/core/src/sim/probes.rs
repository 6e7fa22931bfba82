//! What probes find and plugins say of it, what goes wrong with instances, and generations of plugins.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Component, Decided, Evaluation, Fence, Heard, Look, NotAsked, Outcome, Participation, PluginFailure,
    PluginName, ProcessState, ScaleSet, Seen, Shortage,
};
use crate::kernel::Event;
use crate::kernel::event::Observed;

use super::code::Found;
use super::fleet::Key;
use super::scenario::{Faults, Keeper};
use super::world::{Happening, Round, World};

impl World {
    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::HostStart if self.kernel.is_none() => self.boot(),
            Happening::HostStart => {}
            Happening::HostStop(fence) => {
                self.intentions -= 1;
                if self.is_up(fence) {
                    if self.rng.chance(500) { self.stop() } else { self.crash() }
                }
            }
            Happening::Wake(number) => {
                if self.wake == number {
                    let events = std::mem::take(&mut self.inbox);
                    self.turn(events);
                }
            }
            Happening::Probe(key, fence) => {
                if let Some(interval) = self.interval_of(&key).filter(|_| self.is_up(fence)) {
                    self.at(interval, Happening::Probe(key.clone(), fence));
                    self.probe(key, fence);
                }
            }
            Happening::Asked(key, fence) => self.probe(key, fence),
            Happening::Answer(round, fence) => {
                if self.is_up(fence) {
                    self.judged(*round);
                }
            }
            Happening::Swap(letter) => self.swap(letter),
            Happening::Hand(name, ticket, work, fence) => self.worked(&name, ticket, *work, fence),
            Happening::HandAgain(name, event, fence) => self.repeated(&name, &event, fence),
            Happening::Done(call) => self.done(call),
            Happening::Hooked(hooked, fence) => self.hooked(hooked, fence),
            Happening::Repeat(call) => self.repeat(&call),
            Happening::Observed(key, look, fence) => {
                if self.is_up(fence) {
                    self.observed(&key, look);
                }
            }
            Happening::Restarted(key, fence) => {
                if self.is_up(fence) {
                    self.process(&key, ProcessState::Restarted);
                }
            }
            Happening::People => self.people(),
            Happening::Start(set, edition) => self.wants_start(set, edition),
            Happening::StartPlan(set, edition, plan) => self.start(set, edition, Some(plan)),
            Happening::Wish(set, wish) => {
                self.intentions -= 1;
                self.wish(set, wish);
            }
            Happening::Reload(set) => self.read_again(set),
            Happening::Resend(request) => self.resend(*request),
            Happening::JudgeAgain(plugin, fence) => {
                if self.is_up(fence) {
                    self.judge_again(&plugin);
                }
            }
        }
    }

    pub(super) fn faults(&self) -> Faults {
        if self.is_quiet() { Faults::default() } else { self.scenario.faults }
    }

    pub(super) fn set_of(&self, key: &Key) -> Option<&ScaleSet> {
        self.in_use.iter().map(|set| &set.spec).find(|spec| spec.name == key.0)
    }

    /// How often an instance is asked; none that is not probed.
    fn interval_of(&self, key: &Key) -> Option<Duration> {
        self.targets.get(key)?;
        self.set_of(key).map(|spec| spec.health.interval)
    }

    fn probe(&mut self, key: Key, fence: Fence) {
        let Some(epoch) = self.targets.get(&key).copied().filter(|_| self.is_up(fence)) else { return };
        let Some(spec) = self.set_of(&key) else { return };
        let plugin = spec.plugin.clone();
        self.misfortune(&key);
        let faults = self.faults();
        let lost = self.rng.chance(faults.lost_probe);
        let fails = self.rng.chance(faults.plugin_fails);
        // The host could not ask, and knows it.
        let short = lost && self.rng.chance(300);
        let is_cut_off = self.is_cut_off();
        let remembers = self.rng.chance(20);
        let late = if self.rng.chance(faults.late_probe) { self.seconds(1, 20) } else { Duration::ZERO };
        if short && !is_cut_off {
            let missed = NotAsked {
                scale_set: key.0,
                instance: key.1,
                epoch,
                started_at: self.now,
                short_of: Shortage::Descriptors,
            };
            self.inbox.push(Event::NotAsked(missed));
            return;
        }
        // What answers at the address of an instance that is gone says nothing.
        let node = self.nodes.get(&key);
        let claim = node.and_then(|node| node.claim(self.now)).filter(|_| !lost && !is_cut_off);
        let says = node.map(|node| node.says.clone());
        let memory = remembers.then(|| vec![u8::try_from(self.now.0 % 251).unwrap()]);
        let says = says.unwrap_or(super::fleet::Says { phase: None, participation: Participation::Proceed });
        let found = Found { says, claim };
        let judges = self.plugins.get(&plugin).and_then(|plugin| plugin.hands.judges.as_ref());
        let Some((generation, code)) = judges else { return };
        let result = if fails && !is_cut_off {
            Err(PluginFailure::Trapped("unreachable".to_owned()))
        } else {
            code.judge(&key, &found, memory)
        };
        let stamp = code.stamp(&plugin, *generation);
        let outcome = Outcome { stamp, evaluation: Evaluation::default(), result };
        let decided = Decided {
            scale_set: key.0,
            instance: key.1,
            epoch,
            started_at: self.now,
            finished_at: self.now + late,
            again: false,
            // What is lost is so in two ways: an answer without a word of the application, and silence.
            heard: match (claim, self.now.0 % 2) {
                (Some(_), _) => Heard::Answer,
                (None, 0) if lost && !is_cut_off => Heard::Answer,
                (None, _) => Heard::Silence,
            },
            outcome: Arc::new(outcome),
        };
        let round = Round { decided, found };
        if late.is_zero() {
            self.judged(round);
        } else {
            self.at(late, Happening::Answer(Box::new(round), fence));
        }
    }

    fn judged(&mut self, round: Round) {
        let Round { decided, found } = &round;
        let key = (decided.scale_set.clone(), decided.instance.clone());
        let (name, result) = (decided.outcome.stamp.name.clone(), decided.outcome.result.clone());
        self.inbox.push(Event::Judged(vec![decided.clone()]));
        if self.judging(&name) == Some(decided.outcome.stamp.generation) {
            self.compare_beside(&name, &key, found, &result);
        }
        if self.targets.contains_key(&key) {
            self.rounds.insert(key, round);
        }
        self.count_failures(&name, &result);
    }

    /// A generation that has just taken over judges the latest round of each instance.
    fn judge_again(&mut self, plugin: &PluginName) {
        let judges = self.plugins.get(plugin).and_then(|plugin| plugin.hands.judges.clone());
        let Some((generation, code)) = judges else { return };
        let mut batch = Vec::new();
        for (key, round) in &mut self.rounds {
            let outcome = &round.decided.outcome;
            if outcome.stamp.name == *plugin && outcome.stamp.generation != generation {
                let again = Outcome {
                    stamp: code.stamp(plugin, generation),
                    result: code.judge(key, &round.found, None),
                    ..(**outcome).clone()
                };
                round.decided.outcome = Arc::new(again);
                batch.push(Decided { again: true, ..round.decided.clone() });
            }
        }
        self.inbox.push(Event::Judged(batch));
    }

    /// An instance or its whole zone may go down before it is asked.
    fn misfortune(&mut self, key: &Key) {
        let faults = self.faults();
        if self.rng.chance(faults.instance_crash) {
            let until = self.now + self.seconds(5, 120);
            if let Some(node) = self.nodes.get_mut(key) {
                node.up_at = node.up_at.max(until);
            }
        }
        let is_kept = matches!(self.scenario.keeper, Keeper::Host | Keeper::HostAlone);
        if is_kept && self.rng.chance(faults.exits) {
            let away = self.seconds(2, 60);
            let until = self.now + away;
            if let Some(node) =
                self.nodes.get_mut(key).filter(|node| node.running.of(&Component::Application).is_some())
            {
                node.up_at = node.up_at.max(until);
                self.process(key, ProcessState::Exited);
                self.at(away, Happening::Restarted(key.clone(), self.fence));
            }
        }
        if self.rng.chance(faults.fickle) {
            self.change_of_mind(key);
        }
        if self.rng.chance(faults.zone_loss) {
            let until = self.now + self.seconds(30, 180);
            let zone = self.nodes.get(key).and_then(|node| node.zone.clone());
            for node in self.nodes.values_mut().filter(|node| node.zone == zone) {
                node.up_at = node.up_at.max(until);
            }
        }
    }

    /// Two instances of a set swap their phases, and say something else about taking part.
    fn change_of_mind(&mut self, key: &Key) {
        let others: Vec<Key> = self.nodes.keys().filter(|other| other.0 == key.0).cloned().collect();
        let Some(other) = self.rng.pick(&others).cloned() else { return };
        let said = [Participation::Proceed, Participation::Skip, Participation::Defer];
        let participation = self.rng.pick(&said).copied().unwrap();
        let phase = |key: &Key| self.nodes.get(key).and_then(|node| node.says.phase);
        let (one, two) = (phase(key), phase(&other));
        for (key, phase) in [(key, two), (&other, one)] {
            if let Some(node) = self.nodes.get_mut(key) {
                node.says = super::fleet::Says { phase, participation };
            }
        }
    }
    /// The driver says what an instance runs that the site keeps running.
    fn observed(&mut self, key: &Key, look: Look) {
        let version = self.nodes.get(key).and_then(|node| node.running.application.clone());
        self.looked.insert(key.clone(), look.began_at);
        self.inbox.push(Event::Observed(Observed {
            scale_set: key.0.clone(),
            instance: key.1.clone(),
            component: Component::Application,
            epoch: look.epoch,
            seen: version.map_or(Seen::Nothing, Seen::Version),
        }));
    }
}
