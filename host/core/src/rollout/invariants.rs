//! The invariants of a rolling upgrade as one checker, for simulation, exploration and tests.
//!
//! Numbers are those of the design. The checker keeps its own history of what was admitted, asked
//! for and acknowledged, and looks at each step from outside: it shares the policy's arithmetic
//! with the code that it checks, and none of its decisions. It changes nothing and fails nothing;
//! it reports.

mod admission;
mod effects;
mod ending;
mod history;
mod hooks;
pub(super) mod replay;
mod surge;
mod time;
mod trip;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::{Component, InstanceId, OperationId, PhaseName, Timestamp, UpgradeId, Version};

use self::history::{Fact, History};
use super::{Action, Event, FleetView, HookAbout, HookAction, MemberState, Purpose, Step, Upgrade, Wish};

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
    /// 12: the record replays to the same state, because a step tells all that it changed.
    Replay,
    /// 13: only Healthy is healthy.
    Health,
    /// 14: it ends, or waits with a true reason.
    Ending,
    /// 15: with maxSurge, no instance goes before another one is healthy in its place, capacity never
    /// falls, and no id is used twice.
    Surge,
    /// 9: one upgrade of a scale set at a time.
    OneUpgrade,
    /// Record, then act: nothing goes out that is not recorded, and a reply is what the record says.
    Record,
    /// No number is given to two things.
    Numbers,
    /// Only decisions of the generation in force count, from the moment that it is recorded.
    InForce,
    /// A generation takes over whole and once: recorded before it judges, with its line, or not at all.
    Takeover,
    /// Nobody else is admitted before one instance has come up, back and up again, where that is wanted.
    RoundTrip,
    /// A driver is asked when the hook before has done well, and each hook before that is over has one after it.
    Hooks,
    /// A batch is admitted on answers to probes that began after the batch before it had ended.
    Evidence,
    /// What is told of an upgrade agrees with its members.
    Views,
    /// An extension of a new instance is installed after those that it comes after, once, and the instance is not
    /// ready before.
    Provision,
    /// An upgrade ends for its time no sooner than its limits say, and does not go on when one is over.
    Time,
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
            Self::Surge => 15,
            Self::OneUpgrade => 9,
            Self::Record => 16,
            Self::Numbers => 17,
            Self::InForce => 18,
            Self::Takeover => 19,
            Self::Evidence => 20,
            Self::Views => 21,
            Self::Hooks => 22,
            Self::Time => 23,
            Self::RoundTrip => 24,
            Self::Provision => 25,
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

/// An effect that was decided and is not yet known to be durable.
#[derive(Debug, Clone)]
struct Decided {
    upgrade: UpgradeId,
    operation: OperationId,
    instance: InstanceId,
    /// None where something is deleted.
    change: Option<(Component, Version)>,
    /// Whose place the instance is to take.
    replaces: Option<InstanceId>,
    admitted: bool,
    hook: IsHook,
}

