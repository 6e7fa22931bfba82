//! The second half of a reload: all plugins of the host take up what is ready together, or none of them does.
//!
//! Nothing fails here but the record.

use std::sync::Arc;

use super::super::discard;
use super::super::effect::Effect;
use super::super::job::{Job, Part, Purpose, Wanted};
use super::super::life::PluginLife;
use super::super::prepare::configured;
use super::super::promote::{show_last, trouble};
use super::super::reason::{Unfit, Why};
use super::super::refusal::{Refusal, RefusalReason};
use super::super::said::Fact;
use super::super::stage::Stage;
use super::super::step::{Out, Reply, Store};
use super::super::takeover::{Afterwards, NamedBy, Taking, take_over};
use super::Ready;
use crate::domain::{Digest, Now, PluginSpec, RequestId};

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
}

/// All plugins are ready: from here on nothing fails but the record.
pub(in crate::lifecycle) fn take_up(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId, now: Now) {
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
    let to = job.as_ref().and_then(Job::digest).unwrap_or(active.digest);
    let warning = warning(life, &spec, &wanted, to);
    life.considered = wanted.found.or(life.considered);
    let asks_another = (life.spec.digest, &life.spec.asks) != (spec.digest, &spec.asks);
    life.spec = Arc::clone(&spec);
    life.last_error = None;
    if asks_another {
        discard::not_asked_for(life, out, now);
    }
    if let Some(warning) = &warning {
        trouble(life, warning.clone());
        out.say(warning.clone());
    }
    let has_taken_over = job.is_some();
    if let Some(job) = job {
        take(life, out, job, now);
    }
    let is_changed = wanted.part == Part::Changed || has_taken_over;
    let changed = if is_changed { Part::Changed } else { Part::Same };
    out.reply(request, Reply::TakenUp(Box::new(TakenUp { changed, from: active.digest, to, warning })));
}

fn take(life: &mut PluginLife, out: &mut Out<'_>, job: Job, now: Now) {
    let Some(bytes) = job.bytes else { return };
    let named_by = NamedBy::of(&job.candidate);
    let Job { candidate, load, facts, .. } = job;
    let taking = Taking { ticket: load.ticket, candidate, bytes, facts, named_by };
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

/// That something else runs than what the file has, whatever the reason: an upload, a way back, a watch that took it back.
/// None where it was refused, which [`not_in_force`] says, or where it judges beside the active component.
#[must_use]
pub fn left_alone(life: &PluginLife) -> Option<Fact> {
    let (active, has) = (life.active.as_ref()?, life.considered?);
    let beside = life.shadowed().is_some_and(|shadowed| shadowed.bytes.0 == has);
    let source = life.spec.source.clone();
    (active.digest != has && !beside && not_in_force(life).is_none()).then_some(Fact::Left {
        runs: active.digest,
        source,
        has,
    })
}

/// Another plugin cannot take up its part: nothing changes here either.
pub(in crate::lifecycle) fn abandon(life: &mut PluginLife, out: &mut Out<'_>, request: RequestId) {
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

/// A reload that is neither taken up nor abandoned in time is over.
pub(in crate::lifecycle) fn give_up(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    if let Some(ready) = life.ready.take_if(|ready| ready.until <= now.at) {
        drop_job(out, &ready);
    }
}
