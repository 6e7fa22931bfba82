//! The manual upgrade: the instances that a person named, now.
//!
//! As Azure's `manualupgrade`: no phases, no batches, no limits, and a skip is overridden, because
//! the person is there and the plugin is not asked. Protection is not overridden.

use crate::domain::{InstanceId, Timestamp};
use crate::plan::{Batch, Candidate, Hold, HoldReason};

use super::adopt::parts;
use super::state::{Extent, Purpose, Stage, StartUpgrade, Upgrade};

/// An upgrade of these candidates, all at once. Protected ones are left out, with the reason; those
/// that have all that is wanted are, too, without one.
#[must_use]
pub fn manual(start: StartUpgrade, extent: Extent, candidates: &[Candidate], now: Timestamp) -> Upgrade {
    let mut upgrade = Upgrade::new(start, now);
    upgrade.purpose = Purpose::Manual;
    upgrade.stage = Stage::Between { resume_at: now };
    upgrade.extent = extent;
    let is_there = |candidate: &&Candidate| extent == Extent::Missing && candidate.is_at(&upgrade.goal);
    upgrade.already = candidates.iter().filter(is_there).count();
    let wanted = || candidates.iter().filter(|candidate| !is_there(candidate));
    let is_protected =
        |candidate: &&Candidate| candidate.protection.from_scale_set_actions || candidate.held.is_some();
    let protected = |c: &Candidate| {
        let reason = match &c.held {
            Some(word) if !c.protection.from_scale_set_actions => HoldReason::PersonSkip(word.to_string()),
            Some(_) | None => HoldReason::Protected,
        };
        Hold::new(c.id.clone(), reason, &c.standing)
    };
    let mut holds: Vec<Hold> = wanted().filter(is_protected).map(protected).collect();
    // Of what nobody knows nothing can be brought there again.
    let has_nothing = |candidate: &&Candidate| parts(&upgrade.goal, extent, candidate).is_empty();
    let unknown = || HoldReason::Unknown("nobody knows what it has".to_owned());
    let nothing = wanted().filter(has_nothing).map(|c| Hold::new(c.id.clone(), unknown(), &c.standing));
    holds.extend(nothing);
    let mut instances: Vec<InstanceId> =
        wanted().filter(|one| !is_protected(one) && !has_nothing(one)).map(|c| c.id.clone()).collect();
    holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    instances.sort();
    upgrade.holds = holds.into();
    if !instances.is_empty() {
        let batch = Batch { phase: None, zone: None, update_domain: None, instances };
        let by_id = candidates.iter().map(|candidate| (&candidate.id, candidate)).collect();
        upgrade.insert(vec![batch], &by_id);
    }
    upgrade
}
