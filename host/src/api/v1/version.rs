//! Which program answers.

use phasegate_wire as wire;

use crate::api::answer::Json;
use crate::api::query::{Nothing, Query};

/// Version of the program and of its API, and the commit that it was built from, where that is known.
///
/// Every answer has the program's version in the header `Phasegate-Version`.
#[utoipa::path(
    get,
    path = "/v1/version",
    responses((status = 200, description = "The versions.", body = wire::Version))
)]
pub(super) async fn show(Query(Nothing): Query<Nothing>) -> Json<wire::Version> {
    Json(wire::Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v1".to_owned(),
        commit: option_env!("PHASEGATE_COMMIT").map(str::to_owned),
    })
}
