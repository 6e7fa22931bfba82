//! The audit trail.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use phasegate_core::domain::{InstanceId, ScaleSetName, UpgradeId};
use phasegate_wire as wire;

use crate::api::answer::{Refusal, as_json};
use crate::api::host::{Bound, Host, Lines};
use crate::api::path::{In, Named};
use crate::api::query::{FromQuery, Key, Query, Times, whole};

/// Most lines of one answer.
const LIMIT_MAX: u32 = 10_000;

impl FromQuery for Lines {
    const KEYS: &'static [Key] = &[
        Key { name: "instance", about: "Only what concerns this instance.", times: Times::Once },
        Key { name: "upgrade", about: "Only what belongs to the upgrade of this id.", times: Times::Once },
        Key {
            name: "since",
            about: "Only what comes after the line of this number, or from this time on: RFC 3339, or an ISO 8601 \
                    duration before now.",
            times: Times::Once,
        },
        Key {
            name: "until",
            about: "Only what comes before that, with it: a number of a line, a time or a duration as in `since`.",
            times: Times::Once,
        },
        Key {
            name: "before",
            about: "Only what comes before the line of this number: `next` of the answer before.",
            times: Times::Once,
        },
        Key {
            name: "limit",
            about: "So many lines at most, 1 to 10,000; 1,000 unless said.",
            times: Times::Once,
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        match key {
            "instance" => self.instance = Some(<InstanceId as Named>::parse(value)?),
            "upgrade" => self.upgrade = Some(<UpgradeId as Named>::parse(value)?),
            "since" => self.since = Some(bound(key, value)?),
            "until" => self.until = Some(bound(key, value)?),
            "before" => self.before = Some(whole(key, value, (1, u64::MAX))?),
            _ => self.limit = whole(key, value, (1, LIMIT_MAX))?,
        }
        Ok(())
    }
}

fn bound(key: &str, value: &str) -> Result<Bound, Refusal> {
    Bound::parse(value).ok_or_else(|| {
        Refusal::invalid(format!(
            "{key} is {value:?}; write a time such as 2026-01-05T09:00:00Z, a duration before now such as PT1H, or \
             the number of a line"
        ))
    })
}

/// The audit trail: the latest of the lines that are asked for.
///
/// With `truncated` there are older ones; the same request with `before` set to `next` answers with them. 404 for an
/// instance that neither the scale set nor its trail has, and for an upgrade that is not kept.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/log",
    params(In<ScaleSetName>, Query<Lines>),
    responses((status = 200, description = "Oldest first.", body = wire::Log))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(lines): Query<Lines>,
) -> Result<Response, Refusal> {
    Ok(as_json(host.log(set, lines).await?))
}

#[cfg(test)]
mod tests {
    use crate::api::query::parse;

    use super::*;

    #[test]
    fn which_lines_is_read_or_refused() {
        let plain = parse::<Lines>("").unwrap();
        assert_eq!(plain, Lines { limit: 1_000, ..Lines::default() });
        for query in [
            "since=17&until=P1DT2H&before=9&limit=10000",
            "since=2026-01-05T09:00:00Z&until=2026-01-05T10:00:00%2B01:00&limit=1",
            "instance=web-1&upgrade=orders-7",
        ] {
            assert!(parse::<Lines>(query).is_ok(), "{query}");
        }
        for (query, expected) in [
            ("limit=0", "limit is \"0\"; write a whole number from 1 to 10000"),
            ("limit=10001", "limit is \"10001\"; write a whole number from 1 to 10000"),
            ("limit=-1", "limit is \"-1\"; write a whole number from 1 to 10000"),
            ("before=0", "before is \"0\"; write a whole number from 1 to 18446744073709551615"),
            ("since=yesterday", "since is \"yesterday\"; write a time such as"),
            ("until=", "until is \"\"; write a time such as"),
            ("since=99999999999999999999", "since is \"99999999999999999999\"; write a time"),
            ("instance=a%20b", "instance id \"a b\""),
            ("upgrade=%00", "upgrade id"),
            ("seq=1", "unknown query parameter \"seq=1\"; known: instance=…, upgrade=…, since=…"),
        ] {
            let said = parse::<Lines>(query).unwrap_err().message;
            assert!(said.starts_with(expected), "{query}: {said}");
        }
    }
}
