//! What must hold of the generations of plugins, seen from outside: only decisions of the one in force count,
//! each is recorded before it judges and is never another code's number, a takeover is one commit with its
//! line in the trail, and an answer that comes too late changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Claim, Decided, Decisions, Generation, InstanceId, Participation, PluginName, ScaleSetName, Timestamp,
    WordKind,
};
use crate::kernel::event::{Created, Deleted, Done, Observed};
use crate::kernel::{Effect, Event, Kernel, Stepped, Turn};
use crate::lifecycle::{self, Reply, Standing};
use crate::record::audit::{Entry, What};
use crate::record::{Disk, StoredPlugin, Write};
use crate::rollout::invariants::{Rule, Violation};
use crate::rollout::{MemberState, Purpose, Upgrade};

use super::code::Code;
use super::fleet::Key;
use super::world::World;

/// What a kernel was told of an instance in the life of its host.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Whether it is known what was heard.
    is_known: Known,
    /// Whose word came last.
    latest: Option<Generation>,
    /// Who has last spoken for an answer of the application, and what.
    answered: Option<(Generation, Participation)>,
}

/// Whether it is known what a kernel has heard of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Yes,
    No,
}

impl World {
    /// Takes note of what a kernel is about to be told.
    pub(super) fn tell(&mut self, events: &[Event]) {
        let mut touched: BTreeSet<Key> = BTreeSet::new();
        for event in events {
            match event {
                Event::Judged(batch) => batch.iter().for_each(|decided| {
                    self.hear(decided);
                    self.tell_one(decided, &touched);
                }),
                Event::Done(Done { scale_set, instance, .. })
                | Event::Created(Created { scale_set, instance, .. })
                | Event::Deleted(Deleted { scale_set, instance, .. })
                | Event::Observed(Observed { scale_set, instance, .. }) => {
                    touched.insert((scale_set.clone(), instance.clone()));
                }
                Event::Note(note) => drop(touched.insert((note.scale_set.clone(), note.instance.clone()))),
                Event::NotAsked(_)
                | Event::Hooked(_)
                | Event::HookSays(_)
                | Event::DriverSays(_)
                | Event::StoodStill(_)
                | Event::Superseded(_)
                | Event::Waits(_)
                | Event::PluginTrouble(_)
                | Event::Plugin(..)
                | Event::Request(_)
                | Event::CommitRefused(_)
                | Event::Ending => {}
            }
        }
    }

    /// What drivers have said of an instance just before may have begun another life of it: then nobody here
    /// knows whether the round is heard.
    fn tell_one(&mut self, decided: &Decided, touched: &BTreeSet<Key>) {
        let Decided { scale_set, instance, epoch, outcome, .. } = decided;
        let fleet = self.kernel.as_ref().map(Kernel::fleet);
        let lives = fleet.and_then(|fleet| fleet.set(scale_set).ok()).and_then(|set| set.instance(instance));
        let key = (scale_set.clone(), instance.clone());
        // Of an earlier life nothing is heard.
        if lives.is_none_or(|lives| lives.epoch != *epoch) {
            return;
        }
        let told = self.told.entry(key.clone()).or_default();
        if touched.contains(&key) {
            *told = Told { is_known: Known::No, ..*told };
            return;
        }
        let generation = outcome.stamp.generation;
        let answered = outcome.result.as_ref().ok().filter(|decision| decision.claim != Claim::Unknown);
        let answered = answered.map(|decision| (generation, decision.participation));
        let before = told.answered.filter(|_| told.is_known == Known::Yes);
        *told = Told { is_known: Known::Yes, latest: Some(generation), answered: answered.or(before) };
    }

    /// Looks at a turn before anything is made of it: whom upgrades plan and admit, and what takes over.
    pub(super) fn generations(&mut self, turn: &Turn) {
        let all: Vec<String> =
            turn.stepped.iter().flat_map(|stepped| self.on_whose_word(stepped, turn)).collect();
        all.into_iter().for_each(|detail| self.violation(Rule::InForce, detail));
        for (name, stored) in plugin_writes(&turn.writes) {
            let activated = turn.effects.iter().any(|effect| {
                let Effect::Plugin(of, effects) = effect else { return false };
                let is_it = |effect: &lifecycle::Effect| {
                    matches!(effect, lifecycle::Effect::Activate { generation, .. } if *generation == stored.generation)
                };
                of == name && effects.iter().any(is_it)
            });
            if self.judging(name) != Some(stored.generation) && !activated {
                let detail = format!("`{name}`: {:?} is recorded and does not decide", stored.generation);
                self.violation(Rule::Takeover, detail);
            }
        }
    }

