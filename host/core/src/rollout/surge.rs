//! MaxSurge: a new instance takes the place of an old one, which goes when the new one is healthy.
//!
//! ```text
//! Pending -> Creating -> Applying (extensions) -> Settling <-> Ready -> Deleting (the old one) -> Succeeded
//!               |              |                     |                       |
//!               +--------------+---------------------+-> Removing (the      +-> Failed
//!                                                        new one) -> Failed
//! ```
//!
//! Everything before Deleting happens to the new instance: the old one serves on. Those that are
//! Ready wait until every new one of the batch has been judged.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{Component, Goal, Health, InstanceId, OperationId, Timestamp};
use crate::plan::Candidate;

use super::action::Action;
use super::member::{Member, MemberState};
use super::part::{Part, PartState, Restored};
use super::state::{Purpose, Upgrade};
use super::step::{Step, go};
use super::view::FleetView;

/// How a member gets what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "camelCase")]
pub enum Way {
    /// The instance itself is changed.
    #[default]
    InPlace,
    /// A new instance will take its place; which one is decided when its batch is admitted.
    Surge,
    /// A new instance is made beside it, and watched.
    Beside {
        /// The new one.
        by: InstanceId,
    },
    /// A new instance has taken its place.
    Instead {
        /// The new one.
        by: InstanceId,
    },
}

impl Way {
    /// As the policy wants it. Only the application calls for a new instance: extensions are
    /// installed beside what runs, and who names instances wants those and no others.
    pub(super) fn of(upgrade: &Upgrade, parts: &[Part]) -> Self {
        let surges = upgrade.policy.rolling.max_surge && upgrade.purpose == Purpose::Forward;
        let replaces = parts.iter().any(|part| part.component == Component::Application);
        if surges && replaces { Self::Surge } else { Self::InPlace }
    }
}

impl Member {
    /// Whether a new instance takes its place.
    #[must_use]
    pub fn is_surge(&self) -> bool {
        self.way != Way::InPlace
    }

    /// The new instance that takes its place, if it has been decided.
    #[must_use]
    pub fn replacement(&self) -> Option<&InstanceId> {
        match &self.way {
            Way::InPlace | Way::Surge => None,
            Way::Beside { by } | Way::Instead { by } => Some(by),
        }
    }

    /// The new instance that a hook was told of, whether or not it was ever made.
    #[must_use]
    pub fn promised(&self) -> Option<&InstanceId> {
        self.replacement().filter(|_| self.hooked.asked > 0)
    }

    /// Which instance effects before the end happen to, and the health gate watches.
    #[must_use]
    pub fn watched<'a>(&'a self, id: &'a InstanceId) -> &'a InstanceId {
        self.replacement().unwrap_or(id)
    }

    /// Which instance stands in its place: the old one until it is about to be deleted.
    #[must_use]
    pub fn occupant<'a>(&'a self, id: &'a InstanceId) -> &'a InstanceId {
        match &self.way {
            Way::InPlace | Way::Surge | Way::Beside { .. } => id,
            Way::Instead { by } => by,
        }
    }

