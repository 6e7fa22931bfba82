//! The catalogue: what is published, and who gets it.

use std::sync::Arc;

use axum::extract::State;
use phasegate_core::domain::{Digest, ExtensionType, ReleaseVersion, ScaleSetName, Subscription};
use phasegate_core::kernel::command::{Begins, Enrol, ThenBack};
use phasegate_wire as wire;

use super::upgrade::reason;
use crate::api::answer::{Json, Refusal};
use crate::api::body::Object;
use crate::api::guard::Caller;
use crate::api::host::{Asked, Host};
use crate::api::key::Key;
use crate::api::path::{In, Publisher, TypeName};
use crate::api::query::{FromQuery, Key as QueryKey, Nothing, Query, Times};

/// A version of two to four numbers.
pub(super) fn release_version(text: &str) -> Result<ReleaseVersion, Refusal> {
    let shown: String = text.chars().take(60).collect();
    ReleaseVersion::parse(text).map_err(|error| Refusal::invalid(format!("version {shown:?} {error}")))
}

/// `PUBLISHER/TYPE`.
pub(super) fn subject(text: &str) -> Result<ExtensionType, Refusal> {
    let shown: String = text.chars().take(60).collect();
    ExtensionType::parse(text).map_err(|error| Refusal::invalid(format!("type {shown:?} {error}")))
}

/// `sha256:…`.
pub(super) fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).ok_or_else(|| Refusal::invalid(format!("{text:?} is no `sha256:` digest")))
}

fn named(publisher: &str, name: &str) -> Result<ExtensionType, Refusal> {
    subject(&format!("{publisher}/{name}"))
}

fn asked(
    caller: Caller,
    why: Option<String>,
    key: Option<phasegate_core::domain::RequestKey>,
) -> Result<Asked, Refusal> {
    let reason = reason(wire::ReasonRequest { reason: why })?;
    Ok(Asked { actor: caller.actor(), reason, key })
}

/// Every extension type, with its versions and who has it.
#[utoipa::path(
    get,
    path = "/v1/extensionTypes",
    responses((status = 200, description = "By publisher and type.", body = wire::ExtensionTypes))
)]
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::ExtensionTypes>, Refusal> {
    Ok(Json(host.extension_types().await?))
}

/// One extension type, with its versions and who has it.
#[utoipa::path(
    get,
    path = "/v1/extensionTypes/{publisher}/{type}",
    params(In<Publisher>, In<TypeName>),
    responses((status = 200, description = "The type.", body = wire::ExtensionType))
)]
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    In(Publisher(publisher)): In<Publisher>,
    In(TypeName(name)): In<TypeName>,
    Query(Nothing): Query<Nothing>,
) -> Result<Json<wire::ExtensionType>, Refusal> {
    Ok(Json(host.extension_type(named(&publisher, &name)?).await?))
}

/// Takes a version into the catalogue; a release of it begins by itself where sets are enrolled. 409 for the same
/// version with another digest, and for one that was withdrawn.
#[utoipa::path(
    post,
    path = "/v1/extensionTypes/{publisher}/{type}/publish",
    params(In<Publisher>, In<TypeName>, Key),
    request_body = wire::PublishRequest,
    responses((status = 200, description = "The type as it is now.", body = wire::ExtensionType))
)]
pub(super) async fn publish(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(Publisher(publisher)): In<Publisher>,
    In(TypeName(name)): In<TypeName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::PublishRequest>,
) -> Result<Json<wire::ExtensionType>, Refusal> {
    let wire::PublishRequest { version, digest: of, no_release, reason: why } = request;
    let begins = if no_release { Begins::WhenStarted } else { Begins::ByItself };
    let what = (named(&publisher, &name)?, release_version(&version)?);
    let of = of.as_deref().map(digest).transpose()?;
    Ok(Json(host.publish(what, of, begins, asked(caller, why, key)?).await?))
}

/// Nobody gets a version any more: a release of it ends after the batches in flight, and by choice goes back.
#[utoipa::path(
    post,
    path = "/v1/extensionTypes/{publisher}/{type}/withdraw",
    params(In<Publisher>, In<TypeName>, Key),
    request_body = wire::WithdrawRequest,
    responses((status = 200, description = "The type as it is now.", body = wire::ExtensionType))
)]
pub(super) async fn withdraw(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(Publisher(publisher)): In<Publisher>,
    In(TypeName(name)): In<TypeName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::WithdrawRequest>,
) -> Result<Json<wire::ExtensionType>, Refusal> {
    let wire::WithdrawRequest { version, rollback, reason: why } = request;
    let then = if rollback { ThenBack::GoBack } else { ThenBack::Stay };
    let what = (named(&publisher, &name)?, release_version(&version)?);
    Ok(Json(host.withdraw(what, then, asked(caller, why, key)?).await?))
}

