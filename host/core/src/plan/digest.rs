//! The digest of a plan: equal plans, equal digest; one changed member, another digest.
//!
//! Covers what decides the course of the upgrade, and not the wording of reasons.

use sha2::{Digest as _, Sha256};

use super::{Batch, Hold, PlanInput};
use crate::domain::{Digest, InstanceId};

/// Bytes that are hashed at once.
const BLOCK: usize = 1 << 16;

/// Hashes the plan as lines of tab-separated fields. No field may hold a tab or a line break:
/// ids and versions cannot by their alphabet, zones are escaped.
pub(super) fn of(input: &PlanInput<'_>, batch_max: usize, batches: &[Batch], holds: &[Hold]) -> Digest {
    let mut lines = Lines { hash: Sha256::new(), block: Vec::with_capacity(BLOCK) };
    lines.line(["phasegate plan 1", input.scale_set.as_str()]);
    for change in input.goal.changes() {
        lines.line(["goal", change.component.as_str(), change.to.as_str()]);
    }
    let policy = input.policy;
    lines.line([
        batch_max.to_string().as_str(),
        &input.total.to_string(),
        &policy.max_unhealthy_instance_percent.get().to_string(),
        &policy.max_unhealthy_upgraded_instance_percent.get().to_string(),
        &policy.pause_time_between_batches.as_millis().to_string(),
    ]);
    if policy.max_surge {
        lines.line(["max surge"]);
    }
    for batch in batches {
        let phase = batch.phase.map_or_else(|| "last".to_owned(), |phase| phase.get().to_string());
        let zone = batch.zone.as_ref().map_or_else(|| "-".to_owned(), |zone| format!("zone {zone}"));
        let domain = batch.update_domain.map_or_else(|| "-".to_owned(), |domain| domain.to_string());
        let fields = ["batch", phase.as_str(), zone.as_str(), domain.as_str()];
        lines.line(fields.into_iter().chain(batch.instances.iter().map(InstanceId::as_str)));
    }
    for hold in holds {
        lines.line(["hold", hold.instance.as_str(), hold.reason.code()]);
    }
    lines.finish()
}

/// Collects lines and hashes them block by block.
struct Lines {
    hash: Sha256,
    block: Vec<u8>,
}

impl Lines {
    fn line<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        for field in fields {
            if field.bytes().all(is_plain) {
                self.block.extend_from_slice(field.as_bytes());
            } else {
                self.block.extend(field.escape_default().to_string().bytes());
            }
            self.block.push(b'\t');
            if self.block.len() >= BLOCK {
                self.hash.update(&self.block);
                self.block.clear();
            }
        }
        self.block.push(b'\n');
    }

    fn finish(mut self) -> Digest {
        self.hash.update(&self.block);
        Digest(self.hash.finalize().into())
    }
}

/// Whether a byte stands for itself when it is escaped.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\')
}
