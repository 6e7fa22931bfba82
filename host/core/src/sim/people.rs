//! People: what they ask for, how often, and what they make of the answers. What they do to
//! members and model of a set is in `churn`.

use std::time::Duration;

use crate::domain::{
    Actor, Component, Digest, InstanceId, OnFailure, PluginName, RequestId, RequestKey, ScaleSetName,
    UpgradePolicy, Urgency, WordKind,
};
use crate::kernel::command::{Quarantined, Reconfiguration, Selection, StartOptions, Stops, Wanted};
use crate::kernel::{Answer, Command, Event, Refusal, Reply, Request, plan_now, wanted};
use crate::lifecycle;
use crate::rollout::invariants::Rule;
use crate::rollout::{Extent, Purpose, Upgrade, Wish};

use super::invent;
use super::making::on_failure;
use super::scenario::{Edition, Failing, Kind};
use super::world::{Happening, World};

/// A request that waits for its answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its actor, which no other request has.
    pub(super) actor: String,
    request: Request,
    why: Why,
}

/// What a person wants of it.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// The upgrade of a set to an edition, by this plan.
    Start(usize, u32, Option<Digest>),
    /// A plugin is to prepare what the configuration file says.
    Prepare(PluginName),
    /// Every plugin is to take up what it has prepared.
    TakeUp,
    /// The component of this letter, however often it takes.
    Swap(u8),
    /// Whatever it is: whether it is granted does not matter.
    Whatever,
}

impl World {
    /// Sends a request, if a host is there.
    pub(super) fn ask(&mut self, command: Command, why: Why) {
        self.requests += 1;
        let is_of_the_host = match &why {
            // A host that reads its configuration again prepares and takes up under no key.
            Why::Prepare(_) | Why::Swap(_) | Why::TakeUp => true,
            Why::Start(..) | Why::Whatever => false,
        };
        let is_keyed = !is_of_the_host && self.rng.chance(500);
        let key = is_keyed.then(|| RequestKey::parse(&format!("key-{}", self.requests)).unwrap());
        let request = Request {
            id: RequestId(0),
            actor: Actor::Host,
            reason: Some("because".to_owned()),
            key,
            command,
        };
        self.send(request, why);
    }

    fn send(&mut self, mut request: Request, why: Why) {
        self.requests += 1;
        let actor = format!("person-{}", self.requests);
        request.id = RequestId(self.requests);
        request.actor = Actor::Operator(actor.clone());
        if request.key.is_some() && self.rng.chance(self.faults().twice) {
            let after = self.seconds(0, 60);
            self.at(after, Happening::Resend(Box::new(request.clone())));
        }
        if !self.is_open() {
            self.unheard(&request, &why);
            return;
        }
        self.inbox.push(Event::Request(request.clone()));
        self.asked.insert(request.id, Asked { actor, request, why });
    }

    pub(super) fn resend(&mut self, request: Request) {
        if self.kernel.is_some() {
            self.send(request, Why::Whatever);
        }
    }

    /// The host went away before it answered. What has a key is asked for again under it.
    pub(super) fn people_hear_nothing(&mut self) {
        for (_, Asked { request, why, .. }) in std::mem::take(&mut self.asked) {
            self.unheard(&request, &why);
        }
    }

    fn unheard(&mut self, request: &Request, why: &Why) {
        match why {
            Why::Start(set, edition, _) if request.key.is_none() => {
                let after = self.seconds(30, 90);
                self.at(after, Happening::Start(*set, *edition));
            }
            Why::Prepare(_) | Why::TakeUp => {}
            Why::Swap(letter) => self.swap_again(*letter),
            Why::Start(..) | Why::Whatever => {
                if let Why::Start(set, edition, _) = why {
                    let after = self.seconds(90, 120);
                    self.at(after, Happening::Start(*set, *edition));
                }
                if request.key.is_some() {
                    let after = self.seconds(30, 90);
                    self.at(after, Happening::Resend(Box::new(request.clone())));
                }
            }
        }
    }

