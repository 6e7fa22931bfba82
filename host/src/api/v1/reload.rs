//! Going over to a changed configuration file.

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

/// Reads the configuration file again and fetches what nothing pins; 422 when it is refused, and then
/// nothing has changed.
///
/// `warnings` says which components could not be looked at, `notInForce` what the file says already and
/// was refused before.
#[utoipa::path(
    post,
    path = "/v1/reload",
    params(Key),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "What changed.", body = wire::Reload))
)]
pub(super) async fn reload(
    State(host): State<Arc<Host>>,
    caller: Caller,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Reload>, Refusal> {
    Ok(Json(host.reload(Asked { actor: caller.actor(), reason: reason(request)?, key }).await?))
}
