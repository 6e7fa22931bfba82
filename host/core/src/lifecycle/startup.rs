//! What runs first: what is configured meets what is recorded.
//!
//! The recorded generation goes on. What the configuration says otherwise since the host was off becomes a
//! candidate beside it, as it would have while the host ran, unless it was refused before. Only where nothing
//! is recorded, or it can no longer run, does the host begin with what the configuration names.
//!
//! | recorded  | what the configuration names     | runs first               | then                        |
//! |-----------|----------------------------------|--------------------------|-----------------------------|
//! | nothing   | passes                           | it, generation 1         |                             |
//! | nothing   | does not pass                    | nothing: no start        |                             |
//! | something | the same bytes and settings      | it, the same generation  |                             |
//! | something | the same, and does not pass now  | the recorded one         | it is said                  |
//! | something | another one                      | the recorded one         | it goes through the stages  |
//! | something | another one, refused before      | the recorded one         | it is said                  |
//! | something | cannot be fetched                | the recorded one         | it is said                  |
//! | cannot run| passes                           | it, a new generation     | it is said                  |
//! | cannot run| does not pass                    | nothing: no start        |                             |

mod otherwise;

use std::sync::Arc;

use super::effect::{Effect, From};
use super::job::{Candidate, Instead, Job, Load, Purpose, Start};
use super::life::{Active, PluginLife, Standing};
use super::prepare::{self, configured};
use super::promote::{self, show_last};
use super::reason::{Unfit, Why};
use super::refusal::{Refusal, RefusalReason};
use super::said::{Fact, WhyLost};
use super::stage::{Stage, StepState};
use super::step::{Out, Store};
use super::takeover::push_row;
use super::{shadow, watch};
use crate::domain::{Digest, Generation, Now, Strategy, Timestamp};
use crate::record::{Forced, StoredGeneration, StoredPlugin};
use otherwise::{otherwise, say_instead};

/// What is known of a start that has not come to its end.
#[derive(Debug, Clone)]
pub(super) struct Starting {
    stored: Option<Arc<StoredPlugin>>,
    /// What the configuration names, as far as it was looked at and is not what runs first.
    named: Option<Looked>,
}

/// What became of what the configuration names.
#[derive(Debug, Clone)]
enum Looked {
    /// Its place holds this.
    Holds(Digest),
    /// It cannot be used.
    Failed { stage: Stage, unfit: Unfit, load: Load },
}

/// The host starts.
pub(super) fn booted(life: &mut PluginLife, out: &mut Out<'_>, stored: Option<Arc<StoredPlugin>>, now: Now) {
    if life.start.is_some() || life.active.is_some() {
        return;
    }
    if let Some(stored) = &stored {
        life.history = Arc::new(stored.history.iter().map(of_older_host).collect());
        life.refused = stored.refused.clone();
        life.considered = stored.considered;
        life.recorded = Some(Arc::clone(stored));
    }
    life.start = Some(Starting { stored, named: None });
    begin(life, out, (Start::Look, Candidate::configured(&life.spec.clone(), From::Configured)), now);
}

/// In records of hosts that did not write down whether a person insisted, the reason is all that says so.
fn of_older_host(row: &StoredGeneration) -> StoredGeneration {
    let forced = if row.why == Why::Forced.to_string() { Forced::Yes } else { row.forced };
    StoredGeneration { forced, ..row.clone() }
}

fn begin(life: &mut PluginLife, out: &mut Out<'_>, (start, candidate): (Start, Candidate), now: Now) {
    prepare::begin(life, out, (Purpose::Start(start), candidate, Strategy::Immediate), now);
}

/// The recorded generation as a row; where it has none, what is known of it.
fn recorded(life: &PluginLife, stored: &StoredPlugin) -> StoredGeneration {
    let last = stored.history.last().filter(|last| last.digest == stored.digest);
    last.cloned().unwrap_or_else(|| StoredGeneration {
        generation: stored.generation,
        digest: stored.digest,
        source: "upload".to_owned(),
        settings: life.spec.settings.clone(),
        at: Timestamp(0),
        why: String::new(),
        left_because: None,
        forced: Forced::No,
    })
}

/// The place that the configuration names was looked at.
pub(super) fn looked(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    let (Some(digest), Some(start)) = (job.digest(), life.start.clone()) else { return };
    let is_first = match &start.stored {
        None => true,
        // The same bytes with the same settings, and with the cases that are beside them today.
        Some(stored) => digest == stored.digest && recorded(life, stored).settings == life.spec.settings,
    };
    if is_first {
        job.purpose = Purpose::Start(Start::Named(Instead::Nothing));
        return prepare::check(life, out, job, now);
    }
    out.act(Effect::Cancel(job.load.ticket));
    life.start = Some(Starting { named: Some(Looked::Holds(digest)), ..start });
    run_recorded(life, out, now);
}

fn run_recorded(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let Some(stored) = life.start.as_ref().and_then(|start| start.stored.clone()) else { return };
    let row = recorded(life, &stored);
    begin(life, out, (Start::Recorded, Candidate::kept(&row)), now);
}