    pub(super) fn replied(&mut self, id: RequestId, answer: Answer) {
        let Some(Asked { actor, request, why }) = self.asked.remove(&id) else { return };
        match &answer {
            Ok(reply) => {
                let is_back = matches!(reply, Reply::Plugin(lifecycle::Reply::RolledBack));
                self.counts.back += usize::from(is_back);
                if let Some(detail) = self.contradicts(&request, reply) {
                    self.violation(Rule::Record, format!("{actor} heard {reply:?}: {detail}"));
                }
            }
            Err(Refusal::NotRecorded { .. }) => self.rules.never(actor),
            Err(_) => {}
        }
        match why {
            Why::Start(set, edition, plan) => self.start_answered((set, edition, plan), &answer),
            Why::Prepare(name) => self.prepared(name, id, &answer),
            Why::TakeUp => self.taken_up(&answer),
            Why::Swap(_) if answer.is_ok() => self.intentions -= 1,
            Why::Swap(letter) => self.swap_again(letter),
            Why::Whatever => {}
        }
        if let (Command::Reconfigure(change), Ok(Reply::Reconfigured(_))) = (&request.command, &answer) {
            self.reloaded(change, request.key.as_ref());
        }
        if let (Command::Discovered(..), Ok(_)) = (&request.command, &answer) {
            self.go_where_they_are_listed();
        }
    }

    /// The host goes by another configuration.
    fn reloaded(&mut self, change: &Reconfiguration, key: Option<&RequestKey>) {
        self.counts.reloads += 1;
        if let Some(key) = key.filter(|key| !self.rules.reloaded_once(key)) {
            self.violation(Rule::Numbers, format!("the reload under {} was done twice", key.as_str()));
        }
        for set in &mut self.in_use {
            if let Some(spec) = change.sets.iter().find(|spec| spec.name == set.spec.name) {
                set.spec = spec.clone();
            }
            if let Some(next) = change.on_failure.get(&set.spec.plugin) {
                set.on_failure = *next;
            }
        }
        self.go_where_they_are_listed();
    }

    /// What the record says against a reply.
    fn contradicts(&self, request: &Request, reply: &Reply) -> Option<String> {
        let stored = self.disk.stored();
        // What is wanted of a plugin is not remembered.
        let is_remembered = !matches!(request.command, Command::Plugin(..));
        if let Some(key) = request.key.as_ref().filter(|_| is_remembered)
            && !stored.requests.contains_key(key)
        {
            return Some(format!("{} is not recorded", key.as_str()));
        }
        if let (Command::Plugin(name, wanted), Reply::Plugin(reply)) = (&request.command, reply)
            && let lifecycle::Command::Rollback(to) = **wanted
        {
            return self.is_back(name, to, reply);
        }
        let is_there = match (&request.command, reply) {
            (_, Reply::Upgrade { id, .. }) => self.disk.upgrade(id).is_some(),
            // One that follows in the same turn may have said otherwise.
            (_, Reply::Line(line)) => *line == stored.line || self.is_line_asked_for(),
            (_, Reply::Recorded | Reply::Reconfigured(_) | Reply::Recalled(_)) => true,
            (_, Reply::Plugin(_) | Reply::Pong) => true,
        };
        (!is_there).then(|| "the record does not have it".to_owned())
    }

    /// Whether somebody still waits for an answer about the line.
    fn is_line_asked_for(&self) -> bool {
        let mut asked = self.asked.values();
        asked.any(|asked| matches!(asked.request.command, Command::StopLine | Command::StartLine))
    }

    fn start_answered(&mut self, (set, edition, plan): (usize, u32, Option<Digest>), answer: &Answer) {
        match answer {
            Ok(Reply::Upgrade { id, .. }) => {
                let started = self.disk.upgrade(id).map(|(upgrade, _)| upgrade.clone());
                let Some(upgrade) = started else { return };
                if let Some(plan) = plan.filter(|plan| upgrade.expects != Some(*plan)) {
                    self.violation(Rule::Record, format!("`{id}` expects {:?}, not {plan}", upgrade.expects));
                }
                self.intentions -= 1;
            }
            Err(Refusal::NotRecorded { .. } | Refusal::PlanChanged { .. } | Refusal::Holding { .. }) => {
                let after = self.seconds(5, 30);
                self.at(after, Happening::Start(set, edition));
            }
            Err(Refusal::RoundTrip { scale_set, .. }) => {
                self.stay_at_home.insert(scale_set.clone());
                self.intentions -= 1;
            }
            Ok(_) | Err(_) => self.intentions -= 1,
        }
    }

