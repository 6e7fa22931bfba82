//! What is sent back: JSON, or a refusal with its status code.
//!
//! Every refusal of the API is made here, those of the router included, so that all of them have one
//! shape. Deliberately without routes: what is refused is decided where it is known.

use axum::Json;
use axum::extract::Request;
use axum::http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use phasegate_core::domain::shown::visible;
use phasegate_wire as wire;

use super::guard::Denied;
use super::host::{CommandError, CommandErrorKind};

/// A response that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: wire::ErrorCode,
    pub(super) message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: wire::ErrorCode, message: impl Into<String>) -> Self {
        // Some quote what was sent, which a client may show as it is.
        let message = visible(&message.into()).into_owned();
        Self { status, code, message }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, wire::ErrorCode::InvalidParameter, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, wire::ErrorCode::NotFound, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, wire::ErrorCode::RequestEntityTooLarge, message)
    }

    pub(super) fn too_slow(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, wire::ErrorCode::RequestTimeout, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, wire::ErrorCode::InternalServerError, message)
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let (status, code) = match error.kind {
            CommandErrorKind::NotFound => (StatusCode::NOT_FOUND, wire::ErrorCode::NotFound),
            CommandErrorKind::Conflict => (StatusCode::CONFLICT, wire::ErrorCode::Conflict),
            CommandErrorKind::Invalid => (StatusCode::BAD_REQUEST, wire::ErrorCode::InvalidParameter),
            CommandErrorKind::Refused => (StatusCode::UNPROCESSABLE_ENTITY, wire::ErrorCode::Refused),
            CommandErrorKind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, wire::ErrorCode::ServiceUnavailable)
            }
        };
        Self::new(status, code, error.message)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthorized => Self::new(
                StatusCode::UNAUTHORIZED,
                wire::ErrorCode::Unauthorized,
                "a bearer token is needed; set PHASEGATE_TOKEN to the content of server.tokenFile",
            ),
            Denied::Foreign => Self::new(
                StatusCode::FORBIDDEN,
                wire::ErrorCode::Forbidden,
                "the Host or Origin header does not name this server; without a token only local clients \
                 are served",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        let error = wire::Error { code, message, details: Vec::new() };
        let mut response = (status, Json(wire::ErrorBody { error })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Success, and what was asked for begins.
pub(super) fn accepted<T: serde::Serialize>(value: T) -> Response {
    (StatusCode::ACCEPTED, Json(value)).into_response()
}

/// Says in the words of the API which methods a path takes; the router knows them from its table.
pub(super) async fn method_not_allowed(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allow = response.headers().get(ALLOW).cloned();
    let message = format!("{path} does not take {method}, only {}", only(response.headers()));
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, wire::ErrorCode::MethodNotAllowed, message);
    let mut response = refusal.into_response();
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
