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

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::domain::*;

    #[test]
    fn a_round_of_an_earlier_life_changes_nothing() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        let instance = asked.instance.id.clone();
        let before = rig.instance(instance.as_str()).fold.clone();
        let old = rig.instance(instance.as_str()).epoch - 1;
        let ill = Decision { claim: Claim::Unhealthy, ..decision(0) };
        rig.judge_in(instance.as_str(), old, 1, Ok(std::sync::Arc::new(ill)));
        assert_eq!(rig.instance(instance.as_str()).fold, before);
    }

    #[test]
    fn what_moves_wakes_and_what_does_not_does_not() {
        let mut rig = Rig::healthy();
        let good = || Ok(std::sync::Arc::new(decision(0)));
        let ill = || Ok(std::sync::Arc::new(Decision { claim: Claim::Unhealthy, ..decision(0) }));
        for (result, generation, woken) in
            [(good(), 1, false), (good(), 2, true), (ill(), 2, true), (ill(), 2, false)]
        {
            rig.kernel.fleet.change(&name("orders")).unwrap().dirty = false;
            rig.judge_by("0", generation, result.clone());
            assert_eq!(rig.set().dirty, woken, "{result:?} of generation {generation}");
        }
        assert_eq!(rig.set().census().of(Health::Unhealthy), 1);
    }
}
