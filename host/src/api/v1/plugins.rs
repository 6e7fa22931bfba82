//! Plugins: what runs, what judges beside it, and how another component takes over.

use std::sync::Arc;

use axum::extract::State;
use phasegate_core::domain::{Generation, PluginName, Strategy};
use phasegate_wire as wire;

use super::upgrade::reason;
use crate::api::answer::{Json, Refusal};
use crate::api::body::{Component, Object};
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host, InvalidRemoteError, Offered, RemoteSource, SwapMode, SwapOptions};
use crate::api::path::In;
use crate::api::query::{FromQuery, Key, Nothing, Query, Times, boolean};

/// What a swap is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swap {
    strategy: Option<Strategy>,
    force: bool,
    dry_run: bool,
    /// Where the host fetches it.
    source: Option<RemoteSource>,
    /// What the client calls the file whose bytes it sends; shown to people and nothing else.
    file: Option<String>,
    /// Signatures of the bytes, base64 with commas between them.
    signature: Option<String>,
    /// Why, one line.
    reason: Option<String>,
}

impl FromQuery for Swap {
    const KEYS: &'static [Key] = &[
        Key { name: "strategy", about: "immediate, rehearse or shadow.", times: Times::Once },
        Key { name: "force", about: "true: whatever it changes.", times: Times::Once },
        Key { name: "dryRun", about: "true: only show what it would change.", times: Times::Once },
        Key {
            name: "source",
            about: "oci://… or https://…: the host fetches it, and the body is empty.",
            times: Times::Once,
        },
        Key { name: "file", about: "What messages call the bytes of the body.", times: Times::Once },
        Key {
            name: "signature",
            about: "Signatures of the bytes of the body, base64, with commas between them.",
            times: Times::Once,
        },
        Key { name: "reason", about: "Why, one line.", times: Times::Once },
    ];

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        match key {
            "signature" => self.signature = Some(value.to_owned()),
            "strategy" => self.strategy = Some(strategy(value)?),
            "force" => self.force = boolean("force", value)?,
            "dryRun" => self.dry_run = boolean("dryRun", value)?,
            "source" => self.source = Some(source(value)?),
            "reason" => self.reason = Some(value.to_owned()),
            _ => self.file = Some(value.to_owned()),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.force && self.strategy == Some(Strategy::Shadow) {
            return Err(Refusal::invalid(
                "force and strategy=shadow exclude each other: the one takes over whatever it changes, \
                 the other changes nothing until its gate or a person has decided",
            ));
        }
        Ok(())
    }
}

fn strategy(name: &str) -> Result<Strategy, Refusal> {
    Strategy::parse(name).ok_or_else(|| {
        Refusal::invalid(format!("unknown strategy {name:?}; known: immediate, rehearse, shadow"))
    })
}

fn source(text: &str) -> Result<RemoteSource, Refusal> {
    RemoteSource::parse(text).map_err(|error| match error {
        InvalidRemoteError::Scheme => Refusal::invalid(format!(
            "source {text:?} is no reference; write https://… or oci://…, or leave it out and send the \
             bytes of a file"
        )),
        error => Refusal::invalid(format!("source {text:?} {error}")),
    })
}

/// Where a rollback goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Back {
    to: Option<Generation>,
}

impl FromQuery for Back {
    const KEYS: &'static [Key] =
        &[Key { name: "to", about: "Number of a generation of the history.", times: Times::Once }];

    fn set(&mut self, _: &str, value: &str) -> Result<(), Refusal> {
        let number = value
            .parse()
            .map_err(|_| Refusal::invalid(format!("to is {value:?}; write the number of a generation")))?;
        self.to = Some(Generation(number));
        Ok(())
    }
}

fn by(caller: Caller, request: wire::ReasonRequest) -> Result<Asked, Refusal> {
    Ok(Asked { actor: caller.actor(), reason: reason(request)?, key: None })
}

/// Plugins and their active components.
#[utoipa::path(
    get,
    path = "/v1/plugins",
    responses((status = 200, description = "By name.", body = wire::Plugins))
)]
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Json<wire::Plugins> {
    Json(host.plugins())
}

