//! The driver of every set: does what it is asked for, late, twice, badly or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Address, Change, Component, DriverNote, Fence, Located, Look, OperationId, ProcessState, Seen, Timestamp,
    Touched,
};
use crate::kernel::Effect;
use crate::kernel::effect::HookCall;
use crate::kernel::event::{Created, Deleted, Done, Event, HookSays, Hooked};
use crate::rollout::invariants::Rule;

use super::fleet::{Key, Node, Says, busy};
use super::rules::{Meaning, is_of_an_upgrade};
use super::scenario::{Faults, Keeper};
use super::versions::Versions;
use super::world::{Happening, World};

/// One call of the driver.
#[derive(Debug, Clone)]
pub(super) struct Call {
    number: usize,
    fence: Fence,
    key: Key,
    pub(super) operation: OperationId,
    what: What,
    how: How,
}

/// What it is to bring about.
#[derive(Debug, Clone)]
enum What {
    Ensure(Change),
    Create {
        change: Change,
        replaces: Key,
    },
    Delete,
    /// The end of what runs of one that was removed, and no more.
    Dismiss,
}

/// How a call will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As asked.
    Well,
    /// Failed; what was there goes on.
    FailsBefore,
    /// Failed; nothing runs.
    FailsAfter,
    /// Says done; the old version goes on.
    Lies,
    /// Says that a new instance is where another one is.
    ElsewhereTaken,
}

