//! Single instances: how one stands, and what persons say about it: hold, skip, protect, force, and release.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use phasegate_core::domain::{InstanceId, ScaleSetName, WordKind, parse_iso_duration};
use phasegate_wire as wire;

use super::upgrade::reason;
use crate::api::answer::Refusal;
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host};
use crate::api::key::Key;
use crate::api::path::{In, Named};
use crate::api::query::{Nothing, Query};

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Word(WordKind),
    Release,
}

impl Named for Said {
    const PLACE: &'static str = "word";
    const ABOUT: &'static str = "What is said about the instance.";
    const WORDS: &'static [&'static str] = &["hold", "skip", "protect", "force", "release"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        let kind = WordKind::ALL.into_iter().find(|kind| kind.name() == text).map(Self::Word);
        kind.or((text == "release").then_some(Self::Release)).ok_or_else(|| {
            Refusal::not_found(format!(
                "of an instance nobody says {text:?}; known: {}",
                Self::WORDS.join(", ")
            ))
        })
    }
}

/// One instance as in the fleet, with all that its application has sent as custom metrics.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/instances/{instance}",
    params(In<ScaleSetName>, In<InstanceId>),
    responses((status = 200, description = "The instance.", body = wire::Instance))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    In(instance): In<InstanceId>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::Instance>, Refusal> {
    let missing = || {
        Refusal::not_found(format!("scale set `{set}` has no instance `{instance}`; see `phasegate fleet`"))
    };
    Ok(Json(host.instance(set.clone(), instance.clone()).await?.ok_or_else(missing)?))
}

/// With `{"reason", "for"}`: `hold` (not now), `skip` (left out), `protect` or `force` (whatever its plugin says); a new
/// word takes the place of the one before. `release` takes it back.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/instances/{instance}/{word}",
    params(In<ScaleSetName>, In<InstanceId>, In<Said>, Key),
    request_body = Option<wire::OverrideRequest>,
    responses((status = 200, description = "What holds from now on.", body = wire::InstanceOverride))
)]
#[expect(clippy::too_many_arguments, reason = "one for each part of the request")]
pub(super) async fn say(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    In(instance): In<InstanceId>,
    In(said): In<Said>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::OverrideRequest>,
) -> Result<Json<wire::InstanceOverride>, Refusal> {
    let wire::OverrideRequest { reason: text, length } = request;
    let length = length.as_deref().map(duration).transpose()?;
    let reason = reason(wire::ReasonRequest { reason: text })?;
    let asked = Asked { actor: caller.actor(), reason, key };
    Ok(Json(match said {
        Said::Word(_) if asked.reason.is_none() => {
            return Err(Refusal::invalid("what is said of an instance needs a reason: {\"reason\": \"…\"}"));
        }
        Said::Word(kind) => host.say(set, instance, (kind, length), asked).await?,
        Said::Release if length.is_some() => {
            return Err(Refusal::invalid("`for` goes with hold, skip, protect and force, not with release"));
        }
        Said::Release => host.release(set, instance, asked).await?,
    }))
}

/// Longest time that a word may hold by itself; who wants more takes it back when it is over.
const LENGTH_MAX_DAYS: u64 = 366;

fn duration(text: &str) -> Result<std::time::Duration, Refusal> {
    let length = parse_iso_duration(text);
    let length = length.map_err(|error| Refusal::invalid(format!("`for` {text:?} {error}")))?;
    let limit = std::time::Duration::from_secs(LENGTH_MAX_DAYS * 24 * 3600);
    if length.is_zero() || length > limit {
        return Err(Refusal::invalid(format!(
            "`for` {text:?} must be longer than nothing and at most P{LENGTH_MAX_DAYS}D; leave it out until a release"
        )));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_or_refused() {
        assert_eq!(duration("PT2H").unwrap().as_secs(), 7200);
        for text in ["", "2h", "PT0S", "P400D", "-PT1H"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(<Said as Named>::parse("hold").is_ok() && <Said as Named>::parse("keep").is_err());
    }
}
