//! A new generation is watched: the one before judges beside it, to come back if it was better. That is on
//! record and begins anew, for the full time, after a restart of the host.

use super::effect::{Effect, Role};
use super::gate::{self, GateReason};
use super::job::{Candidate, Load, ReturnWhy};
use super::life::{Active, PluginLife};
use super::prepare::not_pinned;
use super::promote::{self, show_last};
use super::reason::Left;
use super::rollback;
use super::said::{Fact, WhyLost};
use super::stage::{Stage, StepState};
use super::step::{Out, Store};
use super::takeover::Afterwards;
use super::trial::{self, Begun, Trial, TrialKind, Watched, order};
use crate::domain::Now;
use crate::record::{Forced, StoredGeneration, StoredHeed, StoredWatch};

/// Lets the former generation judge on beside the new one. Without a watch the new one stays.
pub(super) fn begin(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (former, afterwards): (&Active, Afterwards),
    mut load: Load,
    now: Now,
) {
    let heeds = match afterwards {
        Afterwards::Watch => StoredHeed::Everything,
        Afterwards::WatchFailures => StoredHeed::Failures,
        Afterwards::Nothing => {
            load.trace.skip(Stage::Watch, "not asked for".to_owned(), now.at);
            return show_last(life, load);
        }
    };
    if life.spec.swap.watch_time.is_zero() {
        load.trace.skip(Stage::Watch, "watchTime is zero".to_owned(), now.at);
        return show_last(life, load);
    }
    let row = life.history.iter().find(|row| row.generation == former.generation).cloned();
    let former = row.unwrap_or_else(|| StoredGeneration {
        generation: former.generation,
        digest: former.digest,
        source: former.source.clone(),
        settings: former.settings.to_string(),
        at: former.loaded_at,
        why: String::new(),
        left_because: None,
        forced: Forced::No,
    });
    start(life, out, Watched { former, heeds, begun: Begun::Live }, load, now);
}

fn start(life: &mut PluginLife, out: &mut Out<'_>, watched: Watched, mut load: Load, now: Now) {
    let Some(live) = life.in_force() else { return };
    let ticket = life.ticket();
    // What took over is shown before what was only tried meanwhile.
    load.ticket = ticket;
    load.trace.begin(Stage::Watch, now.at);
    let gate = match watched.heeds {
        StoredHeed::Everything => life.spec.swap.gate.clone(),
        StoredHeed::Failures => None,
    };
    let settings = Candidate::kept(&watched.former).settings;
    let what = order(&life.spec, (watched.former.digest, &settings), (Role::Former, live), gate.clone());
    out.act(Effect::BeginShadow(ticket, what));
    life.trial = Some(Trial::ordered(TrialKind::Watch(Box::new(watched)), gate, load, now));
}

/// Begins the watch anew that ran when the host stopped. One that cannot is named: the host starts without
/// it.
pub(super) fn resume(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    stored: StoredWatch,
    mut load: Load,
    now: Now,
) {
    let Some(active) = life.named() else { return };
    let row = life.history.iter().find(|row| row.generation == stored.former).cloned();
    let found = row.ok_or(WhyLost::NotKept).and_then(|row| match not_pinned(row.digest, &life.spec) {
        // At a start nothing with another digest is loaded, not even to judge without effect.
        Some(unfit) => Err(WhyLost::Unfit(unfit)),
        None => Ok(row),
    });
    match found {
        Ok(_) if life.spec.swap.watch_time.is_zero() => {
            load.trace.skip(Stage::Watch, "watchTime is zero".to_owned(), now.at);
            show_last(life, load);
        }
        Ok(former) => {
            let watched = Watched { former, heeds: stored.heeds, begun: Begun::AtStart };
            start(life, out, watched, load, now);
        }
        Err(because) => {
            load.trace.skip(Stage::Watch, because.to_string(), now.at);
            show_last(life, load);
            let fact = Fact::WatchLost { former: stored.former, because, active };
            if life.last_error.is_none() {
                promote::trouble(life, fact.clone());
            }
            out.say(fact);
        }
    }
}

/// Why a watched generation is to be left, with what was seen so far.
pub(super) fn reversal(trial: &Trial, watched: &Watched) -> Option<GateReason> {
    let awaited = match watched.begun {
        Begun::Live => 0,
        Begun::AtStart => trial.seen.instances.saturating_sub(trial.seen.compared),
    };
    gate::reversal(&trial.seen, trial.gate.as_ref(), awaited)
}

/// A watch that ends: well, when its time is over, or with the generation before.
pub(super) fn due(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    let Some(trial) = &life.trial else { return };
    let (TrialKind::Watch(watched), Some(began_at)) = (&trial.kind, trial.began_at) else { return };
    if let Some(reason) = reversal(trial, watched) {
        let former = watched.former.clone();
        // One that is on its way back already needs no second one, and none comes while nothing is recorded.
        if life.back.is_none() && matches!(out.store, Store::Takes) {
            rollback::begin(life, out, ReturnWhy::Watch(Left::Watch(reason)), vec![former], now);
        }
        return;
    }
    // A watch that saw nothing proves nothing.
    let observations = trial.seen.observations;
    if now.at < began_at + life.spec.swap.watch_time || observations == 0 {
        return;
    }
    let Some(mut trial) = trial::end_trial(life, out) else { return };
    out.act(Effect::Cancel(trial.ticket));
    let seen = format!("{observations} observations");
    trial.load.trace.end(Stage::Watch, StepState::Passed, Some(seen), now.at);
    show_last(life, trial.load);
    if let Some(named) = life.named() {
        out.say(Fact::Stays { named, observations });
    }
}
