//! Every upgrade ends, or waits with a true reason: invariant 14.

use super::{Check, Rule};
use crate::rollout::{MemberState, Purpose, Stage, Waiting, waiting_for};

impl Check<'_> {
    pub(super) fn ending(&mut self) {
        let after = self.seen.after;
        let wakes = self.seen.step.wake_at.is_some();
        let waits = match after.stage {
            Stage::Ended { .. } => !after.is_active(),
            Stage::Preparing { .. } => wakes,
            Stage::Between { resume_at } => {
                match waiting_for(after, self.seen.fleet, resume_at, self.seen.now) {
                    _ if after.purpose != Purpose::Forward => after.paused,
                    Some(Waiting::Pause { .. } | Waiting::Recovery { .. } | Waiting::Deferred { .. }) => {
                        wakes
                    }
                    Some(
                        Waiting::Paused
                        | Waiting::Resume { .. }
                        | Waiting::Approval { .. }
                        | Waiting::Initializing,
                    ) => true,
                    None => false,
                }
            }
            Stage::InBatch => {
                let mut members = after.members.values();
                let settling = |state: &MemberState| matches!(state, MemberState::Settling { .. });
                let with_driver = members.clone().any(|member| member.state.is_with_driver());
                if members.any(|member| settling(&member.state)) { wakes } else { with_driver || wakes }
            }
            Stage::Undoing => after.members.values().any(|member| member.state.is_with_driver()),
        };
        if !waits {
            self.report(Rule::Ending, format!("{:?} waits for nothing", after.stage));
        }
    }
}
