//! What must hold for the round trip: invariant 24.

use super::{Check, Rule};
use crate::rollout::{Extent, MemberState};

impl Check<'_> {
    /// Alone, and then nobody before it has come up for the second time.
    pub(super) fn round_trip(&mut self) {
        let after = self.seen.after;
        let wanted = after.policy.round_trip && after.is_forward() && after.extent == Extent::Missing;
        if !wanted {
            return;
        }
        let effects = |id| self.history.effects.values().filter(|(of, _)| of == id).count();
        // There and back and there again, each with an effect of its own.
        let has_travelled = |(id, member): &(_, &crate::rollout::Member)| {
            matches!(member.state, MemberState::Succeeded { .. }) && effects(*id) >= 3
        };
        let proved = self.seen.before.members.iter().any(|one| has_travelled(&one));
        if !proved && self.admitted.len() > 1 {
            let count = self.admitted.len();
            self.report(
                Rule::RoundTrip,
                format!("{count} are admitted before one has come up, back and up again"),
            );
        }
        let others = after.members.iter().filter(|(id, member)| {
            !self.admitted.contains(*id) && member.attempt > 0 && !member.trip.is_none()
        });
        if !proved && others.count() > 0 {
            self.report(Rule::RoundTrip, "another one is admitted during a round trip".to_owned());
        }
    }
}
