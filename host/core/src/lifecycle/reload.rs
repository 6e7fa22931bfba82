//! What a changed configuration wants of a plugin, in two halves: first everything that can fail, without an
//! effect; then (`take_up`) all plugins of the host take up what is ready together, or none of them does.
//!
//! What runs goes on with other settings and limits. The configured component comes in only where the file
//! names another one, or its place holds other bytes than when it was looked at last. A shadow does not fit
//! into all or nothing: under that strategy the gate sees a rehearsal.

mod take_up;

use std::sync::Arc;

use super::effect::{Effect, From};
use super::event::Place;
use super::job::{ANSWER_WITHIN, Again, Asks, Candidate, Job, Names, Part, Purpose, Wanted};
use super::life::{Active, Diff, PluginLife};
use super::prepare::{self, configured, put};
use super::promote::{self, show_diff, show_last};
use super::reason::{HandError, Unfit};
use super::refusal::RefusalReason;
use super::stage::{Stage, StepState};
use super::step::{Out, Reply};
use super::{gate, unfit};
use crate::domain::{Digest, Now, PluginSpec, RequestId, Strategy, Timestamp};

pub use take_up::{TakenUp, left_alone, not_in_force};
pub(super) use take_up::{abandon, give_up, take_up};

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
    let asks_the_same = wanted.asks == Asks::TheSame;
    if wanted.kept.is_none()
        && wanted.names == Names::TheSame
        && wanted.place == Place::Fixed
        && asks_the_same
    {
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
        asks: if before.asks == after.asks { Asks::TheSame } else { Asks::Another },
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
    if wanted.asks == Asks::Another {
        // Whether it is what is asked for now; what it decides nobody asks.
        job.load.strategy = Strategy::Immediate;
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
    if let Purpose::Reload(_, wanted) = &job.purpose
        && is_only_looked_at(life, wanted, digest)
        && job.candidate.from == From::Proposed
    {
        return go_on_with_kept(life, out, job, now);
    }
    if let Some(unproved) = job.unproved
        && !is_same(&job, &active, &life.spec)
    {
        // All or nothing cannot wait for it.
        return unfit::fail(life, out, job, Unfit::Unproved(unproved), now);
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

/// Whether the place holds what it held, and only something else is asked of it: it takes over from nothing.
fn is_only_looked_at(life: &PluginLife, wanted: &Wanted, found: Digest) -> bool {
    let is_the_same = wanted.names == Names::TheSame && life.considered == Some(found);
    wanted.asks == Asks::Another && is_the_same && wanted.again == Again::Left
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