    pub(super) fn name(&self, set: usize) -> ScaleSetName {
        self.config[set].spec.name.clone()
    }

    pub(super) fn wants_start(&mut self, set: usize, edition: u32) {
        let Some(kernel) = &self.kernel else {
            self.at(Duration::from_secs(20), Happening::Start(set, edition));
            return;
        };
        if !self.scenario.planned || self.scenario.kind == Kind::Manual {
            self.start(set, edition, None);
            return;
        }
        let now = self.moment();
        let name = self.name(set);
        let state = kernel.fleet().set(&name).unwrap();
        let goal = wanted(state, &self.wanted(edition)).unwrap();
        let urgency = urgency(edition);
        let shown = plan_now(state, &goal, Extent::Missing, urgency, now).digest;
        let after = self.seconds(0, 10);
        self.at(after, Happening::StartPlan(set, edition, shown));
    }

    fn wanted(&self, edition: u32) -> Wanted {
        let goal = self.scenario.goal(Edition(edition));
        let extension = |change: &crate::domain::Change| match &change.component {
            Component::Application => None,
            Component::Extension(name) => Some((name.clone(), Some(change.to.clone()))),
        };
        Wanted {
            to: goal.of(&Component::Application).cloned(),
            extensions: goal.changes().filter_map(extension).collect(),
            urgency: urgency(edition),
        }
    }

    pub(super) fn start(&mut self, set: usize, edition: u32, plan: Option<Digest>) {
        let bypassed = self.scenario.bypass;
        let is_again = self.is_quiet() || self.rng.chance(500);
        let options = StartOptions {
            extent: Extent::Missing,
            wanted: self.wanted(edition),
            manual: (self.scenario.kind == Kind::Manual).then_some(Selection::All),
            stops: if bypassed { Stops::Bypassed } else { Stops::Hold },
            plan,
            quarantined: if is_again { Quarantined::Allow } else { Quarantined::Refuse },
            not_before: None,
        };
        self.ask(Command::Start(self.name(set), options), Why::Start(set, edition, plan));
    }

    pub(super) fn wish(&mut self, set: usize, wish: Wish) {
        self.ask(Command::Wish(self.name(set), wish), Why::Whatever);
    }

    /// A person may want something else when an upgrade has ended.
    pub(super) fn an_upgrade_ended(&mut self, upgrade: &Upgrade) {
        let faults = self.faults();
        let Some(set) = self.config.iter().position(|set| set.spec.name == upgrade.scale_set) else { return };
        let after = self.seconds(0, 90);
        let is_back = matches!(upgrade.purpose, Purpose::Rollback { .. });
        if !is_back && self.rng.chance(faults.wishes) {
            self.intend(after, Happening::Wish(set, Wish::RollBack));
        } else if is_back && self.rng.chance(faults.wishes) {
            self.intend(after, Happening::Wish(set, Wish::RollBackOn));
        } else if self.rng.chance(faults.again) {
            let edition = u32::try_from(self.rng.between(1, 3)).unwrap();
            self.intend(after, Happening::Start(set, edition));
        }
    }

