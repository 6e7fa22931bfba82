//! The invariants of a rolling upgrade as one checker, for simulation, exploration and tests.
//!
//! Numbers are those of the design. The checker keeps its own history of what was admitted, asked
//! for and acknowledged, and looks at each step from outside: it shares the policy's arithmetic
//! with the code that it checks, and none of its decisions. It changes nothing and fails nothing;
//! it reports.

mod admission;
mod effects;
mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::{
    Component, Decisions, Goal, InstanceId, OperationId, Participation, PhaseName, Timestamp, UpgradeId,
    Version,
};
use crate::plan::{Candidate, Standing};

use super::{Event, FleetView, MemberState, Purpose, Step, Upgrade, Wish};

/// Which invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// 1: the budget at each admission.
    Budget,
    /// 2: one zone and one update domain in flight.
    Borders,
    /// 3: phases one after the other.
    Phases,
    /// 4: who did not consent is left alone.
    Consent,
    /// 5: one effect for each upgrade, instance and attempt.
    OneEffect,
    /// 6: the upgraded-unhealthy limit stops before the next admission.
    UpgradedLimit,
    /// 7: the way back goes to the recorded version, on touched instances only.
    WayBack,
    /// 8: accepted generations never go back.
    Generations,
    /// 10: nothing is admitted after pause or cancel, or across a checkpoint.
    Stopped,
    /// 12: the record replays to the same state.
    Replay,
    /// 13: only Healthy is healthy.
    Health,
    /// 14: it ends, or waits with a true reason.
    Ending,
}

impl Rule {
    /// Its number in the design.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Budget => 1,
            Self::Borders => 2,
            Self::Phases => 3,
            Self::Consent => 4,
            Self::OneEffect => 5,
            Self::UpgradedLimit => 6,
            Self::WayBack => 7,
            Self::Generations => 8,
            Self::Stopped => 10,
            Self::Replay => 12,
            Self::Health => 13,
            Self::Ending => 14,
        }
    }
}

/// One broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms: invariant {} ({:?}): {}", self.at.0, self.rule.number(), self.rule, self.detail)
    }
}

/// One step as seen from outside.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// State before it.
    pub before: &'a Upgrade,
    /// State after it.
    pub after: &'a Upgrade,
    /// What happened.
    pub events: &'a [Event],
    /// What it gave back.
    pub step: &'a Step,
    /// The fleet that it looked at.
    pub fleet: &'a dyn FleetView,
    /// When.
    pub now: Timestamp,
}

/// An instance at the moment of the snapshot.
#[derive(Debug, Clone)]
struct Fact {
    zone: Option<String>,
    update_domain: Option<u32>,
    phase: PhaseName,
    versions: BTreeMap<Component, Version>,
    consent: Result<(), &'static str>,
}

/// What became durable of one upgrade, and what was promised to people.
#[derive(Debug, Clone, Default)]
struct History {
    facts: BTreeMap<InstanceId, Fact>,
    effects: BTreeMap<OperationId, (InstanceId, Component, Version)>,
    /// Rises with each admission.
    turn: BTreeMap<InstanceId, usize>,
    touched: BTreeSet<InstanceId>,
    paused: bool,
    cancelled: bool,
    bypassed: bool,
    resumed: BTreeSet<PhaseName>,
    approved: BTreeSet<PhaseName>,
}

impl History {
    /// Notes what instances say at the moments at which it counts: at the plan, before a batch when
    /// decisions are live, and when one that said "not now" was asked again. Who was touched before
    /// keeps what was found then.
    fn find_out(&mut self, seen: &Seen<'_>) {
        let Seen { before, after, .. } = *seen;
        let planned = before.digest.is_none() && after.digest.is_some();
        let named = after.purpose == Purpose::Manual && self.facts.is_empty();
        let asked = after.rules.decisions == Decisions::Live && !admitted(seen).is_empty();
        let asked_again =
            |id: &InstanceId| before.deferred.contains_key(id) && !after.deferred.contains_key(id);
        let all = planned || named || asked;
        if !all && !before.deferred.keys().any(|id| asked_again(id)) {
            return;
        }
        for candidate in seen.fleet.candidates() {
            if !self.touched.contains(&candidate.id) && (all || asked_again(&candidate.id)) {
                let (id, fact) = fact(candidate, &after.goal);
                self.facts.insert(id, fact);
            }
        }
    }
}

/// An effect that was decided and is not yet known to be durable.
#[derive(Debug, Clone)]
struct Decided {
    upgrade: UpgradeId,
    operation: OperationId,
    instance: InstanceId,
    component: Component,
    version: Version,
    admitted: bool,
}

/// Watches one scale set.
#[derive(Debug, Clone, Default)]
pub struct Checker {
    histories: BTreeMap<UpgradeId, History>,
    decided: Vec<Decided>,
}

