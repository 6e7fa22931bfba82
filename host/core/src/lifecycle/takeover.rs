//! The one place where a generation takes over from another one, and what that leaves behind.
//!
//! Whether it may is decided in `promote`, `rollback`, `reload` and `shadow`.

use std::sync::Arc;

use super::effect::{Effect, From};
use super::event::{Facts, Ticket};
use super::history::prune;
use super::job::{Candidate, Job, Load};
use super::life::{Active, PluginLife};
use super::prepare::configured;
use super::reason::{EndedFor, Unfit, Why};
use super::said::Fact;
use super::stage::{Stage, StepState};
use super::step::Out;
use super::trial::end_for;
use super::unfit::fail;
use super::watch;
use crate::domain::{Digest, Generation, Now};
use crate::record::{Forced, StoredGeneration};

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
pub(super) enum NamedBy {
    /// The configuration.
    Configuration,
    /// A person or the history.
    Otherwise,
}

impl NamedBy {
    pub(super) fn of(candidate: &Candidate) -> Self {
        match candidate.from {
            From::Configured | From::Proposed => Self::Configuration,
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
    pub(super) named_by: NamedBy,
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
    let Taking { ticket, candidate, bytes: (digest, size), facts, named_by } = taking;
    let named = match named_by {
        NamedBy::Configuration => configured(digest, &candidate.settings),
        // What the configuration names now is not taken up again at the next start.
        NamedBy::Otherwise => life
            .considered
            .map_or(former.configured, |considered| configured(considered, &life.spec.settings)),
    };
    if named_by == NamedBy::Configuration {
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