/// Which version a plan is about.
#[derive(Debug, Default)]
pub(super) struct OfVersion(Option<ReleaseVersion>);

impl FromQuery for OfVersion {
    const KEYS: &'static [QueryKey] =
        &[QueryKey { name: "version", about: "Two to four numbers.", times: Times::Once }];

    fn set(&mut self, _: &str, value: &str) -> Result<(), Refusal> {
        self.0 = Some(release_version(value)?);
        Ok(())
    }
}

/// What a release of a version would do now: region phases, sets, counts, and why each set is or is not part.
#[utoipa::path(
    get,
    path = "/v1/extensionTypes/{publisher}/{type}/plan",
    params(In<Publisher>, In<TypeName>, Query<OfVersion>),
    responses((status = 200, description = "The plan.", body = wire::ReleasePlan))
)]
pub(super) async fn plan(
    State(host): State<Arc<Host>>,
    In(Publisher(publisher)): In<Publisher>,
    In(TypeName(name)): In<TypeName>,
    Query(OfVersion(version)): Query<OfVersion>,
) -> Result<Json<wire::ReleasePlan>, Refusal> {
    let version = version.ok_or_else(|| Refusal::invalid("say which version: ?version=1.2.3"))?;
    Ok(Json(host.release_plan(named(&publisher, &name)?, version).await?))
}

/// Keeps a type in a scale set as it is, also in the middle of a release: what is in flight ends its batch.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/opt-out",
    params(In<ScaleSetName>, Key),
    request_body = wire::EnrolRequest,
    responses((status = 200, description = "The type as it is now.", body = wire::ExtensionType))
)]
pub(super) async fn opt_out(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::EnrolRequest>,
) -> Result<Json<wire::ExtensionType>, Refusal> {
    let wire::EnrolRequest { subject: of, reason: why } = request;
    Ok(Json(host.enrol(set, subject(&of)?, Enrol::Out, asked(caller, why, key)?).await?))
}

/// Lets releases move a type in a scale set again; it joins one that is under way at its place.
#[utoipa::path(
    post,
    path = "/v1/scale-sets/{name}/opt-in",
    params(In<ScaleSetName>, Key),
    request_body = wire::EnrolRequest,
    responses((status = 200, description = "The type as it is now.", body = wire::ExtensionType))
)]
pub(super) async fn opt_in(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(set): In<ScaleSetName>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::EnrolRequest>,
) -> Result<Json<wire::ExtensionType>, Refusal> {
    let wire::EnrolRequest { subject: of, reason: why } = request;
    Ok(Json(host.enrol(set, subject(&of)?, Enrol::In, asked(caller, why, key)?).await?))
}

/// Which subscriptions have registered the feature.
#[utoipa::path(
    get,
    path = "/v1/features",
    responses((status = 200, description = "By subscription.", body = wire::Features))
)]
pub(super) async fn features(
    State(host): State<Arc<Host>>,
    Query(Nothing): Query<Nothing>,
) -> Json<wire::Features> {
    Json(host.features())
}

/// Registers the feature for a subscription.
#[utoipa::path(
    post,
    path = "/v1/features/{subscription}/register",
    params(In<Subscription>, Key),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "By subscription.", body = wire::Features))
)]
pub(super) async fn register(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(subscription): In<Subscription>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Features>, Refusal> {
    Ok(Json(host.register(subscription, Enrol::In, asked(caller, request.reason, key)?).await?))
}

/// Takes a registration back.
#[utoipa::path(
    post,
    path = "/v1/features/{subscription}/unregister",
    params(In<Subscription>, Key),
    request_body = Option<wire::ReasonRequest>,
    responses((status = 200, description = "By subscription.", body = wire::Features))
)]
pub(super) async fn unregister(
    State(host): State<Arc<Host>>,
    caller: Caller,
    In(subscription): In<Subscription>,
    Query(Nothing): Query<Nothing>,
    Key(key): Key,
    Object(request): Object<wire::ReasonRequest>,
) -> Result<Json<wire::Features>, Refusal> {
    Ok(Json(host.register(subscription, Enrol::Out, asked(caller, request.reason, key)?).await?))
}
