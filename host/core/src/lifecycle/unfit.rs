//! A job that cannot go on: what is said of it, to whom, and what of it is remembered.

use super::effect::Effect;
use super::job::{ANSWER_WITHIN, Job, Part, Purpose};
use super::life::{Diff, PluginLife};
use super::prepare::configured;
use super::reason::{HandError, Unfit};
use super::refusal::{Refusal, RefusalReason};
use super::said::Fact;
use super::stage::{Stage, StepState};
use super::step::Out;
use super::{promote, reload, rollback, startup, wishes};
use crate::domain::Now;
use crate::record::StoredRefusal;

/// A job cannot go on: answers the request that waits for it, and remembers what the configuration names and what did
/// not pass.
pub(super) fn fail(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, unfit: Unfit, now: Now) {
    if let (Purpose::Start(_), Unfit::Hand(HandError::NotKept(why))) = (&job.purpose, &unfit) {
        // A disk that is full keeps a later return from working, not the host from starting.
        job.load.trace.note(Stage::Promote, format!("it cannot be kept: {why}"));
        return startup::run(life, out, job, now);
    }
    let trace = &mut job.load.trace;
    if let Unfit::Hand(HandError::OtherBytes(_)) = &unfit {
        trace.end(Stage::Fetch, StepState::Passed, None, now.at);
        trace.begin(Stage::Digest, now.at);
    }
    if let Unfit::Overtaken { .. } = &unfit {
        if let Some(running) = trace.running() {
            trace.end(running, StepState::Skipped, None, now.at);
        }
        trace.begin(Stage::Promote, now.at);
    }
    let stage = trace.fail(job.at, unfit.to_string(), now.at);
    out.act(Effect::Cancel(job.load.ticket));
    match &job.purpose {
        Purpose::Start(_) => return startup::failed(life, out, job, (stage, unfit), now),
        Purpose::Return(_) => return rollback::failed(life, out, job, (stage, unfit), now),
        Purpose::Reload(..) if reload::survives(&job, &unfit) => {
            return reload::not_looked_at(life, out, job, unfit, now);
        }
        Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff | Purpose::Reload(..) => {}
    }
    let refusal = Refusal {
        plugin: life.name().clone(),
        reason: RefusalReason::Unfit {
            stage: Some(stage),
            source: job.candidate.source.clone(),
            unfit: unfit.clone(),
            active: life.named(),
        },
    };
    life.counters.refused = life.counters.refused.saturating_add(1);
    promote::trouble(life, Fact::Refused(refusal.clone()));
    out.say(Fact::Refused(refusal.clone()));
    if unfit.is_about_it() {
        reject(life, out, &job, &unfit, &refusal);
    } else if job.purpose == Purpose::FileChanged {
        // Nothing was found against it.
        life.wishes.file = life.wishes.file.or(job.digest());
        life.wishes.not_before = Some(now.at + wishes::TRY_AGAIN);
    }
    match job.purpose {
        Purpose::Swap(request, _) | Purpose::Reload(request, _) => {
            out.replies.push((request, Err(refusal)));
        }
        Purpose::Start(_) | Purpose::FileChanged | Purpose::WhileOff | Purpose::Return(_) => {}
    }
    promote::show_last(life, job.load);
}

/// Something was found against a component.
fn reject(life: &mut PluginLife, out: &mut Out<'_>, job: &Job, unfit: &Unfit, refusal: &Refusal) {
    let Some(digest) = job.digest() else { return };
    if let (Some(seen), Some(active)) = (&job.seen, &life.active) {
        let (ticket, from) = (job.load.ticket, active.digest);
        let refusal = Some(unfit.clone());
        let diff = Diff { ticket, stage: Stage::Rehearse, from, to: digest, seen: seen.clone(), refusal };
        promote::show_diff(life, out, diff);
    }
    let why = || refusal.to_string();
    let is_remembered = match &job.purpose {
        // The next start does not take up what moved and was refused.
        Purpose::Reload(_, wanted) => wanted.part == Part::Same && !matches!(unfit, Unfit::Unproved(_)),
        Purpose::Start(_)
        | Purpose::Swap(..)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Return(_) => job.is_configured(),
    };
    if is_remembered {
        life.considered = Some(digest);
        let configured = configured(digest, &job.candidate.settings);
        life.refused = Some(StoredRefusal { configured, why: why() });
    } else if job.purpose == Purpose::WhileOff
        && let Some(considered) = life.considered
    {
        // What runs does not take the settings of the configuration: they are not in force.
        let configured = configured(considered, &life.spec.settings);
        life.refused = Some(StoredRefusal { configured, why: why() });
    }
}

/// Hands that have not answered for too long.
pub(super) fn give_up(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let late = |job: &mut Job| job.until <= now.at;
    let late: Vec<Job> = life.load.take_if(late).into_iter().chain(life.back.take_if(late)).collect();
    for job in late {
        let minutes = ANSWER_WITHIN.as_secs() / 60;
        let unfit = Unfit::NoAnswer { stage: job.at, minutes };
        fail(life, out, job, unfit, now);
    }
}
