//! What happens to the world from outside: probes, drivers, people, and everything that goes
//! wrong with them.

use std::time::Duration;

use crate::domain::{Component, Participation};
use crate::rollout::invariants::Rule;
use crate::rollout::{Event, Purpose, Upgrade, Wish};

use super::disk::Record;
use super::fleet::{Known, decision, index_of};
use super::host::{Effect, Host, Origin};
use super::scenario::Faults;
use super::world::{Call, Happening, How, World};

impl World {
    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::HostStart if self.host.is_none() => self.boot(),
            Happening::HostStart => {}
            Happening::HostStop(generation) => {
                if self.host.as_ref().is_some_and(|host| host.generation == generation) {
                    self.crash();
                }
            }
            Happening::Wake(number) => {
                if let Some(mut host) = self.host.take() {
                    host.dirty |= host.wake == number;
                    self.finish(host);
                }
            }
            Happening::Probe(index, generation) => self.probe(index, generation),
            Happening::Done(index, call) => self.done(index, call),
            Happening::Repeat(index, call) => {
                if let Some(mut host) = self.host.take() {
                    self.answer(&mut host, index, &call, Ok(()));
                    self.finish(host);
                }
            }
            Happening::People => self.people(),
        }
    }

    fn faults(&self) -> Faults {
        if self.is_quiet() { Faults::default() } else { self.scenario.faults }
    }

    fn seconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.rng.between(low * 1000, high * 1000))
    }

    fn probe(&mut self, index: usize, generation: u64) {
        if self.host.as_ref().is_none_or(|host| host.generation != generation) {
            return;
        }
        self.at(self.scenario.interval, Happening::Probe(index, generation));
        self.misfortune(index);
        let lost = self.rng.chance(self.faults().lost_probe);
        let Some(node) = self.nodes.get(index) else { return };
        let claim = if lost { None } else { node.claim(self.now) };
        let decision = decision(&node.facts, claim);
        let Some(mut host) = self.host.take() else { return };
        if let Some(known) = host.known.get_mut(index) {
            host.dirty |= known.judged(decision, self.stamp.clone(), self.now);
        }
        // An instance that said "not now" may say something else.
        let deferred = |id| host.upgrade.as_ref().is_some_and(|upgrade| upgrade.deferred.contains_key(id));
        host.dirty |= self.ids.get(index).is_some_and(deferred);
        if host.dirty {
            self.finish(host);
        } else {
            self.host = Some(host);
        }
    }

    /// An instance or its whole zone may go down before it is asked.
    fn misfortune(&mut self, index: usize) {
        let faults = self.faults();
        if self.rng.chance(faults.instance_crash) {
            let until = self.now + self.seconds(5, 120);
            if let Some(node) = self.nodes.get_mut(index) {
                node.up_at = node.up_at.max(until);
            }
        }
        if self.rng.chance(faults.fickle) {
            let last = u64::try_from(self.nodes.len()).unwrap_or(1).saturating_sub(1);
            let other = usize::try_from(self.rng.between(0, last)).unwrap_or(0);
            let phase = |at: usize| self.nodes.get(at).and_then(|node| node.facts.phase);
            let (one, two) = (phase(index), phase(other));
            let said = [Participation::Proceed, Participation::Skip, Participation::Defer];
            let now = self.rng.pick(&said).copied().unwrap_or(Participation::Proceed);
            for (at, phase) in [(index, two), (other, one)] {
                if let Some(node) = self.nodes.get_mut(at) {
                    node.facts.phase = phase;
                    node.facts.participation = now;
                }
            }
        }
        if self.rng.chance(faults.zone_loss) {
            let until = self.now + self.seconds(30, 180);
            let zone = self.nodes.get(index).and_then(|node| node.facts.zone.clone());
            for node in self.nodes.iter_mut().filter(|node| node.facts.zone == zone) {
                node.up_at = node.up_at.max(until);
            }
        }
    }

    /// Hands one effect to the driver.
    pub(super) fn perform(&mut self, host: &mut Host, effect: Effect) {
        self.calls += 1;
        if effect.origin == Origin::Upgrade {
            self.may_perform(host, &effect);
        }
        let index = index_of(&effect.instance);
        let component = &effect.change.component;
        if let Some(known) = host.known.get_mut(index) {
            known.busy.insert(component.clone(), effect.operation.clone());
            known.begin_life(self.now);
        }
        let Some(node) = self.nodes.get_mut(index) else { return };
        let former = node.asked.insert(effect.operation.clone(), effect.change.clone());
        let fenced = host.generation < node.generation;
        node.generation = host.generation;
        let number = self.calls;
        node.calls.insert(component.clone(), number);
        if former.is_some_and(|former| former != effect.change) {
            self.violation(Rule::OneEffect, format!("{} has two meanings", effect.operation));
        }
        if fenced {
            self.violation(Rule::Generations, format!("{} of an older host", effect.operation));
        }
        let faults = if effect.origin == Origin::Upgrade { self.faults() } else { Faults::default() };
        let how = match () {
            () if *component == Component::Application && self.rng.chance(faults.driver_lies) => How::Lies,
            () if self.rng.chance(faults.driver_fails) => How::FailsBefore,
            () if self.rng.chance(faults.driver_fails) => How::FailsAfter,
            () => How::Well,
        };
        if self.rng.chance(faults.driver_hangs) {
            let after = self.seconds(60, 300);
            self.at(after, Happening::HostStop(host.generation));
            return;
        }
        let Effect { change, operation, .. } = effect;
        let call = Call { number, generation: host.generation, operation, change, how };
        if self.rng.chance(faults.driver_repeats) {
            let late = self.seconds(1, 120);
            self.at(late, Happening::Repeat(index, call.clone()));
        }
        let takes = self.seconds(1, 15);
        self.at(takes, Happening::Done(index, call));
    }

    /// What the world itself knows about an effect, without asking the core.
    fn may_perform(&mut self, host: &Host, effect: &Effect) {
        if !self.disk.holds(effect) {
            self.violation(Rule::OneEffect, format!("{} was not recorded before", effect.operation));
        }
        let Some(purpose) = host.upgrade.as_ref().map(|upgrade| &upgrade.purpose) else { return };
        let Some(node) = self.nodes.get(index_of(&effect.instance)) else { return };
        // Who changes its mind, or is silent, may have said something else when it counted.
        let sure = !self.scenario.policy.prioritize_unhealthy_instances && self.scenario.faults.fickle == 0;
        let skips = node.facts.participation != Participation::Proceed && sure;
        let refused = match purpose {
            Purpose::Forward => skips || node.facts.protection.from_scale_set_actions,
            Purpose::Manual => node.facts.protection.from_scale_set_actions,
            Purpose::Rollback { .. } => false,
        };
        let target = self.goal.of(&effect.change.component) == Some(&effect.change.to);
        if refused && target {
            self.violation(Rule::Consent, format!("`{}` refused and is upgraded", effect.instance));
        }
    }

    /// The driver has finished: the world changes, and the host hears of it if it is still there.
    fn done(&mut self, index: usize, call: Call) {
        let slow = self.rng.chance(self.faults().slow_start);
        let start = if slow { self.seconds(20, 150) } else { self.seconds(1, 10) };
        let component = &call.change.component;
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.calls.get(component) != Some(&call.number) {
            return;
        }
        let wanted = Some(&call.change.to);
        match call.how {
            How::Well if node.running.of(component) == wanted => {}
            How::Well => {
                node.running.set(component, wanted.cloned());
                if *component == Component::Application {
                    node.up_at = node.up_at.max(self.now + start);
                }
            }
            How::FailsAfter => drop(node.running.set(component, None)),
            How::FailsBefore | How::Lies => {}
        }
        let found = node.running.of(component).cloned();
        let result = match call.how {
            How::FailsBefore | How::FailsAfter => Err("exit code 3".to_owned()),
            How::Well | How::Lies if found.as_ref() == wanted => Ok(()),
            How::Well | How::Lies => Err("says done, and is not".to_owned()),
        };
        if self.host.as_ref().is_none_or(|host| host.generation != call.generation) {
            return;
        }
        let Some(mut host) = self.host.take() else { return };
        if let Some(known) = host.known.get_mut(index)
            && known.busy.get(component) == Some(&call.operation)
        {
            known.busy.remove(component);
            if result.is_ok() {
                known.begin_life(self.now);
            }
            let observed = match component {
                Component::Application => found,
                // Nobody can ask: it is at what was last done to it.
                Component::Extension(_) if result.is_ok() => wanted.cloned(),
                Component::Extension(_) => known.versions.of(component).cloned(),
            };
            if known.versions.set(component, observed.clone()) {
                host.writes.push(Record::Version(index, component.clone(), observed));
            }
        }
        self.answer(&mut host, index, &call, result);
        self.finish(host);
    }

    /// The core hears every answer, also those that the loop would drop.
    fn answer(&mut self, host: &mut Host, index: usize, call: &Call, result: Result<(), String>) {
        let Some(instance) = self.ids.get(index).cloned() else { return };
        // A repeat says again what was said; it must not be the first to say it.
        let busy = |known: &Known| known.busy.get(&call.change.component) == Some(&call.operation);
        let open = host.known.get(index).is_some_and(busy);
        if !open {
            self.step(host, &Event::EffectDone { operation: call.operation.clone(), instance, result });
        }
    }

    /// Whether a person wants an upgrade undone that has just ended.
    pub(super) fn wants_it_back(&mut self) -> bool {
        let wishes = self.faults().wishes;
        self.rng.chance(wishes)
    }

    /// Somebody may want something. When all is quiet, people see to it that the upgrade goes on.
    fn people(&mut self) {
        self.at(Duration::from_secs(30), Happening::People);
        let Some(mut host) = self.host.take() else { return };
        let (quiet, wishes) = (self.is_quiet(), self.faults().wishes);
        if (self.line.is_some() && quiet) || self.rng.chance(self.faults().line) {
            self.line = if self.line.is_some() { None } else { Some(self.now) };
            host.dirty = true;
        }
        let wish = if quiet || self.rng.chance(300) {
            let choices = [Wish::Resume, Wish::Approve];
            self.rng.pick(&choices).copied()
        } else {
            let choices = [Wish::Pause, Wish::Pause, Wish::Cancel, Wish::RollBack, Wish::Bypass];
            if self.rng.chance(wishes) { self.rng.pick(&choices).copied() } else { None }
        };
        let active = host.upgrade.as_ref().filter(|upgrade| upgrade.is_active());
        let wish =
            wish.zip(active).filter(|(wish, upgrade)| *wish != Wish::RollBack || !is_rollback(upgrade));
        if let Some((wish, upgrade)) = wish {
            host.wish = Some((wish, Box::new(upgrade.clone())));
            self.step(&mut host, &Event::Wish(wish));
        }
        self.finish(host);
    }
}

/// A way back is not taken back.
pub(super) fn is_rollback(upgrade: &Upgrade) -> bool {
    matches!(upgrade.purpose, Purpose::Rollback { .. })
}
