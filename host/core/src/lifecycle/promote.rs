//! What becomes of a component that passed: it takes over, judges beside the active one first, or was only to
//! be shown. And what a takeover leaves behind.

use std::sync::Arc;

use super::effect::{Effect, From, Role, ShadowOrder};
use super::event::{Facts, SwapMode, Ticket};
use super::history::prune;
use super::job::{ANSWER_WITHIN, Candidate, Instead, Job, Kept, Load, Purpose, Start};
use super::life::{Active, Diff, PluginLife, Trial, TrialKind};
use super::prepare::{configured, fail, put};
use super::reason::{EndedFor, Refusal, RefusalReason, Unfit, Why};
use super::said::{Fact, Said};
use super::stage::{Stage, StepState};
use super::step::{Out, Reply, Store};
use super::{gate, reload, shadow, startup, watch};
use crate::domain::{Digest, Generation, Now, PluginSpec, Strategy, Timestamp};
use crate::record::{Forced, StoredGeneration};

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

/// Whether the generation before is on its way back: whoever wants to take over waits for that.
fn is_going_back(life: &PluginLife) -> bool {
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

/// Lets the component of a job take over, and answers whoever waits for it.
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
    let is_configured = Named::of(&candidate);
    let taking = Taking { ticket: load.ticket, candidate, bytes, facts, is_configured };
    let diff = life.diff.clone().filter(|diff| seen.is_some() && diff.ticket == load.ticket);
    take_over(life, out, taking, (why, afterwards, load), now);
    if let Purpose::Swap(request, _) = purpose {
        out.reply(request, Reply::Swapped(diff.map(Box::new)));
    }
    life.last_error = None;
}

/// What a promotion leaves behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// The former component judges on, with the limits of the gate.
    Watch,
    /// It judges on; only failures count, because a person has seen the changes.
    WatchFailures,
    /// Nothing: a person insists, or it is a way back.
    Nothing,
}

/// Who named a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The configuration.
    ByConfiguration,
    /// A person or the history.
    Otherwise,
}

impl Named {
    pub(super) fn of(candidate: &Candidate) -> Self {
        match candidate.from {
            From::Configured | From::Proposed => Self::ByConfiguration,
            From::Held(_) | From::Reference(_) | From::Kept(_) => Self::Otherwise,
        }
    }
}

/// A component that takes over.
pub(super) struct Taking {
    pub(super) ticket: Ticket,
    pub(super) candidate: Candidate,
    pub(super) bytes: (Digest, usize),
    pub(super) facts: Facts,
    pub(super) is_configured: Named,
}

/// The one place where a generation takes over from another one.
pub(super) fn take_over(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    taking: Taking,
    (why, afterwards, mut load): (Why, Afterwards, Load),
    now: Now,
) {
    let Some(former) = life.active.clone() else { return };
    let Taking { ticket, candidate, bytes: (digest, size), facts, is_configured } = taking;
    let named = match is_configured {
        Named::ByConfiguration => configured(digest, &candidate.settings),
        // What the configuration names now is not taken up again at the next start.
        Named::Otherwise => life
            .considered
            .map_or(former.configured, |considered| configured(considered, &life.spec.settings)),
    };
    if is_configured == Named::ByConfiguration {
        life.refused = None;
    }
    let active = Active {
        source: candidate.source,
        digest,
        generation: life.next_generation(),
        settings: candidate.settings,
        configured: named,
        facts,
        size,
        loaded_at: now.wall.date(),
    };
    push_row(life, &active, &why);
    let taken = active.named();
    end_for(life, out, EndedFor::TookOver(taken, why.clone()), now);
    out.act(Effect::Activate { ticket, generation: active.generation });
    out.in_force = Some(active.generation);
    out.say(Fact::TookOver { source: active.source.clone(), named: taken, why });
    load.trace.end(Stage::Promote, StepState::Passed, Some(taken.to_string()), now.at);
    life.active = Some(active);
    life.counters.promoted = life.counters.promoted.saturating_add(1);
    overtake(life, out, former.generation, now);
    watch::begin(life, out, (&former, afterwards), load, now);
    out.act(Effect::Retain(life.used()));
}

/// Adds a generation to the history.
pub(super) fn push_row(life: &mut PluginLife, active: &Active, why: &Why) {
    let forced = if *why == Why::Forced { Forced::Yes } else { Forced::No };
    let history = Arc::make_mut(&mut life.history);
    history.push(StoredGeneration {
        generation: active.generation,
        digest: active.digest,
        source: active.source.clone(),
        settings: active.settings.to_string(),
        at: active.loaded_at,
        why: why.to_string(),
        left_because: None,
        forced,
    });
    prune(history);
}

