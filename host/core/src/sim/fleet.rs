//! The invented fleet: what each instance really does, and what the host knows of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Change, Claim, Component, Decision, Digest, Evaluation, Generation, Health, InstanceId, OperationId,
    Outcome, Participation, Phase, PluginName, PluginStamp, Protection, Timestamp,
};
use crate::health::{FoldSettings, HealthFold};
use crate::plan::{Candidate, StandingInput, is_answered, standing};
use crate::rollout::{FleetView, Stop};

use super::versions::Versions;

/// What is not a matter of upgrades about an instance. Phase and participation change in fickle
/// worlds.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) zone: Option<String>,
    pub(super) update_domain: Option<u32>,
    pub(super) protection: Protection,
    pub(super) phase: Option<Phase>,
    pub(super) participation: Participation,
    /// Never healthy with this version of this part.
    pub(super) bad_version: Option<Change>,
}

/// An instance as it is.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) facts: Facts,
    pub(super) running: Versions,
    /// Answers from then on.
    pub(super) up_at: Timestamp,
    /// The call that the driver works on for each part; an older one no longer counts.
    pub(super) calls: BTreeMap<Component, usize>,
    /// Generation of the host that gave the latest call.
    pub(super) generation: u64,
    /// What each operation asked for.
    pub(super) asked: BTreeMap<OperationId, Change>,
}

impl Node {
    /// What a probe finds at this time; none when nobody answers.
    pub(super) fn claim(&self, now: Timestamp) -> Option<Claim> {
        if self.running.application.is_none() || now < self.up_at {
            return None;
        }
        let has = |change: &Change| self.running.of(&change.component) == Some(&change.to);
        let bad = self.facts.bad_version.as_ref().is_some_and(has);
        Some(if bad { Claim::Unhealthy } else { Claim::Healthy })
    }
}

/// An instance as the host knows it; gone with the host.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) versions: Versions,
    pub(super) fold: HealthFold,
    latest: Option<Outcome>,
    answered: Option<(Decision, Timestamp)>,
    /// After a restart the application may be started while an extension is being installed.
    pub(super) busy: BTreeMap<Component, OperationId>,
}

impl Known {
    pub(super) fn new(versions: Versions, settings: FoldSettings, now: Timestamp) -> Self {
        let fold = HealthFold::new(settings, now);
        Self { versions, fold, latest: None, answered: None, busy: BTreeMap::new() }
    }

    pub(super) fn begin_life(&mut self, now: Timestamp) {
        self.fold = HealthFold::new(self.fold.settings(), now);
    }

    /// Takes in one judged round; gives whether an upgrade should look.
    pub(super) fn judged(&mut self, decision: Decision, stamp: PluginStamp, now: Timestamp) -> bool {
        let (first, before) = (self.latest.is_none(), self.fold.health());
        if self.fold.observed().is_none() {
            self.begin_life(now);
        }
        let after = self.fold.observe(decision.claim, now);
        if is_answered(&decision) {
            self.answered = Some((decision.clone(), now));
        }
        self.latest =
            Some(Outcome { stamp, evaluation: Evaluation::default(), result: Ok(Arc::new(decision)) });
        first || before != after
    }
}

/// The decision of the invented plugin.
pub(super) fn decision(facts: &Facts, claim: Option<Claim>) -> Decision {
    let (phase, participation) = match claim {
        Some(_) => (facts.phase, facts.participation),
        None => (None, Participation::Proceed),
    };
    Decision {
        claim: claim.unwrap_or(Claim::Unknown),
        phase,
        participation,
        reason: None,
        memory: None,
        attributes: Vec::new(),
    }
}

/// Who judges in a simulated world.
pub(super) fn stamp() -> Option<PluginStamp> {
    let name = PluginName::parse("simulated").ok()?;
    Some(PluginStamp { name, digest: Digest([0; 32]), generation: Generation(1) })
}

/// The fleet at one moment, as the core sees it.
pub(super) struct View<'a> {
    pub(super) ids: &'a [InstanceId],
    pub(super) nodes: &'a [Node],
    pub(super) known: &'a [Known],
    pub(super) prioritize_unhealthy: bool,
    pub(super) freshness: Duration,
    pub(super) now: Timestamp,
    pub(super) stop: Option<Stop>,
}

/// Place of an instance in the fleet: its id is its number.
pub(super) fn index_of(id: &InstanceId) -> usize {
    id.as_str().parse().unwrap_or(usize::MAX)
}

impl View<'_> {
    fn at(&self, index: usize) -> Option<Candidate> {
        let (id, node, known) = (self.ids.get(index)?, self.nodes.get(index)?, self.known.get(index)?);
        Some(Candidate {
            id: id.clone(),
            zone: node.facts.zone.clone(),
            update_domain: node.facts.update_domain,
            fault_domain: None,
            protection: node.facts.protection,
            version: known.versions.application.clone(),
            extensions: known.versions.extensions.clone(),
            health: known.fold.health(),
            standing: standing(&StandingInput {
                on_failure: crate::domain::OnFailure::Hold,
                latest: known.latest.as_ref(),
                answered: known.answered.as_ref().map(|(decision, at)| (decision, *at)),
                answered_by: None,
                in_force: None,
                health: known.fold.health(),
                prioritize_unhealthy: self.prioritize_unhealthy,
                freshness: self.freshness,
                now: self.now,
            }),
        })
    }

    fn with(&self, is_it: impl Fn(Health) -> bool) -> Vec<InstanceId> {
        let all = self.ids.iter().zip(self.known);
        all.filter(|(_, known)| is_it(known.fold.health())).map(|(id, _)| id.clone()).collect()
    }
}

impl FleetView for View<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        (0..self.known.len()).filter_map(|index| self.at(index)).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        self.at(index_of(instance))
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.known.get(index_of(instance)).map_or(Health::Unknown, |known| known.fold.health())
    }

    fn total(&self) -> usize {
        self.known.len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        self.with(Health::is_unhealthy)
    }

    fn unhealthy_count(&self) -> usize {
        self.known.iter().filter(|known| known.fold.health().is_unhealthy()).count()
    }

    fn initializing(&self) -> Vec<InstanceId> {
        self.with(|health| health == Health::Initializing)
    }

    fn initializing_count(&self) -> usize {
        self.known.iter().filter(|known| known.fold.health() == Health::Initializing).count()
    }

    fn any_undecided(&self) -> bool {
        self.known.iter().any(|known| known.latest.is_none())
    }

    fn stop(&self) -> Option<Stop> {
        self.stop
    }
}
