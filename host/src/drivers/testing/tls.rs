//! A server that speaks TLS, for tests.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// An authority and what it gave to `localhost` and 127.0.0.1; made for these tests. Valid until
/// 2126.
pub(in crate::drivers) const CA: &[u8] = include_bytes!("../http/testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../http/testdata/agent.pem");
pub(in crate::drivers) const KEY: &[u8] = include_bytes!("../http/testdata/agent-key.pem");

/// An authority of clients; made for these tests. Valid until 2126.
const CLIENTS_CA: &[u8] = include_bytes!("../http/testdata/clients-ca.pem");

/// Whom a server asks who they are.
pub(in crate::drivers) enum Asks {
    Nobody,
    Everybody,
}

/// Answers every request to that host with 204 over TLS; gives the port.
pub(in crate::drivers) async fn serve_tls(host: &str) -> u16 {
    serve_tls_to(host, Asks::Nobody).await
}

pub(in crate::drivers) async fn serve_tls_to(host: &str, asks: Asks) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = match asks {
        Asks::Nobody => rustls::server::WebPkiClientVerifier::no_client_auth(),
        Asks::Everybody => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(CLIENTS_CA).unwrap()).unwrap();
            let provider = Arc::clone(&provider);
            let asking = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            asking.build().unwrap()
        }
    };
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERT).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind((host, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            _ = stream.read(&mut [0; 4096]).await;
            _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            _ = stream.shutdown().await;
        }
    });
    port
}
