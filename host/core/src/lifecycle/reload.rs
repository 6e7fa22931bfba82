//! What a changed configuration wants of a plugin, in two halves: first everything that can fail, without an
//! effect; then all plugins of the host take up what is ready together, or none of them does.
//!
//! What runs goes on with other settings and limits. The configured component comes in only where the file
//! names another one, or its place holds other bytes than when it was looked at last. A shadow does not fit
//! into all or nothing: under that strategy the gate sees a rehearsal.

use std::sync::Arc;

use super::effect::{Effect, From};
use super::event::Place;
use super::gate;
use super::job::{ANSWER_WITHIN, Again, Candidate, Job, Names, Part, Purpose, Wanted};
use super::life::{Active, Diff, PluginLife};
use super::prepare::{self, configured, put};
use super::promote::{self, Afterwards, Named, Taking, show_diff, show_last, take_over, trouble};
use super::reason::{HandError, Refusal, RefusalReason, Unfit, Why};
use super::said::Fact;
use super::stage::{Stage, StepState};
use super::step::{Out, Reply, Store};
use crate::domain::{Digest, Now, PluginSpec, RequestId, Strategy, Timestamp};

/// What a reload has prepared.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    request: RequestId,
    spec: Arc<PluginSpec>,
    wanted: Wanted,
    /// The component that takes over; none where what runs stays.
    job: Option<Job>,
    /// When it is given up.
    pub(super) until: Timestamp,
}

impl Ready {
    /// Its load, where one takes over.
    pub(super) fn shown(&self) -> Option<&super::job::Load> {
        self.job.as_ref().map(|job| &job.load)
    }
}

/// What a reload did to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenUp {
    /// Whether the configuration says something else about it, or another component took over.
    pub changed: Part,
    /// What ran before.
    pub from: Digest,
    /// What runs now.
    pub to: Digest,
    /// What of the configuration was refused or could not be looked at.
    pub warning: Option<Fact>,
    /// What of it was left where it is.
    pub hint: Option<Fact>,
}

/// Begins to prepare, as soon as no other candidate is on its way.
pub(super) fn prepare(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    request: RequestId,
    (spec, place): (Arc<PluginSpec>, Place),
    now: Now,
) {
    if life.wishes.reload.is_some() || life.ready.is_some() {
        return out.refuse(life, request, RefusalReason::Busy { load: None });
    }
    let Some(wanted) = wanted(life, &spec, place) else { return };
    if wanted.kept.is_none() && wanted.names == Names::TheSame && wanted.place == Place::Fixed {
        return make_ready(life, out, (request, spec, wanted, None), now);
    }
    life.wishes.reload = Some((request, spec, wanted));
}

fn wanted(life: &PluginLife, after: &PluginSpec, place: Place) -> Option<Wanted> {
    let (active, before) = (life.active.as_ref()?, &life.spec);
    let named = life.considered.map(|digest| configured(digest, &before.settings));
    let was_refused = life.refused.as_ref().is_some_and(|refused| Some(refused.configured) == named);
    let has_run = life.history.iter().any(|row| Some(row.digest) == life.considered);
    let is_same = (&before.source, before.digest) == (&after.source, after.digest);
    let is_run_otherwise = (before.limits, before.isolation) != (after.limits, after.isolation);
    let has_other_settings = before.settings != after.settings;
    // A way back has settings of its own, which stay as long as the file does not say otherwise.
    let settings =
        if has_other_settings { after.settings.as_str().into() } else { Arc::clone(&active.settings) };
    let kept = Candidate { from: From::Kept(active.digest), source: active.source.clone(), settings };
    let kept = Some(kept).filter(|_| has_other_settings || is_run_otherwise);
    let is_tried = was_refused && !has_run && kept.is_some();
    Some(Wanted {
        part: if **before == *after { Part::Same } else { Part::Changed },
        names: if is_same { Names::TheSame } else { Names::Another },
        place,
        kept,
        again: if is_tried { Again::Tried } else { Again::Left },
        found: None,
        unread: None,
    })
}

/// Looks at what the configuration names.
pub(super) fn begin(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    request: RequestId,
    (spec, wanted): (Arc<PluginSpec>, Wanted),
    now: Now,
) {
    let strategy = match spec.swap.strategy {
        Strategy::Immediate => Strategy::Immediate,
        Strategy::Rehearse | Strategy::Shadow => Strategy::Rehearse,
    };
    let candidate = Candidate::configured(&spec, From::Proposed);
    prepare::begin_with(life, out, (Purpose::Reload(request, wanted), candidate, strategy), spec, now);
}

