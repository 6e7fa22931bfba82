//! Upgrades: to start one, to tell it something, and how it stands.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use phasegate_core::domain::{Digest, InstanceId, ScaleSetName, TEXT_BYTES_MAX, Timestamp, UpgradeId};
use phasegate_core::rollout::{Extent, Wish};
use phasegate_wire as wire;

use super::plan::{extension, urgency, version};
use crate::api::answer::{Json, Refusal, accepted};
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

/// With `{"reason"}`: `cancel`, `pause`, `resume`, `approve`, `promote`, `retry`, `rollback` or `bypass`; only a bypass needs
/// a reason. `cancel` knows `{"now": true}`, `rollback` knows `{"continue": true}` and `{"to": "ID"}`.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/upgrade/{wish}",
    params(In<ScaleSetName>, In<Wish>, Key),
    request_body = Option<wire::WishRequest>,
    responses((status = 202, description = "It was heard.", body = wire::StatusDetail))
)]
pub(super) async fn wish(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    In(wish): In<Wish>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::WishRequest>,
) -> Result<Response, Refusal> {
    let wire::WishRequest { reason: text, now, go_on, to } = request;
    let reason = reason(wire::ReasonRequest { reason: text })?;
    if wish == Wish::Bypass && reason.is_none() {
        return Err(Refusal::invalid("a bypass needs a reason: {\"reason\": \"…\"}"));
    }
    let asked = Asked { actor: caller.actor(), reason, key };
    let detail = match exactly(wish, (now, go_on), to.as_deref())? {
        Exactly::Wish(wish) => host.wish(set, wish, asked).await?,
        Exactly::BackTo(id) => host.roll_back_to(set, id, asked).await?,
    };
    Ok(accepted(detail))
}

/// What is wished for, with all that was said of it.
#[derive(Debug, PartialEq, Eq)]
enum Exactly {
    Wish(Wish),
    BackTo(UpgradeId),
}

fn exactly(wish: Wish, (now, go_on): (bool, bool), to: Option<&str>) -> Result<Exactly, Refusal> {
    let id = |text: &str| {
        UpgradeId::parse(text).map_err(|error| Refusal::invalid(format!("upgrade id {text:?} {error}")))
    };
    Ok(match (wish, now, go_on, to) {
        (wish, false, false, None) => Exactly::Wish(wish),
        (Wish::Cancel, true, false, None) => Exactly::Wish(Wish::CancelNow),
        (Wish::RollBack, false, true, None) => Exactly::Wish(Wish::RollBackOn),
        (Wish::RollBack, false, false, Some(to)) => Exactly::BackTo(id(to)?),
        (_, _, _, _) => {
            return Err(Refusal::invalid(
                "`now` goes with `cancel`; `continue` and `to` go with `rollback`, one of them",
            ));
        }
    })
}

/// What a start asks for, and why freezes and a stopped line do not hold it, if so.
fn options(request: wire::StartRequest) -> Result<(StartOptions, Option<String>), Refusal> {
    let wire::StartRequest {
        to,
        plan,
        force,
        extensions,
        instances,
        bypass,
        reason: why,
        reapply,
        at,
        urgency,
    } = request;
    let digest = |text: &str| {
        Digest::parse(text).ok_or_else(|| Refusal::invalid(format!("plan {text:?} is no `sha256:` digest")))
    };
    if plan.is_some() && instances.is_some() {
        return Err(Refusal::invalid(
            "`plan` and `instances` exclude each other: a manual upgrade has no plan",
        ));
    }
    if urgency.is_some() && instances.is_some() {
        return Err(Refusal::invalid(
            "`urgency` and `instances` exclude each other: a manual upgrade waits for nothing",
        ));
    }
    if at.is_some() && (plan.is_some() || instances.is_some()) {
        return Err(Refusal::invalid(
            "`at` goes without `plan` and `instances`: what is planned then is not what is shown now",
        ));
    }
    let date = |text: &str| {
        let date: Result<jiff::Timestamp, _> = text.parse();
        let date =
            date.map_err(|_| Refusal::invalid(format!("`at` {text:?} is no time as RFC 3339 has it")))?;
        Ok::<_, Refusal>(Timestamp(date.as_millisecond()))
    };
    let extensions =
        extensions.iter().map(|(name, to)| Ok((extension(name)?, to.as_deref().map(version).transpose()?)));
    let bypass = bypass.map(|reason| one_line(reason, "bypass")).transpose()?;
    let why = reason(wire::ReasonRequest { reason: why })?;
    let options = StartOptions {
        wanted: Wanted {
            to: to.as_deref().map(version).transpose()?,
            extensions: extensions.collect::<Result<_, Refusal>>()?,
            urgency: urgency.as_deref().map(self::urgency).transpose()?.unwrap_or_default(),
        },
        manual: instances.as_deref().map(selection).transpose()?,
        stops: if bypass.is_some() { Stops::Bypassed } else { Stops::Hold },
        plan: plan.as_deref().map(digest).transpose()?,
        quarantined: if force { Quarantined::Allow } else { Quarantined::Refuse },
        extent: if reapply { Extent::Everything } else { Extent::Missing },
        not_before: at.as_deref().map(date).transpose()?,
    };
    Ok((options, bypass.or(why)))
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
    fn what_does_not_go_with_a_wish_is_refused() {
        let id = UpgradeId::parse("s-3").unwrap();
        for (wish, now, go_on, to, expected) in [
            (Wish::Pause, false, false, None, Some(Exactly::Wish(Wish::Pause))),
            (Wish::Cancel, true, false, None, Some(Exactly::Wish(Wish::CancelNow))),
            (Wish::RollBack, false, true, None, Some(Exactly::Wish(Wish::RollBackOn))),
            (Wish::RollBack, false, false, Some("s-3"), Some(Exactly::BackTo(id))),
            (Wish::RollBack, false, true, Some("s-3"), None),
            (Wish::RollBack, false, false, Some("s 3"), None),
            (Wish::RollBack, true, false, None, None),
            (Wish::Resume, true, false, None, None),
            (Wish::Cancel, false, true, None, None),
        ] {
            assert_eq!(exactly(wish, (now, go_on), to).ok(), expected, "{wish:?} {now} {go_on} {to:?}");
        }
    }

    #[test]
    fn a_start_is_read_or_refused() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (body, refused) in [
            ("{}".to_owned(), None),
            (format!("{{\"to\": \"v2\", \"plan\": \"{digest}\"}}"), None),
            ("{\"instances\": [\"*\"]}".to_owned(), None),
            ("{\"instances\": [\"*\", \"3\"]}".to_owned(), Some("goes alone")),
            (format!("{{\"instances\": [], \"plan\": \"{digest}\"}}"), Some("exclude each other")),
            ("{\"at\": \"2026-07-01T22:00:00Z\"}".to_owned(), None),
            ("{\"urgency\": \"security\"}".to_owned(), None),
            ("{\"urgency\": \"at once\"}".to_owned(), Some("`routine`, `security` or `emergency`")),
            ("{\"urgency\": \"emergency\", \"instances\": [\"*\"]}".to_owned(), Some("exclude each other")),
            ("{\"at\": \"tonight\"}".to_owned(), Some("`at` \"tonight\" is no time")),
            (
                "{\"at\": \"2026-07-01T22:00:00Z\", \"instances\": [\"*\"]}".to_owned(),
                Some("`at` goes without"),
            ),
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
