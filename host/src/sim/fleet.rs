//! The invented fleet: what each instance really does, and what the host knows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Claim, Decision, Digest, Generation, Health, InstanceId, OperationId, Outcome, Participation, Phase,
    PluginName, PluginStamp, Protection, Timestamp, Version,
};
use crate::health::{FoldSettings, HealthFold};
use crate::plan::{Candidate, StandingInput, is_answered, standing};
use crate::rollout::{FleetView, Stop};

/// What never changes about an instance.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) zone: Option<String>,
    pub(super) update_domain: Option<u32>,
    pub(super) protection: Protection,
    pub(super) phase: Option<Phase>,
    pub(super) participation: Participation,
    /// Never healthy at the new version.
    pub(super) bad_version: bool,
}

/// An instance as it is.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) facts: Facts,
    pub(super) running: Option<Version>,
    /// Answers from then on.
    pub(super) up_at: Timestamp,
    /// The call that the driver works on; an older one no longer counts.
    pub(super) call: u64,
    /// Generation of the host that gave the latest call.
    pub(super) generation: u64,
    /// What each operation asked for.
    pub(super) asked: BTreeMap<OperationId, Version>,
}

impl Node {
    /// What a probe finds at this time; none when nobody answers.
    pub(super) fn claim(&self, new: &Version, now: Timestamp) -> Option<Claim> {
        let running = self.running.as_ref()?;
        if now < self.up_at {
            return None;
        }
        let bad = self.facts.bad_version && running == new;
        Some(if bad { Claim::Unhealthy } else { Claim::Healthy })
    }
}

/// An instance as the host knows it; gone with the host.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) version: Option<Version>,
    pub(super) fold: HealthFold,
    latest: Option<Outcome>,
    answered: Option<(Decision, Timestamp)>,
    pub(super) busy: Option<OperationId>,
}

impl Known {
    pub(super) fn new(version: Option<Version>, settings: FoldSettings, now: Timestamp) -> Self {
        Self { version, fold: HealthFold::new(settings, now), latest: None, answered: None, busy: None }
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
        self.latest = Some(Outcome { stamp, result: Ok(decision) });
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

impl FleetView for View<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        let all = self.ids.iter().zip(self.nodes).zip(self.known);
        let candidate = |((id, node), known): ((&InstanceId, &Node), &Known)| Candidate {
            id: id.clone(),
            zone: node.facts.zone.clone(),
            update_domain: node.facts.update_domain,
            fault_domain: None,
            protection: node.facts.protection,
            version: known.version.clone(),
            extensions: BTreeMap::new(),
            health: known.fold.health(),
            standing: standing(&StandingInput {
                latest: known.latest.as_ref(),
                answered: known.answered.as_ref().map(|(decision, at)| (decision, *at)),
                health: known.fold.health(),
                prioritize_unhealthy: self.prioritize_unhealthy,
                freshness: self.freshness,
                now: self.now,
            }),
        };
        all.map(candidate).collect()
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.known.get(index_of(instance)).map_or(Health::Unknown, |known| known.fold.health())
    }

    fn total(&self) -> usize {
        self.known.len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        let down =
            |(id, known): (&InstanceId, &Known)| known.fold.health().is_unhealthy().then(|| id.clone());
        self.ids.iter().zip(self.known).filter_map(down).collect()
    }

    fn any_initializing(&self) -> bool {
        self.known.iter().any(|known| known.fold.health() == Health::Initializing)
    }

    fn stop(&self) -> Option<Stop> {
        self.stop
    }
}
