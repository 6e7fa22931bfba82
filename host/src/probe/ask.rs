//! One probe of one target: the protocol's exchange under the one time limit.

use std::sync::Arc;

use tokio::time::timeout;

use super::Target;
use super::failure::ProbeError;
use super::grpc::probe_grpc;
use super::http::probe_http;
use super::http2::probe_http2;
use super::tcp::probe_tcp;
use super::tls::Tls;
use phasegate_core::domain::{Answer, ProbeFailure, ProbeProtocol, Response, Shortage};

/// Asks once, for somebody who waits for the answer.
///
/// # Errors
/// When this machine is short of what it takes to ask.
pub async fn once(target: Target) -> Result<Answer, Shortage> {
    let outcome = match ask(Arc::new(target), Tls::new()).await {
        Ok(response) => Ok(response),
        Err(ProbeError::Instance(failure)) => Err(failure),
        Err(ProbeError::Host(short_of)) => return Err(short_of),
    };
    Ok(Answer { source: SOURCE.to_owned(), outcome })
}

/// Source name of the health probe in an observation.
pub(super) const SOURCE: &str = "health";

/// Asks once. The settings' time limit covers looking up the name, connecting, the TLS handshake,
/// headers and body together.
pub(super) async fn ask(target: Arc<Target>, tls: Tls) -> Result<Response, ProbeError> {
    let endpoint = target.endpoint();
    let settings = &target.settings;
    let exchange = async {
        match settings.protocol {
            ProbeProtocol::Tcp => probe_tcp(&endpoint, settings.profile).await,
            ProbeProtocol::Http => probe_http(&endpoint, settings, None).await,
            ProbeProtocol::Https => probe_http(&endpoint, settings, Some(&tls)).await,
            ProbeProtocol::H2c => probe_http2(&endpoint, settings, None).await,
            ProbeProtocol::H2 => probe_http2(&endpoint, settings, Some(&tls)).await,
            ProbeProtocol::Grpc => probe_grpc(&endpoint, settings, None).await,
            ProbeProtocol::Grpcs => probe_grpc(&endpoint, settings, Some(&tls)).await,
        }
    };
    timeout(settings.timeout, exchange).await.unwrap_or_else(|_| Err(ProbeFailure::Timeout.into()))
}
