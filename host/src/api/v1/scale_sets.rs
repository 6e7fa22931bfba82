//! The scale sets in brief: a list that stays small however many instances there are.

use std::sync::Arc;

use axum::extract::State;
use phasegate_wire as wire;

use crate::api::answer::Json;
use crate::api::host::Host;
use crate::api::query::{Nothing, Query};

/// Every scale set: its counts, the version of its model, and how its latest upgrade stands.
#[utoipa::path(
    get,
    path = "/v1/scale-sets",
    responses((status = 200, description = "By name.", body = wire::ScaleSets))
)]
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Json<wire::ScaleSets> {
    Json(host.scale_sets())
}
