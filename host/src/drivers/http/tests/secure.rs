//! https agents, with the certificate that they should have and without.

use super::*;
use crate::drivers::testing::tls::{Asks, CA, KEY, serve_tls, serve_tls_to};

/// What an authority gave to a client; made for these tests. Valid until 2126.
const CLIENT: &[u8] = include_bytes!("../testdata/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../testdata/client-key.pem");

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
            words: crate::drivers::Words::default(),
            extensions: crate::drivers::settings::ExtensionSettings::default(),
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
