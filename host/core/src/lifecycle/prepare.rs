//! From a candidate to a component that could take over: one stage after the other, and none of them has an
//! effect on what runs.
//!
//! | waits at    | answer       | goes on to                                              |
//! |-------------|--------------|---------------------------------------------------------|
//! | fetch       | `Fetched`    | compile; fails where another digest is asked for        |
//! | compile     | `Compiled`   | configure                                               |
//! | configure   | `Configured` | self-test                                               |
//! | self-test   | `SelfTested` | rehearse; under `immediate` the decision                |
//! | rehearse    | `Rehearsed`  | the decision (`promote`); fails where the gate holds    |
//! | promote     | `Kept`       | takes over, judges beside (`promote`), or is ready      |
//! | any         | `Failed`     | the end                                                 |
//!
//! Any other answer changes nothing.

use sha2::{Digest as _, Sha256};

use super::compare::Summary;
use super::effect::{Effect, From};
use super::event::{Answer, Facts, SwapMode, Ticket};
use super::job::{ANSWER_WITHIN, Candidate, Job, Kept, Load, Purpose, Return, ReturnWhy, Start};
use super::life::PluginLife;
use super::reason::{Unfit, Unproved};
use super::stage::{Stage, StepState, Trace};
use super::step::Out;
use super::unfit::fail;
use super::{gate, promote, reload, rollback, startup};
use crate::domain::{Digest, Now, PluginSpec, Strategy};

/// Digest of what the configuration says: component and settings.
#[must_use]
pub fn configured(component: Digest, settings: &str) -> Digest {
    let mut hash = Sha256::new();
    hash.update(component.0);
    hash.update(settings.as_bytes());
    Digest(hash.finalize().into())
}

/// Begins a load: counts it and asks for its bytes.
pub(super) fn begin(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (purpose, candidate, strategy): (Purpose, Candidate, Strategy),
    now: Now,
) {
    let spec = std::sync::Arc::clone(&life.spec);
    begin_with(life, out, (purpose, candidate, strategy), spec, now);
}

/// The same under other rules than those in force.
pub(super) fn begin_with(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (purpose, candidate, strategy): (Purpose, Candidate, Strategy),
    spec: std::sync::Arc<PluginSpec>,
    now: Now,
) {
    let ticket = life.ticket();
    let load = Load { ticket, source: candidate.source.clone(), strategy, trace: Trace::default() };
    out.act(Effect::Fetch(ticket, candidate.from.clone()));
    let mut job = Job {
        purpose,
        candidate,
        load,
        spec,
        before: life.in_force(),
        at: Stage::Fetch,
        until: now.at + ANSWER_WITHIN,
        bytes: None,
        facts: Facts::default(),
        seen: None,
        unproved: None,
        kept: Kept::No,
    };
    job.load.trace.begin(Stage::Fetch, now.at);
    if job.is_shown() {
        life.counters.loads = life.counters.loads.saturating_add(1);
    }
    put(life, job);
}

/// Puts a job back into its place.
pub(super) fn put(life: &mut PluginLife, job: Job) {
    match job.purpose {
        Purpose::Return(_) => life.back = Some(job),
        Purpose::Start(_)
        | Purpose::Swap(..)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Reload(..) => life.load = Some(job),
    }
}

/// What a hand says of a job.
pub(super) fn answered(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, answer: Answer, now: Now) {
    match (job.at, answer) {
        (_, Answer::Failed(error)) => fail(life, out, job, Unfit::Hand(error), now),
        (_, Answer::Progress(stage, state, note)) => {
            progress(&mut job, (stage, state, note), now);
            put(life, job);
        }
        (Stage::Fetch, Answer::Fetched { digest, size }) => fetched(life, out, job, (digest, size), now),
        (Stage::Compile, Answer::Compiled(facts)) => {
            job.facts = facts;
            if let Some(running) = job.load.trace.running() {
                job.load.trace.end(running, StepState::Passed, None, now.at);
            }
            let setting = job.setting();
            go_on(life, out, job, Stage::Configure, |ticket| Effect::Configure(ticket, setting), now);
        }
        (Stage::Configure, Answer::Configured) => {
            passed(&mut job, None, now);
            let limits = job.spec.limits;
            go_on(life, out, job, Stage::SelfTest, |ticket| Effect::SelfTest(ticket, limits), now);
        }
        (Stage::SelfTest, Answer::SelfTested(cases)) => self_tested(life, out, job, cases, now),
        (Stage::Rehearse, Answer::Rehearsed(seen)) => rehearsed(life, out, job, *seen, now),
        (Stage::Promote, Answer::Kept) => promote::kept(life, out, job, now),
        (
            _,
            Answer::Fetched { .. }
            | Answer::Compiled(_)
            | Answer::Configured
            | Answer::SelfTested(_)
            | Answer::Rehearsed(_)
            | Answer::Kept
            | Answer::ShadowBegan { .. }
            | Answer::Compared(_),
        ) => put(life, job),
    }
}

