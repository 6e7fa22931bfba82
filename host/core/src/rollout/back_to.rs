//! The way back to what a former upgrade had brought, over whatever has been brought since.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{Goal, InstanceId, Participation, Timestamp, UpgradeId};
use crate::plan::{Candidate, Hold, HoldReason, PlanInput, Standing, plan};

use super::member::MemberState;
use super::rollback::policy_back;
use super::state::{Purpose, Stage, StartUpgrade, Upgrade, UpgradeState};

/// What a former upgrade had brought, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackTo {
    /// That upgrade.
    pub of: UpgradeId,
    /// What it had brought.
    pub goal: Goal,
    /// To whom.
    pub whom: Whom,
}

/// Whom an upgrade had brought something to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Whom {
    /// To all but these, which it had left out or failed on.
    AllBut(BTreeSet<InstanceId>),
    /// To these, which a person had named.
    Only(BTreeSet<InstanceId>),
}

impl Whom {
    fn has(&self, id: &InstanceId) -> bool {
        match self {
            Self::AllBut(others) => !others.contains(id),
            Self::Only(those) => those.contains(id),
        }
    }
}

impl BackTo {
    /// What an upgrade had brought; none of one that did not complete, or that was a way back itself.
    #[must_use]
    pub fn what(upgrade: &Upgrade) -> Option<Self> {
        if upgrade.state != UpgradeState::Completed {
            return None;
        }
        let has = |state: &MemberState| matches!(state, MemberState::Succeeded { .. });
        let members = |wanted: bool| {
            let all = upgrade.members.iter().filter(move |(_, member)| has(&member.state) == wanted);
            all.map(|(id, member)| member.occupant(id).clone())
        };
        let whom = match upgrade.purpose {
            Purpose::Forward => {
                let held = upgrade.holds.iter().map(|hold| hold.instance.clone());
                Whom::AllBut(members(false).chain(held).collect())
            }
            Purpose::Manual => Whom::Only(members(true).collect()),
            Purpose::Rollback { .. } => return None,
        };
        Some(Self { of: upgrade.id.clone(), goal: upgrade.goal.clone(), whom })
    }

    /// The upgrade that brings these candidates there, the last phase first. None when all of them are there.
    /// `start` says what is wanted and by which rules.
    #[must_use]
    pub fn upgrade(
        &self,
        start: StartUpgrade,
        (latest, from): (UpgradeId, Goal),
        candidates: &[Candidate],
        now: Timestamp,
    ) -> Option<Upgrade> {
        let start = StartUpgrade { policy: policy_back(&start.policy), ..start };
        let go = |candidate: &Candidate| Candidate {
            // Nobody is asked: what runs there is to go.
            standing: Standing::Decided {
                phase: candidate.standing.phase(),
                participation: Participation::Proceed,
                detail: String::new(),
            },
            ..candidate.clone()
        };
        let lacks = |candidate: &&Candidate| !candidate.is_at(&self.goal) && self.whom.has(&candidate.id);
        let wanted: Vec<Candidate> = candidates.iter().filter(lacks).map(go).collect();
        let mut plan = plan(&PlanInput {
            there: crate::plan::There::Stays,
            scale_set: &start.scale_set,
            goal: &self.goal,
            policy: &start.policy,
            candidates: &wanted,
            total: candidates.len(),
            batches_before: 0,
        });
        if plan.batches.is_empty() {
            return None;
        }
        plan.batches.reverse();
        let mut upgrade = Upgrade::new(start, now);
        let by_id: BTreeMap<&InstanceId, &Candidate> = wanted.iter().map(|one| (&one.id, one)).collect();
        let protected = plan.holds.into_iter().filter(|hold| hold.reason == HoldReason::Protected);
        upgrade.holds = protected.collect::<Vec<Hold>>().into();
        upgrade.insert(plan.batches, &by_id);
        upgrade.stage = Stage::Between { resume_at: now };
        upgrade.purpose = Purpose::Rollback { of: latest, from, because: None, to: Some(self.of.clone()) };
        Some(upgrade)
    }
}
