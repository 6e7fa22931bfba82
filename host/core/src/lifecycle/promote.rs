//! What becomes of a component that passed: it takes over, judges beside the active one first, or was only to
//! be shown.

use std::sync::Arc;

use super::effect::Effect;
use super::event::SwapMode;
use super::job::{ANSWER_WITHIN, Job, Kept, Load, Purpose};
use super::life::{Diff, PluginLife};
use super::prepare::put;
use super::reason::{EndedFor, Unfit, Why};
use super::said::{Fact, Said};
use super::stage::Stage;
use super::step::{Out, Reply, Store};
use super::takeover::{Afterwards, NamedBy, Taking, take_over};
use super::trial::end_for;
use super::unfit::fail;
use super::{gate, reload, shadow, startup};
use crate::domain::{Now, Strategy};

/// A component that passed every stage before its rehearsal, and what that showed.
pub(super) fn decide(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    match &job.purpose {
        Purpose::Start(_) => return startup::passed(life, out, job, now),
        Purpose::Return(_) => return super::rollback::passed(life, out, job, now),
        Purpose::Reload(..) => return reload::passed(life, out, job, now),
        Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff => {}
    }
    let (Some(digest), Some(active)) = (job.digest(), life.active.clone()) else { return put(life, job) };
    if job.is_configured() {
        life.considered = Some(digest);
    }
    if digest == active.digest && *job.candidate.settings == *active.settings {
        job.load.trace.skip(Stage::Promote, "it is the active one already".to_owned(), now.at);
        if job.is_configured() && life.shadowed().is_some() {
            end_for(life, out, EndedFor::NamesActive, now);
        }
        return finish(life, out, job, None);
    }
    let diff = job.seen.clone().map(|seen| {
        let refusal = gate::refusal(&seen, job.spec.swap.gate.as_ref()).map(Unfit::Gate);
        let (ticket, stage, from) = (job.load.ticket, Stage::Rehearse, active.digest);
        Diff { ticket, stage, from, to: digest, seen, refusal }
    });
    if let Some(diff) = &diff {
        show_diff(life, out, diff.clone());
    }
    if mode(&job) == SwapMode::DryRun {
        job.load.trace.skip(Stage::Promote, "dry run".to_owned(), now.at);
        return finish(life, out, job, diff);
    }
    if mode(&job) == SwapMode::Force || job.load.strategy == Strategy::Shadow {
        job.unproved = None;
    }
    if let Some(unproved) = job.unproved {
        let note = format!("{unproved}; it judges beside the active one first");
        job.load.trace.note(Stage::Rehearse, note);
    }
    keep(life, out, job, now);
}

/// Asks for its bytes to be kept: before a record names them.
pub(super) fn keep(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    out.act(Effect::Keep(job.load.ticket));
    job.at = Stage::Promote;
    job.until = now.at + ANSWER_WITHIN;
    let shown = if judges_beside(&job) { Stage::Shadow } else { Stage::Promote };
    job.load.trace.begin(shown, now.at);
    put(life, job);
}

fn judges_beside(job: &Job) -> bool {
    let can = matches!(job.purpose, Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff);
    can && (job.load.strategy == Strategy::Shadow || job.unproved.is_some())
}

fn mode(job: &Job) -> SwapMode {
    match &job.purpose {
        Purpose::Swap(_, options) => options.mode,
        Purpose::Start(_)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Reload(..)
        | Purpose::Return(_) => SwapMode::Heed,
    }
}

/// Whether the generation before is on its way back: what wants to take over waits for that.
pub(super) fn is_going_back(life: &PluginLife) -> bool {
    life.back.as_ref().is_some_and(|job| matches!(&job.purpose, Purpose::Return(back) if back.is_of_watch()))
}

/// Goes on with a component that waited for a way back which did not come about.
pub(super) fn go_on(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    if is_going_back(life) {
        return;
    }
    if let Some(job) = life.load.take_if(|job| job.kept == Kept::Yes) {
        kept(life, out, job, now);
    }
}

/// Its bytes are on the disk to stay.
pub(super) fn kept(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    let is_start = matches!(job.purpose, Purpose::Start(_));
    if is_going_back(life) && !is_start {
        job.kept = Kept::Yes;
        return put(life, job);
    }
    match &job.purpose {
        Purpose::Start(_) => startup::run(life, out, job, now),
        Purpose::Reload(..) => reload::ready(life, out, job, now),
        Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff if judges_beside(&job) => {
            shadow::begin(life, out, job, now);
        }
        Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff | Purpose::Return(_) => {
            let (why, after) = match (&job.purpose, mode(&job)) {
                (_, SwapMode::Force) => (Why::Forced, Afterwards::Nothing),
                (Purpose::FileChanged, _) => (Why::FileChanged, Afterwards::Watch),
                (Purpose::WhileOff, _) => (Why::WhileOff, Afterwards::Watch),
                (Purpose::Swap(..) | Purpose::Start(_) | Purpose::Reload(..) | Purpose::Return(_), _) => {
                    (Why::Swap, Afterwards::Watch)
                }
            };
            promote(life, out, job, (why, after), now);
        }
    }
}

/// Lets the component of a job take over, and answers the request that waits for it.
pub(super) fn promote(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    job: Job,
    (why, afterwards): (Why, Afterwards),
    now: Now,
) {
    if let Store::Refuses(said) = out.store {
        return fail(life, out, job, Unfit::NotRecorded(said.to_owned()), now);
    }
    let Some(bytes) = job.bytes else { return put(life, job) };
    let Job { purpose, candidate, load, facts, seen, .. } = job;
    let named_by = NamedBy::of(&candidate);
    let taking = Taking { ticket: load.ticket, candidate, bytes, facts, named_by };
    let diff = life.diff.clone().filter(|diff| seen.is_some() && diff.ticket == load.ticket);
    take_over(life, out, taking, (why, afterwards, load), now);
    if let Purpose::Swap(request, _) = purpose {
        out.reply(request, Reply::Swapped(diff.map(Box::new)));
    }
    life.last_error = None;
}

/// A job has come to its end without a takeover.
fn finish(life: &mut PluginLife, out: &mut Out<'_>, job: Job, diff: Option<Diff>) {
    out.act(Effect::Cancel(job.load.ticket));
    out.say(Fact::Loaded { source: job.load.source.clone() });
    life.last_error = None;
    if let Purpose::Swap(request, _) = job.purpose {
        out.reply(request, Reply::Swapped(diff.map(Box::new)));
    }
    show_last(life, job.load);
}

/// Shows another comparison; the hands may drop the one that was shown before.
pub(super) fn show_diff(life: &mut PluginLife, out: &mut Out<'_>, diff: Diff) {
    let ticket = diff.ticket;
    let Some(before) = life.diff.replace(diff) else { return };
    let is_at_work = life.trial.as_ref().is_some_and(|trial| trial.ticket == before.ticket);
    if before.ticket != ticket && !is_at_work {
        out.act(Effect::DropComparison(before.ticket));
    }
}

/// Shows a load that has ended, unless a later one is shown.
pub(super) fn show_last(life: &mut PluginLife, load: Load) {
    if life.last.as_ref().is_none_or(|last| last.ticket <= load.ticket) {
        life.last = Some(load);
    }
}

/// Lists what went wrong.
pub(super) fn trouble(life: &mut PluginLife, fact: Fact) {
    life.last_error = Some(Arc::new(Said { plugin: life.name().clone(), fact }));
}
