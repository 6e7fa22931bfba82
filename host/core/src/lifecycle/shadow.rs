//! A new component judges beside the active one, without effect, until its gate or a person decides.
//!
//! It is on record from its begin until it takes over or ends. What it has seen is not: after a restart it is
//! counted anew, so its gate waits longer and never decides on less.
//!
//! | answer        | of a shadow                                  | of a watch                        |
//! |---------------|----------------------------------------------|-----------------------------------|
//! | `ShadowBegan` | its time begins; who swapped it in is told   | its time begins                   |
//! | `Compared`    | takes over, is refused, or waits (`gate`)    | stays, goes back, or waits        |
//! | `Failed`      | it ends, refused                             | it ends; what is active stays     |

use std::sync::Arc;

use super::effect::{Effect, From, Role};
use super::event::{Answer, Facts};
use super::gate::{GateReason, Opening, opening};
use super::job::{ANSWER_WITHIN, Candidate, Job, Load, Purpose};
use super::life::PluginLife;
use super::prepare::{configured, not_pinned, put};
use super::promote::{show_last, trouble};
use super::reason::{EndedFor, Unfit, Why};
use super::refusal::{Refusal, RefusalReason};
use super::said::{Fact, WhyLost};
use super::stage::{Stage, StepState, Trace};
use super::step::{Out, Reply, Store};
use super::takeover::{Afterwards, NamedBy, Taking, take_over};
use super::trial::{self, Begun, Shadowed, Trial, TrialKind, order};
use crate::domain::{Now, RequestId, Strategy};
use crate::record::{StoredRefusal, StoredShadow};

/// Lets the component of a job judge beside the active one, in place of the one that did so far.
pub(super) fn begin(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    let (Some(bytes), Some(live)) = (job.bytes, life.in_force()) else { return put(life, job) };
    let Job { purpose, candidate, load, spec, facts, seen, .. } = job;
    // One at a time sees what comes by.
    end_for_another(life, out, &candidate.source, now);
    let gate = spec.swap.gate.clone();
    let what = order(&spec, (bytes.0, &candidate.settings), (Role::Candidate, live), gate.clone());
    out.act(Effect::BeginShadow(load.ticket, what));
    let asked = match purpose {
        Purpose::Swap(request, _) => Some(request),
        Purpose::Start(_)
        | Purpose::FileChanged
        | Purpose::WhileOff
        | Purpose::Reload(..)
        | Purpose::Return(_) => None,
    };
    let rehearsed = life.diff.clone().filter(|diff| seen.is_some() && diff.ticket == load.ticket);
    if candidate.from == From::Configured {
        let refusal = refusal(life, &candidate.source, Unfit::WasBeside);
        let configured = configured(bytes.0, &candidate.settings);
        life.refused = Some(StoredRefusal { configured, why: refusal.to_string() });
    }
    let shadowed = Shadowed { candidate, bytes, facts, begun: Begun::Live };
    let trial = Trial::ordered(TrialKind::Shadow(Box::new(shadowed)), gate, load, now);
    life.trial = Some(Trial { asked, rehearsed, ..trial });
    out.act(Effect::Retain(life.used()));
}

fn end_for_another(life: &mut PluginLife, out: &mut Out<'_>, source: &str, now: Now) {
    if life.trial.is_some() {
        trial::end_for(life, out, EndedFor::Replaced(source.to_owned()), now);
    }
}

/// Lets the component judge on that did so when the host stopped. One that no longer can is named: the host
/// starts without it.
pub(super) fn resume(life: &mut PluginLife, out: &mut Out<'_>, stored: &StoredShadow, now: Now) {
    let StoredShadow { digest, source, settings } = stored;
    let Some(live) = life.in_force() else { return };
    if let Some(unfit) = not_pinned(*digest, &life.spec) {
        return lost(life, out, source.clone(), WhyLost::Unfit(unfit));
    }
    let named = configured(*digest, settings);
    let is_configured = life.refused.as_ref().is_some_and(|refused| refused.configured == named);
    let from = if is_configured { From::Configured } else { From::Kept(*digest) };
    let settings: Arc<str> = settings.as_str().into();
    let candidate = Candidate { from, source: source.clone(), settings };
    let ticket = life.ticket();
    let mut load =
        Load { ticket, source: source.clone(), strategy: Strategy::Shadow, trace: Trace::default() };
    load.trace.begin(Stage::Shadow, now.at);
    let gate = life.spec.swap.gate.clone();
    let what = order(&life.spec, (*digest, &candidate.settings), (Role::Candidate, live), gate.clone());
    out.act(Effect::BeginShadow(ticket, what));
    let shadowed =
        Shadowed { candidate, bytes: (*digest, 0), facts: Facts::default(), begun: Begun::AtStart };
    life.trial = Some(Trial::ordered(TrialKind::Shadow(Box::new(shadowed)), gate, load, now));
}

