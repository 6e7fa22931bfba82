//! Releases: to start one, to tell it something, and how it stands.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use phasegate_core::domain::ReleaseId;
use phasegate_core::kernel::command::{Quarantined, ReleaseWish};
use phasegate_wire as wire;

use super::extensions::{digest, release_version, subject};
use super::upgrade::reason;
use crate::api::answer::{Json, Refusal, accepted};
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host, ReleaseStart};
use crate::api::key::Key;
use crate::api::path::{In, Named};
use crate::api::query::{Nothing, Query};

/// All releases, the latest first.
#[utoipa::path(
    get,
    path = "/v1/releases",
    responses((status = 200, description = "In a line each.", body = wire::Releases))
)]
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::Releases>, Refusal> {
    Ok(Json(host.releases().await?))
}

/// Starts a release; 409 when one of this version or a newer one runs, or the plan is another one than was shown.
#[utoipa::path(
    post,
    path = "/v1/releases",
    params(Key),
    request_body = wire::ReleaseRequest,
    responses((status = 202, description = "It has begun.", body = wire::ReleaseDetail))
)]
pub(super) async fn start(
    State(host): State<Arc<Host>>,
    caller: Caller,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReleaseRequest>,
) -> Result<Response, Refusal> {
    let wire::ReleaseRequest { subject: of, version, plan, force, reason: why } = request;
    let start = ReleaseStart {
        subject: of.as_deref().map(subject).transpose()?,
        version: version.as_deref().map(release_version).transpose()?,
        plan: plan.as_deref().map(digest).transpose()?,
        quarantined: if force { Quarantined::Allow } else { Quarantined::Refuse },
    };
    let reason = reason(wire::ReasonRequest { reason: why })?;
    Ok(accepted(host.start_release(start, Asked { actor: caller.actor(), reason, key }).await?))
}

/// How a release stands: region phases, sets, counts, and why each set that has not begun has not.
#[utoipa::path(
    get,
    path = "/v1/releases/{id}",
    params(In<ReleaseId>),
    responses((status = 200, description = "How it stands.", body = wire::ReleaseDetail))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(id): In<ReleaseId>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::ReleaseDetail>, Refusal> {
    Ok(Json(host.how_release_stands(id).await?))
}

/// What a release tells of itself; each of its upgrades has its own log.
#[utoipa::path(
    get,
    path = "/v1/releases/{id}/log",
    params(In<ReleaseId>),
    responses((status = 200, description = "Oldest first.", body = wire::ReleaseLog))
)]
pub(super) async fn log(
    State(host): State<Arc<Host>>,
    In(id): In<ReleaseId>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::ReleaseLog>, Refusal> {
    Ok(Json(host.release_log(id).await?))
}

/// What may be wished for of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Pause,
    Resume,
    Approve,
    Stop,
    RollBack,
}

impl Named for Word {
    const PLACE: &'static str = "wish";
    const ABOUT: &'static str = "What is wished for.";
    const WORDS: &'static [&'static str] = &["pause", "resume", "approve", "stop", "rollback"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(match text {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "approve" => Self::Approve,
            "stop" => Self::Stop,
            "rollback" => Self::RollBack,
            _ => {
                let known = Self::WORDS.join(", ");
                return Err(Refusal::not_found(format!("a release has no {text:?}; known: {known}")));
            }
        })
    }
}

/// With `{"reason"}`: `pause`, `resume`, `stop`, `rollback`, or `approve` with `{"regionPhase": N}`.
#[utoipa::path(
    post,
    path = "/v1/releases/{id}/{wish}",
    params(In<ReleaseId>, In<Word>, Key),
    request_body = Option<wire::ReleaseWishRequest>,
    responses((status = 202, description = "It was heard.", body = wire::ReleaseDetail))
)]
pub(super) async fn wish(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(id): In<ReleaseId>,
    In(word): In<Word>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReleaseWishRequest>,
) -> Result<Response, Refusal> {
    let wire::ReleaseWishRequest { region_phase, reason: why } = request;
    let wish = match (word, region_phase) {
        (Word::Approve, Some(phase)) if phase > 0 => ReleaseWish::Approve(phase - 1),
        (Word::Approve, _) => {
            return Err(Refusal::invalid("an approval needs {\"regionPhase\": N}, from 1"));
        }
        (_, Some(_)) => return Err(Refusal::invalid("`regionPhase` goes with `approve`")),
        (Word::Pause, None) => ReleaseWish::Pause,
        (Word::Resume, None) => ReleaseWish::Resume,
        (Word::Stop, None) => ReleaseWish::Stop,
        (Word::RollBack, None) => ReleaseWish::RollBack,
    };
    let reason = reason(wire::ReasonRequest { reason: why })?;
    Ok(accepted(host.wish_release(id, wish, Asked { actor: caller.actor(), reason, key }).await?))
}
