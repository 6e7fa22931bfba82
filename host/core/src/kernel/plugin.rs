//! The lives of plugins in a turn: what a step of one wants recorded, done and answered.
//!
//! A swap, its line in the trail and the new generation are one turn, hence one commit. When that is refused
//! the life is as it was before, and learns from the same event that it could not be recorded.

use std::sync::Arc;

use super::command::{Answer, Reply};
use super::effect::Effect;
use super::out::Out;
use super::refusal::Refusal;
use super::state::Fleet;
use super::{note, reload};
use crate::domain::{Now, PluginName, RequestId, Timestamp};
use crate::lifecycle::{self, Command, Event, Fact, PluginLife, Said, Step, step, step_unrecorded};
use crate::record::Write;

/// What a life's step means for the turn.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) replies: Vec<(RequestId, Answer)>,
    /// When it wants to be woken; to be noted whatever it is.
    pub(super) wake_at: Option<Timestamp>,
}

/// Tells one life what has happened.
pub(super) fn hear(fleet: &mut Fleet, name: &PluginName, event: Event, now: Now, out: &mut Out) -> Heard {
    let Some(life) = fleet.plugins.get_mut(name) else { return Heard::default() };
    let step = step(Arc::make_mut(life), event, now);
    follow(fleet, name, step, now, out)
}

/// Tells one life that what followed from an event could not be recorded.
pub(super) fn hear_unrecorded(
    fleet: &mut Fleet,
    name: &PluginName,
    event: Event,
    why: &str,
    now: Now,
    out: &mut Out,
) -> Heard {
    let Some(life) = fleet.plugins.get_mut(name) else { return Heard::default() };
    let step = step_unrecorded(Arc::make_mut(life), event, why, now);
    follow(fleet, name, step, now, out)
}

/// Why a life would not take up what it has prepared under a request.
pub(super) fn not_taken_up(
    fleet: &Fleet,
    name: &PluginName,
    prepared: RequestId,
    now: Now,
) -> Option<Refusal> {
    let mut life = PluginLife::clone(fleet.plugins.get(name)?);
    let step = step(&mut life, Event::Wanted(prepared, Command::TakeUp), now);
    let refusal = |(id, reply): (RequestId, Result<_, lifecycle::Refusal>)| {
        reply.err().filter(|_| id == prepared).map(|refusal| Refusal::Plugin(Box::new(refusal)))
    };
    step.replies.into_iter().find_map(refusal)
}

fn follow(fleet: &mut Fleet, name: &PluginName, step: Step, now: Now, out: &mut Out) -> Heard {
    let Step { record, audit, effects, replies, in_force, wake_at } = step;
    if let Some(stored) = record {
        out.writes.push(Write::Plugin(name.clone(), Box::new(stored)));
    }
    if let Some(generation) = in_force {
        reload::in_force(fleet, name, generation);
    }
    for said in audit {
        say(fleet, said, now, out);
    }
    if !effects.is_empty() {
        out.effects.push(Effect::Plugin(name.clone(), effects));
    }
    out.changes.plugins.insert(name.clone());
    let reply = |(id, reply): (RequestId, Result<_, _>)| {
        (id, reply.map(Reply::Plugin).map_err(|refusal| Refusal::Plugin(Box::new(refusal))))
    };
    Heard { replies: replies.into_iter().map(reply).collect(), wake_at }
}

/// A way back is a line of the trail of each of its sets; all of it is for the log.
fn say(fleet: &Fleet, said: Said, now: Now, out: &mut Out) {
    if matches!(said.fact, Fact::WentBack { .. }) {
        note::plugin_reverted(fleet, &said.plugin, &said.to_string(), now, out);
    }
    out.changes.said.push(said);
}

#[cfg(test)]
mod tests;