    /// Someone may want something. When all is quiet, people see to it that upgrades go on.
    pub(super) fn people(&mut self) {
        self.at(Duration::from_secs(30), Happening::People);
        let (quiet, faults) = (self.is_quiet(), self.faults());
        if self.rng.chance(faults.stalls) {
            let length = self.seconds(3, 120);
            self.inbox.push(Event::StoodStill(length));
        }
        if self.rng.chance(faults.clock) {
            let hours = i64::try_from(self.rng.between(0, 4)).unwrap() - 2;
            self.wall_ahead += hours * 3_600_000;
        }
        let Some(kernel) = &self.kernel else { return };
        let is_stopped = kernel.fleet().line.is_some();
        if kernel.fleet().held.is_some() && (quiet || self.rng.chance(300)) {
            self.ask(Command::Adopt, Why::Whatever);
        }
        if (is_stopped && quiet) || self.rng.chance(faults.line) {
            self.ask(if is_stopped { Command::StartLine } else { Command::StopLine }, Why::Whatever);
        }
        self.people_and_plugins();
        if self.scenario.releases {
            self.people_and_releases();
        }
        if self.rng.chance(faults.reloads) {
            self.reload();
        }
        for set in 0..self.config.len() {
            let wish = if quiet || self.rng.chance(300) {
                self.rng.pick(&[Wish::Resume, Wish::Approve]).copied()
            } else {
                let choices = [
                    Wish::Pause,
                    Wish::Pause,
                    Wish::Cancel,
                    Wish::CancelNow,
                    Wish::RollBack,
                    Wish::RollBackOn,
                    Wish::Bypass,
                    Wish::Promote,
                ];
                if self.rng.chance(faults.wishes) { self.rng.pick(&choices).copied() } else { None }
            };
            self.words(set);
            let name = self.name(set);
            let fleet = self.kernel.as_ref().map(|kernel| kernel.fleet().clone());
            let is_active =
                fleet.is_some_and(|fleet| fleet.set(&name).is_ok_and(|set| set.active().is_some()));
            if let Some(wish) = wish.filter(|_| is_active) {
                self.wish(set, wish);
            }
        }
    }

    /// A person may say something about an instance, and takes it back when all is quiet.
    fn words(&mut self, set: usize) {
        let name = self.name(set);
        let Some(state) = self.kernel.as_ref().and_then(|kernel| kernel.fleet().set(&name).ok().cloned())
        else {
            return;
        };
        let command = if self.is_quiet() {
            state.words.keys().next().map(|id| Command::Release(name, id.clone()))
        } else if self.rng.chance(self.scenario.faults.wishes / 2) {
            let ids: Vec<InstanceId> = state.members().map(|one| one.spec.id.clone()).collect();
            let kind = self.rng.pick(&WordKind::ALL).copied();
            let length = self.rng.chance(500).then(|| Duration::from_secs(self.rng.between(10, 600)));
            self.rng.pick(&ids).zip(kind).map(|(id, kind)| Command::Word(name, id.clone(), kind, length))
        } else {
            None
        };
        if let Some(command) = command {
            self.ask(command, Why::Whatever);
        }
    }

    /// The configuration is read again with another policy, other probes or no freeze.
    fn reload(&mut self) {
        let set =
            usize::try_from(self.rng.between(0, u64::try_from(self.config.len() - 1).unwrap())).unwrap();
        if self.rng.chance(self.faults().churn) {
            return if self.rng.chance(300) { self.a_source_speaks(set) } else { self.other_members(set) };
        }
        let choice = self.rng.between(0, 4);
        let policy = invent::policy(&mut self.rng);
        let failing = [Failing::Hold, Failing::LastGood, Failing::Azure];
        let failing = self.rng.pick(&failing).copied().unwrap();
        let Some(file) = self.config.get_mut(set) else { return };
        let mut change = Reconfiguration::default();
        match choice {
            0 => file.spec.policy = UpgradePolicy { rolling: policy, ..file.spec.policy.clone() },
            1 => file.spec.health.grace_period += Duration::from_secs(5),
            2 => file.spec.health.interval = Duration::from_secs(7),
            3 => file.spec.freeze = Default::default(),
            _ => {
                let next: OnFailure = on_failure(failing);
                let plugin = file.spec.plugin.clone();
                change.on_failure.insert(plugin.clone(), next);
                for set in self.config.iter_mut().filter(|set| set.spec.plugin == plugin) {
                    set.on_failure = next;
                }
            }
        }
        change.sets.push(self.config[set].spec.clone());
        self.ask(Command::Reconfigure(change), Why::Whatever);
    }
}

/// How urgent an edition is; one of its own for each, so that a person who starts it again means the same.
fn urgency(edition: u32) -> Urgency {
    match edition % 4 {
        3 => Urgency::Emergency,
        2 => Urgency::Security,
        _ => Urgency::Routine,
    }
}
