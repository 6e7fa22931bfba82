//! An earlier generation comes back, under a new number: because a person wants it, because the active one did
//! not pass its watch, or because it fails and the earlier one does better. It goes past a load that is under
//! way, which then ends.

use std::sync::Arc;

use super::compare::Summary;
use super::effect::{Effect, From};
use super::history::ways_back;
use super::job::{Candidate, Job, Purpose, Return, ReturnWhy};
use super::life::PluginLife;
use super::prepare::{self, not_pinned, put};
use super::promote::{show_last, trouble};
use super::reason::{self, HandError, Left, Unfit, Why};
use super::refusal::{Refusal, RefusalReason};
use super::said::{Fact, WhyStays};
use super::stage::{Stage, StepState};
use super::step::{Out, Reply, Store};
use super::takeover::{Afterwards, NamedBy, Taking, take_over};
use super::{trial, unfit};
use crate::domain::{Generation, Now, RequestId, Strategy};
use crate::record::StoredGeneration;

/// A person goes back: to the generation that is named, else to the latest one that differs, can run, and was
/// not left for being worse.
pub(super) fn wanted(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    request: RequestId,
    to: Option<Generation>,
    now: Now,
) {
    let is_asking =
        |job: &mut Job| matches!(&job.purpose, Purpose::Return(Return { why: ReturnWhy::Circuit(_), .. }));
    if let Some(asking) = life.back.take_if(is_asking) {
        out.act(Effect::Cancel(asking.load.ticket));
    }
    if let Some(job) = &life.back {
        let load = job.load.trace.running().map(|stage| (job.load.source.clone(), stage));
        return out.refuse(life, request, RefusalReason::Busy { load });
    }
    let Some(active) = &life.active else { return };
    let ways: Vec<StoredGeneration> = match to {
        Some(to) => life.history.iter().filter(|row| row.generation == to).cloned().collect(),
        None => ways_back(&life.history, (active.digest, &active.settings)).into_iter().cloned().collect(),
    };
    if let (Some(wanted), true) = (to, ways.is_empty()) {
        return out.refuse(life, request, RefusalReason::NoGeneration { wanted, known: known(life) });
    }
    begin(life, out, ReturnWhy::Rollback(request, to), ways, now);
}

/// Tries the first of these generations that may run, and the others after it.
pub(super) fn begin(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    why: ReturnWhy,
    ways: Vec<StoredGeneration>,
    now: Now,
) {
    go_on(life, out, (why, ways, Vec::new()), now);
}

fn go_on(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (why, ways, mut unfit): (ReturnWhy, Vec<StoredGeneration>, Vec<(Generation, Unfit)>),
    now: Now,
) {
    let mut ways = ways.into_iter();
    let strategy = match why {
        ReturnWhy::Rollback(..) | ReturnWhy::Watch(_) => Strategy::Immediate,
        ReturnWhy::Circuit(_) => Strategy::Rehearse,
    };
    for to in ways.by_ref() {
        if let Some(other) = not_pinned(to.digest, &life.spec) {
            unfit.push((to.generation, other));
            continue;
        }
        let candidate = Candidate::kept(&to);
        let purpose = Purpose::Return(Return { why, to, others: ways.collect(), unfit });
        return prepare::begin(life, out, (purpose, candidate, strategy), now);
    }
    exhausted(life, out, why, unfit);
}

/// None of them can come back.
fn exhausted(life: &mut PluginLife, out: &mut Out<'_>, why: ReturnWhy, unfit: Vec<(Generation, Unfit)>) {
    let Some(active) = life.named() else { return };
    match why {
        ReturnWhy::Rollback(request, named) => {
            let reason = RefusalReason::NoWayBack { named, unfit, active, known: known(life) };
            out.refuse(life, request, reason);
        }
        ReturnWhy::Watch(left) => {
            let Some((former, unfit)) = unfit.into_iter().next() else { return };
            stays_though(life, out, left, (former, unfit));
        }
        ReturnWhy::Circuit(failing) => {
            super::circuit::nothing_better(life, out, failing, WhyStays::NoneBetter(unfit));
        }
    }
}

fn known(life: &PluginLife) -> Vec<Generation> {
    life.history.iter().map(|row| row.generation).collect()
}

/// A generation that did not pass its watch stays, because the one before cannot come back.
fn stays_though(life: &mut PluginLife, out: &mut Out<'_>, left: Left, (former, unfit): (Generation, Unfit)) {
    if !life.is_watched() {
        return;
    }
    let (Some(bad), Some(mut trial)) = (life.named(), trial::end_trial(life, out)) else { return };
    out.act(Effect::Cancel(trial.ticket));
    trial.load.trace.end(Stage::Watch, StepState::Failed, Some(left.to_string()), trial.ready_by);
    let digest = life.history.iter().find(|row| row.generation == former).map(|row| row.digest);
    let former = reason::Named { generation: former, digest: digest.unwrap_or(bad.digest) };
    let fact = Fact::StaysThough { bad, left, former, unfit };
    trouble(life, fact.clone());
    out.say(fact);
    show_last(life, trial.load);
}