    /// Who is planned or admitted on another word than that of the generation in force, or against it.
    fn on_whose_word(&self, stepped: &Stepped, turn: &Turn) -> Vec<String> {
        let Stepped { before, after, .. } = stepped;
        if after.purpose != Purpose::Forward {
            return Vec::new();
        }
        let set = self.in_use.iter().find(|set| set.spec.name == after.scale_set);
        let Some(recorded) = set.and_then(|set| self.recorded(&set.spec.plugin, turn)) else {
            return vec![format!("`{}` looks before a generation decides", after.id)];
        };
        // Of one that is new all were planned with it.
        let known = self.disk.upgrade(&after.id).map(|_| &**before);
        let mut concerned: BTreeSet<&InstanceId> = joined(known, after).collect();
        if after.policy.decisions == Decisions::Live {
            concerned.extend(admitted(before, after));
        }
        let wrong = concerned.into_iter().filter_map(|id| {
            let told = self.told.get(&(after.scale_set.clone(), id.clone()));
            if told.is_some_and(|told| told.is_known == Known::No) {
                return None;
            }
            let is_in_force = told.is_some_and(|told| told.latest == Some(recorded));
            // A person may go past that, and past nothing else.
            let forced = self.is_forced(&after.scale_set, id);
            let skips =
                told.and_then(|told| told.answered) == Some((recorded, Participation::Skip)) && !forced;
            let detail = format!("`{}`: `{id}` goes by {told:?}, in force is {recorded:?}", after.id);
            (!is_in_force || skips).then_some(detail)
        });
        wrong.collect()
    }

    /// Whether a person wants an instance upgraded in spite of a skip.
    fn is_forced(&self, set: &ScaleSetName, id: &InstanceId) -> bool {
        let set = self.kernel.as_ref().and_then(|kernel| kernel.fleet().set(set).ok());
        set.and_then(|set| set.words.get(id)).is_some_and(|word| word.kind == WordKind::Force)
    }

    /// The generation that the record names once a turn is recorded.
    fn recorded(&self, name: &PluginName, turn: &Turn) -> Option<Generation> {
        let written = plugin_writes(&turn.writes).filter(|(of, _)| *of == name).last();
        let stored = written.map(|(_, stored)| stored).or_else(|| self.disk.stored().plugins.get(name));
        stored.map(|stored| stored.generation)
    }

    /// A generation is about to decide: it is on record, its number was no other code's, and it is later than
    /// the one before.
    pub(super) fn took_over(
        &mut self,
        name: &PluginName,
        before: Option<Generation>,
        (generation, code): (Generation, &Code),
    ) {
        let is_recorded = self.disk.stored().plugins.get(name).is_some_and(|stored| {
            stored.history.iter().any(|row| row.generation == generation && is_code(row, code))
        });
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let known = plugin.numbers.entry(generation).or_insert_with(|| code.clone()).clone();
        let mut wrong = Vec::new();
        if !is_recorded {
            wrong.push(format!("`{name}`: {generation:?} decides and is not recorded as {code:?}"));
        }
        if known != *code {
            wrong.push(format!("`{name}`: {generation:?} was {known:?} and is {code:?}"));
        }
        if before.is_some_and(|before| before >= generation) {
            wrong.push(format!("`{name}`: {generation:?} after {before:?}"));
        }
        wrong.into_iter().for_each(|detail| self.violation(Rule::Takeover, detail));
    }

    /// Between turns the generation in force is the one that judges, and the record has it.
    pub(super) fn one_decides(&mut self) {
        let Some(kernel) = &self.kernel else { return };
        let mut wrong = Vec::new();
        for life in kernel.fleet().plugins() {
            let (name, in_force) = (life.name(), life.in_force());
            if in_force != self.judging(name) {
                wrong.push(format!("`{name}`: {in_force:?} is in force, {:?} judges", self.judging(name)));
            }
            if self.plugins.get(name).is_some_and(|plugin| plugin.in_use != *life.spec()) {
                wrong.push(format!("`{name}` goes by what no configuration in use says: {:?}", life.spec()));
            }
            let sets = kernel.fleet().sets().filter(|set| set.spec.plugin == *name);
            let others = sets.filter(|set| set.in_force != in_force).map(|set| set.spec.name.clone());
            wrong.extend(others.map(|set| format!("`{set}` does not go by {in_force:?} of `{name}`")));
        }
        wrong.into_iter().for_each(|detail| self.violation(Rule::Takeover, detail));
    }

    /// An answer of a hand to a job that is over makes no difference.
    pub(super) fn changes_nothing(&mut self, name: &PluginName, late: &lifecycle::Event) {
        let Some(kernel) = &self.kernel else { return };
        let now = self.moment();
        let with = |event: lifecycle::Event| {
            let mut kernel: Kernel = kernel.clone();
            let Turn { writes, effects, replies, .. } =
                kernel.turn(vec![Event::Plugin(name.clone(), event)], now);
            let life = kernel.fleet().plugin(name).map(|life| format!("{life:?}"));
            (writes, effects, format!("{replies:?}"), life.ok())
        };
        let (late_turn, calm) = (with(late.clone()), with(lifecycle::Event::Tick));
        if late_turn != calm {
            let detail = format!("`{name}`: {late:?} comes late and gives {late_turn:?}, not {calm:?}");
            self.violation(Rule::Takeover, detail);
        }
    }

