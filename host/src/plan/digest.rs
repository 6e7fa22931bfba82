//! The digest of a plan: equal plans, equal digest; one changed member, another digest.
//!
//! Covers what decides the course of the upgrade, and not the wording of reasons.

use sha2::{Digest as _, Sha256};

use super::{Batch, Hold, PlanInput};
use crate::domain::Digest;

/// Hashes the plan as lines of tab-separated fields. No field may hold a tab or a line break:
/// ids and versions cannot by their alphabet, zones are escaped.
pub(super) fn of(input: &PlanInput<'_>, batch_max: usize, batches: &[Batch], holds: &[Hold]) -> Digest {
    let mut hash = Sha256::new();
    let mut line = |fields: &[&str]| {
        for field in fields {
            hash.update(field.escape_default().to_string());
            hash.update(b"\t");
        }
        hash.update(b"\n");
    };
    line(&["phasegate plan 1", input.scale_set.as_str()]);
    for change in input.goal.changes() {
        line(&["goal", change.component.as_str(), change.to.as_str()]);
    }
    let policy = input.policy;
    line(&[
        &batch_max.to_string(),
        &input.total.to_string(),
        &policy.max_unhealthy_instance_percent.get().to_string(),
        &policy.max_unhealthy_upgraded_instance_percent.get().to_string(),
        &policy.pause_time_between_batches.as_millis().to_string(),
    ]);
    if policy.max_surge {
        line(&["max surge"]);
    }
    for batch in batches {
        let phase = batch.phase.map_or_else(|| "last".to_owned(), |phase| phase.get().to_string());
        let zone = batch.zone.as_ref().map_or_else(|| "-".to_owned(), |zone| format!("zone {zone}"));
        let domain = batch.update_domain.map_or_else(|| "-".to_owned(), |domain| domain.to_string());
        let mut fields = vec!["batch", phase.as_str(), zone.as_str(), domain.as_str()];
        fields.extend(batch.instances.iter().map(crate::domain::InstanceId::as_str));
        line(&fields);
    }
    for hold in holds {
        line(&["hold", hold.instance.as_str(), hold.reason.code()]);
    }
    Digest(hash.finalize().into())
}
