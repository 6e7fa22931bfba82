//! The hands of plugins: what they fetch, compile, run and compare, with what can go wrong. They fail, never
//! answer, answer late, twice, or after the job is over; and they die with their host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Digest, Fence, Gate, Generation, PluginFailure, PluginName, PluginSpec, Verdict};
use crate::kernel::Event;
use crate::lifecycle::{self, Answer, Comparison, Effect, Facts, From, HandError, Role, Summary, Ticket};
use crate::rollout::invariants::Rule;

use super::code::{Code, Found, GOOD, component};
use super::fleet::Key;
use super::rng::Rng;
use super::trouble::Circuit;
use super::world::{Happening, World};

/// One plugin of a world.
pub(super) struct Plugin {
    /// As the configuration file has it.
    pub(super) file: PluginSpec,
    /// As the running host goes by it.
    pub(super) in_use: Arc<PluginSpec>,
    /// What each place holds.
    pub(super) places: BTreeMap<String, u8>,
    /// Bytes on the disk.
    kept: BTreeSet<Digest>,
    /// Which code each generation was that ever judged.
    pub(super) numbers: BTreeMap<Generation, Code>,
    /// What the hands of the running host have.
    pub(super) hands: Hands,
}

/// What dies with a host.
#[derive(Default)]
pub(super) struct Hands {
    jobs: BTreeMap<Ticket, Code>,
    /// Jobs that nothing is waited for.
    pub(super) over: BTreeSet<Ticket>,
    pub(super) beside: Option<Beside>,
    /// What decides.
    pub(super) judges: Option<(Generation, Code)>,
    pub(super) circuit: Circuit,
}

/// What judges beside the active component.
pub(super) struct Beside {
    pub(super) ticket: Ticket,
    code: Code,
    role: Role,
    live: Generation,
    gate: Option<Gate>,
    comparison: Comparison,
    has_begun: bool,
}

/// What a hand does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Fetch(From),
    Compile,
    Configure,
    SelfTest,
    Rehearse(Option<Gate>, Option<Generation>),
    Keep,
    BeginShadow,
}

impl Plugin {
    pub(super) fn new(spec: PluginSpec) -> Self {
        Self {
            in_use: Arc::new(spec.clone()),
            places: BTreeMap::from([(spec.source.clone(), GOOD)]),
            file: spec,
            kept: BTreeSet::new(),
            numbers: BTreeMap::new(),
            hands: Hands::default(),
        }
    }

    /// What a place holds.
    pub(super) fn at(&self, source: &str) -> u8 {
        self.places.get(source).copied().unwrap_or(b'b')
    }

    pub(super) fn is_kept(&self, digest: &Digest) -> bool {
        self.kept.contains(digest)
    }
}

impl World {
    /// Does what a life wants done.
    pub(super) fn hands(&mut self, name: &PluginName, effects: Vec<Effect>) {
        for effect in effects {
            self.hand(name, effect);
        }
    }

