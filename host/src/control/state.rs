//! What the loop knows: every scale set, every instance, the upgrade in progress.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::Driver;
use phasegate_core::domain::{
    Change, Claim, Component, Decided, Decision, Evaluation, ExtensionName, Generation, Goal, Health,
    Instance, InstanceFacts, InstanceId, Located, OnFailure, OperationId, Outcome, Participation,
    PluginStamp, ScaleSet, Timestamp, Version,
};
use phasegate_core::health::{FoldSettings, HealthFold};
use phasegate_core::plan::{Candidate, Plan, Standing, StandingInput, is_answered, standing};
use phasegate_core::record::{Retry, StoppedLine};
use phasegate_core::rollout::{Event, FleetView, Stop, Upgrade};

/// Shown plans that are remembered for each set.
const SHOWN_MAX: usize = 16;

/// A scale set and the driver that serves it.
pub struct SetParts {
    /// From the configuration.
    pub spec: ScaleSet,
    /// Makes its instances run versions.
    pub driver: Arc<dyn Driver>,
    /// What becomes of an instance while its plugin fails.
    pub on_failure: OnFailure,
}

/// One scale set in the loop.
pub(super) struct SetState {
    pub(super) spec: ScaleSet,
    pub(super) driver: Arc<dyn Driver>,
    pub(super) on_failure: OnFailure,
    /// Generation of its plugin whose decisions count; none since the start of the host, when there was
    /// no other one.
    pub(super) in_force: Option<Generation>,
    /// What is wanted: the configuration's model, or what the latest upgrade was started with.
    pub(super) model: Goal,
    pub(super) instances: BTreeMap<InstanceId, InstanceState>,
    /// Every id that was ever used, by what is gone too.
    pub(super) ids_ever: BTreeSet<InstanceId>,
    /// The latest upgrade, running or ended.
    pub(super) upgrade: Option<Upgrade>,
    /// Versions that faulted, with the reason.
    pub(super) quarantined: BTreeMap<Change, String>,
    /// When the latest upgrade, which faulted, is tried again.
    pub(super) retry: Option<Retry>,
    /// A person stopped the line for all sets.
    pub(super) line: Option<StoppedLine>,
    /// Answers of drivers that the upgrade has not heard yet.
    pub(super) answers: Vec<Event>,
    /// Plans that were shown, oldest first: a start that names one of them and no longer fits says
    /// what has changed since.
    pub(super) shown: VecDeque<Plan>,
    /// Something changed that the upgrade must look at.
    pub(super) dirty: bool,
    /// When the upgrade wants to look again.
    pub(super) wake_at: Option<Timestamp>,
}

/// A decision that rested on a word of the application.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) decision: Arc<Decision>,
    /// When the round ended.
    pub(super) at: Timestamp,
    /// Which code made it.
    pub(super) stamp: PluginStamp,
    /// When that was asked, and what it took.
    pub(super) evaluation: Evaluation,
}

/// How the text about a stand-in begins.
pub(super) const STAND_IN_BEGINS: &str = "the last good decision, of ";

/// An older decision that is used because the plugin fails now.
pub(super) struct StandIn<'a> {
    pub(super) answered: &'a Answered,
    /// Which plugin fails, and how.
    pub(super) failure: String,
}

impl fmt::Display for StandIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, failure) = (self.answered.evaluation.at, &self.failure);
        write!(f, "{STAND_IN_BEGINS}{at}, stands in: {failure}")
    }
}

/// What an instance is to its scale set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It counts.
    Member {
        /// In whose place it came, if it was created here.
        replaced: Option<InstanceId>,
    },
    /// It is made to take the place of another, and counts for nothing yet.
    Coming {
        /// Which.
        replaces: InstanceId,
    },
    /// It has to go, and counts for nothing any more.
    Leaving {
        /// Who is there in its place.
        replaced_by: Option<InstanceId>,
    },
}

/// One instance in the loop.
pub(super) struct InstanceState {
    pub(super) spec: Instance,
    pub(super) place: Place,
    /// Whether the address is its own.
    pub(super) located: Located,
    /// Version of the application.
    pub(super) version: Option<Version>,
    /// Versions of extensions, as far as known.
    pub(super) extensions: BTreeMap<ExtensionName, Version>,
    /// Rises with each effect; answers of an earlier life are dropped.
    pub(super) epoch: u64,
    pub(super) fold: HealthFold,
    pub(super) latest: Option<Outcome>,
    /// The last decision that rested on a word of the application.
    pub(super) answered: Option<Answered>,
    /// What the plugin asked to remember last.
    pub(super) memory: Option<Vec<u8>>,
    /// The driver's latest complaint, until the instance is healthy again.
    pub(super) trouble: Option<(Timestamp, String)>,
    /// The driver says that nothing runs. Whatever then answers at its address is somebody else.
    pub(super) down: bool,
    /// When the driver last brought it to a version.
    pub(super) applied_at: Timestamp,
    /// The version that the driver was last asked for; what a start that failed tries again.
    pub(super) asked: Option<Version>,
    /// The effects that the driver is busy with. After a restart the application may be started
    /// while an extension is being installed.
    pub(super) busy: BTreeMap<Component, OperationId>,
    /// When to try again to start it, after a failed first start.
    pub(super) retry_at: Option<Timestamp>,
}

