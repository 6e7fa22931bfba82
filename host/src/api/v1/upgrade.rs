//! Upgrades: to start one, to tell it something, and how it stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use phasegate_core::domain::{Digest, InstanceId, ScaleSetName, TEXT_BYTES_MAX};
use phasegate_core::rollout::{Extent, Wish};
use phasegate_wire as wire;

use super::plan::{extension, version};
use crate::api::answer::{Refusal, accepted};
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host, Quarantined, Selection, StartOptions, Stops, Wanted};
use crate::api::key::Key;
use crate::api::path::In;
use crate::api::query::{Nothing, Query};

/// Starts an upgrade; 409 when one is running.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/upgrade",
    params(In<ScaleSetName>, Key),
    request_body = Option<wire::StartRequest>,
    responses((status = 202, description = "It has begun.", body = wire::StatusDetail))
)]
pub(super) async fn start(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::StartRequest>,
) -> Result<Response, Refusal> {
    let (options, reason) = options(request)?;
    Ok(accepted(host.start(set, options, Asked { actor: caller.actor(), reason, key }).await?))
}

/// How the latest upgrade stands.
#[utoipa::path(
    get,
    path = "/v1/scale-sets/{name}/upgrade",
    params(In<ScaleSetName>),
    responses((status = 200, description = "How it stands.", body = wire::StatusDetail))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::StatusDetail>, Refusal> {
    Ok(Json(host.status(set).await?))
}

/// With `{"reason"}`: `cancel`, `pause`, `resume`, `approve`, `rollback` or `bypass`; only a bypass needs
/// a reason.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/upgrade/{wish}",
    params(In<ScaleSetName>, In<Wish>, Key),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 202, description = "It was heard.", body = wire::StatusDetail))
)]
pub(super) async fn wish(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    In(wish): In<Wish>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Response, Refusal> {
    let reason = reason(request)?;
    if wish == Wish::Bypass && reason.is_none() {
        return Err(Refusal::invalid("a bypass needs a reason: {\"reason\": \"…\"}"));
    }
    Ok(accepted(host.wish(set, wish, Asked { actor: caller.actor(), reason, key }).await?))
}

/// What a start asks for, and why freezes and a stopped line do not hold it, if so.
fn options(request: wire::StartRequest) -> Result<(StartOptions, Option<String>), Refusal> {
    let wire::StartRequest { to, plan, force, extensions, instances, bypass, reapply } = request;
    let digest = |text: &str| {
        Digest::parse(text).ok_or_else(|| Refusal::invalid(format!("plan {text:?} is no `sha256:` digest")))
    };
    if plan.is_some() && instances.is_some() {
        return Err(Refusal::invalid(
            "`plan` and `instances` exclude each other: a manual upgrade has no plan",
        ));
    }
    let extensions =
        extensions.iter().map(|(name, to)| Ok((extension(name)?, to.as_deref().map(version).transpose()?)));
    let reason = bypass.map(|reason| one_line(reason, "bypass")).transpose()?;
    let options = StartOptions {
        wanted: Wanted {
            to: to.as_deref().map(version).transpose()?,
            extensions: extensions.collect::<Result<_, Refusal>>()?,
        },
        manual: instances.as_deref().map(selection).transpose()?,
        stops: if reason.is_some() { Stops::Bypassed } else { Stops::Hold },
        plan: plan.as_deref().map(digest).transpose()?,
        quarantined: if force { Quarantined::Allow } else { Quarantined::Refuse },
        extent: if reapply { Extent::Everything } else { Extent::Missing },
    };
    Ok((options, reason))
}

pub(super) fn selection(ids: &[String]) -> Result<Selection, Refusal> {
    if ids.iter().any(|id| id == "*") {
        return match ids {
            [_] => Ok(Selection::All),
            _ => Err(Refusal::invalid("`*` stands for all instances and goes alone")),
        };
    }
    let id = |text: &String| {
        InstanceId::parse(text).map_err(|error| Refusal::invalid(format!("instance {text:?} {error}")))
    };
    ids.iter().map(id).collect::<Result<_, _>>().map(Selection::These)
}

/// The reason in a body, if there is one.
pub(super) fn reason(request: wire::ReasonRequest) -> Result<Option<String>, Refusal> {
    request.reason.map(|reason| one_line(reason, "reason")).transpose()
}

/// One line for people.
fn one_line(text: String, what: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        let message = format!(
            "`{what}` must be one line of 1 to {TEXT_BYTES_MAX} bytes that says why (seen: {} bytes)",
            text.len()
        );
        return Err(Refusal::invalid(message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_or_refused() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (body, refused) in [
            ("{}".to_owned(), None),
            (format!("{{\"to\": \"v2\", \"plan\": \"{digest}\"}}"), None),
            ("{\"instances\": [\"*\"]}".to_owned(), None),
            ("{\"instances\": [\"*\", \"3\"]}".to_owned(), Some("goes alone")),
            (format!("{{\"instances\": [], \"plan\": \"{digest}\"}}"), Some("exclude each other")),
            ("{\"plan\": \"abc\"}".to_owned(), Some("plan \"abc\" is no `sha256:` digest")),
            ("{\"to\": \"v 2\"}".to_owned(), Some("version \"v 2\"")),
            ("{\"extensions\": {\"a b\": null}}".to_owned(), Some("extension \"a b\"")),
            ("{\"bypass\": \" \"}".to_owned(), Some("`bypass` must be one line of 1 to 500 bytes")),
        ] {
            let read = options(serde_json::from_str(&body).unwrap());
            match refused {
                None => assert!(read.is_ok(), "{body}"),
                Some(part) => {
                    let said = read.unwrap_err().message;
                    assert!(said.contains(part), "{body}: {said}");
                }
            }
        }
    }
}
