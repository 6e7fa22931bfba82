//! What a changed configuration does to a running upgrade: instances that are gone or protected now.

use super::member::{Member, MemberState};
use super::state::Upgrade;
use crate::domain::{InstanceId, Timestamp};
use crate::plan::{Hold, HoldReason};

impl Upgrade {
    /// After a change of the configuration: what it no longer has can never settle. Planned
    /// instances that are gone or protected now leave the plan; one in flight that is gone has
    /// failed. Gives those that changed.
    pub fn reconfigured(
        &mut self,
        is_there: impl Fn(&InstanceId) -> bool,
        is_protected: impl Fn(&InstanceId) -> bool,
        now: Timestamp,
    ) -> Vec<InstanceId> {
        if !self.is_active() {
            return Vec::new();
        }
        let protected = self.leave_out_protected(is_protected);
        self.deferred.retain(|id, _| is_there(id));
        let open = |(id, member): &(&InstanceId, &Member)| !is_there(id) && !member.state.is_terminal();
        let gone: Vec<InstanceId> = self.members.iter().filter(open).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            if self.members.get(id).is_some_and(|member| member.state == MemberState::Pending) {
                self.members.remove(id);
            } else {
                self.members.update(id, |member| {
                    member.open_have_failed("was removed from the configuration");
                    member.state = MemberState::Failed { at: now };
                });
            }
        }
        gone.into_iter().chain(protected).collect()
    }

    /// A way back and a person who names instances touch only what was touched or named.
    fn leave_out_protected(&mut self, is_protected: impl Fn(&InstanceId) -> bool) -> Vec<InstanceId> {
        if !self.is_forward() {
            return Vec::new();
        }
        let waits =
            |(id, member): &(&InstanceId, &Member)| member.state == MemberState::Pending && is_protected(id);
        let protected: Vec<InstanceId> =
            self.members.iter().filter(waits).map(|(id, _)| id.clone()).collect();
        for id in &protected {
            self.members.remove(id);
            self.holds.push_back(Hold::of_host(id.clone(), HoldReason::Protected));
        }
        self.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
        protected
    }
}
