//! The lines of the trail that a step of an upgrade is worth: its plan, its members, its ends.

use std::collections::{BTreeMap, BTreeSet};

use super::effect::Used;
use super::out::{About, Out};
use super::state::{Ground, SetState};
use crate::domain::{By, Change, Decisions, Direction, InstanceId, Now, Phase, PhaseName};
use crate::plan::{Hold, HoldReason, Standing, is_answered};
use crate::record::audit::{Admission, Entry, Leaves, Stamp, What, Word};
use crate::rollout::{Member, MemberState, Part, PartState, Stage, Step, Trip, Upgrade};

/// What must be known of an upgrade before a step, to tell what the step changed.
pub(super) struct Before {
    active: bool,
    planned: bool,
    /// What each instance was told, where it is asked again.
    told: BTreeMap<InstanceId, Word>,
    /// Batches end in order and never open again, so counting is enough.
    batches_ended: usize,
    /// How many hooks round batches have been asked for.
    hooks_asked: u32,
    /// Extensions that had ended for themselves.
    extensions_ended: usize,
}

impl Before {
    pub(super) fn of(upgrade: &Upgrade) -> Self {
        Self {
            active: upgrade.is_active(),
            planned: upgrade.digest.is_some(),
            told: told(upgrade),
            batches_ended: batches_ended(upgrade),
            hooks_asked: upgrade.hooked.asked,
            extensions_ended: upgrade.ended.len(),
        }
    }

    pub(super) fn was_active(&self) -> bool {
        self.active
    }
}

/// Batches before the one in flight have ended, and it may have.
fn batches_ended(upgrade: &Upgrade) -> usize {
    let later = upgrade.batches.iter().skip(upgrade.current);
    upgrade.current.min(upgrade.batches.len()) + later.take_while(|batch| batch.ended_at.is_some()).count()
}

/// The lines of one step, in the order of causes: the plan, then batch after batch its members and its end, and the
/// end of all.
pub(super) fn step(
    upgrade: &Upgrade,
    before: &Before,
    stepped: &Step,
    set: &SetState,
    now: Now,
    out: &mut Out,
) {
    if !before.planned && upgrade.digest.is_some() {
        plan(upgrade, set, now, out);
    }
    if before.planned {
        changed_minds(upgrade, before, set, now, out);
    }
    for id in stepped.changed.iter().filter(|id| has_left(upgrade, id)) {
        out.audit(About::upgrade(upgrade, Some(id)), By::host(), What::Leaves { why: Leaves::Removed }, now);
    }
    let changed = by_batch(upgrade, &stepped.changed);
    let ended = before.batches_ended..batches_ended(upgrade);
    let begins = Some(upgrade.current).filter(|_| !stepped.admitted.is_empty());
    // One batch after the other: what ends is the cause of what begins.
    let batches: BTreeSet<usize> = changed.keys().copied().chain(ended.clone()).chain(begins).collect();
    for index in batches {
        if begins == Some(index) {
            admitted(upgrade, &stepped.admitted, set, now, out);
        }
        for id in changed.get(&index).into_iter().flatten() {
            let Some(what) = upgrade.members.get(id).and_then(|one| member(upgrade, one)) else { continue };
            out.audit(About::upgrade(upgrade, Some(id)), By::host(), what, now);
        }
        if ended.contains(&index) {
            batch_ended(upgrade, index, now, out);
        }
    }
    if let Stage::Hooking { hook, .. } = upgrade.stage
        && before.hooks_asked != upgrade.hooked.asked
    {
        let batch = Some(upgrade.current + 1);
        let what = What::Hook { hook: hook.kind(), direction: upgrade.direction(), batch };
        out.audit(About::upgrade(upgrade, None), By::host(), what, now);
    }
    for ended in upgrade.ended.iter().skip(before.extensions_ended) {
        let what = What::ExtensionEnds { change: ended.change.clone(), why: ended.why.clone() };
        out.audit(About::upgrade(upgrade, None), By::host(), what, now);
    }
    if before.active && !upgrade.is_active() {
        let because = upgrade.error.as_ref().map(|error| error.message.clone());
        let what = What::End { state: upgrade.state, because };
        out.audit(About::upgrade(upgrade, None), By::host(), what, now);
    }
}