impl InstanceState {
    pub(super) fn new(set: &ScaleSet, spec: Instance, version: Option<Version>, now: Timestamp) -> Self {
        Self {
            spec,
            place: Place::Member { replaced: None },
            located: Located::Yes,
            version,
            extensions: BTreeMap::new(),
            epoch: 0,
            fold: new_fold(set, now),
            latest: None,
            answered: None,
            memory: None,
            trouble: None,
            down: false,
            asked: None,
            applied_at: Timestamp::default(),
            busy: BTreeMap::new(),
            retry_at: None,
        }
    }

    /// Whether it counts.
    pub(super) fn is_member(&self) -> bool {
        matches!(self.place, Place::Member { .. })
    }

    /// Records a version; gives whether it is another one than before.
    pub(super) fn set_version(&mut self, component: &Component, version: Option<Version>) -> bool {
        let changed = self.version_of(component) != version.as_ref();
        match (component, version) {
            (Component::Application, version) => self.version = version,
            (Component::Extension(name), Some(version)) => {
                drop(self.extensions.insert(name.clone(), version))
            }
            (Component::Extension(name), None) => drop(self.extensions.remove(name)),
        }
        changed
    }

    /// The version that it has of a component.
    pub(super) fn version_of(&self, component: &Component) -> Option<&Version> {
        match component {
            Component::Application => self.version.as_ref(),
            Component::Extension(name) => self.extensions.get(name),
        }
    }

    /// Begins a new life: the health of the one before says nothing about it.
    pub(super) fn begin_life(&mut self, set: &ScaleSet, now: Timestamp) {
        self.epoch += 1;
        self.fold = new_fold(set, now);
    }

    /// Takes in a judged round. Gives the health before and after, or none when the round belongs
    /// to an earlier life. Where the plugin failed, the last good decision may stand in for a time.
    pub(super) fn decided(
        &mut self,
        decided: Decided,
        stands_in: Option<Duration>,
    ) -> Option<(Health, Health)> {
        if decided.epoch != self.epoch {
            return None;
        }
        let before = self.fold.health();
        if self.fold.observed().is_none() {
            // Grace counts from the first probe of this life, which is spread over the interval.
            self.fold = HealthFold::new(self.fold.settings(), decided.started_at);
        }
        let before_failure = || {
            let Answered { decision, at, .. } = self.answered.as_ref()?;
            (decided.finished_at.since(*at) <= stands_in?).then_some(decision.claim)
        };
        let claimed = match &decided.outcome.result {
            Ok(decision) => decision.claim,
            Err(_) => before_failure().unwrap_or(Claim::Unknown),
        };
        let claim = if self.down { Claim::Unknown } else { claimed };
        // Health follows probes, and this one was counted.
        let after = if decided.again { before } else { self.fold.observe(claim, decided.finished_at) };
        if let Ok(decision) = &decided.outcome.result
            && is_answered(decision)
        {
            self.answered = Some(Answered {
                decision: Arc::clone(decision),
                at: decided.finished_at,
                stamp: decided.outcome.stamp.clone(),
                evaluation: decided.outcome.evaluation,
            });
        }
        self.latest = Some(decided.outcome);
        if after == Health::Healthy && self.trouble.as_ref().is_some_and(|(at, _)| *at < decided.started_at) {
            self.trouble = None;
        }
        Some((before, after))
    }
}

fn new_fold(set: &ScaleSet, now: Timestamp) -> HealthFold {
    let health = &set.health;
    let settings = FoldSettings {
        number_of_probes: health.number_of_probes,
        grace_period: health.grace_period,
        fail_state: health.protocol.fail_state(),
    };
    HealthFold::new(settings, now)
}

impl SetState {
    /// The instances that count.
    pub(super) fn members(&self) -> impl Iterator<Item = (&InstanceId, &InstanceState)> {
        self.instances.iter().filter(|(_, instance)| instance.is_member())
    }

