//! What is told of an upgrade agrees with its members: each instance once, each count what there is, and a headline
//! that leaves nothing in hand.
//!
//! Deliberately nothing of words: what a view makes of these is checked where it is made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Rule};
use crate::domain::InstanceId;
use crate::rollout::{BatchState, MemberState, Progress, UpgradeState, why_not_yet};

impl Check<'_> {
    pub(super) fn views(&mut self) {
        let upgrade = self.seen.after;
        let reasons = why_not_yet(upgrade, self.seen.fleet, self.seen.now);
        let ids: BTreeSet<&InstanceId> = reasons.iter().map(|(id, _)| id).collect();
        if ids.len() != reasons.len() {
            self.report(Rule::Views, format!("an instance has two reasons: {reasons:?}"));
        }
        let both = upgrade.holds.iter().find(|hold| upgrade.members.get(&hold.instance).is_some());
        if let Some(hold) = both {
            self.report(Rule::Views, format!("`{}` is planned and left out: {}", hold.instance, hold.reason));
        }
        let mut counted = Progress::default();
        let mut by_batch: BTreeMap<u32, Progress> = BTreeMap::new();
        for (id, member) in upgrade.members.iter() {
            let is_told = ids.contains(id);
            for counts in [&mut counted, by_batch.entry(member.batch()).or_default()] {
                match member.state {
                    MemberState::Pending => counts.pending += 1,
                    MemberState::Succeeded { .. } => counts.successful += 1,
                    MemberState::Failed { .. } => counts.failed += 1,
                    MemberState::Hooking { .. }
                    | MemberState::Applying { .. }
                    | MemberState::Settling { .. }
                    | MemberState::Creating { .. }
                    | MemberState::Ready { .. }
                    | MemberState::Deleting { .. }
                    | MemberState::Removing { .. }
                    | MemberState::Restoring { .. } => counts.in_progress += 1,
                }
            }
            let is_done = matches!(member.state, MemberState::Succeeded { .. });
            if is_told == is_done {
                self.report(
                    Rule::Views,
                    format!("`{id}` is {:?}, and has a reason: {is_told}", member.state),
                );
            }
        }
        let told = upgrade.members.progress();
        if told != counted {
            self.report(Rule::Views, format!("counts are {told:?}, and members are {counted:?}"));
        }
        self.headline(counted);
        self.batches(&by_batch);
    }

    fn headline(&mut self, counted: Progress) {
        let Progress { successful: _, failed: _, in_progress, pending } = counted;
        let state = self.seen.after.state;
        let is_true = match state {
            UpgradeState::RollingForward => true,
            UpgradeState::Faulted | UpgradeState::Cancelled => in_progress == 0,
            UpgradeState::Completed => in_progress == 0 && pending == 0,
        };
        if !is_true {
            self.report(Rule::Views, format!("it is {} with {counted:?}", state.name()));
        }
    }

    fn batches(&mut self, by_batch: &BTreeMap<u32, Progress>) {
        let upgrade = self.seen.after;
        for batch in &upgrade.batches {
            let counts = by_batch.get(&batch.number).copied().unwrap_or_default();
            let Progress { successful, failed, in_progress, pending } = counts;
            let is_true = match batch.state {
                BatchState::Pending => successful + failed + in_progress == 0,
                BatchState::InProgress => true,
                BatchState::Completed => failed + in_progress + pending == 0,
                // What failed may be on its way back.
                BatchState::Failed => pending == 0,
            };
            if !is_true {
                let (number, state) = (batch.number, batch.state);
                self.report(Rule::Views, format!("batch {number} is {state:?} with {counts:?}"));
            }
        }
    }
}
