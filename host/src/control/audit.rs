//! The lines of the audit trail: every decision, admission and effect, with its reason.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{STAND_IN_BEGINS, SetState, StandIn};
use super::surge;
use crate::recording::Used;
use phasegate_core::domain::{
    Change, Component, Cost, Decisions, Evaluation, InstanceId, Outcome, Phase, PluginStamp, Timestamp,
    Version,
};
use phasegate_core::plan::Standing;
use phasegate_core::record::{AuditEntry, Write};
use phasegate_core::rollout::{Member, MemberState, Part, PartState, Upgrade};

/// Says on the log what was recorded; the small steps of single instances only to who asks.
pub(super) fn log(write: Write) {
    let Write::Audit(AuditEntry { scale_set, upgrade, instance, kind, text, .. }) = write else { return };
    let (upgrade, instance) = (upgrade.map(|id| id.to_string()), instance.map(|id| id.to_string()));
    match kind.as_ref() {
        "decision" | "apply" | "applied" | "create" | "ready" | "succeeded" => {
            tracing::debug!(%scale_set, upgrade, instance, "{kind}: {text}");
        }
        "failed" | "restore" | "remove" => tracing::warn!(%scale_set, upgrade, instance, "{kind}: {text}"),
        // The driver's notes were logged when they came.
        "exited" | "restarted" | "deleted" => {}
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
    if member.replacement().is_some() {
        return surge::audited(upgrade, id, now);
    }
    let attempt = member.attempt;
    let all = || {
        let parts = member.parts.iter().map(|part| name(&part.component, &part.target));
        parts.collect::<Vec<_>>().join(", ")
    };
    let (kind, text) = match &member.state {
        MemberState::Pending
        | MemberState::Creating { .. }
        | MemberState::Ready { .. }
        | MemberState::Deleting { .. }
        | MemberState::Removing { .. }
        | MemberState::Settling { healthy_since: Some(_), .. } => return None,
        MemberState::Applying { part, .. } => {
            let part = member.parts.get(*part)?;
            let from = part.previous.as_ref().map_or("nothing", Version::as_str);
            let to = &part.target;
            ("apply", format!("{}{from} -> {to} (attempt {attempt})", whose(&part.component)))
        }
        MemberState::Settling { healthy_since: None, .. } => ("applied", applied(member)),
        MemberState::Succeeded { .. } => ("succeeded", format!("healthy with {}", all())),
        MemberState::Restoring { part, .. } => {
            let part = member.parts.get(*part)?;
            let PartState::Failed { reason, .. } = &part.state else { return None };
            let (from, to) = (&part.target, part.way_back().map_or("nothing", Version::as_str));
            let whose = whose(&part.component);
            ("restore", format!("{whose}{reason}; {from} -> {to} (attempt {attempt})"))
        }
        MemberState::Failed { .. } => ("failed", member.failure()?),
    };
    Some(line(upgrade, Some(id), kind, text, now))
}

/// What the driver was done with, and what it failed at.
fn applied(member: &Member) -> String {
    let parts = |failed: bool| {
        let wanted = move |part: &&Part| matches!(part.state, PartState::Failed { .. }) == failed;
        let names = member.parts.iter().filter(wanted).map(|part| name(&part.component, &part.target));
        names.collect::<Vec<_>>().join(", ")
    };
    let (has, failed) = (parts(false), parts(true));
    match (has.is_empty(), failed.is_empty()) {
        (_, true) => format!("has {has}"),
        (true, false) => format!("has nothing new; {failed} failed"),
        (false, false) => format!("has {has}; {failed} failed"),
    }
}

/// Says whose version it is where it is not the application's.
fn whose(component: &Component) -> String {
    match component {
        Component::Application => String::new(),
        Component::Extension(name) => format!("extension {name}: "),
    }
}

pub(super) fn name(component: &Component, version: &Version) -> String {
    Change { component: component.clone(), to: version.clone() }.to_string()
}

/// What must be known of an upgrade before a step, to tell what the step changed.
pub(super) struct Before {
    active: bool,
    planned: bool,
    /// What each instance was told, where it is asked again.
    told: BTreeMap<InstanceId, String>,
    /// Batches end in order and never open again, so counting is enough.
    batches_ended: usize,
}

impl Before {
    pub(super) fn of(upgrade: &Upgrade) -> Self {
        let ended = upgrade.batches.iter().filter(|batch| batch.ended_at.is_some());
        Self {
            active: upgrade.is_active(),
            planned: upgrade.digest.is_some(),
            told: told(upgrade),
            batches_ended: ended.count(),
        }
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
    if before.planned {
        lines.extend(changed_minds(upgrade, before, set, now));
    }
    let members = changed.iter().filter_map(|id| upgrade.members.get(id).map(|member| (id, member)));
    lines.extend(members.filter_map(|(id, member)| self::member(upgrade, id, member, now)));
    lines.extend(ends(upgrade, before, now));
    lines
}

/// What every instance whose turn has not come was told, for upgrades that ask again.
fn told(upgrade: &Upgrade) -> BTreeMap<InstanceId, String> {
    if upgrade.policy.decisions != Decisions::Live || !upgrade.is_active() {
        return BTreeMap::new();
    }
    let holds = upgrade.holds.iter().map(|hold| (hold.instance.clone(), hold.reason.code().to_owned()));
    let phases: BTreeMap<u32, Option<Phase>> =
        upgrade.batches.iter().map(|batch| (batch.number, batch.phase)).collect();
    let pending = upgrade.members.iter().filter(|(_, member)| member.state == MemberState::Pending);
    let pending = pending.map(|(id, member)| {
        let phase = phases.get(&member.batch()).copied().flatten();
        (id.clone(), format!("proceed in {}", phase_name(phase)))
    });
    holds.chain(pending).collect()
}

/// The lines for instances that say something else than before.
fn changed_minds(upgrade: &Upgrade, before: &Before, set: &SetState, now: Timestamp) -> Vec<Write> {
    let after = told(upgrade);
    let changed = after.iter().filter(|(id, word)| before.told.get(*id).is_some_and(|told| told != *word));
    let line = |(id, word): (&InstanceId, &String)| {
        let hold = upgrade.holds.iter().find(|hold| hold.instance == *id);
        let word = hold.map_or_else(|| word.clone(), |hold| hold.reason.to_string());
        let former = before.told.get(id).map_or("", String::as_str);
        let text = format!("{word} (was: {former}){}", stamp(set, id, now));
        self::line(upgrade, Some(id), "decision", text, now)
    };
    changed.map(line).collect()
}

fn phase_name(phase: Option<Phase>) -> String {
    phase.map_or_else(|| "the last phase".to_owned(), |phase| format!("phase {}", phase.get()))
}

/// Which code decided last, what it took and when it was asked; [`read_stamp`] reads it.
fn stamp(set: &SetState, id: &InstanceId, now: Timestamp) -> String {
    let Some(instance) = set.instances.get(id) else { return String::new() };
    // Whoever decided is named, also where somebody else has failed since.
    let (note, stamp, evaluation) = match (set.stand_in(instance, now), &instance.latest) {
        (Some(stand_in), _) => {
            let StandIn { answered, .. } = stand_in;
            (format!("; {stand_in}"), &answered.stamp, &answered.evaluation)
        }
        (None, Some(Outcome { stamp, evaluation, .. })) => (String::new(), stamp, evaluation),
        (None, None) => return String::new(),
    };
    let PluginStamp { name, digest, generation } = stamp;
    let Evaluation { at, cost: Cost { fuel, time_ns }, origin: _ } = evaluation;
    let generation = generation.0;
    format!("{note}{STAMP}{name} {digest} generation {generation}, {fuel} fuel, {time_ns} ns, judged {at}]")
}

/// How a stamp begins.
const STAMP: &str = " [plugin ";

/// The text of a line before its stamp, and the moment in it at which the plugin was asked.
pub(crate) fn read_stamp(text: &str) -> Option<(&str, Timestamp)> {
    let (said, stamp) = text.rsplit_once(STAMP)?;
    let (_, at) = stamp.strip_suffix(']')?.rsplit_once("judged ")?;
    let at: jiff::Timestamp = at.parse().ok()?;
    Some((said, Timestamp(at.as_millisecond())))
}

/// The decision that a line is about, as far as a plugin has made it.
pub(super) fn used(write: &Write) -> Option<Used> {
    let Write::Audit(AuditEntry { scale_set, upgrade, instance, kind, text, .. }) = write else {
        return None;
    };
    let is_decision = matches!(kind.as_ref(), "decision" | "hold");
    let (_, at) = is_decision.then(|| read_stamp(text)).flatten()?;
    Some(Used { scale_set: scale_set.clone(), upgrade: upgrade.clone()?, instance: instance.clone()?, at })
}

/// Why an older decision was used for what was said, if it was one.
pub(crate) fn read_stand_in(said: &str) -> Option<&str> {
    said.find(STAND_IN_BEGINS).and_then(|at| said.get(at..))
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
    let mut lines = Vec::new();
    if let Some(digest) = &upgrade.digest {
        let (members, batches) = (upgrade.members.len(), upgrade.batches.len());
        let text = format!("{members} instances in {batches} batches, plan {digest}");
        lines.push(line(upgrade, None, "plan", text, now));
    }
    let batches: BTreeMap<u32, (usize, Option<Phase>)> = upgrade
        .batches
        .iter()
        .enumerate()
        .map(|(index, batch)| (batch.number, (index, batch.phase)))
        .collect();
    for (id, member) in upgrade.members.iter() {
        let (index, phase) = batches.get(&member.batch()).copied().unwrap_or_default();
        let phase = phase_name(phase);
        let standing = set.instances.get(id).map(|instance| set.standing(instance, now));
        let why = match standing {
            Some(Standing::Decided { detail, .. }) if !detail.is_empty() => format!(": {detail}"),
            _ => String::new(),
        };
        let text = format!("proceed in batch {}, {phase}{why}{}", index + 1, stamp(set, id, now));
        lines.push(line(upgrade, Some(id), "decision", text, now));
    }
    for hold in &upgrade.holds {
        let text = format!("{}{}", hold.reason, stamp(set, &hold.instance, now));
        lines.push(line(upgrade, Some(&hold.instance), "hold", text, now));
    }
    lines
}