    /// What a person hears of a way back is so.
    pub(super) fn is_back(&self, name: &PluginName, to: Option<Generation>, reply: &Reply) -> Option<String> {
        let (Reply::RolledBack, Some(to)) = (reply, to) else { return None };
        let plugin = self.plugins.get(name)?;
        let active = self.disk.stored().plugins.get(name)?;
        let wanted = plugin.numbers.get(&to)?;
        let is_it = active.history.last().is_some_and(|row| is_code(row, wanted));
        (!is_it).then(|| format!("{to:?} is {wanted:?}, and {active:?} is active"))
    }

    /// Whether the lives of all plugins have come to rest.
    pub(super) fn lives_rest(&self) -> bool {
        let Some(kernel) = &self.kernel else { return false };
        kernel.fleet().plugins().all(|life| {
            // A watch that saw nothing proves nothing: over a plugin that no set has, it waits until one has.
            let is_used = kernel.fleet().sets().any(|set| set.spec.plugin == *life.name());
            let stage = life.report().stage;
            let rests = stage.is_none() || (stage == Some(lifecycle::Stage::Watch) && !is_used);
            *life.standing() == Standing::Running && rests
        })
    }
}

/// A takeover is whole: a number, its row of the history, and where the generation before was left for being
/// worse, a line in the trail of each set.
pub(super) fn takeovers(
    disk: &Disk,
    writes: &[Write],
    sets: &BTreeMap<PluginName, usize>,
    at: Timestamp,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |detail: String| found.push(Violation { rule: Rule::Takeover, at, detail });
    for (name, stored) in plugin_writes(writes) {
        let StoredPlugin { generation, digest, history, .. } = stored;
        let last = history.last();
        if last.map(|last| (last.generation, last.digest)) != Some((*generation, *digest)) {
            report(format!("`{name}`: the record of {generation:?} ends with {last:?}"));
        }
    }
    let names = sets.keys();
    for name in names {
        let written = plugin_writes(writes).filter(|(of, _)| *of == name).last().map(|(_, stored)| stored);
        let before = disk.stored().plugins.get(name);
        let left = |stored: Option<&StoredPlugin>| {
            stored.map_or(0, |stored| {
                stored
                    .history
                    .iter()
                    .filter_map(|row| row.left_because.as_ref().map(|_| row.generation.0))
                    .max()
                    .unwrap_or(0)
            })
        };
        let went_back = written.is_some() && left(written) > left(before);
        let lines =
            writes.iter().filter(|write| matches!(write, Write::Audit(entry) if is_way_back(entry, name)));
        let lines = lines.count();
        let expected = if went_back { sets.get(name).copied().unwrap_or(0) } else { 0 };
        if lines != expected {
            let what = written.map(|stored| stored.generation);
            report(format!("`{name}`: {lines} lines of a way back, {expected} expected, with {what:?}"));
        }
    }
    found
}

fn is_way_back(entry: &Entry, name: &PluginName) -> bool {
    matches!(&entry.what, What::PluginReverted { plugin, .. } if plugin == name)
}

fn is_code(row: &crate::record::StoredGeneration, code: &Code) -> bool {
    row.digest == code.digest && row.settings == code.settings
}

fn plugin_writes(writes: &[Write]) -> impl Iterator<Item = (&PluginName, &StoredPlugin)> {
    writes.iter().filter_map(|write| match write {
        Write::Plugin(name, stored) => Some((name, &**stored)),
        _ => None,
    })
}

/// Members that a step has planned.
fn joined<'a>(before: Option<&'a Upgrade>, after: &'a Upgrade) -> impl Iterator<Item = &'a InstanceId> {
    let waited = move |id: &InstanceId| before.is_some_and(|before| before.members.get(id).is_some());
    after.members.iter().map(|(id, _)| id).filter(move |id| !waited(id))
}

/// Members whose turn has come in a step; one that a hook of its batch has failed was never admitted.
fn admitted<'a>(before: &'a Upgrade, after: &'a Upgrade) -> impl Iterator<Item = &'a InstanceId> {
    let waited =
        |id: &InstanceId| before.members.get(id).is_none_or(|member| member.state == MemberState::Pending);
    let left = after.members.iter().filter(|(_, member)| member.state != MemberState::Pending);
    let left = left.filter(|(_, member)| !member.never_began());
    left.map(|(id, _)| id).filter(move |id| waited(id))
}

/// By instance.
pub(super) type AllTold = BTreeMap<Key, Told>;
