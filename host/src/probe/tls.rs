//! TLS towards instances, without looking at the certificate.
//!
//! As in Azure's extension, chain, name and expiry are not checked: a probe asks an address that
//! the operator configured and its answer carries no secret; an expired certificate is the
//! application's business to report. The verifier is private to this file, and nothing else in
//! the host may talk TLS with it. TLS 1.2 and 1.3 only: a deliberate difference from the
//! extension, which also takes 1.0 and 1.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connect::Connection;
use super::failure::{self, ProbeError};
use super::identity::Identities;
use crate::net::text::one_line;
use phasegate_core::domain::{Address, HealthSettings, ProbeFailure, ProbeProtocol};

/// HTTP/2 as ALPN names it.
const H2: &[u8] = b"h2";

/// What is spoken over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speaks {
    /// HTTP/1.1, which needs no agreement.
    Http1,
    /// HTTP/2, to which both sides have to agree.
    Http2,
}

impl Speaks {
    fn of(protocol: ProbeProtocol) -> Self {
        match protocol {
            ProbeProtocol::Http | ProbeProtocol::Https | ProbeProtocol::Tcp => Self::Http1,
            ProbeProtocol::H2 | ProbeProtocol::H2c | ProbeProtocol::Grpc | ProbeProtocol::Grpcs => {
                Self::Http2
            }
        }
    }
}

/// Makes handshakes; cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    http1: Result<TlsConnector, rustls::Error>,
    http2: Result<TlsConnector, rustls::Error>,
    identities: Arc<Identities>,
}

/// What connections are made with.
pub(super) fn connector(
    speaks: Speaks,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
    };
    // Each probe is a full handshake: it tests what a new client would meet.
    config.resumption = Resumption::disabled();
    if speaks == Speaks::Http2 {
        config.alpn_protocols = vec![H2.to_vec()];
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Tls {
    pub(super) fn new() -> Self {
        Self {
            http1: connector(Speaks::Http1, None),
            http2: connector(Speaks::Http2, None),
            identities: Arc::default(),
        }
    }

    /// What asks in this way, for an instance that may want to know who does.
    async fn connector(&self, settings: &HealthSettings) -> Result<TlsConnector, ProbeError> {
        let speaks = Speaks::of(settings.protocol);
        if let Some(identity) = &settings.identity {
            let found = self.identities.connector(identity, speaks).await;
            return found.map_err(|error| ProbeFailure::Tls(one_line(&error.line())).into());
        }
        let connector = match speaks {
            Speaks::Http1 => &self.http1,
            Speaks::Http2 => &self.http2,
        };
        connector.clone().map_err(|error| ProbeFailure::Tls(error.to_string()).into())
    }

    /// Shakes hands. The name is sent when it is a DNS name, and never compared.
    pub(super) async fn handshake<'a>(
        &self,
        address: &Address,
        settings: &HealthSettings,
        stream: &'a mut Connection,
    ) -> Result<Lenient<TlsStream<&'a mut Connection>>, ProbeError> {
        let connector = self.connector(settings).await?;
        let name = match ServerName::try_from(address.host.clone()) {
            Ok(name) => name,
            Err(_) => stream.peer_ip().map_err(|error| failure::unreachable(address, &error))?.into(),
        };
        // The request follows the handshake as a second small write, which must not wait.
        stream.set_nodelay();
        let stream = connector.connect(name, stream).await.map_err(|error| failure::tls(&error))?;
        if Speaks::of(settings.protocol) == Speaks::Http2 && stream.get_ref().1.alpn_protocol() != Some(H2) {
            let text = "the server does not offer HTTP/2: it agreed to no `h2` (ALPN)";
            return Err(ProbeFailure::Tls(text.to_owned()).into());
        }
        Ok(Lenient(stream))
    }
}

/// A stream whose peer may end it without a TLS closing message, as many small servers do. A cut
/// that matters still shows: in the length, the chunks or the body itself.
pub(super) struct Lenient<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    // Signatures are not checked either: that would refuse the old keys and formats that the
    // rule above is meant to let pass, and prove nothing about an unchecked certificate.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]
    }
}

#[cfg(test)]
mod tests;