/// Says that a component does not judge on that did so when the host stopped.
pub(super) fn lost(life: &mut PluginLife, out: &mut Out<'_>, source: String, because: WhyLost) {
    let fact = Fact::ShadowLost { source, because };
    trouble(life, fact.clone());
    out.say(fact);
}

/// What the hands say of what judges beside the active component.
pub(super) fn answered(life: &mut PluginLife, out: &mut Out<'_>, answer: Answer, now: Now) {
    match answer {
        Answer::ShadowBegan { size, facts } => {
            if let Some(TrialKind::Shadow(shadowed)) = life.trial.as_mut().map(|trial| &mut trial.kind) {
                (shadowed.bytes.1, shadowed.facts) = (size, facts);
            }
            began(life, out, now);
        }
        Answer::Compared(seen) => {
            if let Some(trial) = life.trial.as_mut().filter(|trial| trial.began_at.is_some()) {
                trial.seen = *seen;
            }
        }
        Answer::Failed(error) => failed(life, out, Unfit::Hand(error), now),
        Answer::Progress(..)
        | Answer::Fetched { .. }
        | Answer::Compiled(_)
        | Answer::Configured
        | Answer::SelfTested(_)
        | Answer::Rehearsed(_)
        | Answer::Kept => {}
    }
}

fn began(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let active = life.named();
    let Some(trial) = life.trial.as_mut().filter(|trial| trial.began_at.is_none()) else { return };
    trial.began_at = Some(now.at);
    match &trial.kind {
        TrialKind::Watch(watched) if watched.begun == Begun::AtStart => {
            trial.load.trace.note(Stage::Watch, "anew after a restart of the host".to_owned());
            if let Some(named) = active {
                out.say(Fact::WatchAgain { named });
            }
        }
        TrialKind::Watch(_) => {}
        TrialKind::Shadow(shadowed) => {
            if let Some(request) = trial.asked.take() {
                out.reply(request, Reply::Swapped(trial.rehearsed.clone().map(Box::new)));
            }
            let is_configured = shadowed.candidate.from == From::Configured;
            match shadowed.begun {
                Begun::Live => life.last_error = None,
                Begun::AtStart => {
                    let note = "again after a restart of the host; what it saw before does not count";
                    trial.load.trace.note(Stage::Shadow, note.to_owned());
                    out.say(Fact::ShadowAgain { source: shadowed.candidate.source.clone() });
                    if is_configured {
                        // What was said about it is no longer so.
                        life.last_error = None;
                    }
                }
            }
        }
    }
}

/// The hands cannot let it judge, or no longer.
fn failed(life: &mut PluginLife, out: &mut Out<'_>, unfit: Unfit, now: Now) {
    let Some(mut trial) = trial::end_trial(life, out) else { return };
    out.act(Effect::Cancel(trial.ticket));
    match &trial.kind {
        TrialKind::Watch(watched) => {
            let note = format!("the former component {unfit}");
            trial.load.trace.end(Stage::Watch, StepState::Skipped, Some(note), now.at);
            if let (Begun::AtStart, Some(active)) = (watched.begun, life.named()) {
                let former = watched.former.generation;
                let fact = Fact::WatchLost { former, because: WhyLost::Unfit(unfit), active };
                trouble(life, fact.clone());
                out.say(fact);
            }
        }
        TrialKind::Shadow(shadowed) if shadowed.begun == Begun::AtStart && trial.began_at.is_none() => {
            trial.load.trace.end(Stage::Shadow, StepState::Failed, Some(unfit.to_string()), now.at);
            lost(life, out, shadowed.candidate.source.clone(), WhyLost::Unfit(unfit));
        }
        TrialKind::Shadow(shadowed) => {
            refuse(life, out, (shadowed, trial.asked), unfit.clone());
            trial.load.trace.end(Stage::Shadow, StepState::Failed, Some(unfit.to_string()), now.at);
        }
    }
    show_last(life, trial.load);
}