impl World {
    /// Does one thing that the kernel wants done.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Probe(announced) => {
                let target = announced.target();
                let key = (target.facts.scale_set.clone(), target.facts.id.clone());
                if self.targets.insert(key.clone(), target.epoch).is_none() {
                    let spread = u64::try_from(target.settings.interval.as_millis()).unwrap();
                    let after = Duration::from_millis(self.rng.between(0, spread));
                    self.at(after, Happening::Probe(key, self.fence));
                }
            }
            Effect::Forget(set, id) => {
                let key = (set, id);
                self.targets.remove(&key);
                self.rounds.remove(&key);
                self.told.remove(&key);
                self.hands_forget(&key);
            }
            Effect::Ask(ask) => {
                // The next round of each comes sooner, and the one in its rhythm comes all the same.
                for id in ask.instances {
                    let key = (ask.scale_set.clone(), id);
                    let after = ask.after + self.moments();
                    self.at(after, Happening::Asked(key, self.fence));
                }
            }
            Effect::Keep(_) | Effect::Drive(_) | Effect::Remember(..) => {}
            Effect::Dismiss(delete) => {
                let key = (delete.scale_set, delete.instance.id);
                self.call(key.clone(), delete.operation, delete.fence, Meaning::Delete(key), What::Dismiss);
            }
            Effect::End(_, operation) => self.end(&operation),
            Effect::Hook(call) => self.hook(*call),
            Effect::Plugin(name, effects) => self.hands(&name, effects),
            Effect::Observe(observe) => {
                let after = self.seconds(0, 5);
                let key = (observe.scale_set, observe.instance.id.clone());
                self.at(
                    after,
                    Happening::Observed(key, Look { epoch: observe.epoch, began_at: self.now }, self.fence),
                );
            }
            Effect::Ensure(ensure) => {
                let key = (ensure.scale_set, ensure.instance.id);
                let change = Change { component: ensure.component, to: ensure.version };
                let meaning = Meaning::Ensure(key.clone(), change.clone());
                self.call(key, ensure.operation, ensure.fence, meaning, What::Ensure(change));
            }
            Effect::Create(create) => {
                let key = (create.scale_set.clone(), create.instance.id);
                let change = Change { component: Component::Application, to: create.version };
                let replaces = (create.scale_set, create.replaces);
                let meaning = Meaning::Create(key.clone());
                self.call(key, create.operation, create.fence, meaning, What::Create { change, replaces });
            }
            Effect::Delete(delete) => {
                let key = (delete.scale_set, delete.instance.id);
                let is_there = self.nodes.contains_key(&key);
                if delete.located == Located::Yes && !is_there && !self.was_deleted(&key) {
                    self.violation(Rule::Surge, format!("{key:?} goes, and was never there"));
                }
                self.call(key.clone(), delete.operation, delete.fence, Meaning::Delete(key), What::Delete);
            }
        }
    }

    fn was_deleted(&self, key: &Key) -> bool {
        // A deletion may be asked for again whose answer was not heard.
        self.disk.stored().memberships.contains_key(key)
    }

    fn call(&mut self, key: Key, operation: OperationId, fence: Fence, meaning: Meaning, what: What) {
        self.is_its_turn(&key, &operation);
        let of_upgrade = is_of_an_upgrade(&operation);
        if of_upgrade && !self.is_recorded(&operation, &meaning) {
            self.violation(Rule::Record, format!("{operation} goes out and is not recorded: {meaning:?}"));
        }
        if let Some(detail) = self.rules.operation(&operation, meaning, fence) {
            self.violation(Rule::OneEffect, detail);
        }
        let component = match &what {
            What::Ensure(change) => change.component.clone(),
            What::Create { .. } | What::Delete | What::Dismiss => Component::Application,
        };
        let number = self.counts.calls;
        if of_upgrade && number.is_multiple_of(3) {
            // Also of what is over by the time that it is heard.
            self.inbox.push(Event::DriverSays(busy(&key, &operation)));
        }
        if let Some(node) = self.nodes.get_mut(&key) {
            node.calls.insert(component.clone(), number);
            let lower = fence < node.fence;
            node.fence = node.fence.max(fence);
            if lower || fence != self.fence {
                self.violation(Rule::Generations, format!("{operation} of an older host"));
            }
        }
        let how = self.how(&what, &component);
        let faults = self.driver_faults();
        if self.rng.chance(faults.driver_hangs) {
            let after = self.seconds(60, 300);
            let hangs = Call {
                number,
                fence,
                key: key.clone(),
                operation: operation.clone(),
                what: what.clone(),
                how,
            };
            self.open.insert(operation.clone(), hangs);
            // The work may be done all the same: only the answer never comes.
            if self.rng.chance(500) {
                let call = Call { number, fence: Fence::NONE, key, operation, what, how };
                self.at(Duration::from_secs(5), Happening::Done(call));
            }
            self.intend(after, Happening::HostStop(fence));
            return;
        }
        let call = Call { number, fence, key, operation, what, how };
        self.open.insert(call.operation.clone(), call.clone());
        if self.rng.chance(faults.driver_repeats) {
            let late = self.seconds(16, 120);
            self.at(late, Happening::Repeat(call.clone()));
        }
        let takes = self.seconds(1, 15);
        self.at(takes, Happening::Done(call));
    }

    /// Somebody runs a hook: at times badly, at times without an end, at times saying "not yet" first.
    fn hook(&mut self, call: HookCall) {
        if call.fence != self.fence {
            self.violation(Rule::Generations, format!("{} of an older host", call.operation));
        }
        if !self.is_hook_recorded(&call) {
            self.violation(Rule::Record, format!("{} goes out and is not recorded", call.operation));
        }
        let faults = self.driver_faults();
        let answer =
            if self.rng.chance(faults.driver_fails) { Err("exit code 1".to_owned()) } else { Ok(()) };
        let hooked = Hooked {
            instance: call.instance().cloned(),
            scale_set: call.scale_set.clone(),
            hook: call.hook,
            operation: call.operation.clone(),
            answer,
        };
        self.hooks.insert(call.operation.clone(), (hooked.clone(), call.fence));
        if self.rng.chance(faults.driver_hangs) {
            let after = self.seconds(60, 300);
            self.intend(after, Happening::HostStop(call.fence));
            return;
        }
        if self.rng.chance(300) {
            let HookCall { scale_set, operation, .. } = call.clone();
            let text = "error rate 2 %".to_owned();
            self.inbox.push(Event::HookSays(HookSays { scale_set, operation, text }));
        }
        if self.rng.chance(faults.driver_repeats) {
            let late = self.seconds(61, 120);
            self.at(late, Happening::Hooked(hooked.clone(), call.fence));
        }
        let takes = self.seconds(0, 60);
        self.at(takes, Happening::Hooked(hooked, call.fence));
    }

    /// Whether the record has a hook that is about to be run.
    fn is_hook_recorded(&self, call: &HookCall) -> bool {
        let mut upgrades = self.disk.upgrades().filter(|upgrade| upgrade.scale_set == call.scale_set);
        upgrades.any(|head| {
            let whole = self
                .disk
                .upgrade(&head.id)
                .map(|(head, members)| crate::rollout::Upgrade { members: members.clone(), ..head.clone() });
            whole.is_some_and(|whole| whole.hooks_in_hand().any(|(_, hook)| hook == call.operation))
        })
    }

    /// A hook is over; the host hears of it if it is still there.
    pub(super) fn hooked(&mut self, hooked: Hooked, fence: Fence) {
        // One answer each: one that was told to end may have been over by then.
        if self.is_up(fence) && self.hooks.remove(&hooked.operation).is_some() {
            self.inbox.push(Event::Hooked(hooked));
        }
    }

    /// A person wants a call to end: it answers soon that it did not bring about what it was to, and may have left
    /// it half done.
    fn end(&mut self, operation: &OperationId) {
        if let Some((hooked, fence)) = self.hooks.get(operation).cloned() {
            let answer = Err("it was ended".to_owned());
            let takes = self.seconds(0, 30);
            self.at(takes, Happening::Hooked(Hooked { answer, ..hooked }, fence));
            return;
        }
        let Some(call) = self.open.remove(operation).filter(|call| call.fence == self.fence) else { return };
        self.over.insert(call.number);
        let how = if self.rng.chance(500) { How::FailsBefore } else { How::FailsAfter };
        let number = self.counts.calls;
        let component = match &call.what {
            What::Ensure(change) => change.component.clone(),
            What::Create { .. } | What::Delete | What::Dismiss => Component::Application,
        };
        if let Some(node) = self.nodes.get_mut(&call.key) {
            node.calls.insert(component, number);
        }
        let takes = self.seconds(0, 30);
        self.at(takes, Happening::Done(Call { number, how, ..call }));
    }

    fn how(&mut self, what: &What, component: &Component) -> How {
        let faults = self.driver_faults();
        let can_lie = self.scenario.keeper != Keeper::SiteSilent && *component == Component::Application;
        match what {
            What::Ensure(_) if can_lie && self.rng.chance(faults.driver_lies) => How::Lies,
            What::Create { .. } if self.rng.chance(faults.taken_address) => How::ElsewhereTaken,
            What::Create { .. } | What::Delete | What::Dismiss if self.rng.chance(faults.driver_fails) => {
                How::FailsBefore
            }
            What::Create { .. } | What::Delete | What::Dismiss => How::Well,
            What::Ensure(_) if self.rng.chance(faults.driver_fails) => How::FailsBefore,
            What::Ensure(_) if self.rng.chance(faults.driver_fails) => How::FailsAfter,
            What::Ensure(_) => How::Well,
        }
    }

    fn driver_faults(&self) -> Faults {
        self.faults()
    }

    /// The driver has finished: the world changes, and the host hears of it if it is still there.
    pub(super) fn done(&mut self, call: Call) {
        if self.over.contains(&call.number) {
            return;
        }
        if call.fence != Fence::NONE {
            self.open.remove(&call.operation);
        }
        let slow = self.rng.chance(self.faults().slow_start);
        let start = if slow { self.seconds(20, 150) } else { self.seconds(1, 10) };
        let up_at = self.now + start;
        let event = match &call.what {
            What::Ensure(change) => self.ensured(&call, change, up_at),
            What::Create { change, replaces } => self.created(&call, change, replaces, up_at),
            What::Delete => self.deleted(&call),
            What::Dismiss => self.dismissed(&call),
        };
        if let Some(event) = event.filter(|_| self.is_up(call.fence)) {
            self.looked.insert(call.key.clone(), self.now);
            self.inbox.push(event);
        }
    }

    fn ensured(&mut self, call: &Call, change: &Change, up_at: Timestamp) -> Option<Event> {
        let component = &change.component;
        let Some(node) = self.nodes.get_mut(&call.key) else {
            let gone = Call { how: How::FailsBefore, ..call.clone() };
            return Some(self.answer(&gone, component.clone(), None));
        };
        if node.calls.get(component) != Some(&call.number) {
            return None;
        }
        let wanted = Some(&change.to);
        match call.how {
            How::Well if node.running.of(component) == wanted => {}
            How::Well => {
                node.running.set(component, wanted.cloned());
                if *component == Component::Application {
                    node.up_at = node.up_at.max(up_at);
                }
            }
            How::FailsAfter => drop(node.running.set(component, None)),
            How::FailsBefore | How::Lies | How::ElsewhereTaken => {}
        }
        let found = node.running.of(component).cloned();
        Some(self.answer(call, component.clone(), found))
    }

    /// What the driver says of a call that was about an instance that stays.
    fn answer(&self, call: &Call, component: Component, found: Option<crate::domain::Version>) -> Event {
        let tells = self.scenario.keeper != Keeper::SiteSilent && component == Component::Application;
        Event::Done(Done {
            scale_set: call.key.0.clone(),
            instance: call.key.1.clone(),
            component,
            operation: call.operation.clone(),
            answer: match call.how {
                How::FailsBefore | How::FailsAfter => Err("exit code 3".to_owned()),
                How::Well | How::Lies | How::ElsewhereTaken => Ok(()),
            },
            touched: if call.how == How::FailsBefore { Touched::No } else { Touched::Perhaps },
            seen: if tells { found.map_or(Seen::Nothing, Seen::Version) } else { Seen::Unknown },
        })
    }

    fn created(&mut self, call: &Call, change: &Change, replaces: &Key, up_at: Timestamp) -> Option<Event> {
        let old = self.nodes.get(replaces).cloned();
        let taken = old.as_ref().map(|old| old.address.clone());
        let answer = match call.how {
            How::ElsewhereTaken if taken.is_some() => taken.ok_or_else(String::new),
            How::FailsBefore | How::FailsAfter => Err("no quota left".to_owned()),
            How::Well | How::Lies | How::ElsewhereTaken => Ok(self.create(call, change, old, up_at)),
        };
        let tells = answer.is_ok() && self.scenario.keeper != Keeper::SiteSilent;
        Some(Event::Created(Created {
            scale_set: call.key.0.clone(),
            instance: call.key.1.clone(),
            operation: call.operation.clone(),
            answer,
            seen: if tells { Seen::Version(change.to.clone()) } else { Seen::Unknown },
        }))
    }

    /// A repeat gives the same instance.
    fn create(&mut self, call: &Call, change: &Change, old: Option<Node>, up_at: Timestamp) -> Address {
        if let Some(there) = self.nodes.get_mut(&call.key) {
            if there.running.application.is_none() {
                there.running.application = Some(change.to.clone());
                there.up_at = up_at;
            }
            return there.address.clone();
        }
        self.counts.created += 1;
        let address = self.addresses.next();
        let says = Says { phase: None, participation: crate::domain::Participation::Proceed };
        let node = Node {
            zone: old.as_ref().and_then(|old| old.zone.clone()),
            says: old.as_ref().map_or(says, |old| old.says.clone()),
            bad_version: old.and_then(|old| old.bad_version),
            address: address.clone(),
            running: Versions { application: Some(change.to.clone()), ..Versions::default() },
            up_at,
            calls: BTreeMap::from([(Component::Application, call.number)]),
            fence: call.fence,
        };
        self.nodes.insert(call.key.clone(), node);
        address
    }

    fn deleted(&mut self, call: &Call) -> Option<Event> {
        let answer = match call.how {
            How::FailsBefore | How::FailsAfter => Err("still in use".to_owned()),
            How::Well | How::Lies | How::ElsewhereTaken => {
                self.nodes.remove(&call.key);
                Ok(())
            }
        };
        Some(Event::Deleted(Deleted {
            scale_set: call.key.0.clone(),
            instance: call.key.1.clone(),
            operation: call.operation.clone(),
            answer,
        }))
    }

    /// What ran of one that was removed has ended, unless it was started again since.
    fn dismissed(&mut self, call: &Call) -> Option<Event> {
        let answer = match call.how {
            How::FailsBefore | How::FailsAfter => Err("still in use".to_owned()),
            How::Well | How::Lies | How::ElsewhereTaken => {
                let there = self.nodes.get_mut(&call.key);
                if let Some(node) =
                    there.filter(|node| node.calls.get(&Component::Application) == Some(&call.number))
                {
                    node.running.application = None;
                }
                if let Some(node) = self.strays.get_mut(&call.key) {
                    node.running.application = None;
                }
                Ok(())
            }
        };
        Some(Event::Deleted(Deleted {
            scale_set: call.key.0.clone(),
            instance: call.key.1.clone(),
            operation: call.operation.clone(),
            answer,
        }))
    }

    /// An answer comes a second time, long after the first.
    pub(super) fn repeat(&mut self, call: &Call) {
        if !self.is_up(call.fence) {
            return;
        }
        let event = match &call.what {
            What::Ensure(change) => {
                let found = self.nodes.get(&call.key).and_then(|node| node.running.of(&change.component));
                self.answer(call, change.component.clone(), found.cloned())
            }
            What::Create { .. } => Event::Created(Created {
                scale_set: call.key.0.clone(),
                instance: call.key.1.clone(),
                operation: call.operation.clone(),
                answer: self
                    .nodes
                    .get(&call.key)
                    .map(|node| node.address.clone())
                    .ok_or_else(|| "it is gone".to_owned()),
                seen: Seen::Unknown,
            }),
            What::Delete | What::Dismiss => Event::Deleted(Deleted {
                scale_set: call.key.0.clone(),
                instance: call.key.1.clone(),
                operation: call.operation.clone(),
                answer: Ok(()),
            }),
        };
        self.inbox.push(event);
    }

    /// A process ended by itself, or runs again, and the driver says so.
    pub(super) fn process(&mut self, key: &Key, state: ProcessState) {
        self.inbox.push(Event::Note(DriverNote {
            scale_set: key.0.clone(),
            instance: key.1.clone(),
            at: self.now,
            state,
            text: format!("process {state:?}"),
        }));
    }

    /// What becomes of instances and calls when the host is gone.
    pub(super) fn drivers_lose_their_host(&mut self) {
        if self.scenario.keeper == Keeper::HostAlone {
            for node in self.nodes.values_mut().chain(self.strays.values_mut()) {
                node.running.application = None;
                node.calls.clear();
            }
        }
    }
}
