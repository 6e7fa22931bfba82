//! What goes with which protocol of a probe: services of gRPC, certificates of clients, headers of HTTP/2.
//!
//! Reads no file.

use super::Health;
use crate::keys::{Given, Value};
use phasegate_core::domain::{ProbeProtocol, Profile};

/// Longest name of a service in characters.
const SERVICE_MAX: usize = 1024;

/// Headers of a connection, which HTTP/2 has not (RFC 9113, section 8.2.2).
const OF_A_CONNECTION: [&str; 3] = ["keep-alive", "proxy-connection", "te"];

/// Headers that gRPC gives a meaning.
const OF_GRPC: [&str; 2] = ["content-type", "grpc-timeout"];

/// The service that gRPC is asked after.
pub(super) fn grpc_service(health: &mut Health, value: &Value<'_>) -> Option<()> {
    let text = value.filled()?;
    if let Some(seen) = text.chars().find(|c| !c.is_ascii_graphic()) {
        value.problem(format!("contains {seen:?}"), "printable ASCII without blanks".to_owned());
        return None;
    }
    if text.len() > SERVICE_MAX {
        value.problem(format!("has {} characters", text.len()), format!("at most {SERVICE_MAX}"));
        return None;
    }
    text.clone_into(&mut health.grpc_service);
    Some(())
}

/// Whether all goes with the protocol.
pub(super) fn wire(health: &Health, given: &mut Given<'_>) {
    let protocol = health.protocol;
    let is_azure = health.profile == Profile::Azure;
    if is_azure && !matches!(protocol, ProbeProtocol::Http | ProbeProtocol::Https | ProbeProtocol::Tcp) {
        let message = format!("is \"{}\" in the azure profile", protocol.name());
        given.conflict("protocol", message, "\"http\", \"https\" and \"tcp\" there, or leave out profile");
    }
    let although = |what: &str| format!("{what} although protocol is \"{}\"", protocol.name());
    if given.has("grpcService") && !protocol.is_grpc() {
        given.conflict("grpcService", although("is set"), "leave it out, or write protocol = \"grpc\"");
    }
    let pair = [("certificate", &health.certificate), ("key", &health.key)];
    let named = pair.iter().map(|(name, _)| *name).find(|name| given.has(name));
    if let Some(name) = named.filter(|_| !protocol.is_over_tls()) {
        let hint = "leave it out; \"https\", \"h2\" and \"grpcs\" go over TLS";
        given.conflict(name, although("is set"), hint);
    }
    if given.are_sound(&["certificate", "key"]) && protocol.is_over_tls() {
        let [(_, certificate), (_, key)] = pair;
        match (certificate, key) {
            (Some(_), None) => given.conflict("certificate", "is given without key", "add key = \"…\", PEM"),
            (None, Some(_)) => {
                given.conflict("key", "is given without certificate", "add certificate = \"…\", PEM")
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    let refused: &[&[&str]] = match protocol {
        ProbeProtocol::H2 | ProbeProtocol::H2c => &[&OF_A_CONNECTION],
        ProbeProtocol::Grpc | ProbeProtocol::Grpcs => &[&OF_A_CONNECTION, &OF_GRPC],
        ProbeProtocol::Http | ProbeProtocol::Https | ProbeProtocol::Tcp => &[],
    };
    let is_refused =
        |name: &str| refused.iter().any(|all| all.iter().any(|one| one.eq_ignore_ascii_case(name)));
    for (name, _) in health.request_headers.iter().filter(|(name, _)| is_refused(name)) {
        given.conflict("requestHeaders", although(&format!("set {name}")), "leave it out");
    }
}
