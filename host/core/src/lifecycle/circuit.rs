//! A generation that fails for most of its instances outside its watch gives way to a former one that does
//! better, on the very observations that it fails on: so a fleet whose answers changed does not send its
//! plugins through their whole history. A generation that was left for being worse is not gone back to.

use std::time::Duration;

use super::history::ways_back;
use super::job::ReturnWhy;
use super::life::{Circuit, PluginLife, Standing};
use super::promote::trouble;
use super::reason::Failing;
use super::rollback;
use super::said::{Fact, WhyStays};
use super::step::{Out, Store};
use crate::domain::{Generation, Now, Timestamp};
use crate::record::{Forced, StoredGeneration};

/// Time before the former generations are asked again when none did better.
pub const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The worker says that a generation fails round after round.
pub(super) fn trouble_seen(life: &mut PluginLife, generation: Generation, failing: Failing) {
    if life.circuit.generation != Some(generation) {
        life.circuit = Circuit { generation: Some(generation), failing: None, again_at: None };
    }
    life.circuit.failing = Some(failing);
}

/// How many instances it fails for now. One that has found back by itself is no trouble any more.
pub(super) fn failing(life: &mut PluginLife, generation: Generation, failing: Option<Failing>) {
    if life.circuit.generation != Some(generation) {
        return;
    }
    let is_most = failing.as_ref().is_some_and(Failing::is_most);
    life.circuit.failing = failing;
    if !is_most {
        life.circuit.again_at = None;
        let is_about_it =
            |said: &mut std::sync::Arc<super::said::Said>| matches!(said.fact, Fact::NothingBetter { .. });
        life.last_error.take_if(is_about_it);
    }
}

/// What is due: former generations are asked, one after the other.
pub(super) fn look(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let Some(failing) = in_trouble(life) else { return };
    // While another one is loaded there is time: it may be what helps.
    let is_busy = life.load.is_some() || life.back.is_some() || life.ready.is_some();
    if is_busy || life.is_watched() || life.circuit.again_at.is_some_and(|at| now.at < at) {
        return;
    }
    if let Store::Refuses(_) = out.store {
        return;
    }
    let Some(active) = &life.active else { return };
    life.circuit.again_at = Some(now.at + ASK_AGAIN);
    if life.history.last().is_some_and(|last| last.forced == Forced::Yes) {
        return nothing_better(life, out, failing, WhyStays::Forced);
    }
    let ways = ways_back(&life.history, (active.digest, &active.settings));
    let ways: Vec<StoredGeneration> = ways.into_iter().cloned().collect();
    rollback::begin(life, out, ReturnWhy::Circuit(failing), ways, now);
}

/// It fails for most of its instances, and stays.
pub(super) fn nothing_better(life: &mut PluginLife, out: &mut Out<'_>, failing: Failing, because: WhyStays) {
    let Some(named) = life.named() else { return };
    // Said once; the list has the latest.
    let is_new = life
        .last_error
        .as_ref()
        .is_none_or(|said| !matches!(&said.fact, Fact::NothingBetter { named: of, .. } if *of == named));
    let fact = Fact::NothingBetter { named, failing, because };
    if is_new {
        out.say(fact.clone());
    }
    trouble(life, fact);
}

fn in_trouble(life: &PluginLife) -> Option<Failing> {
    let is_active = life.circuit.generation.is_some() && life.circuit.generation == life.in_force();
    let runs = life.standing == Standing::Running;
    life.circuit.failing.clone().filter(|failing| is_active && runs && failing.is_most())
}

/// When former generations are asked again.
pub(super) fn due_at(life: &PluginLife) -> Option<Timestamp> {
    in_trouble(life).and(life.circuit.again_at)
}
