//! The one switch that holds every upgrade.

use std::sync::Arc;

use axum::extract::State;
use phasegate_wire as wire;

use super::upgrade::reason;
use crate::api::answer::{Json, Refusal};
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host};
use crate::api::key::Key;
use crate::api::query::{Nothing, Query};

/// Whether the line is stopped.
#[utoipa::path(
    get,
    path = "/v1/line",
    responses((status = 200, description = "How the line stands.", body = wire::Line))
)]
pub(super) async fn show(State(host): State<Arc<Host>>, Query(Nothing): Query<Nothing>) -> Json<wire::Line> {
    Json(host.line())
}

/// With `{"reason"}`: finishes the batches in flight and admits nothing more anywhere.
#[utoipa::path(
    post,
    path = "/v1/line/stop",
    params(Key),
    request_body = wire::ReasonRequest,
    responses((status = 200, description = "It is stopped.", body = wire::Line))
)]
pub(super) async fn stop(
    State(host): State<Arc<Host>>,
    caller: Caller,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Line>, Refusal> {
    // Without a reason the host says what one must be.
    let asked = Asked { actor: caller.actor(), reason: reason(request)?, key };
    Ok(Json(host.stop_line(asked).await?))
}

/// Lets upgrades go on.
#[utoipa::path(
    post,
    path = "/v1/line/start",
    params(Key),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "It goes on.", body = wire::Line))
)]
pub(super) async fn start(
    State(host): State<Arc<Host>>,
    caller: Caller,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Line>, Refusal> {
    let asked = Asked { actor: caller.actor(), reason: reason(request)?, key };
    Ok(Json(host.start_line(asked).await?))
}
