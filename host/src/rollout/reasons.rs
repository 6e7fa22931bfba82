//! Why an instance has not been upgraded yet: one reason for each, at every moment.

use std::fmt;

use crate::domain::{Health, InstanceId, PhaseName, Timestamp};
use crate::plan::{Hold, HoldReason};

use super::member::{Member, MemberState};
use super::state::{BatchProgress, Upgrade};
use super::step::FleetView;

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
    /// A zone has to be done first.
    Zone(String),
    /// An update domain has to be done first.
    UpdateDomain(u32),
    /// Only the size of a batch.
    Batch,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(PhaseName::Number(phase)) => write!(f, "phase {} comes first", phase.get()),
            Self::Phase(PhaseName::Last) => write!(f, "the last phase comes first"),
            Self::Zone(zone) => write!(f, "zone {zone} comes first"),
            Self::UpdateDomain(domain) => write!(f, "update domain {domain} comes first"),
            Self::Batch => write!(f, "a batch takes no more at once"),
        }
    }
}

impl WhyNot {
    /// One line for people.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        let seconds = |until: Timestamp| until.since(now).as_secs_f32().ceil();
        match self {
            Self::Held(reason) => reason.to_string(),
            Self::Deferred { detail, until } if detail.is_empty() => {
                format!("said \"not now\"; is asked again for {} s at most", seconds(*until))
            }
            Self::Deferred { detail, until } => {
                format!("not now: {detail}; is asked again for {} s at most", seconds(*until))
            }
            Self::WithDriver { to, since } => {
                format!("the driver brings it to {to}, since {} s", now.since(*since).as_secs())
            }
            Self::Surging { by, how } => match how {
                Surging::Creating(since) => {
                    format!(
                        "{by} is being created to take its place, since {} s",
                        now.since(*since).as_secs()
                    )
                }
                Surging::Completing(to) => format!("{by}, which will take its place, is brought to {to}"),
                Surging::InGate(health, deadline) => format!(
                    "{by}, which will take its place, is {} in the health gate, {} s left",
                    health.name(),
                    seconds(*deadline)
                ),
                Surging::Ready => {
                    format!("{by} is ready to take its place, and waits for the others of the batch")
                }
                Surging::TakenOver(since) => format!(
                    "{by} has taken its place; this one is being deleted, since {} s",
                    now.since(*since).as_secs()
                ),
                Surging::Removing(reason) => format!("stays: {reason}; that one is being deleted"),
            },
            Self::InGate { health, deadline } => {
                format!("is {} in the health gate, {} s left", health.name(), seconds(*deadline))
            }
            Self::Next => "is in the next batch".to_owned(),
            Self::Later { batches, after } => {
                format!(
                    "{batches} {} before its own: {after}",
                    if *batches == 1 { "batch" } else { "batches" }
                )
            }
            Self::Failed(reason) => format!("failed: {reason}"),
            Self::Ended(state) => format!("the upgrade ended before its turn: {state}"),
        }
    }
}

/// Every instance of the upgrade that does not have what is wanted, by id, with the reason.
#[must_use]
pub fn why_not_yet(upgrade: &Upgrade, fleet: &dyn FleetView) -> Vec<(InstanceId, WhyNot)> {
    let mut all: Vec<(InstanceId, WhyNot)> =
        upgrade.holds.iter().map(|hold| (hold.instance.clone(), held(upgrade, hold))).collect();
    for (index, batch) in upgrade.batches.iter().enumerate() {
        for id in upgrade.members.of_batch(batch.number) {
            let Some(member) = upgrade.members.get(id) else { continue };
            let why = match &member.state {
                MemberState::Succeeded { .. } => continue,
                MemberState::Pending => ahead(upgrade, index, batch),
                _ => in_hand(upgrade, member, fleet.health(member.watched(id))),
            };
            all.push((id.clone(), why));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn held(upgrade: &Upgrade, hold: &Hold) -> WhyNot {
    match &hold.reason {
        HoldReason::Defer(detail) if upgrade.is_active() && upgrade.deferred.contains_key(&hold.instance) => {
            WhyNot::Deferred { detail: detail.clone(), until: upgrade.defer_until() }
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
            Surging::InGate(health, *applied_at + upgrade.rules.gate.deadline)
        }
        MemberState::Ready { .. } => Surging::Ready,
        MemberState::Deleting { since } => Surging::TakenOver(*since),
        MemberState::Removing { .. } => Surging::Removing(member.failure().unwrap_or_default()),
        MemberState::Pending
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
        MemberState::Applying { since, .. } | MemberState::Restoring { since, .. } => {
            let to = member.wanted().map_or_else(String::new, |(component, version)| match component {
                crate::domain::Component::Application => version.to_string(),
                crate::domain::Component::Extension(name) => format!("{name}={version}"),
            });
            WhyNot::WithDriver { to, since: *since }
        }
        MemberState::Settling { applied_at, .. } => {
            WhyNot::InGate { health, deadline: *applied_at + upgrade.rules.gate.deadline }
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

fn ahead(upgrade: &Upgrade, index: usize, batch: &BatchProgress) -> WhyNot {
    if !upgrade.is_active() {
        return WhyNot::Ended(upgrade.state.name());
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
    match (&now.zone, now.update_domain) {
        (Some(zone), _) if batch.zone.as_ref() != Some(zone) => After::Zone(zone.clone()),
        (_, Some(domain)) if batch.update_domain != Some(domain) => After::UpdateDomain(domain),
        _ => After::Batch,
    }
}
