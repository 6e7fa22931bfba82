//! https probes of real servers with a certificate that nobody should trust.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use tokio::net::TcpStream;

use super::*;
use crate::probe::testing::frames::{Given, speak};
use crate::probe::testing::{closed_port, probe, read_request, serve, settings, short};
use phasegate_core::domain::{HealthSettings, ProbeIdentity, ProbeProtocol};

/// Self-signed, expired in 2001, for `wrong.example`; made for these tests.
const CERT: &[u8] = include_bytes!("../testdata/expired-cert.pem");
const KEY: &[u8] = include_bytes!("../testdata/expired-key.pem");

/// A client's, and the authority that gave it; made for tests.
const CLIENT: &[u8] = include_bytes!("../../drivers/http/testdata/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../../drivers/http/testdata/client-key.pem");
const CLIENTS_CA: &[u8] = include_bytes!("../../drivers/http/testdata/clients-ca.pem");

/// What a server needs to know whom it lets in, and what it speaks.
fn server(versions: &[&'static rustls::SupportedProtocolVersion], asks: Asks) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match asks {
        Asks::Nobody => builder.with_no_client_auth(),
        Asks::Everybody => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(CLIENTS_CA).unwrap()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    builder
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERT).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap()
}

/// Whether a server asks who its clients are.
#[derive(Debug, Clone, Copy)]
enum Asks {
    Nobody,
    Everybody,
}

/// Answers every request with `bytes` over TLS.
async fn serve_tls(versions: &[&'static rustls::SupportedProtocolVersion], bytes: &'static [u8]) -> Address {
    serve_tls_to(server(versions, Asks::Nobody), bytes).await
}

async fn serve_tls_to(config: rustls::ServerConfig, bytes: &'static [u8]) -> Address {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            // A client that was not let in is gone.
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
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

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn an_instance_that_asks_is_shown_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    let shown = HealthSettings {
        identity: Some(ProbeIdentity { certificate: certificate.clone(), key: key.clone() }),
        ..settings(ProbeProtocol::Https)
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let address = serve_tls_to(server(&[version], Asks::Everybody), GOOD).await;
        let without = short(probe(&address, settings(ProbeProtocol::Https)).await);
        assert!(without.starts_with("TLS handshake failed: "), "{without}");
        std::fs::write(&certificate, CLIENT).unwrap();
        let missing = short(probe(&address, shown.clone()).await);
        let expected = format!("TLS handshake failed: cannot read `{}`", key.display());
        assert!(missing.starts_with(&expected), "{missing}");
        std::fs::write(&key, CLIENT_KEY).unwrap();
        assert_eq!(short(probe(&address, shown.clone()).await), r#"200 [] "ok""#, "{version:?}");
        std::fs::remove_file(&key).unwrap();
    }
    std::fs::write(&key, KEY).unwrap();
    let address = serve_tls_to(server(&[&rustls::version::TLS13], Asks::Everybody), GOOD).await;
    let misfit = short(probe(&address, shown).await);
    assert!(misfit.contains("does not fit the certificate"), "{misfit}");
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let identity = ProbeIdentity {
        certificate: folder.path().join("client.pem"),
        key: folder.path().join("client.key"),
    };
    // One that this server does not let in.
    std::fs::write(&identity.certificate, CERT).unwrap();
    std::fs::write(&identity.key, KEY).unwrap();
    let address = serve_tls_to(server(&[&rustls::version::TLS13], Asks::Everybody), GOOD).await;
    let settings = HealthSettings { identity: Some(identity.clone()), ..settings(ProbeProtocol::Https) };
    let tls = Tls::new();
    let ask = || async {
        let target = crate::probe::testing::target("0", address.clone(), settings.clone());
        crate::probe::ask::ask(Arc::new(target), tls.clone()).await.outcome
    };
    assert!(ask().await.is_err());
    // Half of the new pair: the one before stays.
    std::fs::write(&identity.certificate, CLIENT).unwrap();
    let half = ask().await.unwrap_err().to_string();
    assert!(!half.contains("does not fit"), "{half}");
    std::fs::write(&identity.key, CLIENT_KEY).unwrap();
    assert_eq!(ask().await.unwrap().body, b"ok");
    std::fs::remove_file(&identity.key).unwrap();
    assert_eq!(ask().await.unwrap().body, b"ok");
}

#[tokio::test]
async fn http2_over_tls_is_agreed_upon() {
    let acceptor = |alpn: &[&[u8]]| {
        let mut config = server(&[&rustls::version::TLS13], Asks::Nobody);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    };
    let with_h2 = acceptor(&[b"http/1.1", b"h2"]);
    let address = serve(move |stream| {
        let acceptor = with_h2.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let message = vec![0, 0, 0, 0, 2, 0x08, 1];
            speak(stream, move |asked| {
                let head = vec![("content-type", "application/grpc".to_owned())];
                let trailers = (asked.method == "POST").then(|| vec![("grpc-status", "0".to_owned())]);
                Given { head, status: 200, body: message.clone(), trailers }
            })
            .await;
        }
    })
    .await;
    let seen = probe(&address, settings(ProbeProtocol::H2)).await.unwrap();
    assert_eq!((seen.status, seen.body.len()), (200, 7));
    let seen = probe(&address, settings(ProbeProtocol::Grpcs)).await.unwrap();
    assert_eq!(seen.body, br#"{"status":"SERVING"}"#);
    // A server that knows nothing of ALPN, and one that wants something else.
    let without = serve_tls(&[&rustls::version::TLS13], GOOD).await;
    let seen = short(probe(&without, settings(ProbeProtocol::H2)).await);
    assert_eq!(seen, "TLS handshake failed: the server does not offer HTTP/2: it agreed to no `h2` (ALPN)");
    let other = acceptor(&[b"http/1.1"]);
    let refuses = serve(move |stream| {
        let acceptor = other.clone();
        async move { drop(acceptor.accept(stream).await) }
    })
    .await;
    let seen = short(probe(&refuses, settings(ProbeProtocol::H2)).await);
    assert!(seen.starts_with("TLS handshake failed: "), "{seen}");
}
