//! The audit trail.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use phasegate_core::domain::{InstanceId, ScaleSetName};
use phasegate_wire as wire;

use crate::api::answer::Refusal;
use crate::api::host::Host;
use crate::api::path::{In, Named};
use crate::api::query::{FromQuery, Key, Query, Times};

/// Which lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    instance: Option<InstanceId>,
}

impl FromQuery for Lines {
    const KEYS: &'static [Key] =
        &[Key { name: "instance", about: "Only what concerns this instance.", times: Times::Once }];

    fn set(&mut self, _: &str, value: &str) -> Result<(), Refusal> {
        self.instance = Some(<InstanceId as Named>::parse(value)?);
        Ok(())
    }
}

/// The audit trail, its latest 10,000 lines; with `instance` only what concerns that one.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/log",
    params(In<ScaleSetName>, Query<Lines>),
    responses((status = 200, description = "Oldest first.", body = wire::Log))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(Lines { instance }): Query<Lines>,
) -> Result<Json<wire::Log>, Refusal> {
    Ok(Json(host.log(set, instance).await?))
}
