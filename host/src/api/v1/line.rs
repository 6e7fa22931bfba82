//! The one switch that holds every upgrade.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use phasegate_core::kernel::Command;
use phasegate_wire as wire;

use super::upgrade::reason;
use crate::api::answer::Refusal;
use crate::api::body::Object;
use crate::api::host::Host;
use crate::api::query::{Nothing, Query};

/// Whether the line is stopped.
#[utoipa::path(
    get,
    path = "/v1/line",
    responses((status = 200, description = "How the line stands.", body = wire::Line))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::Line>, Refusal> {
    Ok(Json(host.line()))
}

/// With `{"reason"}`: finishes the batches in flight and admits nothing more anywhere.
#[utoipa::path(
    post,
    path = "/v1/line/stop",
    request_body = wire::ReasonRequest,
    responses((status = 200, description = "It is stopped.", body = wire::Line))
)]
pub(super) async fn stop(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Line>, Refusal> {
    // Without a reason the host says what one must be.
    Ok(Json(host.set_line(Command::StopLine, reason(request)?).await?))
}

/// Lets upgrades go on.
#[utoipa::path(
    post,
    path = "/v1/line/start",
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "It goes on.", body = wire::Line))
)]
pub(super) async fn start(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Line>, Refusal> {
    Ok(Json(host.set_line(Command::StartLine, reason(request)?).await?))
}
