//! What must hold of a whole host, seen from outside: the invariants of each upgrade, and that nothing is done
//! before it is recorded, that replies say what the record says, and that no number is used twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{
    Actor, Change, Decided, ExtensionName, Fence, Goal, Health, Heard, InstanceId, OperationId,
    ProvisionPart, Provisioned, RequestKey, Runs, ScaleSetName, Timestamp, UpgradeId,
};
use crate::kernel::state::InstanceState;
use crate::kernel::{Fleet, Stepped};
use crate::plan::{Candidate, is_answered};
use crate::record::audit::{Entry, What};
use crate::record::{Commit, Disk, Write};
use crate::rollout::invariants::{Checker, Rule, Seen, Violation};
use crate::rollout::{Event as RolloutEvent, FleetView, Member, MemberState, Upgrade};

use super::fleet::Key;
use super::scenario::Keeper;
use super::world::World;

/// What a driver was asked for under one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A version.
    Ensure(Key, Change),
    /// A new instance.
    Create(Key),
    /// No instance.
    Delete(Key),
}

/// When the latest probes of one life of an instance began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Began {
    epoch: u64,
    asked: Timestamp,
    answered: Timestamp,
}

/// What is remembered of a world's hosts.
#[derive(Default)]
pub(super) struct Rules {
    checkers: BTreeMap<ScaleSetName, Checker>,
    /// What each operation meant, and the latest host that asked.
    operations: BTreeMap<OperationId, (Meaning, Fence)>,
    /// Whose requests must never take effect.
    never: BTreeSet<String>,
    /// Keys under which a reload was done.
    reloaded: BTreeSet<RequestKey>,
    /// What each upgrade is.
    upgrades: BTreeMap<UpgradeId, (u64, Goal, Timestamp)>,
}

impl Began {
    pub(super) fn answered(&self) -> Timestamp {
        self.answered
    }

    /// Whether it is about this life.
    pub(super) fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }
}

impl Rules {
    pub(super) fn committed(&mut self) {
        self.checkers.values_mut().for_each(Checker::committed);
    }

    pub(super) fn crashed(&mut self) {
        self.checkers.values_mut().for_each(Checker::crashed);
    }

    /// So many instances left a set by its configuration.
    pub(super) fn left(&mut self, set: &ScaleSetName, lost: usize) {
        if let Some(checker) = self.checkers.get_mut(set) {
            checker.reconfigured(lost);
        }
    }

    /// These were told that nothing was done.
    pub(super) fn never(&mut self, actor: String) {
        self.never.insert(actor);
    }

    /// Whether a reload under this key is done for the first time.
    pub(super) fn reloaded_once(&mut self, key: &RequestKey) -> bool {
        self.reloaded.insert(key.clone())
    }

    fn step(&mut self, stepped: &Stepped) -> Vec<Violation> {
        let Stepped { before, after, events, step, now, .. } = stepped;
        let checker = self.checkers.entry(after.scale_set.clone()).or_default();
        let view = stepped.view();
        let seen = Seen { before, after, events, step, fleet: &view, now: now.at };
        let found = checker.observe(&seen);
        for event in events {
            if let RolloutEvent::Wish(wish) = event {
                checker.acknowledged(before, *wish);
            }
        }
        found
    }

