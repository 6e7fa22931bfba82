//! What is sent back: JSON, or a refusal with its status code, and the headers of every answer.
//!
//! Every refusal of the API is made here, those of the router included, so that all of them have one
//! shape. Deliberately without routes: what is refused is decided where it is known; which status a code
//! has says `wire::codes`.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use phasegate_core::domain::shown::{visible_json, visible_lines};
use phasegate_wire as wire;
use serde::Serialize;

use super::guard::Denied;
use super::host::{CommandError, CommandErrorKind};

/// Says on every answer which program gives it.
const VERSION: HeaderName = HeaderName::from_static("phasegate-version");

/// A value as JSON that can be shown: what of its texts would steer a terminal is written as JSON's own escape.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match written(&self.0) {
            Ok(json) => as_json(json),
            Err(error) => Refusal::internal(format!("the answer cannot be written: {error}")).into_response(),
        }
    }
}

/// A value as such JSON: for what is written away from the threads that serve connections, because it may be large.
pub(super) fn written<T: Serialize>(value: &T) -> serde_json::Result<Bytes> {
    Ok(visible_json(&serde_json::to_string(value)?).into_owned().into())
}

/// An answer whose JSON is made already.
pub(super) fn as_json(json: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}

/// A response that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: wire::ErrorCode,
    pub(super) message: String,
    /// When to try again.
    again_in: Option<Duration>,
}

impl Refusal {
    fn new(code: wire::ErrorCode, message: impl Into<String>) -> Self {
        // Some quote what was sent, which a client may show as it is.
        // Problems of a configuration are a line each.
        let message = visible_lines(&message.into()).into_owned();
        Self { code, message, again_in: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::InvalidParameter, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::NotFound, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::Conflict, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::RequestEntityTooLarge, message)
    }

    pub(super) fn too_slow(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::RequestTimeout, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::InternalServerError, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(wire::ErrorCode::ServiceUnavailable, message)
    }

    /// The same, with a header that says when to try again; whole seconds.
    pub(super) fn again_in(self, wait: Duration) -> Self {
        Self { again_in: Some(wait), ..self }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let code = match error.kind {
            CommandErrorKind::NotFound => wire::ErrorCode::NotFound,
            CommandErrorKind::Conflict => wire::ErrorCode::Conflict,
            CommandErrorKind::Invalid => wire::ErrorCode::InvalidParameter,
            CommandErrorKind::Refused => wire::ErrorCode::Refused,
            CommandErrorKind::Unavailable => wire::ErrorCode::ServiceUnavailable,
        };
        Self::new(code, error.message)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let code = match &denied {
            Denied::Malformed(_) => wire::ErrorCode::InvalidParameter,
            Denied::NoToken | Denied::WrongToken | Denied::Expired(_) => wire::ErrorCode::Unauthorized,
            Denied::Foreign | Denied::CrossSite | Denied::Role { .. } => wire::ErrorCode::Forbidden,
            Denied::Busy => wire::ErrorCode::ServiceUnavailable,
        };
        Self::new(code, denied.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { code, message, again_in } = self;
        let status = code.as_refusal().and_then(|code| StatusCode::from_u16(code.status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = wire::Error { code, message, details: Vec::new() };
        let mut response = (status, Json(wire::ErrorBody { error })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = again_in {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// Success, and what was asked for begins.
pub(super) fn accepted<T: serde::Serialize>(value: T) -> Response {
    (StatusCode::ACCEPTED, Json(value)).into_response()
}

/// The same answer, and the connection ends with it.
pub(super) fn and_close(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Says in the words of the API which methods a path takes, which the router knows from its table, and puts the
/// headers of every answer.
pub(super) async fn finished(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let mut response = if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        method_not_allowed(&method, &path, response.headers())
    } else {
        response
    };
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn method_not_allowed(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let allow = headers.get(ALLOW).cloned();
    let mut response = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let message = format!("{path} does not take {method}, only {}", only(headers));
        Refusal::new(wire::ErrorCode::MethodNotAllowed, message).into_response()
    };
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// The methods of an `Allow` header for people, who do not ask for heads.
fn only(headers: &HeaderMap) -> String {
    let allow = headers.get(ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or_default();
    let methods = allow.split(',').map(str::trim).filter(|method| !matches!(*method, "HEAD" | ""));
    methods.collect::<Vec<_>>().join(" and ")
}
