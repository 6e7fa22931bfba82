//! The digest of a plan: equal plans, equal digest; one changed member or rule, another digest.
//!
//! Covers what decides the course of the upgrade, and not the wording of reasons. Every rule is named
//! here: the structs are taken apart without `..`, so that a new field breaks the build until it is, too.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Batch, Hold, PlanInput};
use crate::domain::{
    Bake, BatchSize, Checkpoints, Decisions, Digest, FailureRules, HealthGate, InstanceId, OnBakeFailure,
    OnBreach, OnInstanceFailure, OnTimeout, PhaseName, RollingUpgradePolicy, Timeouts, UpgradePolicy,
};

/// Bytes that are hashed at once.
const BLOCK: usize = 1 << 16;

/// Hashes the plan as lines of tab-separated fields. No field may hold a tab or a line break:
/// ids and versions cannot by their alphabet, zones are escaped.
pub(super) fn of(input: &PlanInput<'_>, batch_max: usize, batches: &[Batch], holds: &[Hold]) -> Digest {
    let mut lines = Lines { hash: Sha256::new(), block: Vec::with_capacity(BLOCK) };
    lines.line(["phasegate plan 2", input.scale_set.as_str()]);
    for change in input.goal.changes() {
        lines.line(["goal", change.component.as_str(), change.to.as_str()]);
    }
    lines.line(["instances", input.total.to_string().as_str()]);
    lines.line(["largest batch", batch_max.to_string().as_str()]);
    policy(input.policy, &mut lines);
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

fn policy(policy: &UpgradePolicy, lines: &mut Lines) {
    let UpgradePolicy {
        rolling,
        gate,
        failure,
        checkpoints,
        decisions,
        bake,
        round_trip,
        hooks,
        timeouts,
        urgency,
        defer_max,
        prepare_max,
    } = policy;
    limits(rolling, lines);
    let HealthGate { wait, stable_for, deadline } = gate;
    lines.span("wait", *wait);
    lines.span("stableFor", *stable_for);
    lines.span("deadline", *deadline);
    let FailureRules { instance, breach } = failure;
    lines.line(["instance", on_instance_failure(*instance)]);
    lines.line(["breach", on_breach(*breach)]);
    let Checkpoints { pause_after, approval_before } = checkpoints;
    for phase in pause_after {
        lines.line(["pauseAfterPhase", phase_name(*phase).as_str()]);
    }
    for phase in approval_before {
        lines.line(["approvalBeforePhase", phase_name(*phase).as_str()]);
    }
    lines.line(["decisions", decisions_name(*decisions)]);
    if let Some(Bake { duration, probes, on_failure }) = bake {
        lines.span("bake", *duration);
        lines.line(["bakeProbes", probes.to_string().as_str()]);
        lines.line(["onBakeFailure", on_bake_failure(*on_failure)]);
    }
    for hook in hooks.iter() {
        lines.line(["hook", hook.name()]);
    }
    let Timeouts { batch, upgrade, approval, then } = timeouts;
    let spans = [("batchTimeout", batch), ("upgradeTimeout", upgrade), ("approvalTimeout", approval)];
    for (name, span) in spans.into_iter().filter_map(|(name, span)| Some((name, (*span)?))) {
        lines.span(name, span);
    }
    if !timeouts.are_none() {
        lines.line(["onTimeout", on_timeout(*then)]);
    }
    if *round_trip {
        lines.line(["roundTrip"]);
    }
    // What it makes of the times stands in them.
    if !urgency.is_routine() {
        lines.line(["urgency", urgency.name()]);
    }
    lines.span("deferDeadline", *defer_max);
    lines.span("prepare", *prepare_max);
}

fn limits(rolling: &RollingUpgradePolicy, lines: &mut Lines) {
    let RollingUpgradePolicy {
        max_batch_instance_percent,
        max_unhealthy_instance_percent,
        max_unhealthy_upgraded_instance_percent,
        pause_time_between_batches,
        enable_cross_zone_upgrade,
        prioritize_unhealthy_instances,
        max_surge,
        batches,
    } = rolling;
    for (name, percent) in [
        ("maxBatchInstancePercent", max_batch_instance_percent),
        ("maxUnhealthyInstancePercent", max_unhealthy_instance_percent),
        ("maxUnhealthyUpgradedInstancePercent", max_unhealthy_upgraded_instance_percent),
    ] {
        lines.line([name, percent.get().to_string().as_str()]);
    }
    lines.span("pauseTimeBetweenBatches", *pause_time_between_batches);
    for (name, is_set) in [
        ("enableCrossZoneUpgrade", enable_cross_zone_upgrade),
        ("prioritizeUnhealthyInstances", prioritize_unhealthy_instances),
        ("maxSurge", max_surge),
    ] {
        lines.line([name, if *is_set { "true" } else { "false" }]);
    }
    for size in batches {
        let size = match size {
            BatchSize::Count(count) => count.to_string(),
            BatchSize::Share(share) => format!("{} %", share.get()),
        };
        lines.line(["batches", size.as_str()]);
    }
}

fn on_instance_failure(rule: OnInstanceFailure) -> &'static str {
    match rule {
        OnInstanceFailure::Restore => "restore",
        OnInstanceFailure::Leave => "leave",
    }
}

fn on_bake_failure(rule: OnBakeFailure) -> &'static str {
    match rule {
        OnBakeFailure::RollBack => "roll back",
        OnBakeFailure::Stop => "stop",
    }
}

fn on_timeout(rule: OnTimeout) -> &'static str {
    match rule {
        OnTimeout::Stop => "stop",
        OnTimeout::RollBack => "roll back",
    }
}

fn on_breach(rule: OnBreach) -> &'static str {
    match rule {
        OnBreach::Stop => "stop",
        OnBreach::RestoreFailed => "restore failed",
        OnBreach::RollBack => "roll back",
    }
}

fn decisions_name(decisions: Decisions) -> &'static str {
    match decisions {
        Decisions::Snapshot => "snapshot",
        Decisions::Live => "live",
    }
}

fn phase_name(phase: PhaseName) -> String {
    match phase {
        PhaseName::Number(phase) => phase.get().to_string(),
        PhaseName::Last => "last".to_owned(),
    }
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

    /// To the nanosecond: what differs at all differs here.
    fn span(&mut self, name: &str, span: Duration) {
        self.line([name, span.as_nanos().to_string().as_str()]);
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

#[cfg(test)]
mod tests;