    /// Remembers a plan that is shown to somebody.
    pub(super) fn remember(&mut self, plan: Plan) {
        if self.shown.iter().any(|known| known.digest == plan.digest) {
            return;
        }
        if self.shown.len() == SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(plan);
    }

    /// When a faulted upgrade is tried again; none while another one runs.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        let idle = !self.upgrade.as_ref().is_some_and(Upgrade::is_active);
        self.retry.as_ref().filter(|_| idle).map(|retry| retry.at)
    }

    /// End of the freeze window that is open at a time.
    pub(super) fn frozen_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.spec.freeze.frozen_at(at).map(|frozen| frozen.until)
    }

    pub(super) fn standing(&self, instance: &InstanceState, now: Timestamp) -> Standing {
        let answered = instance.answered.as_ref();
        let judged = standing(&StandingInput {
            latest: instance.latest.as_ref(),
            answered: answered.map(|answered| (&*answered.decision, answered.at)),
            answered_by: answered.map(|answered| answered.stamp.generation),
            in_force: self.in_force,
            on_failure: self.on_failure,
            health: instance.fold.health(),
            prioritize_unhealthy: self.spec.policy.rolling.prioritize_unhealthy_instances,
            freshness: self.spec.health.freshness(),
            now,
        });
        let permits = judged.participation() == Some(Participation::Proceed);
        if instance.down && permits && !self.spec.policy.rolling.prioritize_unhealthy_instances {
            let detail = instance.trouble.as_ref().map_or_else(String::new, |(_, text)| text.clone());
            return Standing::Unknown { detail, phase: judged.phase() };
        }
        judged
    }

    /// The older decision that is used for an instance, if the plugin fails now; as [`standing`] has it.
    pub(super) fn stand_in<'a>(&self, instance: &'a InstanceState, now: Timestamp) -> Option<StandIn<'a>> {
        let Outcome { stamp, result, .. } = instance.latest.as_ref()?;
        let failure = result.as_ref().err()?;
        let answered = instance.answered.as_ref()?;
        let used =
            self.on_failure == OnFailure::LastGood && now.since(answered.at) <= self.spec.health.freshness();
        let failure = format!("plugin `{}` ({}) {failure}", stamp.name, stamp.digest.short());
        used.then_some(StandIn { answered, failure })
    }

    pub(super) fn facts(&self, instance: &InstanceState) -> InstanceFacts {
        let spec = &instance.spec;
        InstanceFacts {
            id: spec.id.clone(),
            scale_set: self.spec.name.clone(),
            region: spec.region.clone(),
            zone: spec.zone.clone(),
            fault_domain: spec.fault_domain,
            update_domain: spec.update_domain,
            version: instance.version.clone(),
            desired_version: self.model.of(&Component::Application).cloned(),
            labels: spec.labels.clone(),
        }
    }

    /// The view that the core gets of this set at this moment.
    pub(super) fn view(&self, now: Timestamp) -> SetView<'_> {
        SetView { set: self, now }
    }
}

/// A scale set at one moment, as the core sees it.
pub(super) struct SetView<'a> {
    set: &'a SetState,
    now: Timestamp,
}

impl FleetView for SetView<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |instance: &InstanceState| Candidate {
            id: instance.spec.id.clone(),
            zone: instance.spec.zone.clone(),
            update_domain: instance.spec.update_domain,
            fault_domain: instance.spec.fault_domain,
            protection: instance.spec.protection,
            version: instance.version.clone(),
            extensions: instance.extensions.clone(),
            health: instance.fold.health(),
            standing: self.set.standing(instance, self.now),
        };
        self.set.members().map(|(_, instance)| candidate(instance)).collect()
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.set.instances.get(instance).map_or(Health::Unknown, |instance| instance.fold.health())
    }

    fn total(&self) -> usize {
        self.set.members().count()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        let unhealthy = |(id, instance): (&InstanceId, &InstanceState)| {
            instance.fold.health().is_unhealthy().then(|| id.clone())
        };
        self.set.members().filter_map(unhealthy).collect()
    }

    fn unhealthy_count(&self) -> usize {
        self.set.members().filter(|(_, instance)| instance.fold.health().is_unhealthy()).count()
    }

    fn any_initializing(&self) -> bool {
        self.set.members().any(|(_, instance)| instance.fold.health() == Health::Initializing)
    }

    fn ids_ever(&self) -> Vec<InstanceId> {
        self.set.ids_ever.iter().cloned().collect()
    }

    fn stop(&self) -> Option<Stop> {
        if let Some(line) = &self.set.line {
            return Some(Stop::Line { since: line.at });
        }
        self.set.frozen_until(self.now).map(|until| Stop::Freeze { until })
    }
}
