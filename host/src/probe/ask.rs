//! One probe of one target: the protocol's exchange under the one time limit.

use std::sync::Arc;

use tokio::time::timeout;

use super::Target;
use super::failure::ProbeError;
use super::http::probe_http;
use super::tcp::probe_tcp;
use super::tls::Tls;
use phasegate_core::domain::{ProbeFailure, ProbeProtocol, Response};

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
        }
    };
    timeout(settings.timeout, exchange).await.unwrap_or_else(|_| Err(ProbeFailure::Timeout.into()))
}
