//! A second component at work beside the active one: a shadow, which waits to be promoted, or a watch, which
//! waits to be needed. What it is, what it has shown, and how it ends for a reason that is not its own.
//!
//! When it ends by itself stands in `shadow` and `watch`.

use std::sync::Arc;

use super::compare::Summary;
use super::effect::{Effect, Role, ShadowOrder};
use super::event::{Facts, Ticket};
use super::job::{ANSWER_WITHIN, Candidate, Load};
use super::life::{Diff, PluginLife};
use super::promote::{is_going_back, show_diff, show_last};
use super::reason::{EndedFor, Unfit};
use super::refusal::{Refusal, RefusalReason};
use super::said::Fact;
use super::stage::{Stage, StepState};
use super::step::Out;
use super::{gate, watch};
use crate::domain::{Digest, Gate, Generation, Now, PluginSpec, RequestId, Timestamp};
use crate::record::{StoredGeneration, StoredHeed};

/// A second component at work beside the active one.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// Names it to the hands.
    pub ticket: Ticket,
    /// Which way it goes.
    pub kind: TrialKind,
    /// What may differ; none where a person decides, or only failures count.
    pub gate: Option<Gate>,
    /// How it is shown.
    pub load: Load,
    /// When it began to judge; none while the hands make it ready.
    pub began_at: Option<Timestamp>,
    /// When the hand that makes it ready is given up.
    pub ready_by: Timestamp,
    /// What was seen so far.
    pub seen: Summary,
    /// Who waits for its begin, and what the rehearsal before showed.
    pub asked: Option<RequestId>,
    /// What its rehearsal showed.
    pub rehearsed: Option<Diff>,
}

impl Trial {
    /// One that the hands were told to make ready, under the ticket of its load; no request waits for it.
    pub(super) fn ordered(kind: TrialKind, gate: Option<Gate>, load: Load, now: Now) -> Self {
        Self {
            ticket: load.ticket,
            kind,
            gate,
            load,
            began_at: None,
            ready_by: now.at + ANSWER_WITHIN,
            seen: Summary::default(),
            asked: None,
            rehearsed: None,
        }
    }
}

/// Which way a trial goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TrialKind {
    /// The new one waits to be promoted.
    Shadow(Box<Shadowed>),
    /// The old one waits to be needed.
    Watch(Box<Watched>),
}

/// A component that judges beside the active one and may take over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shadowed {
    /// Where it came from, and its settings.
    pub candidate: Candidate,
    /// What it is, and its size in bytes.
    pub bytes: (Digest, usize),
    /// What was found out about it.
    pub facts: Facts,
    /// When it began.
    pub begun: Begun,
}

/// The generation before, which judges on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    /// Which one.
    pub former: StoredGeneration,
    /// What brings it back.
    pub heeds: StoredHeed,
    /// When it began.
    pub begun: Begun,
}

/// When a shadow or a watch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// With the generation: its instances were judged a moment ago, and two failures are enough.
    Live,
    /// At a start of the host: those that are judged first say little of the others.
    AtStart,
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