/// One of the loads of the start does not pass.
pub(super) fn failed(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    job: Job,
    (stage, unfit): (Stage, Unfit),
    now: Now,
) {
    let (Purpose::Start(kind), Some(start)) = (&job.purpose, life.start.clone()) else { return };
    match (kind, &start.stored, start.named.clone()) {
        (Start::Look | Start::Named(Instead::Nothing), Some(_), _) => {
            let named = Some(Looked::Failed { stage, unfit, load: job.load });
            life.start = Some(Starting { named, ..start });
            run_recorded(life, out, now);
        }
        (Start::Recorded, Some(stored), Some(Looked::Holds(_))) => {
            let instead = Start::Named(Instead::Of(stored.generation, unfit));
            let candidate = Candidate::configured(&life.spec.clone(), From::Configured);
            begin(life, out, (instead, candidate), now);
        }
        (Start::Recorded, Some(_), Some(Looked::Failed { stage, unfit, load })) => {
            cannot(life, out, (stage, unfit, load.source.clone()));
        }
        (Start::Recorded, _, _)
        | (Start::Look | Start::Named(Instead::Nothing), None, _)
        | (Start::Named(Instead::Of(..)), _, _) => {
            let source = job.candidate.source.clone();
            cannot(life, out, (stage, unfit, source));
        }
    }
}

/// A host does not begin with less than it was told to.
fn cannot(life: &mut PluginLife, out: &mut Out<'_>, (stage, unfit, source): (Stage, Unfit, String)) {
    let plugin = life.name().clone();
    let reason = RefusalReason::Unfit { stage: Some(stage), source, unfit, active: None };
    let refusal = Refusal { plugin, reason };
    out.say(Fact::Refused(refusal.clone()));
    life.standing = Standing::Failed(Box::new(refusal));
    life.start = None;
}

/// A component passed that may run first. What runs already once is kept already.
pub(super) fn passed(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    match job.candidate.from {
        From::Kept(_) => run(life, out, job, now),
        From::Configured | From::Proposed | From::Held(_) | From::Reference(_) => {
            promote::keep(life, out, job, now);
        }
    }
}

/// The first generation decides.
pub(super) fn run(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    if let Store::Refuses(said) = out.store {
        out.act(Effect::Cancel(job.load.ticket));
        let unfit = Unfit::NotRecorded(said.to_owned());
        return cannot(life, out, (Stage::Promote, unfit, job.candidate.source));
    }
    let (Some(start), Some((digest, size))) = (life.start.take(), job.bytes) else { return };
    let instead = instead(&job.purpose).map(|(before, unfit)| (before, unfit.clone()));
    let why = instead.clone().map_or(Why::Start, |(before, unfit)| Why::StartInstead { before, unfit });
    let same = start.stored.clone().filter(|stored| {
        stored.digest == digest && recorded(life, stored).settings == *job.candidate.settings
    });
    let is_named = job.candidate.from == From::Configured;
    let now_configured = configured(digest, &life.spec.settings);
    let stored_configured = start.stored.as_ref().map(|stored| stored.configured);
    let active = Active {
        source: job.candidate.source.clone(),
        digest,
        generation: same.as_ref().map_or_else(|| life.next_generation(), |same| same.generation),
        settings: Arc::clone(&job.candidate.settings),
        configured: stored_configured.filter(|_| !is_named).unwrap_or(now_configured),
        facts: job.facts.clone(),
        size,
        loaded_at: now.wall.date(),
    };
    if is_named {
        life.considered = Some(digest);
        life.refused = life.refused.take().filter(|_| instead.is_none() && start.stored.is_some());
    }
    if life.history.last().map(|last| last.generation) != Some(active.generation) {
        push_row(life, &active, &why);
    }
    let named = active.named();
    out.act(Effect::Activate { ticket: job.load.ticket, generation: active.generation });
    out.in_force = Some(active.generation);
    out.say(Fact::TookOver { source: active.source.clone(), named, why });
    if let Some(running) = job.load.trace.running() {
        job.load.trace.end(running, StepState::Passed, Some(named.to_string()), now.at);
    }
    life.active = Some(active);
    life.standing = Standing::Running;
    match (&instead, &start.stored) {
        (Some((_, unfit)), Some(stored)) => say_instead(life, out, (stored, unfit, &job)),
        (None, _) if is_named => {}
        (Some(_), None) | (None, _) => otherwise(life, out, &start),
    }
    show_last(life, job.load.clone());
    resume(life, out, (start.stored.as_deref(), same.as_deref()), job.load, now);
    if let Some(Looked::Failed { mut load, .. }) = start.named {
        // What the configuration names is shown before what goes on without a word.
        load.ticket = life.ticket();
        life.last = Some(load);
        life.counters.refused = life.counters.refused.saturating_add(1);
    }
    out.act(Effect::Retain(life.used()));
}

/// Lets judge on what judged beside the same generation when the host stopped: beside another one it has no
/// place.
fn resume(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (stored, same): (Option<&StoredPlugin>, Option<&StoredPlugin>),
    load: Load,
    now: Now,
) {
    let Some(same) = same else {
        if let Some(beside) = stored.and_then(|stored| stored.shadow.as_ref()) {
            shadow::lost(life, out, beside.source.clone(), WhyLost::OtherGeneration);
        }
        return;
    };
    if let Some(beside) = &same.shadow {
        shadow::resume(life, out, beside, now);
    }
    if let Some(watch) = same.watch.clone() {
        watch::resume(life, out, watch, load, now);
    }
}

/// Whether a start runs what the configuration names in place of a recorded generation.
fn instead(purpose: &Purpose) -> Option<(Generation, &Unfit)> {
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