impl Checker {
    /// Looks at one step.
    pub fn observe(&mut self, seen: &Seen<'_>) -> Vec<Violation> {
        let id = &seen.after.id;
        let history = self.histories.entry(id.clone()).or_default();
        history.find_out(seen);
        let empty = History::default();
        let history = self.histories.get(id).unwrap_or(&empty);
        let former = match &seen.after.purpose {
            Purpose::Forward | Purpose::Manual => None,
            Purpose::Rollback { of } => Some(self.histories.get(of).unwrap_or(&empty)),
        };
        let admitted = admitted(seen);
        let mut check = Check { seen, history, former, admitted: &admitted, found: Vec::new() };
        if !admitted.is_empty() {
            check.admission();
        }
        check.in_flight();
        check.effects();
        check.ending();
        let found = check.found;
        for super::Action::Apply { instance, component, version, operation } in &seen.step.actions {
            self.decided.push(Decided {
                upgrade: id.clone(),
                operation: operation.clone(),
                instance: instance.clone(),
                component: component.clone(),
                version: version.clone(),
                admitted: admitted.contains(instance),
            });
        }
        found
    }

    /// Everything decided so far is durable.
    pub fn committed(&mut self) {
        for decided in std::mem::take(&mut self.decided) {
            let history = self.histories.entry(decided.upgrade).or_default();
            if decided.admitted {
                let turn = history.turn.len();
                history.turn.insert(decided.instance.clone(), turn);
            }
            history.touched.insert(decided.instance.clone());
            let effect = (decided.instance, decided.component, decided.version);
            history.effects.insert(decided.operation, effect);
        }
    }

    /// The host went down: what was not durable never happened.
    pub fn crashed(&mut self) {
        self.decided.clear();
    }

    /// A person was told that a wish is granted. `before` is the upgrade as it stood when it was
    /// wished.
    pub fn acknowledged(&mut self, before: &Upgrade, wish: Wish) {
        let history = self.histories.entry(before.id.clone()).or_default();
        let between = matches!(before.stage, super::Stage::Between { .. });
        let phase = |index: usize| before.batches.get(index).map(|batch| PhaseName::from(batch.phase));
        match wish {
            Wish::Cancel | Wish::RollBack => history.cancelled = true,
            Wish::Pause => history.paused = true,
            Wish::Resume => {
                history.paused = false;
                let behind = before.current.checked_sub(1).and_then(phase);
                history.resumed.extend(behind.filter(|_| between));
            }
            Wish::Approve => history.approved.extend(phase(before.current).filter(|_| between)),
            Wish::Bypass => history.bypassed = true,
        }
    }
}

/// One step under the eye of one history.
struct Check<'a> {
    seen: &'a Seen<'a>,
    history: &'a History,
    /// History of the upgrade that this one rolls back.
    former: Option<&'a History>,
    admitted: &'a BTreeSet<InstanceId>,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn report(&mut self, rule: Rule, detail: String) {
        self.found.push(Violation { rule, at: self.seen.now, detail });
    }

    fn is_forward(&self) -> bool {
        self.former.is_none()
    }

    fn fact(&self, id: &InstanceId) -> Option<&Fact> {
        self.former.unwrap_or(self.history).facts.get(id)
    }
}

fn fact(candidate: Candidate, goal: &Goal) -> (InstanceId, Fact) {
    let consent = match &candidate.standing {
        _ if candidate.protection.from_scale_set_actions => Err("is protected"),
        _ if candidate.is_at(goal) => Err("is there already"),
        Standing::Undecided => Err("has not been judged"),
        Standing::PluginFailed { .. } => Err("has no decision"),
        Standing::Unknown { .. } => Err("is unknown"),
        Standing::Decided { participation: Participation::Skip, .. } => Err("says skip"),
        Standing::Decided { participation: Participation::Defer, .. } => Err("says not now"),
        Standing::Decided { participation: Participation::Proceed, .. } => Ok(()),
    };
    let Candidate { id, zone, update_domain, version, extensions, standing, .. } = candidate;
    let phase = PhaseName::from(standing.phase());
    let extensions = extensions.into_iter().map(|(name, version)| (Component::Extension(name), version));
    let versions =
        version.map(|version| (Component::Application, version)).into_iter().chain(extensions).collect();
    (id, Fact { zone, update_domain, phase, versions, consent })
}

/// Members that left Pending in this step.
fn admitted(seen: &Seen<'_>) -> BTreeSet<InstanceId> {
    let waited = |id| seen.before.members.get(id).is_none_or(|member| member.state == MemberState::Pending);
    let left = seen.after.members.iter().filter(|(_, member)| member.state != MemberState::Pending);
    left.filter(|(id, _)| waited(*id)).map(|(id, _)| id.clone()).collect()
}
