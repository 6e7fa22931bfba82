//! The way back of a whole upgrade: newest first, to what each instance ran before.

use std::collections::BTreeMap;

use crate::domain::{
    Checkpoints, FailureRules, InstanceId, OnBreach, OnInstanceFailure, Timestamp, UpgradeId,
};

use super::member::{Member, MemberState, Restored};
use super::state::{BatchProgress, BatchState, Purpose, Stage, Upgrade, UpgradeState};

/// An upgrade that undoes an ended one: the batches that it touched in reverse order, so that
/// their zone and update-domain borders hold on the way back too. None when there is nothing to
/// undo.
#[must_use]
pub fn rollback_of(upgrade: &Upgrade, id: UpgradeId, now: Timestamp) -> Option<Upgrade> {
    if upgrade.is_active() {
        return None;
    }
    let mut batches = Vec::new();
    let mut members = BTreeMap::new();
    for (batch, ids) in upgrade.batches.iter().zip(upgrade.members_by_batch()).rev() {
        let touched = |id: &&InstanceId| upgrade.members.get(*id).is_some_and(must_go_back);
        let back: Vec<_> = ids.into_iter().rev().filter(touched).collect();
        for (position, id) in back.iter().enumerate() {
            let Some(member) = upgrade.members.get(*id) else { continue };
            let Some(target) = member.way_back().cloned() else { continue };
            let member = Member {
                batch: batches.len(),
                position,
                previous: Some(member.target.clone()),
                target,
                attempt: 0,
                state: MemberState::Pending,
            };
            members.insert((*id).clone(), member);
        }
        if !back.is_empty() {
            let fresh = BatchProgress {
                state: BatchState::Pending,
                started_at: None,
                ended_at: None,
                ..batch.clone()
            };
            batches.push(fresh);
        }
    }
    let to = members.values().next()?.target.clone();
    Some(Upgrade {
        id,
        scale_set: upgrade.scale_set.clone(),
        to,
        purpose: Purpose::Rollback { of: upgrade.id.clone() },
        failure: FailureRules { instance: OnInstanceFailure::Leave, breach: OnBreach::Stop },
        checkpoints: Checkpoints::default(),
        policy: upgrade.policy.clone(),
        gate: upgrade.gate,
        prepare_max: upgrade.prepare_max,
        started_at: now,
        state: UpgradeState::RollingForward,
        stage: Stage::Between { resume_at: now },
        recovering_until: None,
        cancel_requested: false,
        then_roll_back: false,
        paused: false,
        resumed_at: None,
        approved_at: None,
        digest: None,
        batches,
        current: 0,
        holds: Vec::new(),
        deferred: BTreeMap::new(),
        defer_max: upgrade.defer_max,
        error: None,
        members,
    })
}

/// Whether our effect may still be on the instance.
fn must_go_back(member: &Member) -> bool {
    let touched = match &member.state {
        MemberState::Pending | MemberState::Failed { restored: Restored::Yes, .. } => false,
        MemberState::Applying { .. }
        | MemberState::Settling { .. }
        | MemberState::Succeeded { .. }
        | MemberState::Restoring { .. }
        | MemberState::Failed { .. } => true,
    };
    touched && member.way_back().is_some()
}