/// What was loaded beside the former generation was compared with that one, and ends.
fn overtake(life: &mut PluginLife, out: &mut Out<'_>, before: Generation, now: Now) {
    let Some(active) = life.named() else { return };
    let others: Vec<Job> = life.load.take().into_iter().chain(life.back.take()).collect();
    // What is ready for a reload is looked at when it is taken up.
    for job in others {
        fail(life, out, job, Unfit::Overtaken { before, active }, now);
    }
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

/// Ends what judges beside the active component, for a reason that is not its own.
pub(super) fn end_for(life: &mut PluginLife, out: &mut Out<'_>, why: EndedFor, now: Now) {
    let active = life.named();
    let Some(mut trial) = life.trial.take() else { return };
    if is_going_back(life)
        && let Some(back) = life.back.take()
    {
        out.act(Effect::Cancel(back.load.ticket));
    }
    let (stage, what) = match &trial.kind {
        TrialKind::Shadow(shadowed) => (Stage::Shadow, shadowed.candidate.source.clone()),
        TrialKind::Watch(_) => (Stage::Watch, active.map_or_else(String::new, |active| active.to_string())),
    };
    trial.load.trace.end(stage, StepState::Skipped, Some(why.to_string()), now.at);
    if let (Some(request), Some(active)) = (trial.asked, active) {
        let (source, before) = (trial.load.source.clone(), active.generation);
        let unfit = Unfit::Overtaken { before, active };
        let reason = RefusalReason::Unfit { stage: Some(stage), source, unfit, active: Some(active) };
        out.replies.push((request, Err(Refusal { plugin: life.name().clone(), reason })));
    }
    out.say(Fact::TrialEnded { what, stage, why });
    out.act(Effect::EndShadow(trial.ticket));
    out.act(Effect::Cancel(trial.ticket));
    if life.diff.as_ref().is_none_or(|diff| diff.ticket != trial.ticket) {
        out.act(Effect::DropComparison(trial.ticket));
    }
    show_last(life, trial.load);
}

/// Ends the trial and keeps what it showed.
pub(super) fn end_trial(life: &mut PluginLife, out: &mut Out<'_>) -> Option<Trial> {
    let diff = trial_diff(life);
    let trial = life.trial.take()?;
    if let Some(diff) = diff {
        show_diff(life, out, diff);
    }
    out.act(Effect::EndShadow(trial.ticket));
    Some(trial)
}

/// What the trial has shown so far.
pub(super) fn trial_diff(life: &PluginLife) -> Option<Diff> {
    let (trial, active) = (life.trial.as_ref()?, life.active.as_ref()?);
    let (seen, ticket) = (trial.seen.clone(), trial.ticket);
    Some(match &trial.kind {
        TrialKind::Shadow(shadowed) => {
            let refusal = gate::refusal(&seen, trial.gate.as_ref()).map(Unfit::Gate);
            Diff { ticket, stage: Stage::Shadow, from: active.digest, to: shadowed.bytes.0, seen, refusal }
        }
        TrialKind::Watch(watched) => {
            let refusal = watch::reversal(trial, watched).map(Unfit::Gate);
            let from = watched.former.digest;
            Diff { ticket, stage: Stage::Watch, from, to: active.digest, seen, refusal }
        }
    })
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

/// What is said to the hands of a component that judges beside the active one.
pub(super) fn order(
    spec: &PluginSpec,
    (digest, settings): (Digest, &Arc<str>),
    (role, live): (Role, Generation),
    gate: Option<crate::domain::Gate>,
) -> Box<ShadowOrder> {
    Box::new(ShadowOrder { digest, setting: super::job::setting(spec, settings), role, live, gate })
}

/// When a trial is to be looked at by the time alone; in the past where only its comparison counts now.
pub(super) fn due_at(trial: &Trial, spec: &PluginSpec) -> Option<Timestamp> {
    let Some(began_at) = trial.began_at else { return Some(trial.ready_by) };
    match &trial.kind {
        TrialKind::Shadow(_) => Some(began_at + trial.gate.as_ref()?.time_min),
        TrialKind::Watch(_) => Some(began_at + spec.swap.watch_time),
    }
}

/// Whether a start runs what the configuration names in place of a recorded generation.
pub(super) fn instead(purpose: &Purpose) -> Option<(Generation, &Unfit)> {
    match purpose {
        Purpose::Start(Start::Named(Instead::Of(generation, unfit))) => Some((*generation, unfit)),
        Purpose::Start(Start::Named(Instead::Nothing) | Start::Look | Start::Recorded)
        | Purpose::Swap(..)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Reload(..)
        | Purpose::Return(_) => None,
    }
}
