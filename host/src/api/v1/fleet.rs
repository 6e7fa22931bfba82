//! The fleet as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use phasegate_wire as wire;

use crate::api::answer::{Refusal, as_json};
use crate::api::host::Host;
use crate::api::query::{Nothing, Query};

/// The whole fleet.
#[utoipa::path(
    get,
    path = "/v1/fleet",
    responses((status = 200, description = "Every instance of every scale set.", body = wire::Fleet))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Response, Refusal> {
    Ok(as_json(host.fleet().await?))
}
