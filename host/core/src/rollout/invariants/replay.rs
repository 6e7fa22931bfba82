//! A step tells everything that it changed, so that what is recorded replays to the same state:
//! invariant 12. And what is counted on the way is what is there.

use super::{Check, Rule, Seen};
use crate::rollout::Step;

impl Check<'_> {
    pub(super) fn replay(&mut self) {
        if let Some(detail) = untold(self.seen) {
            self.report(Rule::Replay, detail);
        }
    }
}

/// What changed without being told; none when the pieces that a step names are all that changed.
pub(in crate::rollout) fn untold(seen: &Seen<'_>) -> Option<String> {
    let Seen { before, after, events: _, step, fleet: _, now: _ } = *seen;
    let Step {
        changed,
        batches_changed,
        order_changed,
        left_out_changed,
        admitted: _,
        head_changed,
        actions: _,
        ask: _,
        look: _,
        waits_for_zone: _,
        wake_at: _,
    } = step;
    if !head_changed && before.head() != after.head() {
        return Some("the head changed".to_owned());
    }
    if !order_changed && before.order() != after.order() {
        return Some("the order of the batches changed".to_owned());
    }
    if !left_out_changed && before.left_out() != after.left_out() {
        return Some("other instances are left out".to_owned());
    }
    let is_untold = |number: &u32| !batches_changed.contains(number);
    let mut batches = after.order().into_iter().filter(is_untold);
    if let Some(number) = batches.find(|number| before.batch(*number) != after.batch(*number)) {
        return Some(format!("batch number {number} changed"));
    }
    let mut ids = before.members.keys().chain(after.members.keys()).filter(|id| !changed.contains(*id));
    if let Some(id) = ids.find(|id| before.members.get(id) != after.members.get(id)) {
        return Some(format!("the row of `{id}` changed"));
    }
    (!after.members.is_counted_right()).then(|| "members are counted wrongly".to_owned())
}
