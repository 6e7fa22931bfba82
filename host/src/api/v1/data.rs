//! The record, as far as it holds the host.

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

/// Whether the record holds the host, and why.
#[utoipa::path(
    get,
    path = "/v1/data",
    responses((status = 200, description = "What speaks against the record.", body = wire::Data))
)]
pub(super) async fn show(State(host): State<Arc<Host>>, Query(Nothing): Query<Nothing>) -> Json<wire::Data> {
    Json(host.data())
}

/// Goes on with this record, whatever speaks against it. 409 when nothing does.
#[utoipa::path(
    post,
    path = "/v1/data/adopt",
    params(Key),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "It goes on.", body = wire::Data))
)]
pub(super) async fn adopt(
    State(host): State<Arc<Host>>,
    caller: Caller,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Data>, Refusal> {
    let asked = Asked { actor: caller.actor(), reason: reason(request)?, key };
    Ok(Json(host.adopt(asked).await?))
}