/// Whether somebody left an upgrade whom nobody lists any more, once nothing was in hand for them.
fn has_left(upgrade: &Upgrade, id: &InstanceId) -> bool {
    let is_it = |hold: &Hold| hold.instance == *id && hold.reason == HoldReason::Vanished;
    upgrade.members.get(id).is_none() && upgrade.holds.iter().any(is_it)
}

/// Members that a step has changed, by the index of their batch.
fn by_batch<'a>(
    upgrade: &Upgrade,
    changed: &'a BTreeSet<InstanceId>,
) -> BTreeMap<usize, Vec<&'a InstanceId>> {
    let mut numbers: BTreeMap<u32, Vec<&InstanceId>> = BTreeMap::new();
    for id in changed {
        if let Some(member) = upgrade.members.get(id) {
            numbers.entry(member.batch()).or_default().push(id);
        }
    }
    let batches = upgrade.batches.iter().enumerate();
    batches.filter_map(|(index, batch)| Some((index, numbers.remove(&batch.number)?))).collect()
}

/// What every instance whose turn has not come was told, for upgrades that ask again.
fn told(upgrade: &Upgrade) -> BTreeMap<InstanceId, Word> {
    if upgrade.policy.decisions != Decisions::Live || !upgrade.is_active() {
        return BTreeMap::new();
    }
    let holds = upgrade.holds.iter().map(|hold| (hold.instance.clone(), Word::Hold(hold.reason.clone())));
    let phases: BTreeMap<u32, Option<Phase>> =
        upgrade.batches.iter().map(|batch| (batch.number, batch.phase)).collect();
    let pending = upgrade.members.iter().filter(|(_, member)| member.state == MemberState::Pending);
    let pending = pending.map(|(id, member)| {
        let phase = phases.get(&member.batch()).copied().flatten();
        (id.clone(), Word::Proceed(PhaseName::from(phase)))
    });
    holds.chain(pending).collect()
}

/// Whether two words are the same but for figures in the plugin's reason.
fn is_same(a: &Word, b: &Word) -> bool {
    match (a, b) {
        (Word::Proceed(a), Word::Proceed(b)) => a == b,
        (Word::Hold(a), Word::Hold(b)) => a.code() == b.code(),
        (Word::Proceed(_), Word::Hold(_)) | (Word::Hold(_), Word::Proceed(_)) => false,
    }
}

/// The lines for instances that say something else than before.
fn changed_minds(upgrade: &Upgrade, before: &Before, set: &SetState, now: Now, out: &mut Out) {
    for (id, word) in told(upgrade) {
        let Some(was) = before.told.get(&id).filter(|was| !is_same(was, &word)) else { continue };
        let what = What::MindChanged { now: word, was: was.clone() };
        out.audit_stamped(About::upgrade(upgrade, Some(&id)), By::host(), stamp(set, &id, now), what, now);
    }
}

/// Which code decided, what it took and when it was asked. The one by whose word an instance stands is named, also
/// where another one has failed since, or where a probe has brought nothing.
fn stamp(set: &SetState, id: &InstanceId, now: Now) -> Option<Stamp> {
    let Ground { outcome, heard_at: _, stands_in } = set.ground(set.instance(id)?, now.at)?;
    let (plugin, evaluation) = (outcome.stamp.clone(), outcome.evaluation);
    Some(Stamp { plugin, judged_at: evaluation.at, cost: evaluation.cost, stands_in })
}