/// The place that the configuration names holds these bytes.
pub(super) fn looked(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    let considered = life.considered;
    let (Some(digest), Purpose::Reload(_, wanted)) = (job.digest(), &mut job.purpose) else { return };
    wanted.found = Some(digest);
    let is_other = wanted.names == Names::Another || considered != Some(digest);
    if is_other || wanted.again == Again::Tried {
        return prepare::check(life, out, job, now);
    }
    let goes_on = match &wanted.kept {
        Some(Candidate { from: From::Kept(runs), .. }) if *runs != digest => {
            format!("; {} goes on", runs.short())
        }
        Some(_) | None => String::new(),
    };
    let note = format!("{} has {} as before{goes_on}", job.candidate.source, digest.short());
    job.load.trace.note(Stage::Fetch, note);
    go_on_with_kept(life, out, job, now);
}

/// Whether what is found against the configured component leaves what runs to go on: it could not be looked
/// at, or was refused before and still is.
pub(super) fn survives(job: &Job, unfit: &Unfit) -> bool {
    let Purpose::Reload(_, wanted) = &job.purpose else { return false };
    if job.candidate.from != From::Proposed || wanted.names == Names::Another {
        return false;
    }
    match job.at {
        Stage::Fetch => !matches!(unfit, Unfit::Hand(HandError::OtherBytes(_)) | Unfit::NoAnswer { .. }),
        Stage::Digest
        | Stage::Shape
        | Stage::Compile
        | Stage::Link
        | Stage::Configure
        | Stage::SelfTest
        | Stage::Rehearse
        | Stage::Shadow
        | Stage::Promote
        | Stage::Watch => wanted.again == Again::Tried && unfit.is_about_it(),
    }
}

/// The configured component keeps nothing from what runs.
pub(super) fn not_looked_at(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, unfit: Unfit, now: Now) {
    if let (Purpose::Reload(_, wanted), Stage::Fetch) = (&mut job.purpose, job.at) {
        job.load.trace.end(Stage::Fetch, StepState::Skipped, Some(unfit.to_string()), now.at);
        wanted.unread = Some(unfit);
    }
    go_on_with_kept(life, out, job, now);
}

/// What runs, loaded once more for its new settings and limits, if there are any.
fn go_on_with_kept(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    let Purpose::Reload(_, wanted) = &mut job.purpose else { return };
    let Some(kept) = wanted.kept.clone() else { return settled(life, out, job, now) };
    let ticket = life.ticket();
    out.act(Effect::Cancel(job.load.ticket));
    out.act(Effect::Fetch(ticket, kept.from.clone()));
    job.load.ticket = ticket;
    job.load.source.clone_from(&kept.source);
    job.candidate = kept;
    job.bytes = None;
    job.at = Stage::Fetch;
    job.until = now.at + ANSWER_WITHIN;
    put(life, job);
}

/// Nothing takes over: what runs is what is wanted.
fn settled(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    out.act(Effect::Cancel(job.load.ticket));
    let Job { purpose, spec, load, .. } = job;
    let Purpose::Reload(request, wanted) = purpose else { return };
    show_last(life, load);
    make_ready(life, out, (request, spec, wanted, None), now);
}

/// A component passed every stage before its promotion.
pub(super) fn passed(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    let (Some(digest), Some(active)) = (job.digest(), life.active.clone()) else { return put(life, job) };
    if let Some(unproved) = job.unproved
        && !is_same(&job, &active, &life.spec)
    {
        // All or nothing cannot wait for it.
        return prepare::fail(life, out, job, Unfit::Unproved(unproved), now);
    }
    if is_same(&job, &active, &life.spec) {
        return settled(life, out, job, now);
    }
    if let Some(seen) = job.seen.clone() {
        let refusal = gate::refusal(&seen, job.spec.swap.gate.as_ref()).map(Unfit::Gate);
        let (ticket, from) = (job.load.ticket, active.digest);
        let diff = Diff { ticket, stage: Stage::Rehearse, from, to: digest, seen, refusal };
        show_diff(life, out, diff);
    }
    promote::keep(life, out, job, now);
}

/// Whether what runs is what is wanted already.
fn is_same(job: &Job, active: &Active, before: &PluginSpec) -> bool {
    job.digest() == Some(active.digest)
        && *job.candidate.settings == *active.settings
        && (before.limits, before.isolation) == (job.spec.limits, job.spec.isolation)
}

/// Its bytes are kept: it can take over.
pub(super) fn ready(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    let Purpose::Reload(request, wanted) = job.purpose.clone() else { return };
    make_ready(life, out, (request, Arc::clone(&job.spec), wanted, Some(job)), now);
}

fn make_ready(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (request, spec, wanted, job): (RequestId, Arc<PluginSpec>, Wanted, Option<Job>),
    now: Now,
) {
    life.ready = Some(Box::new(Ready { request, spec, wanted, job, until: now.at + ANSWER_WITHIN }));
    out.reply(request, Reply::Prepared);
}