fn progress(job: &mut Job, (stage, state, note): (Stage, StepState, Option<String>), now: Now) {
    let trace = &mut job.load.trace;
    match state {
        StepState::Running => {
            // One stage at a time: what comes before it has passed.
            if let Some(before) = trace.running().filter(|before| *before != stage) {
                trace.end(before, StepState::Passed, None, now.at);
            }
            trace.begin(stage, now.at);
            if let Some(note) = note {
                trace.note(stage, note);
            }
        }
        StepState::Passed | StepState::Skipped => match note {
            Some(note) if trace.running() != Some(stage) => trace.note(stage, note),
            note => trace.end(stage, state, note, now.at),
        },
        // What fails is said with `Failed`, once.
        StepState::Failed => {}
    }
}

fn passed(job: &mut Job, note: Option<String>, now: Now) {
    job.load.trace.end(job.at, StepState::Passed, note, now.at);
}

fn go_on(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    mut job: Job,
    stage: Stage,
    effect: impl FnOnce(Ticket) -> Effect,
    now: Now,
) {
    out.act(effect(job.load.ticket));
    job.go_to(stage, now.at);
    put(life, job);
}

fn fetched(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, bytes: (Digest, usize), now: Now) {
    passed(&mut job, None, now);
    job.bytes = Some(bytes);
    match &job.purpose {
        Purpose::Start(Start::Look) => startup::looked(life, out, job, now),
        Purpose::Reload(..) if job.candidate.from == From::Proposed => reload::looked(life, out, job, now),
        Purpose::Start(_)
        | Purpose::Swap(..)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Reload(..)
        | Purpose::Return(_) => check(life, out, job, now),
    }
}

/// The bytes are here: are they those that may run?
pub(super) fn check(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, now: Now) {
    let Some(seen) = job.digest() else { return put(life, job) };
    job.load.trace.begin(Stage::Digest, now.at);
    if let Some(unfit) = not_pinned(seen, &job.spec) {
        return fail(life, out, job, unfit, now);
    }
    job.load.trace.end(Stage::Digest, StepState::Passed, None, now.at);
    out.act(Effect::Compile(job.load.ticket));
    job.at = Stage::Compile;
    job.until = now.at + ANSWER_WITHIN;
    // The first of three that one hand goes through.
    job.load.trace.begin(Stage::Shape, now.at);
    put(life, job);
}

/// Whether a component is another one than the configuration asks for.
pub(super) fn not_pinned(seen: Digest, spec: &PluginSpec) -> Option<Unfit> {
    let wanted = spec.digest.filter(|wanted| *wanted != seen)?;
    Some(Unfit::NotPinned { seen, wanted })
}

fn self_tested(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, cases: Option<usize>, now: Now) {
    match cases {
        Some(cases) => passed(&mut job, Some(format!("{cases} cases")), now),
        None => job.load.trace.end(
            Stage::SelfTest,
            StepState::Skipped,
            Some("no cases beside it".to_owned()),
            now.at,
        ),
    }
    let is_circuit = matches!(&job.purpose, Purpose::Return(Return { why: ReturnWhy::Circuit(_), .. }));
    if job.load.strategy == Strategy::Immediate {
        job.load.trace.skip(Stage::Rehearse, "strategy immediate".to_owned(), now.at);
        return promote::decide(life, out, job, now);
    }
    // What an earlier generation changes does not matter: no decision is worse than another one.
    let (gate, only) = match is_circuit {
        true => (None, job.before),
        false => (job.spec.swap.gate.clone(), None),
    };
    go_on(life, out, job, Stage::Rehearse, |ticket| Effect::Rehearse { ticket, gate, only }, now);
}

fn rehearsed(life: &mut PluginLife, out: &mut Out<'_>, mut job: Job, seen: Summary, now: Now) {
    if let Purpose::Return(_) = &job.purpose {
        passed(&mut job, None, now);
        return rollback::rehearsed(life, out, job, &seen, now);
    }
    let gate = job.spec.swap.gate.clone();
    let Summary { judged, instances, changed, .. } = seen;
    job.unproved =
        gate.as_ref().filter(|_| judged < instances || judged == 0).map(|_| Unproved { judged, instances });
    if judged == 0 {
        let why = Some("no observation yet".to_owned());
        job.load.trace.end(Stage::Rehearse, StepState::Skipped, why, now.at);
        return promote::decide(life, out, job, now);
    }
    let refusal = gate::refusal(&seen, gate.as_ref());
    job.seen = Some(seen);
    let note = format!("{changed} of {instances} instances change");
    match refusal {
        Some(reason) if is_heeded(&job) => fail(life, out, job, Unfit::Gate(reason), now),
        Some(reason) => {
            passed(&mut job, Some(format!("{note}; it {reason}")), now);
            promote::decide(life, out, job, now);
        }
        None => {
            passed(&mut job, Some(note), now);
            promote::decide(life, out, job, now);
        }
    }
}

/// Whether a candidate is refused for what its rehearsal shows. Not in a dry run, not under `--force`, and
/// not before a shadow, which judges more.
pub(super) fn is_heeded(job: &Job) -> bool {
    let shows = match &job.purpose {
        Purpose::Swap(_, options) => options.mode != SwapMode::Heed,
        Purpose::Start(_)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Reload(..)
        | Purpose::Return(_) => false,
    };
    !shows && job.load.strategy != Strategy::Shadow
}