    /// The effect that the present state wants of the driver.
    pub(super) fn action(&self, id: &InstanceId, operation: OperationId) -> Option<Action> {
        match &self.state {
            MemberState::Creating { .. } => {
                let application = self.parts.iter().find(|part| part.component == Component::Application)?;
                Some(Action::Create {
                    instance: self.replacement()?.clone(),
                    replaces: id.clone(),
                    version: application.target.clone(),
                    operation,
                })
            }
            MemberState::Deleting { .. } => {
                let successor = Some(self.replacement()?.clone());
                Some(Action::Delete { instance: id.clone(), successor, operation })
            }
            MemberState::Removing { .. } => {
                Some(Action::Delete { instance: self.replacement()?.clone(), successor: None, operation })
            }
            MemberState::Applying { .. } | MemberState::Restoring { .. } => {
                let (component, version) = self.wanted()?;
                let (component, version) = (component.clone(), version.clone());
                Some(Action::Apply { instance: self.watched(id).clone(), component, version, operation })
            }
            MemberState::Pending
            | MemberState::Hooking { .. }
            | MemberState::Settling { .. }
            | MemberState::Ready { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Failed { .. } => None,
        }
    }

    /// What follows for a member whose place is taken, once the driver has nothing in hand.
    pub(super) fn next_of_surge(&self, now: Timestamp) -> MemberState {
        let failed = |part: &Part| matches!(part.state, PartState::Failed { .. });
        let not_tried =
            |part: &Part| matches!(part.state, PartState::Failed { restored: Restored::NotTried, .. });
        if matches!(self.way, Way::Beside { .. }) && self.parts.iter().any(not_tried) {
            return MemberState::Removing { since: now };
        }
        if self.parts.iter().any(failed) {
            return MemberState::Failed { at: now };
        }
        let waiting = self.parts.iter().enumerate().find(|(_, part)| part.state == PartState::Waiting);
        match waiting {
            Some((_, part)) if part.component == Component::Application => {
                MemberState::Creating { since: now }
            }
            Some((part, _)) => MemberState::Applying { since: now, part },
            None => MemberState::Settling { applied_at: now, healthy_since: None },
        }
    }

    /// The driver has answered whether the new instance is gone, which failed.
    pub(super) fn removed(&mut self, result: &Result<(), String>) {
        for part in &mut self.parts {
            if let PartState::Failed { restored, .. } = &mut part.state {
                *restored = result.as_ref().map_or_else(|why| Restored::No(why.clone()), |()| Restored::Yes);
            }
        }
    }

    /// The driver has answered whether the old instance is gone.
    pub(super) fn deleted(&mut self, result: &Result<(), String>, now: Timestamp) {
        let by = self.replacement().map_or_else(String::new, InstanceId::to_string);
        match (result, self.parts.first_mut()) {
            (Err(why), Some(part)) => {
                let reason = format!("{by} has taken its place, but it could not be deleted: {why}");
                part.state = PartState::Failed { reason, restored: Restored::NotTried };
                self.state = MemberState::Failed { at: now };
            }
            (_, _) => self.state = MemberState::Succeeded { at: now },
        }
    }

    /// Why a new instance is no good, said of the one whose place it was to take.
    pub(super) fn blame(&self, reason: &str) -> String {
        match &self.way {
            Way::InPlace | Way::Surge => reason.to_owned(),
            Way::Beside { by } | Way::Instead { by } => format!("its replacement {by} {reason}"),
        }
    }
}

/// What a new instance needs to be as good as the one that it replaces: the goal, and the
/// extensions that this one has.
pub(super) fn whole(goal: &Goal, candidate: &Candidate, missing: Vec<Part>) -> Vec<Part> {
    let kept = candidate.extensions.iter().filter_map(|(name, runs)| {
        // Where that is unknown, what was installed last.
        let version = runs.way_back()?;
        let component = Component::Extension(name.clone());
        let target = goal.of(&component).unwrap_or(version).clone();
        Some(Part { component, previous: Some(version.clone()), target, state: PartState::Waiting })
    });
    let named: BTreeSet<Component> = missing.iter().map(|part| part.component.clone()).collect();
    let kept: Vec<Part> = kept.filter(|part| !named.contains(&part.component)).collect();
    let mut parts: Vec<Part> = missing.into_iter().chain(kept).collect();
    // There is nothing to install an extension on before the instance is there.
    parts.sort_by_key(|part| part.component != Component::Application);
    parts
}

/// Gives every member of a batch that is admitted the id of the instance that takes its place.
pub(super) fn choose_replacements(upgrade: &mut Upgrade, members: &[InstanceId], fleet: &dyn FleetView) {
    let waits = |id: &&InstanceId| upgrade.members.get(id).is_some_and(|member| member.way == Way::Surge);
    let surging: Vec<InstanceId> = members.iter().filter(waits).cloned().collect();
    if surging.is_empty() {
        return;
    }
    let (mut fresh, order) = (fleet.fresh_ids(), fleet.provision_order());
    // A new instance is deployed for the first time.
    let turn = |part: &Part| match &part.component {
        Component::Application => None,
        Component::Extension(name) => Some(order.iter().position(|one| one == name).unwrap_or(order.len())),
    };
    for id in &surging {
        // One that another member was to get, and never did, is that one's.
        let by = loop {
            match fresh.next_like(id) {
                Some(by) if upgrade.members.behind(&by).is_some() => {}
                next => break next,
            }
        };
        upgrade.members.update(id, |member| match by {
            Some(by) => {
                member.way = Way::Beside { by };
                member.parts.sort_by_key(turn);
            }
            None => member.open_have_failed("no id is left for an instance in its place"),
        });
    }
}

/// A new instance that waits for the others and is not Healthy any more is in the gate again; its
/// deadline stays.
pub(super) fn recheck(upgrade: &mut Upgrade, ids: &[InstanceId], fleet: &dyn FleetView, out: &mut Step) {
    for id in ids {
        upgrade.members.update(id, |member| {
            if let MemberState::Ready { applied_at } = member.state
                && fleet.health(member.watched(id)) != Health::Healthy
            {
                member.state = MemberState::Settling { applied_at, healthy_since: None };
                out.changed.insert(id.clone());
            }
        });
    }
}

/// Once every new instance of the batch has been judged, those that are Ready take over, and the
/// old ones go.
pub(super) fn take_over(upgrade: &mut Upgrade, ids: &[InstanceId], now: Timestamp, out: &mut Step) {
    let is_open = |member: &Member| {
        let judged = matches!(
            member.state,
            MemberState::Ready { .. }
                | MemberState::Deleting { .. }
                | MemberState::Removing { .. }
                | MemberState::Succeeded { .. }
                | MemberState::Failed { .. }
        );
        member.is_surge() && !judged
    };
    if ids.iter().filter_map(|id| upgrade.members.get(id)).any(is_open) {
        return;
    }
    for id in ids {
        let takes_over = upgrade.members.update(id, |member| {
            let Some(by) = member.replacement().cloned() else { return false };
            let is_ready = matches!(member.state, MemberState::Ready { .. });
            if is_ready {
                member.way = Way::Instead { by };
            }
            is_ready
        });
        if takes_over == Some(true) {
            go(upgrade, id, MemberState::Deleting { since: now }, out);
        }
    }
}
