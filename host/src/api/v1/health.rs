//! Whether the host itself works, and whether it can do what it is asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use phasegate_wire as wire;

use crate::api::answer::{Json, Refusal};
use crate::api::host::Host;
use crate::api::query::{Nothing, Query};

/// How long the loop may take to answer before it counts as standing still.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// Says `ok` while the loop turns; 503 when it has not answered for 3 s. Needs no token.
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, description = "`ok`.", body = wire::HostStanding))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::HostStanding>, Refusal> {
    turning(&host).await?;
    Ok(standing("ok"))
}

/// Says `ready` while the loop turns, what is asked for can be recorded, the record does not hold the host, and every
/// plugin decides; else 503 and why not. Needs no token.
#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, description = "`ready`.", body = wire::HostStanding))
)]
pub(super) async fn ready(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::HostStanding>, Refusal> {
    turning(&host).await?;
    match host.why_not_ready() {
        None => Ok(standing("ready")),
        Some(why) => Err(Refusal::unavailable(why)),
    }
}

async fn turning(host: &Host) -> Result<(), Refusal> {
    match tokio::time::timeout(ANSWERS_WITHIN, host.ping()).await {
        Ok(answered) => Ok(answered?),
        Err(_) => {
            let message = format!("the loop has not answered for {} s", ANSWERS_WITHIN.as_secs());
            Err(Refusal::unavailable(message))
        }
    }
}

fn standing(status: &str) -> Json<wire::HostStanding> {
    Json(wire::HostStanding { status: status.to_owned() })
}
