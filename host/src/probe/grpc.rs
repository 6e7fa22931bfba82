//! The gRPC probe: one call of `grpc.health.v1.Health/Check` on one new connection.
//!
//! What the service says becomes a body that any plugin can read: `{"status":"SERVING"}`, or the error that gRPC
//! names, `{"grpcStatus":"NOT_FOUND","grpcMessage":"…"}`. What is no answer in gRPC is no valid response.
//! Deliberately knows no `Watch`, no compression, and no message but these two.

mod message;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use percent_encoding::percent_decode;
use serde_json::json;

use self::message::{MessageError, Status, frame, read};
use super::failure::{self, ProbeError};
use super::http::pick_headers;
use super::http2::{Whole, add, kept, once, request};
use super::tls::Tls;
use crate::net::text::one_line;
use phasegate_core::domain::{Address, HealthSettings, Response};

/// What is called.
const METHOD: &str = "/grpc.health.v1.Health/Check";

/// Largest answer in bytes, with its own head; the answer that there is has seven.
const MESSAGE_MAX: usize = 4 * 1024;

/// Longest message about an error that a plugin gets, in bytes.
const TEXT_MAX: usize = 1024;

/// Why an answer is none in gRPC.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum GrpcError {
    #[error("HTTP status {0}, where a gRPC server answers with 200")]
    HttpStatus(u16),
    #[error("no content-type, where a gRPC server says application/grpc")]
    NoContentType,
    #[error("content-type `{0}`, where a gRPC server says application/grpc")]
    ContentType(String),
    #[error("no grpc-status: the server did not end its answer")]
    NoStatus,
    #[error("grpc-status `{0}` is no code")]
    Status(String),
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Asks once; over TLS when `tls` is given. The caller limits the time.
pub(super) async fn probe_grpc(
    address: &Address,
    settings: &HealthSettings,
    tls: Option<&Tls>,
) -> Result<Response, ProbeError> {
    let mut request = request("POST", METHOD, address, settings)?;
    add(&mut request, "te", "trailers");
    add(&mut request, "content-type", "application/grpc");
    add(&mut request, "grpc-accept-encoding", "identity");
    add(&mut request, "grpc-timeout", &format!("{}m", settings.timeout.as_millis().clamp(1, 99_999_999)));
    let body = Bytes::from(frame(&settings.grpc_service));
    let bounded = HealthSettings { body_max: MESSAGE_MAX, ..settings.clone() };
    let whole = once(address, &bounded, tls, request, Some(body)).await?;
    let body = said(&whole).map_err(|error| failure::invalid(&error.to_string()))?;
    Ok(Response { status: 200, headers: pick_headers(&kept(whole.headers, settings)), body })
}

/// What the answer says, as a plugin gets it.
fn said(whole: &Whole) -> Result<Vec<u8>, GrpcError> {
    let Whole { status, headers, body, trailers } = whole;
    // A proxy that answers for its server may know no gRPC, and one that does says so by its status.
    let ends = trailers.as_ref().filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(headers);
    if *status != 200 {
        return Err(GrpcError::HttpStatus(*status));
    }
    check_content_type(headers)?;
    let code = ends.get("grpc-status").ok_or(GrpcError::NoStatus)?;
    let code = String::from_utf8_lossy(code.as_bytes());
    match code.trim().parse::<u32>() {
        Ok(0) => {
            let compression =
                headers.get("grpc-encoding").map(|name| String::from_utf8_lossy(name.as_bytes()));
            let status = read(body, compression.as_deref().unwrap_or("?"))?;
            Ok(json!({ "status": name_of(status) }).to_string().into_bytes())
        }
        Ok(code) => {
            let text =
                ends.get("grpc-message").map(|text| percent_decode(text.as_bytes()).decode_utf8_lossy());
            let mut text = text.unwrap_or_default().into_owned();
            text.truncate(text.floor_char_boundary(TEXT_MAX));
            let said = json!({ "grpcStatus": code_name(code), "grpcMessage": text });
            Ok(said.to_string().into_bytes())
        }
        Err(_) => Err(GrpcError::Status(one_line(&code))),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), GrpcError> {
    let seen = headers.get(CONTENT_TYPE).ok_or(GrpcError::NoContentType)?;
    let text = String::from_utf8_lossy(seen.as_bytes()).to_ascii_lowercase();
    match text.strip_prefix("application/grpc") {
        Some(rest) if rest.is_empty() || rest.starts_with(['+', ';']) => Ok(()),
        Some(_) | None => Err(GrpcError::ContentType(one_line(&text))),
    }
}

/// As the service's definition writes it.
fn name_of(status: Status) -> String {
    match status {
        Status::Unknown => "UNKNOWN".to_owned(),
        Status::Serving => "SERVING".to_owned(),
        Status::NotServing => "NOT_SERVING".to_owned(),
        Status::ServiceUnknown => "SERVICE_UNKNOWN".to_owned(),
        Status::Other(number) => number.to_string(),
    }
}

/// As gRPC writes its codes.
fn code_name(code: u32) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests;