/// One of them cannot come back; the next one may.
pub(super) fn failed(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    job: Job,
    (stage, unfit): (Stage, Unfit),
    now: Now,
) {
    let Purpose::Return(Return { why, to, others, unfit: mut before }) = job.purpose else { return };
    let is_over = match (&why, &unfit) {
        (_, Unfit::Overtaken { .. } | Unfit::NotRecorded(_)) => true,
        // What is there and does not run is said at once; a person may name another one.
        (ReturnWhy::Rollback(..), other) => {
            !matches!(other, Unfit::Hand(HandError::Missing(_)) | Unfit::NotPinned { .. })
        }
        (ReturnWhy::Watch(_) | ReturnWhy::Circuit(_), _) => false,
    };
    if !is_over {
        if matches!(why, ReturnWhy::Rollback(..)) {
            out.say(Fact::PassedOver { generation: to.generation, unfit: unfit.clone() });
        }
        before.push((to.generation, unfit));
        return go_on(life, out, (why, others, before), now);
    }
    let source = job.candidate.source;
    let reason = RefusalReason::Unfit { stage: Some(stage), source, unfit, active: life.named() };
    let refusal = Refusal { plugin: life.name().clone(), reason };
    let fact = Fact::Refused(refusal.clone());
    out.say(fact.clone());
    if let ReturnWhy::Rollback(request, _) = why {
        life.counters.refused = life.counters.refused.saturating_add(1);
        trouble(life, fact);
        out.replies.push((request, Err(refusal)));
        show_last(life, job.load);
    }
}

/// An earlier generation has judged what the active one fails on.
pub(super) fn rehearsed(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, seen: &Summary, now: Now) {
    let is_better = seen.failed_old > seen.failed_new;
    job.load.trace.end(Stage::Rehearse, StepState::Passed, None, now.at);
    // It is not shown.
    out.act(Effect::DropComparison(job.load.ticket));
    if is_better {
        return passed(life, out, job, now);
    }
    out.act(Effect::Cancel(job.load.ticket));
    let Purpose::Return(Return { why, others, unfit, .. }) = job.purpose else { return };
    go_on(life, out, (why, others, unfit), now);
}

/// It can come back.
pub(super) fn passed(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    if let Store::Refuses(said) = out.store {
        return unfit::fail(life, out, job, Unfit::NotRecorded(said.to_owned()), now);
    }
    let (Some(bytes), Some(active)) = (job.bytes, life.active.clone()) else { return put(life, job) };
    let is_same = bytes.0 == active.digest && *job.candidate.settings == *active.settings;
    let Purpose::Return(Return { why, to, .. }) = job.purpose.clone() else { return put(life, job) };
    if let (ReturnWhy::Rollback(request, _), true) = (&why, is_same) {
        job.load.trace.skip(Stage::Promote, "it is the active one already".to_owned(), now.at);
        out.act(Effect::Cancel(job.load.ticket));
        life.last_error = None;
        out.reply(*request, Reply::RolledBack);
        return show_last(life, job.load);
    }
    let bad = active.named();
    let back = reason::Named { generation: to.generation, digest: to.digest };
    let left = match &why {
        ReturnWhy::Rollback(..) => None,
        ReturnWhy::Watch(left) => Some(left.clone()),
        ReturnWhy::Circuit(failing) => Some(Left::Failing(failing.clone())),
    };
    let shown = leave(life, out, left.as_ref(), now);
    let because = left.clone().map_or(Why::Rollback, |left| Why::Better { than: bad.generation, left });
    let Job { candidate, load, facts, .. } = job;
    let candidate = Candidate { from: From::Kept(bytes.0), ..candidate };
    let taking = Taking { ticket: load.ticket, candidate, bytes, facts, named_by: NamedBy::Otherwise };
    if let ReturnWhy::Circuit(_) = &why {
        life.counters.loads = life.counters.loads.saturating_add(1);
    }
    take_over(life, out, taking, (because, Afterwards::Nothing, load), now);
    life.last_error = None;
    if let ReturnWhy::Watch(_) = &why {
        // The load that was watched is the one to look at.
        life.last = shown;
    }
    match (why, left) {
        (ReturnWhy::Rollback(request, _), _) => out.reply(request, Reply::RolledBack),
        (ReturnWhy::Watch(_) | ReturnWhy::Circuit(_), Some(left)) => {
            let fact = Fact::WentBack { bad, left, to: back };
            trouble(life, fact.clone());
            out.say(fact);
        }
        (ReturnWhy::Watch(_) | ReturnWhy::Circuit(_), None) => {}
    }
}

/// Nothing goes back to the active generation by itself any more. Gives the load that is shown then.
fn leave(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    left: Option<&Left>,
    now: Now,
) -> Option<super::job::Load> {
    let left = left?;
    if let Some(last) = Arc::make_mut(&mut life.history).last_mut() {
        last.left_because = Some(left.to_string());
    }
    life.counters.reverted = life.counters.reverted.saturating_add(1);
    if let (Left::Watch(reason), true) = (left, life.is_watched())
        && let Some(mut trial) = trial::end_trial(life, out)
    {
        out.act(Effect::Cancel(trial.ticket));
        trial.load.trace.end(Stage::Watch, StepState::Failed, Some(left.to_string()), now.at);
        if let Some(diff) = &mut life.diff {
            // What was seen since does not matter.
            diff.refusal = Some(Unfit::Gate(reason.clone()));
        }
        show_last(life, trial.load);
    }
    life.last.clone()
}
