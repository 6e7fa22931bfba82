//! A judged probe round: into the health of its instance, and to the upgrade that it concerns.

use std::sync::Arc;

use super::memory::Memories;
use super::out::Out;
use super::state::Fleet;
use crate::domain::{Decided, Now};

/// Takes in one judged round.
pub(super) fn judged(fleet: &mut Fleet, memories: &mut Memories, decided: Decided, now: Now, out: &mut Out) {
    let Some(set) = fleet.change(&decided.scale_set) else { return };
    let id = decided.instance.clone();
    let stands_in = set.stands_in();
    let name = decided.scale_set.clone();
    let folded = set.change(&id, |instance| {
        memories.take(&name, instance, &decided.outcome, now.at);
        // Also the first of a generation: what another one has said is not in force.
        let stamp = &decided.outcome.stamp;
        let first = instance.latest.as_ref().is_none_or(|latest| latest.stamp != *stamp);
        instance.judged(decided, stands_in).map(|(before, after)| (first, before, after))
    });
    let Some((first, before, after)) = folded.flatten() else { return };
    if before != after {
        out.changes.health.push((name, id.clone(), before, after));
    }
    // A running upgrade looks again when something moved: a health, or the first answer. An instance that
    // said "not now" may say something else.
    let deferred = |upgrade: &Arc<crate::rollout::Upgrade>| upgrade.deferred.contains_key(&id);
    set.dirty |= first || before != after || set.upgrade.as_ref().is_some_and(deferred);
}
