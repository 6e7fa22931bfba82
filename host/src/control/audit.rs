//! The lines of the audit trail: every decision, admission and effect, with its reason.

use std::collections::BTreeSet;

use super::state::SetState;
use crate::domain::{InstanceId, Timestamp, Version};
use crate::plan::Standing;
use crate::rollout::{Member, MemberState, Restored, Upgrade};
use crate::store::{AuditEntry, Write};

/// Says on the log what was recorded; the small steps of single instances only to who asks.
pub(super) fn log(write: Write) {
    let Write::Audit(AuditEntry { scale_set, upgrade, instance, kind, text, .. }) = write else { return };
    let (upgrade, instance) = (upgrade.map(|id| id.to_string()), instance.map(|id| id.to_string()));
    match kind.as_ref() {
        "decision" | "apply" | "applied" | "succeeded" => {
            tracing::debug!(%scale_set, upgrade, instance, "{kind}: {text}");
        }
        "failed" | "restore" => tracing::warn!(%scale_set, upgrade, instance, "{kind}: {text}"),
        // The driver's notes were logged when they came.
        "exited" | "restarted" => {}
        _ => tracing::info!(%scale_set, upgrade, instance, "{kind}: {text}"),
    }
}

/// One line about an upgrade or one of its instances.
pub(super) fn line(
    upgrade: &Upgrade,
    instance: Option<&InstanceId>,
    kind: &'static str,
    text: String,
    now: Timestamp,
) -> Write {
    Write::Audit(AuditEntry {
        at: now,
        scale_set: upgrade.scale_set.clone(),
        upgrade: Some(upgrade.id.clone()),
        instance: instance.cloned(),
        kind: kind.into(),
        text,
    })
}

/// The line for a change of one member.
fn member(upgrade: &Upgrade, id: &InstanceId, member: &Member, now: Timestamp) -> Option<Write> {
    let from = member.previous.as_ref().map_or("nothing", Version::as_str);
    let (target, attempt) = (&member.target, member.attempt);
    let (kind, text) = match &member.state {
        MemberState::Pending | MemberState::Settling { healthy_since: Some(_), .. } => return None,
        MemberState::Applying { .. } => ("apply", format!("{from} -> {target} (attempt {attempt})")),
        MemberState::Settling { healthy_since: None, .. } => ("applied", format!("runs {target}")),
        MemberState::Succeeded { .. } => ("succeeded", format!("healthy at {target}")),
        MemberState::Restoring { reason, .. } => {
            ("restore", format!("{reason}; {target} -> {from} (attempt {attempt})"))
        }
        MemberState::Failed { reason, restored: Restored::NotTried, .. } => ("failed", reason.clone()),
        MemberState::Failed { reason, restored: Restored::Yes, .. } => {
            ("failed", format!("{reason}; {from} was brought back"))
        }
        MemberState::Failed { reason, restored: Restored::No(why), .. } => {
            ("failed", format!("{reason}; {from} could not be brought back: {why}"))
        }
    };
    Some(line(upgrade, Some(id), kind, text, now))
}

/// What must be known of an upgrade before a step, to tell what the step changed.
pub(super) struct Before {
    active: bool,
    planned: bool,
    /// Batches end in order and never open again, so counting is enough.
    batches_ended: usize,
}

impl Before {
    pub(super) fn of(upgrade: &Upgrade) -> Self {
        let ended = upgrade.batches.iter().filter(|batch| batch.ended_at.is_some());
        Self { active: upgrade.is_active(), planned: upgrade.digest.is_some(), batches_ended: ended.count() }
    }

    pub(super) fn was_active(&self) -> bool {
        self.active
    }
}

/// The lines of one step, in the order in which people read them: the plan, its members, the ends.
pub(super) fn step(
    upgrade: &Upgrade,
    before: &Before,
    changed: &BTreeSet<InstanceId>,
    set: &SetState,
    now: Timestamp,
) -> Vec<Write> {
    let mut lines = Vec::new();
    if !before.planned && upgrade.digest.is_some() {
        lines.extend(plan(upgrade, set, now));
    }
    let members = changed.iter().filter_map(|id| upgrade.members.get(id).map(|member| (id, member)));
    lines.extend(members.filter_map(|(id, member)| self::member(upgrade, id, member, now)));
    lines.extend(ends(upgrade, before, now));
    lines
}

/// The lines for batches that ended and for the end of the whole upgrade.
fn ends(upgrade: &Upgrade, before: &Before, now: Timestamp) -> Vec<Write> {
    let mut lines = Vec::new();
    let ended = upgrade.batches.iter().enumerate().filter(|(_, batch)| batch.ended_at.is_some());
    for (index, batch) in ended.skip(before.batches_ended) {
        let members: Vec<&str> = upgrade.batch_members(index).into_iter().map(InstanceId::as_str).collect();
        let text = format!("batch {} [{}] is {}", index + 1, members.join(","), batch.state.name());
        lines.push(line(upgrade, None, "batch", text, now));
    }
    if before.active && !upgrade.is_active() {
        let why = upgrade.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.message));
        lines.push(line(upgrade, None, "end", format!("{}{why}", upgrade.state.name()), now));
    }
    lines
}

/// The lines for a new plan: the decision on each instance, with the code that made it.
pub(super) fn plan(upgrade: &Upgrade, set: &SetState, now: Timestamp) -> Vec<Write> {
    let stamp = |id: &InstanceId| {
        let outcome = set.instances.get(id).and_then(|instance| instance.latest.as_ref());
        outcome.map_or_else(String::new, |outcome| {
            let stamp = &outcome.stamp;
            format!(" [plugin {} {} generation {}]", stamp.name, stamp.digest, stamp.generation.0)
        })
    };
    let mut lines = Vec::new();
    if let Some(digest) = &upgrade.digest {
        let (members, batches) = (upgrade.members.len(), upgrade.batches.len());
        let text = format!("{members} instances in {batches} batches, plan {digest}");
        lines.push(line(upgrade, None, "plan", text, now));
    }
    for (id, member) in &upgrade.members {
        let phase = upgrade.batches.get(member.batch).and_then(|batch| batch.phase);
        let phase =
            phase.map_or_else(|| "the last phase".to_owned(), |phase| format!("phase {}", phase.get()));
        let standing = set.instances.get(id).map(|instance| set.standing(instance, now));
        let why = match standing {
            Some(Standing::Decided { detail, .. }) if !detail.is_empty() => format!(": {detail}"),
            _ => String::new(),
        };
        let text = format!("proceed in batch {}, {phase}{why}{}", member.batch + 1, stamp(id));
        lines.push(line(upgrade, Some(id), "decision", text, now));
    }
    for hold in &upgrade.holds {
        let text = format!("{}{}", hold.reason, stamp(&hold.instance));
        lines.push(line(upgrade, Some(&hold.instance), "hold", text, now));
    }
    lines
}
