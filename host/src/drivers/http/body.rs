//! The JSON that goes to an agent, and what is read from it. Sends nothing.

use hyper::body::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use crate::drivers::settings::Texts;
use crate::drivers::{Create, Delete, Ensure};
use phasegate_core::domain::{APPLICATION, Located};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestBody<'a> {
    scale_set: &'a str,
    instance: &'a str,
    address: String,
    zone: Option<&'a str>,
    labels: &'a std::collections::BTreeMap<String, String>,
    component: &'a str,
    version: &'a str,
    operation: &'a str,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected_settings: Option<Json>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a> {
    scale_set: &'a str,
    instance: &'a str,
    replaces: &'a str,
    replaces_address: String,
    zone: Option<&'a str>,
    labels: &'a std::collections::BTreeMap<String, String>,
    component: &'a str,
    version: &'a str,
    operation: &'a str,
    generation: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeleteBody<'a> {
    scale_set: &'a str,
    instance: &'a str,
    address: Option<String>,
    operation: &'a str,
    generation: u64,
}

#[derive(Deserialize)]
pub(super) struct AddressBody {
    pub(super) address: String,
}

#[derive(Deserialize)]
pub(super) struct VersionBody {
    /// None where the key is not there at all, which is another thing than null.
    #[serde(default, deserialize_with = "that_is_there")]
    pub(super) version: Option<Option<String>>,
    pub(super) state: Option<String>,
}

fn that_is_there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(value).map(Some)
}

pub(super) fn body_of_creation(request: &Create) -> serde_json::Result<Bytes> {
    let Create { scale_set, instance, replaces, version, taken: _, operation, fence } = request;
    let body = CreateBody {
        scale_set: scale_set.as_str(),
        instance: instance.id.as_str(),
        replaces: replaces.as_str(),
        replaces_address: instance.address.to_string(),
        zone: instance.zone.as_deref(),
        labels: &instance.labels,
        component: APPLICATION,
        version: version.as_str(),
        operation: &operation.0,
        generation: fence.packed(),
    };
    serde_json::to_vec(&body).map(Bytes::from)
}

pub(super) fn body_of_deletion(request: &Delete) -> serde_json::Result<Bytes> {
    let Delete { scale_set, instance, located, operation, fence } = request;
    let body = DeleteBody {
        scale_set: scale_set.as_str(),
        instance: instance.id.as_str(),
        address: (*located == Located::Yes).then(|| instance.address.to_string()),
        operation: &operation.0,
        generation: fence.packed(),
    };
    serde_json::to_vec(&body).map(Bytes::from)
}

/// Settings as what they are; a text that is no JSON is a text.
fn as_json(text: String) -> Json {
    serde_json::from_str(&text).unwrap_or(Json::String(text))
}

pub(super) fn body(request: &Ensure, texts: Texts) -> serde_json::Result<Bytes> {
    let Ensure { scale_set, instance, component, version, previous: _, operation, fence, again: _ } = request;
    let body = RequestBody {
        settings: texts.settings.map(as_json),
        protected_settings: texts.protected.map(as_json),
        scale_set: scale_set.as_str(),
        instance: instance.id.as_str(),
        address: instance.address.to_string(),
        zone: instance.zone.as_deref(),
        labels: &instance.labels,
        component: component.as_str(),
        version: version.as_str(),
        operation: &operation.0,
        generation: fence.packed(),
    };
    serde_json::to_vec(&body).map(Bytes::from)
}