/// A component does not take over after it has judged beside the active one.
fn refuse(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (shadowed, asked): (&Shadowed, Option<RequestId>),
    unfit: Unfit,
) {
    let refusal = refusal(life, &shadowed.candidate.source, unfit);
    if shadowed.candidate.from == From::Configured {
        let configured = configured(shadowed.bytes.0, &shadowed.candidate.settings);
        life.refused = Some(StoredRefusal { configured, why: refusal.to_string() });
    }
    life.counters.refused = life.counters.refused.saturating_add(1);
    trouble(life, Fact::Refused(refusal.clone()));
    out.say(Fact::Refused(refusal.clone()));
    if let Some(request) = asked {
        out.replies.push((request, Err(refusal)));
    }
}

fn refusal(life: &PluginLife, source: &str, unfit: Unfit) -> Refusal {
    Refusal {
        plugin: life.name().clone(),
        reason: RefusalReason::Unfit {
            stage: Some(Stage::Shadow),
            source: source.to_owned(),
            unfit,
            active: life.named(),
        },
    }
}

/// What is due: hands that do not answer, and gates that open or refuse by themselves.
pub(super) fn due(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let Some(trial) = &life.trial else { return };
    let Some(began_at) = trial.began_at else {
        if trial.ready_by <= now.at {
            let minutes = ANSWER_WITHIN.as_secs() / 60;
            failed(life, out, Unfit::NoAnswer { stage: Stage::Shadow, minutes }, now);
        }
        return;
    };
    // Without a gate a person decides.
    let (TrialKind::Shadow(_), Some(gate)) = (&trial.kind, &trial.gate) else { return };
    match opening(&trial.seen, gate, now.at.since(began_at)) {
        Opening::Wait => {}
        Opening::Open => {
            if let Store::Takes = out.store {
                promote_shadow(life, out, (Why::Gate, Afterwards::Watch), now);
            }
        }
        Opening::Refused(reason) => refuse_shadow(life, out, reason, now),
    }
}

fn refuse_shadow(life: &mut PluginLife, out: &mut Out<'_>, reason: GateReason, now: Now) {
    let Some(mut trial) = trial::end_trial(life, out) else { return };
    out.act(Effect::Cancel(trial.ticket));
    let unfit = Unfit::Gate(reason);
    trial.load.trace.end(Stage::Shadow, StepState::Failed, Some(unfit.to_string()), now.at);
    if let TrialKind::Shadow(shadowed) = &trial.kind {
        refuse(life, out, (shadowed, trial.asked), unfit);
    }
    show_last(life, trial.load);
}

/// Lets the shadow take over: a person has looked.
pub(super) fn promote_by_hand(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId, now: Now) {
    let Some(shadowed) = life.shadowed() else {
        return out.refuse(life, request, RefusalReason::NoShadow);
    };
    let source = shadowed.candidate.source.clone();
    if let Store::Refuses(said) = out.store {
        let refusal = refusal(life, &source, Unfit::NotRecorded(said.to_owned()));
        return out.replies.push((request, Err(refusal)));
    }
    let is_ready = life.trial.as_ref().is_some_and(|trial| trial.began_at.is_some());
    if !is_ready {
        let load = Some((source, Stage::Shadow));
        return out.refuse(life, request, RefusalReason::Busy { load });
    }
    promote_shadow(life, out, (Why::ByHand, Afterwards::WatchFailures), now);
    out.reply(request, Reply::Promoted);
}

fn promote_shadow(life: &mut PluginLife, out: &mut Out<'_>, (why, afterwards): (Why, Afterwards), now: Now) {
    let Some(mut trial) = trial::end_trial(life, out) else { return };
    trial.load.trace.end(Stage::Shadow, StepState::Passed, Some(why.to_string()), now.at);
    let TrialKind::Shadow(shadowed) = trial.kind else { return };
    let Shadowed { candidate, bytes, facts, begun: _ } = *shadowed;
    let named_by = NamedBy::of(&candidate);
    let taking = Taking { ticket: trial.ticket, candidate, bytes, facts, named_by };
    take_over(life, out, taking, (why, afterwards, trial.load), now);
    life.last_error = None;
}
