//! Upgrades of the past, and the latest one of every scale set.

use std::sync::Arc;

use axum::extract::State;
use phasegate_core::domain::{ScaleSetName, UpgradeId};
use phasegate_wire as wire;

use crate::api::answer::{Json, Refusal};
use crate::api::host::{Host, Page};
use crate::api::path::In;
use crate::api::query::{FromQuery, Key, Nothing, Query, Times, whole};

/// Most upgrades of one answer.
const LIMIT_MAX: u32 = 200;

impl FromQuery for Page {
    const KEYS: &'static [Key] = &[
        Key { name: "limit", about: "So many at most, 1 to 200; 20 unless said.", times: Times::Once },
        Key {
            name: "before",
            about: "Only those with a lower number: `next` of the answer before.",
            times: Times::Once,
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        match key {
            "before" => self.before = Some(whole(key, value, (1, u64::MAX))?),
            _ => self.limit = whole(key, value, (1, LIMIT_MAX))?,
        }
        Ok(())
    }
}

/// The upgrades of a scale set that are kept, newest first.
///
/// With `truncated` there are older ones; the same request with `before` set to `next` answers with them.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/upgrades",
    params(In<ScaleSetName>, Query<Page>),
    responses((status = 200, description = "Newest first.", body = wire::PastUpgrades))
)]
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(page): Query<Page>,
) -> Result<Json<wire::PastUpgrades>, Refusal> {
    Ok(Json(host.past_upgrades(set, page).await?))
}

/// How an upgrade stands or stood; 404 when it is not kept.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/upgrades/{id}",
    params(In<ScaleSetName>, In<UpgradeId>),
    responses((status = 200, description = "How it stands.", body = wire::StatusDetail))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    In(id): In<UpgradeId>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::StatusDetail>, Refusal> {
    Ok(Json(host.status_of(set, id).await?))
}

/// Every scale set with its latest upgrade in brief, and its versions in quarantine.
#[utoipa::path(
    get,
    path = "/v1/upgrades",
    responses((status = 200, description = "By name of the scale set.", body = wire::LatestUpgrades))
)]
pub(super) async fn latest(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::LatestUpgrades>, Refusal> {
    Ok(Json(host.latest_upgrades().await?))
}

#[cfg(test)]
mod tests {
    use crate::api::query::parse;

    use super::*;

    #[test]
    fn a_page_is_read_or_refused() {
        assert_eq!(parse::<Page>("").unwrap(), Page { limit: 20, before: None });
        assert_eq!(parse::<Page>("limit=200&before=7").unwrap(), Page { limit: 200, before: Some(7) });
        for query in ["limit=0", "limit=201", "limit=+1", "limit=1&limit=2", "before=x", "since=1"] {
            assert!(parse::<Page>(query).is_err(), "{query}");
        }
    }
}
