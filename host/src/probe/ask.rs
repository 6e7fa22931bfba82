//! One probe of one target: the protocol's exchange under the one time limit, beside it its further sources.

use std::sync::Arc;

use tokio::time::timeout;

use super::Target;
use super::failure::ProbeError;
use super::grpc::probe_grpc;
use super::http::probe_http;
use super::http2::probe_http2;
use super::sources;
use super::tcp::probe_tcp;
use super::tls::Tls;
use phasegate_core::domain::source::HEALTH_SOURCE;
use phasegate_core::domain::{Answer, ProbeFailure, ProbeProtocol, Response, Shortage};

/// What came of asking a target: the answer of its health source, and those of its others.
#[derive(Debug)]
pub(super) struct Asked {
    /// What the first source answered.
    pub(super) outcome: Result<Response, ProbeError>,
    /// What the others answered, in the order of the configuration.
    pub(super) more: Vec<Answer>,
}

impl Asked {
    /// Of a target without further sources.
    pub(super) fn alone(outcome: Result<Response, ProbeError>) -> Self {
        Self { outcome, more: Vec::new() }
    }
}

/// Asks once, for somebody who waits for the answer; the health source alone.
///
/// # Errors
/// When this machine is short of what it takes to ask.
pub async fn once(target: Target) -> Result<Answer, Shortage> {
    let outcome = match own(&target, &Tls::new()).await {
        Ok(response) => Ok(response),
        Err(ProbeError::Instance(failure)) => Err(failure),
        Err(ProbeError::Host(short_of)) => return Err(short_of),
    };
    Ok(Answer { source: HEALTH_SOURCE.to_owned(), outcome })
}

/// Asks all sources of a target once, for somebody who waits for the answers; in the order in which a plugin gets them.
///
/// # Errors
/// When this machine is short of what it takes to ask.
pub async fn once_of_all(target: Target) -> Result<Vec<Answer>, Shortage> {
    let Asked { outcome, more } = ask(Arc::new(target), Tls::new()).await;
    let outcome = match outcome {
        Ok(response) => Ok(response),
        Err(ProbeError::Instance(failure)) => Err(failure),
        Err(ProbeError::Host(short_of)) => return Err(short_of),
    };
    let first = Answer { source: HEALTH_SOURCE.to_owned(), outcome };
    Ok(std::iter::once(first).chain(more).collect())
}

/// Asks all sources of a target once, side by side.
pub(super) async fn ask(target: Arc<Target>, tls: Tls) -> Asked {
    if target.settings.sources.is_empty() {
        return Asked::alone(own(&target, &tls).await);
    }
    if target.settings.own_probe_is_replaced() {
        let mut more = match sources::ask_all(&target).await {
            Ok(more) => more,
            Err(short_of) => return Asked::alone(Err(ProbeError::Host(short_of))),
        };
        // The first one, which there is.
        let first = if more.is_empty() { Err(ProbeFailure::Timeout) } else { more.remove(0).outcome };
        return Asked { outcome: first.map_err(ProbeError::Instance), more };
    }
    let (outcome, more) = tokio::join!(own(&target, &tls), sources::ask_all(&target));
    match more {
        Ok(more) => Asked { outcome, more },
        Err(short_of) => Asked::alone(Err(ProbeError::Host(short_of))),
    }
}

/// The probe of the health settings. Their' time limit covers looking up the name, connecting, the TLS handshake,
/// headers and body together.
async fn own(target: &Target, tls: &Tls) -> Result<Response, ProbeError> {
    let endpoint = target.endpoint();
    let settings = &target.settings;
    let exchange = async {
        match settings.protocol {
            ProbeProtocol::Tcp => probe_tcp(&endpoint, settings.profile).await,
            ProbeProtocol::Http => probe_http(&endpoint, settings, None).await,
            ProbeProtocol::Https => probe_http(&endpoint, settings, Some(tls)).await,
            ProbeProtocol::H2c => probe_http2(&endpoint, settings, None).await,
            ProbeProtocol::H2 => probe_http2(&endpoint, settings, Some(tls)).await,
            ProbeProtocol::Grpc => probe_grpc(&endpoint, settings, None).await,
            ProbeProtocol::Grpcs => probe_grpc(&endpoint, settings, Some(tls)).await,
        }
    };
    timeout(settings.timeout, exchange).await.unwrap_or_else(|_| Err(ProbeFailure::Timeout.into()))
}
