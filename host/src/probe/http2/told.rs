//! What a failed exchange over HTTP/2 means, in the domain's words.
//!
//! What the connection has seen comes first: the library tells of its own view only.

use std::io;

use h2::Reason;

use super::wire::Shared;
use crate::probe::failure::{self, ProbeError, invalid};
use phasegate_core::domain::Address;

/// Why there is no answer.
pub(super) fn told(error: &h2::Error, seen: &Shared, address: &Address) -> ProbeError {
    let mut seen = seen.look();
    if seen.is_spent {
        return invalid(&format!("more than {} bytes of frames", seen.limit));
    }
    if seen.is_http1() {
        return invalid("the server answers in HTTP/1 and does not speak HTTP/2 here");
    }
    if let Some(failed) = seen.failed.take() {
        // A reset after a part of an answer is one that was cut, as over HTTP/1.1.
        return failure::broken(address, &failed);
    }
    if error.is_io() {
        return failure::broken(address, &io::ErrorKind::UnexpectedEof.into());
    }
    let reason = error.reason().map_or_else(|| error.to_string(), named);
    let text = match (error.is_remote(), error.is_go_away(), error.is_reset()) {
        (true, true, _) => format!("the server ended the connection: GOAWAY {reason}"),
        (true, _, true) => format!("the server reset the request: RST_STREAM {reason}"),
        _ if error.reason().is_some() => format!("what came is no valid HTTP/2: {reason}"),
        _ => reason,
    };
    invalid(&text)
}

/// Reasons as RFC 9113 writes them, for those who search for them.
fn named(reason: Reason) -> String {
    let name = match reason {
        Reason::NO_ERROR => "NO_ERROR",
        Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR",
        Reason::INTERNAL_ERROR => "INTERNAL_ERROR",
        Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
        Reason::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
        Reason::STREAM_CLOSED => "STREAM_CLOSED",
        Reason::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
        Reason::REFUSED_STREAM => "REFUSED_STREAM",
        Reason::CANCEL => "CANCEL",
        Reason::COMPRESSION_ERROR => "COMPRESSION_ERROR",
        Reason::CONNECT_ERROR => "CONNECT_ERROR",
        Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
        Reason::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
        Reason::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
        other => return format!("code {}", u32::from(other)),
    };
    name.to_owned()
}