/// Whether it is a hook, which touches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsHook {
    Yes,
    No,
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
        for event in seen.events {
            if let Event::HookDone { operation, result, .. } = event {
                history.hooks_over.insert(operation.clone(), result.clone());
            }
        }
        let empty = History::default();
        let history = self.histories.get(id).unwrap_or(&empty);
        let former = match &seen.after.purpose {
            Purpose::Forward | Purpose::Manual => None,
            Purpose::Rollback { of, .. } => Some(self.histories.get(of).unwrap_or(&empty)),
        };
        let admitted = admitted(seen);
        let mut check = Check { seen, history, former, admitted: &admitted, found: Vec::new() };
        if !admitted.is_empty() {
            check.admission();
            check.round_trip();
        }
        check.bypass();
        check.asked_again();
        check.in_flight();
        check.effects();
        check.surge();
        check.ending();
        check.hooks();
        check.time();
        check.replay();
        check.views();
        let found = check.found;
        if let Some(history) = self.histories.get_mut(id) {
            history.widest = history.widest.max(admitted.len());
        }
        self.decided.extend(seen.step.actions.iter().filter_map(|action| decided(id, action, &admitted)));
        found
    }

    /// Everything decided so far is durable.
    pub fn committed(&mut self) {
        let mut turns: BTreeMap<UpgradeId, usize> = BTreeMap::new();
        for decided in std::mem::take(&mut self.decided) {
            let history = self.histories.entry(decided.upgrade.clone()).or_default();
            let member = decided.replaces.clone().unwrap_or_else(|| decided.instance.clone());
            if decided.admitted {
                // Those that are admitted together have one turn.
                let turn = *turns.entry(decided.upgrade).or_insert(history.turn.len());
                history.turn.insert(member.clone(), turn);
            }
            if decided.hook == IsHook::Yes {
                history.hooks_asked.insert(decided.operation);
                continue;
            }
            history.touched.insert(member.clone());
            if decided.replaces.is_some() {
                history.created.insert(decided.instance.clone(), member);
            }
            history.effects.insert(decided.operation, (decided.instance, decided.change));
        }
    }

    /// The host went down: what was not durable never happened.
    pub fn crashed(&mut self) {
        self.decided.clear();
    }

    /// So many instances left the set by its configuration.
    pub fn reconfigured(&mut self, lost: usize) {
        for history in self.histories.values_mut() {
            history.capacity = history.capacity.saturating_sub(lost);
        }
    }

    /// A person was told that a wish is granted. `before` is the upgrade as it stood when it was
    /// wished.
    pub fn acknowledged(&mut self, before: &Upgrade, wish: Wish) {
        let history = self.histories.entry(before.id.clone()).or_default();
        let between = matches!(before.stage, super::Stage::Between { .. });
        let phase = |index: usize| before.batches.get(index).map(|batch| PhaseName::from(batch.phase));
        match wish {
            Wish::Cancel | Wish::CancelNow | Wish::RollBack | Wish::RollBackOn => history.cancelled = true,
            Wish::Pause => history.paused = true,
            // One word ends one pause.
            Wish::Resume if before.paused => history.paused = false,
            Wish::Resume => {
                let behind = before.current.checked_sub(1).and_then(phase);
                history.resumed.extend(behind.filter(|_| between));
            }
            Wish::Approve => history.approved.extend(phase(before.current).filter(|_| between)),
            Wish::Bypass => history.bypassed = true,
            // Whichever it was: which of them waited then is checked by who is admitted.
            Wish::Promote if before.paused => history.paused = false,
            Wish::Promote => {
                let behind = before.current.checked_sub(1).and_then(phase);
                history.resumed.extend(behind.filter(|_| between));
                history.approved.extend(phase(before.current).filter(|_| between));
            }
            Wish::Retry => {}
        }
    }
}

fn decided(upgrade: &UpgradeId, action: &Action, admitted: &BTreeSet<InstanceId>) -> Option<Decided> {
    let (change, replaces) = match action {
        Action::Apply { component, version, .. } => (Some((component.clone(), version.clone())), None),
        Action::Create { version, replaces, .. } => {
            (Some((Component::Application, version.clone())), Some(replaces.clone()))
        }
        Action::Hook(HookAction { about: HookAbout::Instance { replaces, .. }, .. }) => {
            (None, replaces.clone())
        }
        Action::Delete { .. } => (None, None),
        Action::End { .. } | Action::EndHook { .. } | Action::Hook(_) => return None,
    };
    let instance = action.instance()?.clone();
    let hook = if matches!(action, Action::Hook(_)) { IsHook::Yes } else { IsHook::No };
    Some(Decided {
        upgrade: upgrade.clone(),
        operation: action.operation().clone(),
        admitted: admitted.contains(replaces.as_ref().unwrap_or(&instance)),
        instance,
        change,
        replaces,
        hook,
    })
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

    /// Without batches and borders: a person named the instances, or takes back what was done so.
    fn is_by_hand(&self) -> bool {
        self.former.unwrap_or(self.history).by_hand
    }

    fn is_forward(&self) -> bool {
        self.former.is_none()
    }

    fn fact(&self, id: &InstanceId) -> Option<&Fact> {
        let there = self.former.unwrap_or(self.history);
        // A new instance may be planned itself, when it is not known what it runs.
        let own =
            there.facts.get(id).filter(|_| self.is_forward() && self.seen.after.members.get(id).is_some());
        own.or_else(|| there.facts.get(there.first(id)))
    }
}

/// Members that left Pending in this step.
fn admitted(seen: &Seen<'_>) -> BTreeSet<InstanceId> {
    let waited = |id| seen.before.members.get(id).is_none_or(|member| member.state == MemberState::Pending);
    // One that a hook of its batch has failed was never admitted.
    let left = seen.after.members.iter().filter(|(_, member)| member.state != MemberState::Pending);
    let left = left.filter(|(_, member)| !member.never_began());
    left.filter(|(id, _)| waited(*id)).map(|(id, _)| id.clone()).collect()
}
