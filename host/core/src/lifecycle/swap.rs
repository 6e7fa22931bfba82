//! A person brings a component in.

use super::effect::From;
use super::event::{Offer, SwapMode, SwapOptions};
use super::job::{Candidate, Purpose};
use super::life::PluginLife;
use super::refusal::RefusalReason;
use super::step::Out;
use super::{discard, prepare};
use crate::domain::{Now, RequestId};

/// Begins a load, unless one is under way: a person does not wait for the download of another one. One whose
/// compiler runs gives way, but not to a dry run.
pub(super) fn wanted(
    life: &mut PluginLife,
    out: &mut Out<'_>,
    request: RequestId,
    (offer, options): (Offer, SwapOptions),
    now: Now,
) {
    if options.mode != SwapMode::DryRun {
        discard::superseded(life, out, now);
    }
    if let Some(job) = &life.load {
        let load = job.load.trace.running().map(|stage| (job.load.source.clone(), stage));
        return out.refuse(life, request, RefusalReason::Busy { load });
    }
    if life.ready.is_some() {
        return out.refuse(life, request, RefusalReason::Busy { load: None });
    }
    let (from, source) = match offer {
        Offer::Held { digest, source } => (From::Held(digest), source),
        Offer::Reference(reference) => (From::Reference(reference.clone()), reference),
    };
    let candidate = Candidate { from, source, settings: life.spec.settings.as_str().into() };
    let strategy = options.strategy(life.spec.swap.strategy);
    prepare::begin(life, out, (Purpose::Swap(request, options), candidate, strategy), now);
}
