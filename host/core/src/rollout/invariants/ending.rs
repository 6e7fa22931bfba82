//! Every upgrade ends, or waits with a true reason: invariant 14.

use super::{Check, Rule};
use crate::rollout::{MemberState, Stage, Stop, waiting_for};

impl Check<'_> {
    pub(super) fn ending(&mut self) {
        let after = self.seen.after;
        let wakes = self.seen.step.wake_at.is_some();
        let waits = match after.stage {
            Stage::Ended { .. } => !after.is_active(),
            Stage::Preparing { .. } => {
                // A look ends within its time limit, and that is an event.
                let looks = self.seen.fleet.looking_count() > 0;
                let is_held = |stop: &Stop| {
                    matches!(stop, Stop::Line { .. } | Stop::Suspicion | Stop::Release | Stop::NotAsked)
                };
                let held = self.seen.fleet.stops().iter().any(is_held);
                wakes || looks || held || after.paused
            }
            Stage::Between { resume_at } => {
                match waiting_for(after, self.seen.fleet, resume_at, self.seen.now) {
                    Some(waiting) => waiting.until().is_none() || wakes,
                    None => false,
                }
            }
            Stage::InBatch => {
                let settling = |state: &MemberState| matches!(state, MemberState::Settling { .. });
                let with_driver = after
                    .members
                    .values()
                    .any(|member| member.state.is_with_driver() || member.state.is_hooking());
                let any_settling = after.members.values().any(|member| settling(&member.state));
                if any_settling { wakes } else { with_driver || wakes }
            }
            Stage::Baking { .. } => wakes || after.paused,
            // Whoever runs it has a time limit.
            Stage::Hooking { .. } => true,
            Stage::Undoing | Stage::Stopping { .. } => after
                .members
                .values()
                .any(|member| member.state.is_with_driver() || member.state.is_hooking()),
        };
        if after.expects.is_some() && after.digest.is_some() && after.digest != after.expects {
            self.report(Rule::Record, "goes by another plan than was shown".to_owned());
        }
        if !waits {
            self.report(Rule::Ending, format!("{:?} waits for nothing", after.stage));
        }
    }
}
