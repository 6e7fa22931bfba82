//! Where instances are found, and what of it is held.

use std::sync::Arc;

use axum::extract::State;
use phasegate_core::domain::ScaleSetName;
use phasegate_wire as wire;

use super::upgrade::reason;
use crate::api::answer::{Json, Refusal};
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host};
use crate::api::path::In;
use crate::api::query::{Nothing, Query};

/// Where the instances of a scale set are found, when that was last looked at, and what of it is held; 404 where the
/// configuration lists them.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/discovery",
    params(In<ScaleSetName>),
    responses((status = 200, description = "How it stands.", body = wire::Discovery))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::Discovery>, Refusal> {
    Ok(Json(host.discovery(&set)?))
}

/// Looks again, and lets those go who were held and are not named now either; 409 when nobody is held.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/discovery/accept",
    params(In<ScaleSetName>),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "They are members no longer.", body = wire::Discovery))
)]
pub(super) async fn accept(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Discovery>, Refusal> {
    let asked = Asked { actor: caller.actor(), reason: reason(request)?, key: None };
    Ok(Json(host.accept_removed(set, asked).await?))
}