/// All plugins are ready: from here on nothing fails but the record.
pub(super) fn take_up(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId, now: Now) {
    let Some(ready) = life.ready.take_if(|ready| ready.request == request) else {
        return out.refuse(life, request, RefusalReason::NothingPrepared);
    };
    let Some(active) = life.active.clone() else { return };
    let refuse = |unfit: Unfit| {
        let source = ready.spec.source.clone();
        let reason =
            RefusalReason::Unfit { stage: Some(Stage::Promote), source, unfit, active: Some(active.named()) };
        Refusal { plugin: ready.spec.name.clone(), reason }
    };
    if let Store::Refuses(said) = out.store {
        let refusal = refuse(Unfit::NotRecorded(said.to_owned()));
        out.replies.push((request, Err(refusal)));
        drop_job(out, &ready);
        return;
    }
    let before = ready.job.as_ref().and_then(|job| job.before);
    if let Some(before) = before.filter(|before| *before != active.generation) {
        let refusal = refuse(Unfit::Overtaken { before, active: active.named() });
        out.replies.push((request, Err(refusal)));
        drop_job(out, &ready);
        return;
    }
    let Ready { spec, wanted, job, .. } = *ready;
    let warning = warning(life, &spec, &wanted, active.digest);
    life.considered = wanted.found.or(life.considered);
    life.spec = Arc::clone(&spec);
    life.last_error = None;
    if let Some(warning) = &warning {
        trouble(life, warning.clone());
        out.say(warning.clone());
    }
    let to = job.as_ref().and_then(Job::digest).unwrap_or(active.digest);
    let hint = hint(&spec, &wanted, to).filter(|_| warning.is_none());
    let has_taken_over = job.is_some();
    if let Some(job) = job {
        take(life, out, job, now);
    }
    let is_changed = wanted.part == Part::Changed || has_taken_over;
    let changed = if is_changed { Part::Changed } else { Part::Same };
    out.reply(request, Reply::TakenUp(Box::new(TakenUp { changed, from: active.digest, to, warning, hint })));
}

fn take(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    let Some(bytes) = job.bytes else { return };
    let is_configured = Named::of(&job.candidate);
    let Job { candidate, load, facts, .. } = job;
    let taking = Taking { ticket: load.ticket, candidate, bytes, facts, is_configured };
    let said = life.last_error.clone();
    take_over(life, out, taking, (Why::Reload, Afterwards::Watch, load), now);
    life.last_error = said;
}

/// What of the configuration could not be looked at, or was refused before and still is.
fn warning(life: &PluginLife, spec: &PluginSpec, wanted: &Wanted, runs: Digest) -> Option<Fact> {
    if let (Some(unfit), Some(active)) = (wanted.unread.clone(), life.named()) {
        return Some(Fact::NotLookedAt { source: spec.source.clone(), unfit, active });
    }
    let found = wanted.found.filter(|found| *found != runs)?;
    let named = configured(found, &spec.settings);
    let refused = life.refused.as_ref().filter(|refused| refused.configured == named)?;
    Some(Fact::RefusedBefore(refused.why.clone()))
}

/// A component of the configuration that is not taken up is named, so that nobody waits for it.
fn hint(spec: &PluginSpec, wanted: &Wanted, runs: Digest) -> Option<Fact> {
    let has = wanted.found.filter(|found| *found != runs)?;
    (wanted.part == Part::Changed).then(|| Fact::Left { runs, source: spec.source.clone(), has })
}

/// What the file says of a plugin and what is not in force because it was refused; none where it is in
/// force, or judges beside the active component.
#[must_use]
pub fn not_in_force(life: &PluginLife) -> Option<&str> {
    let (active, considered) = (life.active.as_ref()?, life.considered?);
    let named = configured(considered, &life.spec.settings);
    let refused = life.refused.as_ref().filter(|refused| refused.configured == named)?;
    let runs = active.digest == considered && *active.settings == *life.spec.settings;
    let beside = life.shadowed().map(|shadowed| configured(shadowed.bytes.0, &shadowed.candidate.settings));
    (!runs && beside != Some(named)).then_some(refused.why.as_str())
}

/// Another plugin cannot take up its part: nothing changes here either.
pub(super) fn abandon(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId) {
    if let Some(ready) = life.ready.take_if(|ready| ready.request == request) {
        drop_job(out, &ready);
    }
    life.wishes.reload.take_if(|(waits, ..)| *waits == request);
    let is_its = |job: &mut Job| matches!(job.purpose, Purpose::Reload(of, _) if of == request);
    if let Some(job) = life.load.take_if(is_its) {
        out.act(Effect::Cancel(job.load.ticket));
        show_last(life, job.load);
    }
    out.reply(request, Reply::Abandoned);
}

fn drop_job(out: &mut Out<'_>, ready: &Ready) {
    if let Some(job) = &ready.job {
        out.act(Effect::Cancel(job.load.ticket));
    }
}

/// A reload that nobody takes up or abandons is over.
pub(super) fn give_up(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    if let Some(ready) = life.ready.take_if(|ready| ready.until <= now.at) {
        drop_job(out, &ready);
    }
}