/// The lines for the members of a batch that begins: on which word of whom each was let go. A way back, and a person
/// who names instances, ask nobody.
fn admitted(upgrade: &Upgrade, admitted: &[InstanceId], set: &SetState, now: Now, out: &mut Out) {
    if !upgrade.is_forward() {
        return;
    }
    let batch = upgrade.batches.get(upgrade.current);
    for id in admitted {
        let Some(instance) = set.instance(id) else { continue };
        let ground = set.ground(instance, now.at);
        let said = ground.as_ref().and_then(|ground| ground.outcome.result.as_deref().ok());
        let standing = set.permitted(instance, now.at);
        let what = What::Admitted(Admission {
            batch: upgrade.current + 1,
            phase: batch.and_then(|batch| batch.phase),
            health: instance.fold.health(),
            participation: said.map(|decision| decision.participation),
            answered_at: ground.as_ref().filter(|_| said.is_some_and(is_answered)).map(|it| it.heard_at),
            detail: match standing {
                Standing::Decided { detail, .. } | Standing::Unknown { detail, .. } => detail,
                Standing::PluginFailed { failure, .. } => failure,
                Standing::Undecided => String::new(),
            },
        });
        out.audit_stamped(About::upgrade(upgrade, Some(id)), By::host(), stamp(set, id, now), what, now);
    }
}

/// The lines for a new plan: the decision on each instance, with the code that made it.
pub(super) fn plan(upgrade: &Upgrade, set: &SetState, now: Now, out: &mut Out) {
    if let Some(digest) = upgrade.digest {
        let (instances, batches) = (upgrade.members.len(), upgrade.batches.len());
        let what = What::Plan { instances, batches, digest };
        out.audit(About::upgrade(upgrade, None), By::host(), what, now);
    }
    let batches: BTreeMap<u32, (usize, Option<Phase>)> = upgrade
        .batches
        .iter()
        .enumerate()
        .map(|(index, batch)| (batch.number, (index, batch.phase)))
        .collect();
    for (id, member) in upgrade.members.iter() {
        let (index, phase) = batches.get(&member.batch()).copied().unwrap_or_default();
        let standing = set.instance(id).map(|instance| set.standing(instance, now.at));
        let detail = match standing {
            Some(Standing::Decided { detail, .. }) => detail,
            Some(Standing::Undecided | Standing::PluginFailed { .. } | Standing::Unknown { .. }) | None => {
                String::new()
            }
        };
        let what = What::Decision { batch: index + 1, phase, detail };
        out.audit_stamped(About::upgrade(upgrade, Some(id)), By::host(), stamp(set, id, now), what, now);
    }
    for hold in upgrade.holds.iter() {
        let about = About::upgrade(upgrade, Some(&hold.instance));
        let what = What::Hold { reason: hold.reason.clone() };
        out.audit_stamped(about, By::host(), stamp(set, &hold.instance, now), what, now);
    }
}

/// The line for a change of one member.
fn member(upgrade: &Upgrade, member: &Member) -> Option<What> {
    if let MemberState::Hooking { moment, direction, .. } = member.state {
        let direction = match upgrade.direction() {
            Direction::Forward => direction,
            Direction::Back => direction.reversed(),
        };
        return Some(What::Hook { hook: moment.of_instance(), direction, batch: None });
    }
    if member.replacement().is_some() {
        return beside(member);
    }
    let attempt = member.attempt;
    Some(match &member.state {
        MemberState::Pending
        | MemberState::Hooking { .. }
        | MemberState::Creating { .. }
        | MemberState::Ready { .. }
        | MemberState::Deleting { .. }
        | MemberState::Removing { .. }
        | MemberState::Settling { healthy_since: Some(_), .. } => return None,
        MemberState::Applying { part, .. } => {
            let Part { component, previous, target, .. } = member.parts.get(*part)?;
            let (component, from, to) = (component.clone(), previous.clone(), target.clone());
            What::Apply { component, from, to, attempt }
        }
        MemberState::Settling { healthy_since: None, .. } if member.trip == Trip::Back => {
            let back = |part: &Part| {
                let to = part.way_back()?.clone();
                Some(Change { component: part.component.clone(), to })
            };
            What::Applied { has: member.parts.iter().filter_map(back).collect(), failed: Vec::new() }
        }
        MemberState::Settling { healthy_since: None, .. } => {
            let failed = member.parts.iter().filter(has_failed).map(change).collect();
            What::Applied {
                has: member.parts.iter().filter(|part| part.is_there()).map(change).collect(),
                failed,
            }
        }
        MemberState::Succeeded { .. } => What::Succeeded { has: all(member) },
        MemberState::Restoring { part, .. } => {
            let part = member.parts.get(*part)?;
            let PartState::Failed { reason, .. } = &part.state else { return None };
            What::Restore {
                component: part.component.clone(),
                reason: reason.clone(),
                from: part.target.clone(),
                to: part.way_back().cloned(),
                attempt,
            }
        }
        MemberState::Failed { .. } => What::Failed { reason: member.failure()? },
    })
}

