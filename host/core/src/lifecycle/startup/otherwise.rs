//! What the configuration says otherwise than what runs first: a candidate beside it, or something to say.

use super::super::effect::From;
use super::super::job::{Candidate, Job};
use super::super::life::PluginLife;
use super::super::prepare::{configured, not_pinned};
use super::super::promote::trouble;
use super::super::reason::{HandError, Named, Unfit};
use super::super::said::{BytesOf, Fact};
use super::super::step::Out;
use super::{Looked, Starting, recorded};
use crate::record::StoredPlugin;

/// What the configuration says otherwise than when the recorded generation took over.
pub(super) fn otherwise(life: &mut PluginLife, out: &mut Out<'_>, start: &Starting) {
    let (Some(stored), Some(active)) = (&start.stored, life.named()) else { return };
    let digest = match &start.named {
        Some(Looked::Holds(digest)) => Some(*digest),
        Some(Looked::Failed { stage, unfit, load }) => {
            let is_away = matches!(unfit, Unfit::Hand(HandError::Away(_)));
            let is_its_own = recorded(life, stored).source == load.source;
            let bytes = if is_away && is_its_own { BytesOf::ItsLastLoad } else { BytesOf::Another };
            let (stage, source, unfit) = (Some(*stage), load.source.clone(), unfit.clone());
            let fact = Fact::NotAtStart { stage, source, unfit, active, bytes };
            trouble(life, fact.clone());
            out.say(fact);
            // Nothing says that its place holds other bytes than before.
            stored.considered
        }
        None => None,
    };
    let Some(digest) = digest else { return };
    let now_named = configured(digest, &life.spec.settings);
    if let Some(refused) = life.refused.as_ref().filter(|refused| refused.configured == now_named) {
        life.considered = Some(digest);
        if life.last_error.is_none() {
            let fact = Fact::RefusedBefore(refused.why.clone());
            trouble(life, fact.clone());
            out.say(fact);
        }
        return;
    }
    if stored.configured == now_named {
        life.considered = Some(digest);
        return;
    }
    life.wishes.pending = Some(if stored.considered == Some(digest) {
        // Only the settings are others: they are for what runs.
        let row = recorded(life, stored);
        Candidate { settings: life.spec.settings.as_str().into(), ..Candidate::kept(&row) }
    } else {
        Candidate::configured(&life.spec, From::Configured)
    });
}

/// What the configuration names decides in place of the recorded generation.
pub(super) fn say_instead(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    (stored, unfit, job): (&StoredPlugin, &Unfit, &Job),
) {
    let before = Named { generation: stored.generation, digest: stored.digest };
    let source = job.candidate.source.clone();
    let fact = Fact::StartedInstead { before, unfit: unfit.clone(), source };
    // Another `digest` says that something else is to run.
    if not_pinned(stored.digest, &life.spec).is_none() {
        trouble(life, fact.clone());
    }
    out.say(fact);
}
