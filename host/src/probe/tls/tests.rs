//! https probes of real servers with a certificate that nobody should trust.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use tokio::net::TcpStream;

use super::*;
use crate::probe::testing::{closed_port, probe, read_request, serve, settings, short};
use phasegate_core::domain::ProbeProtocol;

/// Self-signed, expired in 2001, for `wrong.example`; made for these tests.
const CERT: &[u8] = include_bytes!("../testdata/expired-cert.pem");
const KEY: &[u8] = include_bytes!("../testdata/expired-key.pem");

/// Answers every request with `bytes` over TLS.
async fn serve_tls(versions: &[&'static rustls::SupportedProtocolVersion], bytes: &'static [u8]) -> Address {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERT).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
            // Closes without a TLS closing message, as many small servers do.
        }
    })
    .await
}

#[tokio::test]
async fn b42_any_certificate_is_accepted() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for bytes in [&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], b"HTTP/1.0 200 OK\r\n\r\nok"] {
            let address = serve_tls(&[version], bytes).await;
            for host in ["127.0.0.1", "localhost"] {
                let address = Address { host: host.to_owned(), ..address.clone() };
                let outcome = probe(&address, settings(ProbeProtocol::Https)).await;
                assert_eq!(short(outcome), r#"200 [] "ok""#, "{version:?} {host}");
            }
        }
    }
}

#[tokio::test]
async fn b45_a_plain_server_fails_an_https_probe_and_the_reverse() {
    async fn speak_first(mut stream: TcpStream) {
        let _ = stream.read_u8().await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    }
    let plain = serve(speak_first).await;
    let failure = probe(&plain, settings(ProbeProtocol::Https)).await.unwrap_err();
    assert!(matches!(failure, ProbeFailure::Tls(_)), "{failure}");

    let closes = serve(|stream| async move { drop(stream) }).await;
    let failure = probe(&closes, settings(ProbeProtocol::Https)).await.unwrap_err();
    assert!(matches!(failure, ProbeFailure::Tls(_)), "{failure}");

    let tls = serve_tls(&[&rustls::version::TLS13], b"").await;
    let failure = probe(&tls, settings(ProbeProtocol::Http)).await.unwrap_err();
    assert!(matches!(failure, ProbeFailure::InvalidResponse(_)), "{failure}");

    let refused = closed_port().await;
    let failure = probe(&refused, settings(ProbeProtocol::Https)).await.unwrap_err();
    assert_eq!(failure, ProbeFailure::Unreachable(format!("{refused}: connection refused")));
}