fn has_failed(part: &&Part) -> bool {
    matches!(part.state, PartState::Failed { .. })
}

fn change(part: &Part) -> Change {
    Change { component: part.component.clone(), to: part.target.clone() }
}

fn all(member: &Member) -> Vec<Change> {
    member.parts.iter().map(change).collect()
}

/// The line for a step of a member whose place is taken.
fn beside(member: &Member) -> Option<What> {
    let by = member.replacement()?.clone();
    let attempt = member.attempt;
    Some(match &member.state {
        MemberState::Creating { .. } => What::Create { by, attempt },
        MemberState::Applying { .. } => {
            let (component, to) = member.wanted()?;
            let change = Change { component: component.clone(), to: to.clone() };
            What::ApplyBeside { by, change, attempt }
        }
        MemberState::Settling { healthy_since: Some(_), .. } => return None,
        MemberState::Settling { healthy_since: None, .. } => What::AppliedBeside { by, has: all(member) },
        MemberState::Ready { .. } => What::Ready { by },
        MemberState::Deleting { .. } => What::Replace { by, attempt },
        MemberState::Removing { .. } => What::Remove { by, reason: member.failure()?, attempt },
        MemberState::Succeeded { .. } => What::Replaced { by, has: all(member) },
        MemberState::Failed { .. } => What::Failed { reason: member.failure()? },
        MemberState::Pending | MemberState::Hooking { .. } | MemberState::Restoring { .. } => return None,
    })
}

/// The line for a batch that has ended.
fn batch_ended(upgrade: &Upgrade, index: usize, now: Now, out: &mut Out) {
    let Some(batch) = upgrade.batches.get(index) else { return };
    let members = upgrade.batch_members(index).into_iter().cloned().collect();
    let what = What::Batch { number: index + 1, members, state: batch.state };
    out.audit(About::upgrade(upgrade, None), By::host(), what, now);
}

/// The decision that a line is about, as far as a plugin has made it.
pub(super) fn used(entry: &Entry) -> Option<Used> {
    let is_decision = match &entry.what {
        What::Decision { .. } | What::MindChanged { .. } | What::Hold { .. } | What::Admitted { .. } => true,
        What::Start { .. }
        | What::Plan { .. }
        | What::Seen { .. }
        | What::Quarantine { .. }
        | What::Leaves { .. }
        | What::Apply { .. }
        | What::Applied { .. }
        | What::Succeeded { .. }
        | What::Restore { .. }
        | What::Failed { .. }
        | What::Stalls(_)
        | What::Create { .. }
        | What::ApplyBeside { .. }
        | What::AppliedBeside { .. }
        | What::Ready { .. }
        | What::Replace { .. }
        | What::Remove { .. }
        | What::Replaced { .. }
        | What::Hook { .. }
        | What::HookEnded { .. }
        | What::Batch { .. }
        | What::End { .. }
        | What::ExtensionEnds { .. }
        | What::Retry { .. }
        | What::Wish { .. }
        | What::Waits { .. }
        | What::Word { .. }
        | What::Line { .. }
        | What::SelfDoubt { .. }
        | What::Record { .. }
        | What::Process { .. }
        | What::StaysDeleted { .. }
        | What::PluginTrouble { .. }
        | What::PluginAsked { .. }
        | What::Reloaded { .. }
        | What::Members { .. }
        | What::Provision { .. }
        | What::PluginReverted { .. } => false,
    };
    let at = entry.stamp.as_ref().filter(|_| is_decision)?.judged_at;
    Some(Used {
        scale_set: entry.scale_set.clone(),
        upgrade: entry.upgrade.clone()?,
        instance: entry.instance.clone()?,
        at,
    })
}

#[cfg(test)]
mod tests;
