//! What the checker remembers of one upgrade: what instances said when it counted, what was done,
//! and what was promised to people.

use std::collections::{BTreeMap, BTreeSet};

use super::{Seen, admitted};
use crate::domain::{Component, Decisions, InstanceId, OperationId, Participation, PhaseName, Runs, Version};
use crate::plan::{Candidate, Standing};
use crate::rollout::{Extent, Part, Purpose, Upgrade};

/// An instance at the moment of the snapshot.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) zone: Option<String>,
    pub(super) update_domain: Option<u32>,
    pub(super) phase: PhaseName,
    /// What it is known to have.
    pub(super) versions: BTreeMap<Component, Version>,
    /// What it goes back to.
    pub(super) before: BTreeMap<Component, Version>,
    pub(super) consent: Result<(), &'static str>,
}

/// What became durable of one upgrade, and what was promised to people.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) facts: BTreeMap<InstanceId, Fact>,
    /// Component and version where something was not deleted.
    pub(super) effects: BTreeMap<OperationId, (InstanceId, Option<(Component, Version)>)>,
    /// New instances, and whose place they were to take.
    pub(super) created: BTreeMap<InstanceId, InstanceId>,
    /// Number of instances at the snapshot.
    pub(super) capacity: usize,
    /// Members that were admitted together, at most.
    pub(super) widest: usize,
    /// Whether what instances said at the plan has been noted.
    pub(super) planned: bool,
    /// Rises with each admission.
    pub(super) turn: BTreeMap<InstanceId, usize>,
    pub(super) touched: BTreeSet<InstanceId>,
    /// Hooks that became durable before they were run.
    pub(super) hooks_asked: BTreeSet<OperationId>,
    /// Hooks that are over, and how they went.
    pub(super) hooks_over: BTreeMap<OperationId, Result<(), String>>,
    /// A person named the instances.
    pub(super) by_hand: bool,
    pub(super) paused: bool,
    pub(super) cancelled: bool,
    pub(super) bypassed: bool,
    pub(super) resumed: BTreeSet<PhaseName>,
    pub(super) approved: BTreeSet<PhaseName>,
}

impl History {
    /// Notes what instances say at the moments at which it counts: at the plan, before a batch when
    /// decisions are live, and when one that said "not now" was asked again. Who was touched before
    /// keeps what was found then.
    pub(super) fn find_out(&mut self, seen: &Seen<'_>) {
        let Seen { before, after, .. } = *seen;
        // A start with an approved plan has it before its first step.
        let planned = (before.digest.is_none() || !self.planned) && after.digest.is_some();
        self.planned |= planned;
        self.by_hand = after.purpose == Purpose::Manual;
        let named = self.by_hand && self.facts.is_empty();
        let asked = after.policy.decisions == Decisions::Live && !admitted(seen).is_empty();
        let asked_again =
            |id: &InstanceId| before.deferred.contains_key(id) && !after.deferred.contains_key(id);
        // One that is planned, or planned anew, gets what it lacks now.
        let parts = |upgrade: &Upgrade, id: &InstanceId| {
            let member = upgrade.members.get(id)?;
            let part = |part: &Part| (part.component.clone(), part.previous.clone(), part.target.clone());
            let mut parts = member.parts.iter().map(part).collect::<Vec<_>>();
            // In which order they come is no part of what it was planned with.
            parts.sort_by(|(a, ..), (b, ..)| a.cmp(b));
            Some(parts)
        };
        // Who gets less than before, because an extension ended for itself, is not planned anew.
        let less = |id: &InstanceId| {
            parts(before, id).zip(parts(after, id)).is_some_and(|(before, after)| {
                after.len() < before.len() && after.iter().all(|part| before.contains(part))
            })
        };
        let joined = |id: &InstanceId| {
            seen.step.changed.contains(id) && parts(before, id) != parts(after, id) && !less(id)
        };
        // Somebody has said something about it; it is planned anew, with what it lacked before, too.
        let reasked = |id: &InstanceId| before.reask.contains(id) && !after.reask.contains(id);
        let joined = |id: &InstanceId| joined(id) || reasked(id);
        let all = planned || named || asked;
        let any_joined = seen.step.changed.iter().chain(&before.reask).any(joined);
        if !all && !any_joined && !before.deferred.keys().any(asked_again) {
            return;
        }
        if all {
            self.capacity = seen.fleet.total();
        }
        for candidate in seen.fleet.candidates() {
            if !self.touched.contains(&candidate.id)
                && (all || asked_again(&candidate.id) || joined(&candidate.id))
            {
                let (id, mut fact) = fact(candidate, after);
                let is_planned = !planned && before.members.get(&id).is_some() && !joined(&id);
                if let Some(former) = self.facts.remove(&id).filter(|_| is_planned) {
                    // The plan says what it gets, by what it had then.
                    (fact.versions, fact.before) = (former.versions, former.before);
                }
                self.facts.insert(id, fact);
            }
        }
    }

    /// The instance in whose place one stands.
    pub(super) fn first<'a>(&'a self, id: &'a InstanceId) -> &'a InstanceId {
        self.created.get(id).unwrap_or(id)
    }
}

fn fact(candidate: Candidate, upgrade: &Upgrade) -> (InstanceId, Fact) {
    let consent = match &candidate.standing {
        _ if candidate.protection.from_scale_set_actions => Err("is protected"),
        _ if upgrade.extent == Extent::Missing && candidate.is_at(&upgrade.goal) => Err("is there already"),
        _ if candidate.held.is_some() => Err("is held by a person"),
        Standing::Undecided => Err("has not been judged"),
        Standing::PluginFailed { .. } => Err("has no decision"),
        Standing::Unknown { .. } => Err("is unknown"),
        Standing::Decided { participation: Participation::Skip, .. } => Err("says skip"),
        Standing::Decided { participation: Participation::Defer, .. } => Err("says not now"),
        Standing::Decided { participation: Participation::Proceed, .. } => Ok(()),
    };
    let Candidate { id, zone, update_domain, runs, extensions, standing, .. } = candidate;
    let phase = PhaseName::from(standing.phase());
    let extensions = extensions.into_iter().map(|(name, runs)| (Component::Extension(name), runs));
    let all: Vec<(Component, Runs)> =
        std::iter::once((Component::Application, runs)).chain(extensions).collect();
    let of = |what: fn(&Runs) -> Option<&Version>| {
        let some = all.iter().filter_map(|(component, runs)| Some((component.clone(), what(runs)?.clone())));
        some.collect::<BTreeMap<Component, Version>>()
    };
    let (versions, before) = (of(Runs::version), of(Runs::way_back));
    (id, Fact { zone, update_domain, phase, versions, before, consent })
}
