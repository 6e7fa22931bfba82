//! Versions that faulted, and instances that are to get again what they have.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use phasegate_core::domain::{Change, Component, ScaleSetName};
use phasegate_core::rollout::Extent;
use phasegate_wire as wire;

use super::plan::{extension, version};
use super::upgrade::{reason, selection};
use crate::api::answer::{Refusal, accepted};
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host, StartOptions};
use crate::api::key::Key;
use crate::api::path::In;
use crate::api::query::{Nothing, Query};

/// Versions that faulted and are not tried again by themselves.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/quarantine",
    params(In<ScaleSetName>),
    responses((status = 200, description = "Which, and why.", body = wire::Quarantine))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::Quarantine>, Refusal> {
    Ok(Json(host.quarantine(set).await?))
}

/// With `{"version"}`: lets a start take it as any other version.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/quarantine/lift",
    params(In<ScaleSetName>, Key),
    request_body = wire::Lift,
    responses((status = 200, description = "It is lifted; what is left.", body = wire::Quarantine))
)]
pub(super) async fn lift(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::Lift>,
) -> Result<Json<wire::Quarantine>, Refusal> {
    let wire::Lift { version: text, extension: of, reason: why } = request;
    let component = match of.as_deref().map(extension).transpose()? {
        Some(name) => Component::Extension(name),
        None => Component::Application,
    };
    let change = Change { component, to: version(&text)? };
    let reason = reason(wire::ReasonRequest { reason: why })?;
    Ok(Json(host.lift_quarantine(set, change, Asked { actor: caller.actor(), reason, key }).await?))
}

/// Runs the driver again for the version that is there: of the instances that are named at once, or of all in
/// the order of a plan; 409 when an upgrade is running.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/repair",
    params(In<ScaleSetName>, Key),
    request_body = Option<wire::Repair>,
    responses((status = 202, description = "It has begun.", body = wire::StatusDetail))
)]
pub(super) async fn repair(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::Repair>,
) -> Result<Response, Refusal> {
    let wire::Repair { instances, reason: why } = request;
    let manual = instances.as_deref().map(selection).transpose()?;
    let options = StartOptions { manual, extent: Extent::Repair, ..StartOptions::default() };
    let reason = reason(wire::ReasonRequest { reason: why })?;
    Ok(accepted(host.start(set, options, Asked { actor: caller.actor(), reason, key }).await?))
}