    /// What is about to be made durable.
    pub(super) fn writes(&mut self, disk: &Disk, commit: &Commit, at: Timestamp) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut report = |rule, detail| found.push(Violation { rule, at, detail });
        let mut ends = u64::MAX;
        let mut new: BTreeMap<u64, &Entry> = BTreeMap::new();
        for write in &commit.writes {
            match write {
                Write::TrailEnds(seq) => {
                    ends = ends.min(*seq);
                    new.split_off(&(seq + 1));
                }
                Write::Audit(entry) => {
                    let there = disk.line(entry.seq).filter(|_| entry.seq <= ends);
                    let before = new.insert(entry.seq, entry).or(there);
                    if before.is_some_and(|before| *before != **entry) {
                        report(Rule::Numbers, format!("line {} is written twice", entry.seq));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether an operation means what it meant, and comes from this host for the first time.
    pub(super) fn operation(
        &mut self,
        operation: &OperationId,
        meaning: Meaning,
        fence: Fence,
    ) -> Option<String> {
        let before = self.operations.insert(operation.clone(), (meaning.clone(), fence));
        match before {
            None => None,
            Some((meant, _)) if meant != meaning => {
                Some(format!("{operation} meant {meant:?} and now {meaning:?}"))
            }
            Some((_, by)) if by == fence => Some(format!("{operation} twice from one host")),
            Some(_) => None,
        }
    }
}

impl World {
    /// Looks at the steps of a turn that stands.
    pub(super) fn steps(&mut self, all: &[Stepped]) {
        for stepped in all {
            self.counts.steps += 1;
            let found = self.rules.step(stepped);
            self.violations.extend(found);
            self.runs_what_it_says(stepped);
            self.rests_on_answers(stepped);
            self.is_one_upgrade(&stepped.after);
            if stepped.before.is_active() && !stepped.after.is_active() {
                self.an_upgrade_ended(&stepped.after);
            }
        }
        if self.scenario.cut_off.is_some() {
            self.nobody_fails_for_our_silence(all);
        }
        if self.scenario.releases {
            self.releases_hold();
        }
    }

    /// Who goes forward has answered since the batch before ended, and everybody else was asked.
    fn rests_on_answers(&mut self, stepped: &Stepped) {
        let Stepped { before, after, now, .. } = stepped;
        let waits =
            |id: &InstanceId| before.members.get(id).is_none_or(|it| it.state == MemberState::Pending);
        let left = |(id, it): &(&InstanceId, &Member)| {
            it.state != MemberState::Pending && !it.never_began() && waits(id)
        };
        let admitted: Vec<&InstanceId> = after.members.iter().filter(left).map(|(id, _)| id).collect();
        if admitted.is_empty() || after.purpose != crate::rollout::Purpose::Forward {
            return;
        }
        let ended = after.batches.iter().filter_map(|batch| batch.ended_at).max();
        let booted = self.booted_at;
        let from = ended.unwrap_or(after.started_at).max(after.started_at).max(booted);
        let silent_may = after.policy.rolling.prioritize_unhealthy_instances;
        let mut wrong = Vec::new();
        for id in &admitted {
            let heard = self.heard.get(&(after.scale_set.clone(), (*id).clone()));
            // Where nothing runs nobody can answer, but somebody looks whether that is still so.
            let is_empty = |one: Candidate| matches!(one.runs, Runs::Nothing { .. });
            let is_empty = stepped.view().candidate(id).is_some_and(is_empty);
            let looked = self.looked.get(&(after.scale_set.clone(), (*id).clone()));
            if is_empty && self.scenario.keeper == Keeper::Site && looked.is_none_or(|at| *at < from) {
                wrong.push(format!("`{id}` is empty by a look at {looked:?}, and {from:?} is what counts"));
            }
            let silent_may = silent_may || is_empty;
            if !silent_may && heard.is_none_or(|heard| heard.answered < from) {
                wrong.push(format!("`{id}` was admitted on {heard:?}, and {from:?} is what counts"));
            }
        }
        // Whoever is waited for in vain is so for an interval and three time limits.
        let patient = self.scenario.interval * 4 + Duration::from_secs(2);
        if now.at.since(from) < patient {
            for (key, epoch) in self.targets.iter().filter(|(key, _)| key.0 == after.scale_set) {
                let is_member = stepped.view().candidate(&key.1).is_some();
                let heard = self.heard.get(key).filter(|heard| heard.epoch == *epoch);
                if is_member && heard.is_none_or(|heard| heard.asked < from) {
                    wrong.push(format!("`{}` has not been asked since {from:?}: {heard:?}", key.1));
                }
            }
        }
        wrong.into_iter().for_each(|detail| self.violation(Rule::Evidence, detail));
    }

    /// Notes when those began that a kernel is told of.
    pub(super) fn hear(&mut self, decided: &Decided) {
        let key = (decided.scale_set.clone(), decided.instance.clone());
        let Decided { epoch, started_at, heard, .. } = *decided;
        let known = self.heard.entry(key).or_default();
        if epoch < known.epoch || decided.again {
            return;
        }
        if epoch > known.epoch {
            *known = Began { epoch, ..Began::default() };
        }
        known.asked = known.asked.max(started_at);
        // An answer without a word of the application permits nothing.
        let says = decided.outcome.result.as_deref().is_ok_and(is_answered);
        let may_stand_in = decided.outcome.result.is_err();
        if heard == Heard::Answer && (says || may_stand_in) {
            known.answered = known.answered.max(started_at);
        }
    }

    fn is_one_upgrade(&mut self, upgrade: &Upgrade) {
        let is = (upgrade.number, upgrade.goal.clone(), upgrade.started_at);
        let new = !self.rules.upgrades.contains_key(&upgrade.id);
        let known = self.rules.upgrades.entry(upgrade.id.clone()).or_insert_with(|| is.clone());
        if *known != is {
            let detail = format!("`{}` was {known:?} and is {is:?}", upgrade.id);
            self.violation(Rule::Numbers, detail);
        }
        if new {
            self.counts.upgrades += 1;
            self.counts.retries += usize::from(upgrade.attempt > 1);
        }
        if !new {
            return;
        }
        let mut active = self.disk.upgrades().filter(|other| {
            other.scale_set == upgrade.scale_set && other.id != upgrade.id && other.is_active()
        });
        if let Some(other) = active.next().filter(|_| upgrade.is_active()) {
            drop(active);
            self.violation(Rule::OneUpgrade, format!("`{}` and `{}` run", other.id, upgrade.id));
        }
    }

    /// What has just passed the health gate really runs the version.
    fn runs_what_it_says(&mut self, stepped: &Stepped) {
        let succeeded = |state: &MemberState| matches!(state, MemberState::Succeeded { .. });
        let mut wrong = Vec::new();
        for id in &stepped.step.changed {
            let Some(member) = stepped.after.members.get(id).filter(|member| succeeded(&member.state)) else {
                continue;
            };
            // It was healthy when the one before it was about to be deleted.
            let was = |state: &MemberState| succeeded(state) || matches!(state, MemberState::Deleting { .. });
            if stepped.before.members.get(id).is_some_and(|member| was(&member.state)) {
                continue;
            }
            let key = (stepped.after.scale_set.clone(), member.occupant(id).clone());
            let Some(node) = self.nodes.get(&key) else { continue };
            // A process may have ended since it was healthy.
            let running = &node.running;
            let runs = |part: &crate::rollout::Part| match running.of(&part.component) {
                Some(version) => *version == part.target,
                None => part.component == crate::domain::Component::Application,
            };
            if !member.parts.iter().all(runs) {
                wrong.push(format!("`{id}` succeeded and {key:?} runs {running:?}"));
            }
        }
        wrong.into_iter().for_each(|detail| self.violation(Rule::Health, detail));
    }

    /// Whether the record has what a driver is about to be asked for by an upgrade.
    pub(super) fn is_recorded(&self, operation: &OperationId, meaning: &Meaning) -> bool {
        let (Meaning::Ensure(key, _) | Meaning::Create(key) | Meaning::Delete(key)) = meaning;
        let Some((upgrade, members)) = upgrade_of(&self.disk, operation) else { return false };
        let mut members = members.iter();
        let member = members.find(|(id, member)| upgrade.operation(id, member.attempt) == *operation);
        member.is_some_and(|(id, member)| {
            member.state.is_with_driver() && upgrade.scale_set == key.0 && wants(id, member, meaning)
        })
    }

    /// An extension of a new instance is asked for when that is recorded, and those are there that it comes after.
    pub(super) fn is_its_turn(&mut self, key: &Key, operation: &OperationId) {
        if !operation.0.starts_with("provision/") {
            return;
        }
        let provision = self.disk.stored().provisions.get(key).cloned();
        let parts = provision.map(|provision| provision.parts).unwrap_or_default();
        let is_there = |name: &ExtensionName| {
            let is_it = |part: &&ProvisionPart| part.extension == *name;
            parts.iter().find(is_it).is_some_and(|part| part.state == Provisioned::Installed)
        };
        let part = parts.iter().find(|part| part.operation == *operation);
        let is_next =
            |part: &ProvisionPart| part.state == Provisioned::Installing && part.after.iter().all(is_there);
        if !part.is_some_and(is_next) {
            self.violation(Rule::Provision, format!("{operation} goes out, and the record has {parts:?}"));
        }
        self.counts.provisioned += 1;
    }

    /// Nobody is ready whose extensions are still to come.
    pub(super) fn none_is_ready_too_soon(&mut self, fleet: &Fleet) {
        let mut wrong = Vec::new();
        for set in fleet.sets() {
            let is_wrong = |one: &&InstanceState| {
                one.is_provisioned_first() && one.fold.health() != Health::Initializing
            };
            wrong.extend(
                set.instances().find(is_wrong).map(|one| format!("`{}` counts too soon", one.spec.id)),
            );
        }
        wrong.into_iter().for_each(|detail| self.violation(Rule::Provision, detail));
    }

    /// The end: nothing of what was refused has happened, and what was asked for twice was done once.
    pub(super) fn look_back(&mut self) {
        let mut started: BTreeMap<&RequestKey, usize> = BTreeMap::new();
        let mut found = Vec::new();
        for entry in self.disk.trail() {
            if let Actor::Operator(name) = &entry.by.actor
                && self.rules.never.contains(name)
            {
                found.push((Rule::Record, format!("{name} heard that nothing was done: {entry:?}")));
            }
            if let (What::Start { .. }, Some(key)) = (&entry.what, &entry.by.request) {
                *started.entry(key).or_default() += 1;
            }
        }
        let twice = started.into_iter().filter(|(_, times)| *times > 1);
        found.extend(twice.map(|(key, _)| (Rule::Numbers, format!("{} was granted twice", key.as_str()))));
        found.into_iter().for_each(|(rule, detail)| self.violation(rule, detail));
    }
}

/// Whether an operation is one of an upgrade's.
pub(super) fn is_of_an_upgrade(operation: &OperationId) -> bool {
    ["start/", "delete/", "end/", "provision/"].into_iter().all(|own| !operation.0.starts_with(own))
}

fn upgrade_of<'a>(
    disk: &'a Disk,
    operation: &OperationId,
) -> Option<(&'a Upgrade, &'a crate::rollout::Members)> {
    let (id, _) = operation.0.split_once('/')?;
    disk.upgrade(&UpgradeId::parse(id).ok()?)
}

fn wants(id: &InstanceId, member: &Member, meaning: &Meaning) -> bool {
    match meaning {
        Meaning::Ensure(key, change) => {
            member.watched(id) == &key.1 && member.wanted() == Some((&change.component, &change.to))
        }
        Meaning::Create(key) => {
            matches!(member.state, MemberState::Creating { .. }) && member.replacement() == Some(&key.1)
        }
        Meaning::Delete(key) => match member.state {
            MemberState::Deleting { .. } => id == &key.1,
            MemberState::Removing { .. } => member.replacement() == Some(&key.1),
            _ => false,
        },
    }
}
