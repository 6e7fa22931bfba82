//! Routes of our own API, version 1.
//!
//! `host/API.md` lists them for people.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::explain::{self, Explain};
use super::guard::{Denied, Guard};
use super::metrics::{self, Snapshot};
use super::plugins;
use super::requests::{self, percent_decoded};
use crate::control::{Command, CommandError, CommandErrorKind, ControlHandle};
use crate::plugins::registry::PluginRegistry;
use crate::reload::Reloader;
use phasegate_core::domain::ScaleSetName;
use phasegate_wire as wire;

/// Largest JSON body in bytes.
const JSON_MAX: usize = 64 * 1024;

/// Largest uploaded component in bytes; the loader has the same limit.
pub(super) const COMPONENT_MAX: usize = 64 * 1024 * 1024;

/// How long a JSON body may take to arrive.
const JSON_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a component may take to arrive: 64 MiB over a slow line.
pub(super) const COMPONENT_TIMEOUT: Duration = Duration::from_secs(300);

/// What the routes need.
pub struct Api {
    /// The way to the loop.
    pub control: ControlHandle,
    /// The plugins.
    pub plugins: Arc<PluginRegistry>,
    /// The recording; none when nothing is recorded.
    pub explain: Option<Explain>,
    /// Takes over a changed configuration.
    pub reloader: Arc<Reloader>,
    /// Who may call.
    pub guard: Guard,
}

/// A response that is not a success.
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", message)
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let (status, code) = match error.kind {
            CommandErrorKind::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
            CommandErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
            CommandErrorKind::Invalid => (StatusCode::BAD_REQUEST, "InvalidParameter"),
            CommandErrorKind::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "Refused"),
            CommandErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        };
        Self::new(status, code, error.message)
    }
}

