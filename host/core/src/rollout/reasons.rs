//! Why an instance has not been upgraded yet: one reason for each, at every moment.

mod text;

use crate::domain::{Health, HookKind, InstanceId, PhaseName, Timestamp};
use crate::plan::{Hold, HoldReason};

use super::batch::BatchProgress;
use super::member::{Member, MemberState};
use super::state::Upgrade;
use super::view::FleetView;

/// Why not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// It is left out.
    Held(HoldReason),
    /// It said "not now" and is asked again until then.
    Deferred {
        /// Its word.
        detail: String,
        /// When it is left out.
        until: Timestamp,
        /// What it says of when it will be ready.
        nearer: Option<String>,
    },
    /// There is no plan yet.
    Unplanned,
    /// The upgrade ends before its turn.
    Ending,
    /// It failed, and the driver brings its previous version back.
    Restoring {
        /// What is brought back.
        to: String,
        /// Since when.
        since: Timestamp,
        /// Why it failed.
        reason: String,
    },
    /// A hook is being run for it.
    Hooking {
        /// Which.
        hook: HookKind,
        /// Since when.
        since: Timestamp,
    },
    /// The driver is busy with it.
    WithDriver {
        /// What it is brought to.
        to: String,
        /// Since when.
        since: Timestamp,
    },
    /// Another instance is about to take its place.
    Surging {
        /// Which.
        by: InstanceId,
        /// How far it is.
        how: Surging,
    },
    /// It is in the health gate.
    InGate {
        /// Its health.
        health: Health,
        /// When its health is looked at.
        looked_at: Timestamp,
        /// When it is through, if it stays Healthy.
        stable_at: Option<Timestamp>,
        /// When it has failed.
        deadline: Timestamp,
    },
    /// It is in the batch that comes next.
    Next,
    /// Its batch comes later.
    Later {
        /// How many batches come before its own.
        batches: usize,
        /// What its own has to wait for.
        after: After,
    },
    /// It failed.
    Failed(String),
    /// The upgrade ended before its turn.
    Ended(&'static str),
}

/// How far an instance is that takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surging {
    /// The driver creates it, since then.
    Creating(Timestamp),
    /// The driver brings something else of it to this.
    Completing(String),
    /// It is in the health gate, and has failed at that time.
    InGate(Health, Timestamp),
    /// It is healthy, and the others of its batch are not yet.
    Ready,
    /// It has taken over, and the old one is being deleted since then.
    TakenOver(Timestamp),
    /// It failed for this reason, and is being deleted.
    Removing(String),
}

/// What separates a batch from the one that is under way or comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// A phase has to be done first.
    Phase(PhaseName),
    /// A zone has to be done first; none is the instances without one.
    Zone(Option<String>),
    /// An update domain has to be done first; none is the instances without one.
    UpdateDomain(Option<u32>),
    /// Only the size of a batch.
    Batch,
}

