//! What an upgrade would do now.

use std::sync::Arc;

use axum::extract::State;
use phasegate_core::domain::{ExtensionName, ScaleSetName, Urgency, Version};
use phasegate_wire as wire;

use crate::api::answer::{Json, Refusal};
use crate::api::host::{Host, Wanted};
use crate::api::path::In;
use crate::api::query::{FromQuery, Key, Query, Times};

impl FromQuery for Wanted {
    const KEYS: &'static [Key] = &[
        Key { name: "to", about: "Version of the application; without it the model's.", times: Times::Once },
        Key {
            name: "extension",
            about: "NAME=VERSION, or NAME for the model's version.",
            times: Times::Many,
        },
        Key {
            name: "urgency",
            about: "`routine`, `security` or `emergency`; without it `routine`.",
            times: Times::Once,
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        if key == "to" {
            self.to = Some(version(value)?);
            return Ok(());
        }
        if key == "urgency" {
            self.urgency = urgency(value)?;
            return Ok(());
        }
        let (name, to) = match value.split_once('=') {
            Some((name, to)) => (name, Some(to)),
            None => (value, None),
        };
        self.extensions.push((extension(name)?, to.map(version).transpose()?));
        Ok(())
    }
}

pub(super) fn version(text: &str) -> Result<Version, Refusal> {
    let shown: String = text.chars().take(60).collect();
    Version::parse(text).map_err(|error| Refusal::invalid(format!("version {shown:?} {error}")))
}

pub(super) fn urgency(text: &str) -> Result<Urgency, Refusal> {
    Urgency::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Refusal::invalid(format!("urgency {shown:?} is none of `routine`, `security` or `emergency`"))
    })
}

pub(super) fn extension(text: &str) -> Result<ExtensionName, Refusal> {
    ExtensionName::parse(text).map_err(|error| Refusal::invalid(format!("extension {text:?} {error}")))
}

/// What an upgrade would do now, the policy's limits as counts, the freeze in force, warnings.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/plan",
    params(In<ScaleSetName>, Query<Wanted>),
    responses((status = 200, description = "The plan.", body = wire::PlanDetail))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<wire::PlanDetail>, Refusal> {
    Ok(Json(host.plan(set, wanted).await?))
}