/// Brings in a new component, whose bytes are the body; all parameters may be left out.
///
/// With `source`, a percent-encoded `oci://…` or `https://…`, the body is empty and the host fetches.
/// `file`, percent-encoded, is what messages call the bytes. 409 while another load of the plugin is under
/// way, or when another generation took over meanwhile.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/swap",
    params(In<PluginName>, Query<Swap>),
    request_body(content = String, content_type = "application/wasm"),
    responses((status = 200, description = "The plugin now, and what changes.", body = wire::PluginSwap))
)]
pub(super) async fn swap(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(plugin): In<PluginName>,
    Query(Swap { strategy, force, dry_run, source, file, signature, reason }): Query<Swap>,
    Component(uploaded): Component,
) -> Result<Json<wire::PluginSwap>, Refusal> {
    let asked = by(caller, wire::ReasonRequest { reason })?;
    let bytes = uploaded.bytes.clone();
    let offer = match source {
        None => Offered::Bytes { bytes, file, signatures: signature.unwrap_or_default() },
        Some(_) if signature.is_some() => {
            return Err(Refusal::invalid(
                "`signature` goes with bytes; of a `source` the host fetches its signatures",
            ));
        }
        Some(source) if bytes.is_empty() => Offered::Reference(source),
        Some(_) => {
            return Err(Refusal::invalid("`source` and bytes exclude each other: the host fetches one"));
        }
    };
    let mode = match (dry_run, force) {
        (true, _) => SwapMode::DryRun,
        (false, true) => SwapMode::Force,
        (false, false) => SwapMode::Heed,
    };
    Ok(Json(host.swap(&plugin, offer, SwapOptions { strategy, mode }, asked).await?))
}

/// Which instances a new component changes: the comparison under way, or the latest one.
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/diff",
    params(In<PluginName>),
    responses((status = 200, description = "The comparison.", body = wire::PluginDiff))
)]
pub(super) async fn diff(
    State(host): State<Arc<Host>>,
    In(plugin): In<PluginName>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::PluginDiff>, Refusal> {
    Ok(Json(host.diff(&plugin)?))
}

/// Lets the component that judges beside the active one take over now.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/promote",
    params(In<PluginName>),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "The plugin now.", body = wire::Plugin))
)]
pub(super) async fn promote(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(plugin): In<PluginName>,
    Query(Nothing): Query<Nothing>,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Plugin>, Refusal> {
    Ok(Json(host.promote(&plugin, by(caller, request)?).await?))
}

/// Drops the component that judges beside the active one.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/discard",
    params(In<PluginName>),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "The plugin now.", body = wire::Plugin))
)]
pub(super) async fn discard(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(plugin): In<PluginName>,
    Query(Nothing): Query<Nothing>,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Plugin>, Refusal> {
    Ok(Json(host.discard(&plugin, by(caller, request)?).await?))
}

/// The generations that can be gone back to.
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/history",
    params(In<PluginName>),
    responses((status = 200, description = "Oldest first.", body = wire::PluginHistory))
)]
pub(super) async fn history(
    State(host): State<Arc<Host>>,
    In(plugin): In<PluginName>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::PluginHistory>, Refusal> {
    Ok(Json(host.history(&plugin)?))
}

/// Goes back, under a new number; without `to` to the latest generation that differs, can run and was
/// not left for being worse.
///
/// 404 when there is none, 422 when its component is damaged or `digest` rules it out.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/rollback",
    params(In<PluginName>, Query<Back>),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "The plugin now.", body = wire::Plugin))
)]
pub(super) async fn roll_back(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(plugin): In<PluginName>,
    Query(Back { to }): Query<Back>,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Plugin>, Refusal> {
    Ok(Json(host.roll_back(&plugin, to, by(caller, request)?).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::query::parse;

    #[test]
    fn a_source_that_is_a_path_is_told_what_the_api_takes() {
        let said = parse::<Swap>("source=%2Fetc%2Fpasswd").unwrap_err().message;
        assert!(said.contains("send the bytes of a file") && said.contains("/etc/passwd"), "{said}");
        assert!(!said.contains("path of a file"), "{said}");
    }

    #[test]
    fn options_are_parsed_or_refused() {
        let db = RemoteSource::parse("oci://h/db:1").unwrap();
        let all = Swap { strategy: Some(Strategy::Rehearse), force: true, dry_run: true, ..Swap::default() };
        for (query, expected) in [
            ("", Some(Swap::default())),
            ("strategy=rehearse&force=true&dryRun=true", Some(all)),
            ("file=a%20b.wasm", Some(Swap { file: Some("a b.wasm".to_owned()), ..Swap::default() })),
            ("strategy=shadow&force=true", None),
            ("source=oci%3A%2F%2Fh%2Fdb%3A1", Some(Swap { source: Some(db), ..Swap::default() })),
            ("source=oci://h/db", None),
            ("source=db.wasm", None),
            ("strategy=canary", None),
            ("force=yes", None),
            ("force", None),
            ("dry=true", None),
            ("force=true&force=false", None),
        ] {
            assert_eq!(parse::<Swap>(query).ok(), expected, "{query}");
        }
    }

    #[test]
    fn a_rollback_goes_to_a_generation_or_is_refused() {
        for (query, expected) in [
            ("", Some(None)),
            ("to=3", Some(Some(Generation(3)))),
            ("to=latest", None),
            ("to=", None),
            ("generation=3", None),
        ] {
            assert_eq!(parse::<Back>(query).ok().map(|back| back.to), expected, "{query}");
        }
    }
}
