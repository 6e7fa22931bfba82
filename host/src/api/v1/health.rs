//! Whether the host itself works.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::api::answer::Refusal;
use crate::api::host::Host;

/// Says `ok` while the kernel answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "`{\"status\": \"ok\"}`")))]
pub(super) async fn show(State(host): State<Arc<Host>>) -> Result<Json<serde_json::Value>, Refusal> {
    host.ping().await?;
    Ok(Json(serde_json::json!({"status": "ok"})))
}