    fn hand(&mut self, name: &PluginName, effect: Effect) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let hands = &mut plugin.hands;
        match effect {
            Effect::Fetch(ticket, from) => self.works(name, ticket, Work::Fetch(from)),
            Effect::Compile(ticket) => self.works(name, ticket, Work::Compile),
            Effect::Configure(ticket, setting) => {
                if let Some(code) = hands.jobs.get_mut(&ticket) {
                    code.settings = setting.settings.to_string();
                }
                self.works(name, ticket, Work::Configure);
            }
            Effect::SelfTest(ticket, _) => self.works(name, ticket, Work::SelfTest),
            Effect::Rehearse { ticket, gate, only } => self.works(name, ticket, Work::Rehearse(gate, only)),
            Effect::Keep(ticket) => self.works(name, ticket, Work::Keep),
            Effect::BeginShadow(ticket, order) => {
                let before = hands.beside.as_ref().map(|beside| beside.ticket);
                let settings = order.setting.settings.to_string();
                hands.beside = Some(Beside {
                    ticket,
                    code: Code { digest: order.digest, settings },
                    role: order.role,
                    live: order.live,
                    gate: order.gate,
                    comparison: Comparison::default(),
                    has_begun: false,
                });
                if let Some(before) = before {
                    self.violation(Rule::Takeover, format!("{ticket:?} judges beside {before:?}"));
                }
                self.works(name, ticket, Work::BeginShadow);
            }
            Effect::EndShadow(ticket) => {
                let ended = hands.beside.take_if(|beside| beside.ticket == ticket);
                hands.jobs.extend(ended.map(|beside| (ticket, beside.code)));
            }
            Effect::Activate { ticket, generation } => self.activate(name, ticket, generation),
            Effect::Cancel(ticket) => {
                hands.beside.take_if(|beside| beside.ticket == ticket);
                hands.jobs.remove(&ticket);
                hands.over.insert(ticket);
            }
            Effect::DropComparison(_) => {}
            Effect::Retain(used) => {
                let held: BTreeSet<Digest> = hands.jobs.values().map(|code| code.digest).collect();
                plugin.kept.retain(|digest| used.contains(digest) || held.contains(digest));
            }
        }
    }

    /// Lets a hand work for a while. Some never come to an end: a person restarts the host then, or the life
    /// gives them up.
    fn works(&mut self, name: &PluginName, ticket: Ticket, work: Work) {
        let is_over = self.plugins.get(name).is_some_and(|plugin| plugin.hands.over.contains(&ticket));
        if is_over {
            self.violation(Rule::Takeover, format!("{ticket:?} is over and is asked for {work:?}"));
        }
        let (faults, fence) = (self.faults(), self.fence);
        if self.rng.chance(faults.hand_hangs) {
            if self.rng.chance(900) {
                let after = self.seconds(60, 300);
                self.intend(after, Happening::HostStop(fence));
            }
            return;
        }
        let is_slow = self.rng.chance(faults.hand_late);
        let takes =
            if is_slow { self.seconds(5, 90) } else { Duration::from_millis(self.rng.between(10, 400)) };
        self.at(takes, Happening::Hand(name.clone(), ticket, Box::new(work), fence));
    }

    /// A hand has done its work.
    pub(super) fn worked(&mut self, name: &PluginName, ticket: Ticket, work: Work, fence: Fence) {
        if !self.is_up(fence) {
            return;
        }
        let faults = self.faults();
        let is_over = self.plugins.get(name).is_some_and(|plugin| plugin.hands.over.contains(&ticket));
        let fails = self.rng.chance(faults.hand_fails);
        let answer = if fails { self.failure() } else { self.answer_of_hand(name, ticket, work) };
        let event = lifecycle::Event::Hand(ticket, answer);
        if is_over {
            self.counts.late += 1;
            self.changes_nothing(name, &event);
        } else if !fails && self.rng.chance(faults.hand_repeats) {
            let after = self.seconds(1, 60);
            self.at(after, Happening::HandAgain(name.clone(), Box::new(event.clone()), fence));
        }
        self.inbox.push(Event::Plugin(name.clone(), event));
    }

    /// An answer comes a second time.
    pub(super) fn repeated(&mut self, name: &PluginName, event: &lifecycle::Event, fence: Fence) {
        if self.is_up(fence) {
            self.counts.late += 1;
            self.changes_nothing(name, event);
            self.inbox.push(Event::Plugin(name.clone(), event.clone()));
        }
    }

    fn failure(&mut self) -> Answer {
        let errors = [
            HandError::Away("it is away".to_owned()),
            HandError::Unfit("is no good".to_owned()),
            HandError::SettingsRefused("refuses them".to_owned()),
            HandError::Broken("the thread died".to_owned()),
        ];
        let error = self.rng.pick(&errors).cloned();
        Answer::Failed(error.unwrap_or(HandError::Broken(String::new())))
    }

    fn answer_of_hand(&mut self, name: &PluginName, ticket: Ticket, work: Work) -> Answer {
        let Some(plugin) = self.plugins.get_mut(name) else { return Answer::Kept };
        let is_over = plugin.hands.over.contains(&ticket);
        match work {
            Work::Fetch(from) => {
                let digest = match from {
                    From::Configured => component(plugin.at(&plugin.in_use.source)),
                    From::Proposed => component(plugin.at(&plugin.file.source)),
                    From::Held(digest) => digest,
                    From::Kept(digest) if !plugin.kept.contains(&digest) => {
                        return Answer::Failed(HandError::Missing("a file".to_owned()));
                    }
                    From::Kept(digest) => digest,
                    From::Reference(text) => component(text.bytes().next_back().unwrap_or(GOOD)),
                };
                if !is_over {
                    plugin.hands.jobs.insert(ticket, Code { digest, settings: String::new() });
                }
                Answer::Fetched { digest, size: 10 }
            }
            Work::Compile => Answer::Compiled(Facts::default()),
            Work::Configure => Answer::Configured,
            Work::SelfTest => Answer::SelfTested(None),
            Work::Rehearse(gate, only) => {
                let code = plugin.hands.jobs.get(&ticket).cloned();
                let seen = code.map(|code| self.rehearse(name, &code, gate.as_ref(), only));
                Answer::Rehearsed(Box::new(seen.unwrap_or_default()))
            }
            Work::Keep => {
                plugin.kept.extend(plugin.hands.jobs.get(&ticket).map(|code| code.digest));
                Answer::Kept
            }
            Work::BeginShadow => {
                let beside = plugin.hands.beside.as_mut().filter(|beside| beside.ticket == ticket);
                let Some(beside) = beside else {
                    return Answer::ShadowBegan { size: 1, facts: Facts::default() };
                };
                if !plugin.kept.contains(&beside.code.digest) {
                    return Answer::Failed(HandError::Missing("a file".to_owned()));
                }
                beside.has_begun = true;
                Answer::ShadowBegan { size: 1, facts: Facts::default() }
            }
        }
    }

    /// A code judges the latest rounds of all instances of its plugin, without effect.
    fn rehearse(
        &mut self,
        name: &PluginName,
        code: &Code,
        gate: Option<&Gate>,
        only: Option<Generation>,
    ) -> Summary {
        let mut seen = Comparison::default();
        let fails = self.faults().plugin_fails;
        let instances = self.judged_by(name);
        let rounds = self.rounds.iter().filter(|(_, round)| {
            let stamp = &round.decided.outcome.stamp;
            stamp.name == *name && only.is_none_or(|only| stamp.generation == only)
        });
        let mut judged = 0;
        for (key, round) in rounds {
            judged += 1;
            let new = verdict(&mut self.rng, (code, fails), key, &round.found);
            seen.add(key.clone(), round.decided.outcome.result.clone(), new, gate);
        }
        seen.summary(instances.max(judged), judged, 0)
    }

    /// How many instances a plugin judges.
    pub(super) fn judged_by(&self, name: &PluginName) -> usize {
        self.targets.keys().filter(|key| self.plugin_of(key) == Some(name)).count()
    }

    pub(super) fn plugin_of(&self, key: &Key) -> Option<&PluginName> {
        self.set_of(key).map(|spec| &spec.plugin)
    }

    /// Lets a code decide from now on, and judge the latest rounds again.
    fn activate(&mut self, name: &PluginName, ticket: Ticket, generation: Generation) {
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let beside = plugin.hands.beside.take_if(|beside| beside.ticket == ticket);
        let code = beside.map(|beside| beside.code).or_else(|| plugin.hands.jobs.remove(&ticket));
        plugin.hands.over.insert(ticket);
        let Some(code) = code else {
            return self.violation(Rule::Takeover, format!("{ticket:?} is to decide and is not here"));
        };
        let before = plugin.hands.judges.replace((generation, code.clone()));
        plugin.hands.circuit = Circuit::default();
        self.counts.swaps += usize::from(before.is_some());
        self.took_over(name, before.map(|(before, _)| before), (generation, &code));
        let after = self.seconds(0, 3);
        self.at(after, Happening::JudgeAgain(name.clone(), self.fence));
    }

    /// What judges beside the active component has seen a round, too.
    pub(super) fn compare_beside(&mut self, name: &PluginName, key: &Key, found: &Found, live: &Verdict) {
        let (fails, tells) = (self.faults().plugin_fails, self.rng.chance(300));
        let instances = self.judged_by(name);
        let judged = self.rounds.keys().filter(|key| self.plugin_of(key) == Some(name)).count();
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let generation = plugin.hands.judges.as_ref().map(|(generation, _)| *generation);
        let begun = |beside: &&mut Beside| beside.has_begun && Some(beside.live) == generation;
        let Some(beside) = plugin.hands.beside.as_mut().filter(begun) else { return };
        let other = verdict(&mut self.rng, (&beside.code, fails), key, found);
        let (old, new) = match beside.role {
            Role::Candidate => (live.clone(), other),
            Role::Former => (other, live.clone()),
        };
        beside.comparison.add(key.clone(), old, new, beside.gate.as_ref());
        if tells {
            let seen = beside.comparison.summary(instances.max(judged), judged, 0);
            let event = lifecycle::Event::Hand(beside.ticket, Answer::Compared(Box::new(seen)));
            self.inbox.push(Event::Plugin(name.clone(), event));
        }
    }

    /// Nothing is known any more of an instance that is gone.
    pub(super) fn hands_forget(&mut self, key: &Key) {
        for beside in self.plugins.values_mut().filter_map(|plugin| plugin.hands.beside.as_mut()) {
            beside.comparison.forget(key);
        }
    }
}

/// What a code says that fails at this rate.
fn verdict(rng: &mut Rng, (code, fails): (&Code, u32), key: &Key, found: &Found) -> Verdict {
    if rng.chance(fails) {
        return Err(PluginFailure::Trapped("unreachable".to_owned()));
    }
    code.judge(key, found, None)
}
