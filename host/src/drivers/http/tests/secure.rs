//! https agents, with the certificate that they should have and without.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority and what it gave to `localhost` and 127.0.0.1; made for these tests. Valid until
/// 2126.
const CA: &[u8] = include_bytes!("../testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../testdata/agent.pem");
const KEY: &[u8] = include_bytes!("../testdata/agent-key.pem");

/// An authority and what it gave to a client; made for these tests. Valid until 2126.
const CLIENTS_CA: &[u8] = include_bytes!("../testdata/clients-ca.pem");
const CLIENT: &[u8] = include_bytes!("../testdata/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../testdata/client-key.pem");

/// Whom a server asks who they are.
enum Asks {
    Nobody,
    Everybody,
}

/// Answers every request to that host with 204 over TLS; gives the port.
async fn serve_tls(host: &str) -> u16 {
    serve_tls_to(host, Asks::Nobody).await
}

async fn serve_tls_to(host: &str, asks: Asks) -> u16 {
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

async fn ensure(base: String, trusted: &[u8]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, trusted).unwrap();
    let driver = super::driver(base, Looks::No, |settings| settings.ca_file = Some(file));
    driver.ensure(request("1", "v2", "a")).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_that_host() {
    let port = serve_tls("127.0.0.1").await;
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(ensure(format!("https://{host}:{port}"), CA).await, Ok(()), "{host}");
    }
    let other = include_bytes!("../../../probe/testdata/expired-cert.pem");
    let error = ensure(format!("https://127.0.0.1:{port}"), other).await.unwrap_err();
    assert_eq!(
        error,
        format!("127.0.0.1:{port}: no secure connection: invalid peer certificate: UnknownIssuer")
    );
    let port = serve_tls("127.0.0.2").await;
    let error = ensure(format!("https://127.0.0.2:{port}"), CA).await.unwrap_err();
    assert!(error.contains("invalid peer certificate: certificate not valid for name"), "{error}");
}

#[tokio::test]
async fn an_agent_that_asks_is_shown_a_certificate() {
    let port = serve_tls_to("127.0.0.1", Asks::Everybody).await;
    let without = ensure(format!("https://127.0.0.1:{port}"), CA).await.unwrap_err();
    assert!(without.contains(&format!("127.0.0.1:{port}")), "{without}");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let identity = TlsFiles { certificate: file("client.pem", CLIENT), key: file("client.key", CLIENT_KEY) };
    let ca = file("ca.pem", CA);
    let driver = super::driver(format!("https://127.0.0.1:{port}"), Looks::No, |settings| {
        settings.ca_file = Some(ca);
        settings.identity = Some(identity.clone());
    });
    let shown = driver.ensure(request("1", "v2", "a")).await;
    assert_eq!(shown.map(drop).map_err(|error| error.to_string()), Ok(()));
    let misfit = TlsFiles { key: file("other.key", KEY), ..identity };
    let said = HttpDriver::check_identity(&misfit).unwrap_err().to_string();
    assert!(said.contains("does not fit the certificate"), "{said}");
}

#[tokio::test]
async fn nothing_is_trusted_by_itself() {
    let port = serve_tls("127.0.0.1").await;
    let driver = super::driver(format!("https://127.0.0.1:{port}"), Looks::No, |_| ());
    let error = driver.ensure(request("1", "v2", "a")).await.unwrap_err();
    let expected = format!("https://127.0.0.1:{port}/up/1?x is https, and no certificates are trusted");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_file_without_certificates_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let start = || {
        let settings = HttpSettings {
            sight: Sight::NONE,
            confirm: CONFIRM,
            creation: Creation::NotTold,
            urls: Box::new(Urls { base: String::new(), looks: Looks::No }),
            token_file: None,
            ca_file: Some(path.clone()),
            identity: None,
            timeout: PATIENCE,
            max_concurrent: 1,
        };
        HttpDriver::start(settings).err().unwrap().to_string()
    };
    assert_eq!(start(), format!("cannot read certificates from `{}`", path.display()));
    std::fs::write(&path, "no certificate").unwrap();
    assert_eq!(start(), format!("`{}` holds no usable certificate", path.display()));
}