/// Answers one request.
pub async fn respond(api: &Api, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match route(api, request).await {
        Ok(response) => response,
        Err(refusal) => {
            let error =
                wire::Error { code: refusal.code.into(), message: refusal.message, details: Vec::new() };
            let mut response = json(refusal.status, &wire::ErrorBody { error });
            if refusal.status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

async fn route(api: &Api, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
    api.guard.check(request.headers()).map_err(denied)?;
    let path = request.uri().path().to_owned();
    let decoded: Vec<String> = path.split('/').skip(1).map(percent_decoded).collect::<Result<_, _>>()?;
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let method = request.method().clone();
    match (method.clone(), segments.as_slice()) {
        (Method::GET, ["healthz"]) => {
            api.control.ask(Command::Ping).await?;
            Ok(ok(&serde_json::json!({"status": "ok"})))
        }
        (Method::GET, ["metrics"]) => scrape(api).await,
        (Method::GET, ["v1", "fleet"]) => Ok(ok(&api.control.ask(Command::Fleet).await?)),
        (Method::GET, ["v1", "scale-sets", name, "plan"]) => {
            let name = scale_set(name)?;
            let wanted = requests::query(request.uri().query().unwrap_or(""))?;
            Ok(ok(&api.control.ask(|reply| Command::Plan(name, wanted, reply)).await?))
        }
        (Method::POST, ["v1", "scale-sets", name, "upgrade"]) => {
            let name = scale_set(name)?;
            let options = requests::start(&body(request, JSON_MAX, JSON_TIMEOUT).await?)?;
            let status = api.control.ask(|reply| Command::Start(name, options, reply)).await?;
            Ok(json(StatusCode::ACCEPTED, &status))
        }
        (Method::GET, ["v1", "scale-sets", name, "upgrade"]) => {
            let name = scale_set(name)?;
            Ok(ok(&api.control.ask(|reply| Command::Status(name, reply)).await?))
        }
        (Method::GET, ["v1", "scale-sets", name, "log"]) => {
            let name = scale_set(name)?;
            let instance = requests::instance(request.uri().query().unwrap_or(""))?;
            Ok(ok(&api.control.ask(|reply| Command::Log(name, instance, reply)).await?))
        }
        (Method::GET, ["v1", "scale-sets", name, "explain", instance]) => {
            let name = scale_set(name)?;
            let instance = requests::instance_id(instance)?;
            Ok(ok(&explain::run(&api.control, api.explain.as_ref(), name, instance).await?))
        }
        (Method::POST, ["v1", "scale-sets", name, "upgrade", wish]) => {
            let (name, wish) = (scale_set(name)?, requests::wish(wish)?);
            let reason = requests::reason(&body(request, JSON_MAX, JSON_TIMEOUT).await?)?;
            let wish = requests::wish_for(wish, reason)?;
            let status = api.control.ask(|reply| Command::Wish(name, wish, reply)).await?;
            Ok(json(StatusCode::ACCEPTED, &status))
        }
        (Method::GET, ["v1", "line"]) => Ok(ok(&api.control.ask(Command::Line).await?)),
        (Method::POST, ["v1", "line", verb @ ("stop" | "start")]) => {
            let stop = *verb == "stop";
            let reason = requests::reason(&body(request, JSON_MAX, JSON_TIMEOUT).await?)?;
            let reason = stop.then(|| reason.unwrap_or_default());
            Ok(ok(&api.control.ask(|reply| Command::SetLine(reason, reply)).await?))
        }
        (Method::POST, ["v1", "reload"]) => Ok(ok(&api.reloader.reload().await?)),
        (Method::GET, ["v1", "plugins"]) => Ok(ok(&api.plugins.list())),
        (_, ["v1", "plugins", name, verb]) => plugins::respond(api, name, verb, request).await,
        (_, known) => Err(unknown_route(&method, &path, known)),
    }
}

async fn scrape(api: &Api) -> Result<Response<Full<Bytes>>, Refusal> {
    let tally = api.control.ask(Command::Tally).await?;
    let lost_records = api.explain.as_ref().map(|explain| explain.recorder.lost());
    let text = metrics::render(Snapshot { tally, plugins: api.plugins.list(), lost_records });
    let text = text.map_err(|error| {
        let message = format!("the metrics cannot be written: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    })?;
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    Ok(response)
}

/// 405 where another method would do, 404 elsewhere.
fn unknown_route(method: &Method, path: &str, segments: &[&str]) -> Refusal {
    let allowed = match segments {
        ["healthz" | "metrics"]
        | ["v1", "fleet" | "plugins" | "line"]
        | ["v1", "scale-sets", _, "plan" | "log"] => "GET",
        ["v1", "scale-sets", _, "explain", _] => "GET",
        ["v1", "scale-sets", _, "upgrade"] => "GET and POST",
        ["v1", "scale-sets", _, "upgrade", _] | ["v1", "line", "stop" | "start"] => "POST",
        _ => {
            let message = format!("there is no {path}; host/API.md lists the routes");
            return Refusal::new(StatusCode::NOT_FOUND, "NotFound", message);
        }
    };
    let message = format!("{path} does not take {method}, only {allowed}");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

fn denied(denied: Denied) -> Refusal {
    match denied {
        Denied::Unauthorized => Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "a bearer token is needed; set PHASEGATE_TOKEN to the content of server.tokenFile",
        ),
        Denied::Foreign => Refusal::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "the Host or Origin header does not name this server; without a token only local clients are served",
        ),
    }
}

fn scale_set(text: &str) -> Result<ScaleSetName, Refusal> {
    ScaleSetName::parse(text).map_err(|error| Refusal::invalid(format!("scale set name {text:?} {error}")))
}

pub(super) async fn body(
    request: Request<Incoming>,
    limit: usize,
    within: Duration,
) -> Result<Bytes, Refusal> {
    let announced = hyper::body::Body::size_hint(request.body()).lower();
    if announced > u64::try_from(limit).unwrap_or(u64::MAX) {
        let message = format!("the body has {announced} bytes (limit {limit})");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message));
    }
    let collecting = Limited::new(request.into_body(), limit).collect();
    let collected = tokio::time::timeout(within, collecting).await.map_err(|_| {
        let message = format!("the body did not arrive within {} s", within.as_secs());
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", message)
    })?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        let message = format!("the body cannot be read: {error} (limit {limit} bytes)");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    })
}

pub(super) fn ok(value: &impl Serialize) -> Response<Full<Bytes>> {
    json(StatusCode::OK, value)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