/// Every instance of the upgrade that does not have what is wanted, by id, with the reason.
#[must_use]
pub fn why_not_yet(upgrade: &Upgrade, fleet: &dyn FleetView) -> Vec<(InstanceId, WhyNot)> {
    let mut all: Vec<(InstanceId, WhyNot)> =
        upgrade.holds.iter().map(|hold| (hold.instance.clone(), held(upgrade, hold, fleet))).collect();
    for (index, batch) in upgrade.batches.iter().enumerate() {
        for id in upgrade.members.of_batch(batch.number) {
            let Some(member) = upgrade.members.get(id) else { continue };
            let why = match &member.state {
                MemberState::Succeeded { .. } => continue,
                MemberState::Pending => ahead(upgrade, index, batch),
                MemberState::Hooking { .. }
                | MemberState::Applying { .. }
                | MemberState::Settling { .. }
                | MemberState::Creating { .. }
                | MemberState::Ready { .. }
                | MemberState::Deleting { .. }
                | MemberState::Removing { .. }
                | MemberState::Restoring { .. }
                | MemberState::Failed { .. } => in_hand(upgrade, member, fleet.health(member.watched(id))),
            };
            all.push((id.clone(), why));
        }
    }
    if upgrade.digest.is_none() && upgrade.is_forward() && upgrade.is_active() {
        let missing = fleet.candidates().into_iter().filter(|candidate| !candidate.is_at(&upgrade.goal));
        all.extend(missing.map(|candidate| (candidate.id, WhyNot::Unplanned)));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn held(upgrade: &Upgrade, hold: &Hold, fleet: &dyn FleetView) -> WhyNot {
    match &hold.reason {
        HoldReason::Defer(detail) | HoldReason::PersonHold(detail)
            if upgrade.is_active() && upgrade.deferred.contains_key(&hold.instance) =>
        {
            let (until, nearer) = (upgrade.defer_until(), fleet.deferral(&hold.instance));
            WhyNot::Deferred { detail: detail.clone(), until, nearer }
        }
        reason => WhyNot::Held(reason.clone()),
    }
}

/// What takes the place of a member, and how far it is.
fn surging(upgrade: &Upgrade, member: &Member, health: Health) -> Option<WhyNot> {
    let how = match &member.state {
        MemberState::Creating { since } => Surging::Creating(*since),
        MemberState::Applying { .. } => {
            let (component, version) = member.wanted()?;
            Surging::Completing(format!("{component}={version}"))
        }
        MemberState::Settling { applied_at, .. } => {
            Surging::InGate(health, *applied_at + upgrade.policy.gate.deadline)
        }
        MemberState::Ready { .. } => Surging::Ready,
        MemberState::Deleting { since } => Surging::TakenOver(*since),
        MemberState::Removing { .. } => Surging::Removing(member.failure().unwrap_or_default()),
        MemberState::Pending
        | MemberState::Hooking { .. }
        | MemberState::Restoring { .. }
        | MemberState::Succeeded { .. }
        | MemberState::Failed { .. } => return None,
    };
    Some(WhyNot::Surging { by: member.replacement()?.clone(), how })
}

fn in_hand(upgrade: &Upgrade, member: &Member, health: Health) -> WhyNot {
    if let Some(surging) = surging(upgrade, member, health) {
        return surging;
    }
    match &member.state {
        MemberState::Hooking { since, moment, .. } => {
            WhyNot::Hooking { hook: moment.of_instance(), since: *since }
        }
        MemberState::Applying { since, .. } => WhyNot::WithDriver { to: wanted(member), since: *since },
        MemberState::Restoring { since, .. } => WhyNot::Restoring {
            to: wanted(member),
            since: *since,
            reason: member.failure().unwrap_or_default(),
        },
        MemberState::Settling { applied_at, healthy_since } => {
            let gate = upgrade.policy.gate;
            WhyNot::InGate {
                health,
                looked_at: *applied_at + gate.wait,
                stable_at: healthy_since.map(|since| since + gate.stable_for),
                deadline: *applied_at + gate.deadline,
            }
        }
        MemberState::Pending
        | MemberState::Creating { .. }
        | MemberState::Ready { .. }
        | MemberState::Deleting { .. }
        | MemberState::Removing { .. }
        | MemberState::Succeeded { .. }
        | MemberState::Failed { .. } => WhyNot::Failed(member.failure().unwrap_or_default()),
    }
}

/// What the driver is asked for.
fn wanted(member: &Member) -> String {
    let change = |(component, version): (&crate::domain::Component, &crate::domain::Version)| {
        crate::domain::Change { component: component.clone(), to: version.clone() }.to_string()
    };
    member.wanted().map_or_else(String::new, change)
}

fn ahead(upgrade: &Upgrade, index: usize, batch: &BatchProgress) -> WhyNot {
    if !upgrade.is_active() {
        return WhyNot::Ended(upgrade.state.name());
    }
    if upgrade.cancel_requested {
        return WhyNot::Ending;
    }
    let batches = index.saturating_sub(upgrade.current);
    let Some(now) = upgrade.batches.get(upgrade.current).filter(|_| batches > 0) else {
        return WhyNot::Next;
    };
    WhyNot::Later { batches, after: between(now, batch) }
}

fn between(now: &BatchProgress, batch: &BatchProgress) -> After {
    if now.phase != batch.phase {
        return After::Phase(now.phase.into());
    }
    if now.zone != batch.zone {
        return After::Zone(now.zone.clone());
    }
    if now.update_domain != batch.update_domain {
        return After::UpdateDomain(now.update_domain);
    }
    After::Batch
}
