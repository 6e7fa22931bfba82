//! TLS towards agents and the servers of components, with verified certificates.
//!
//! Never trusts the machine's own certificates unless the configuration names their file. Has nothing
//! to do with the TLS of probes, which verifies nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::own_certificate::OwnCertificate;
use super::serve_tls::{self, ServeTlsError, TlsFiles};
use phasegate_core::domain::Address;

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum LoadCertificatesError {
    /// The file.
    #[error("cannot read certificates from `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// There is none in it that can be used.
    #[error("`{}` holds no usable certificate", .0.display())]
    Empty(PathBuf),
    /// The certificate by which we show who we are.
    #[error(transparent)]
    Identity(#[from] ServeTlsError),
    /// The library.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// Makes verified handshakes; cheap to clone.
#[derive(Clone)]
pub struct VerifiedTls(TlsConnector);

impl VerifiedTls {
    /// Trusts the certificates in the file and no others.
    pub(crate) fn load(path: &Path) -> Result<Self, LoadCertificatesError> {
        Self::load_as(path, None)
    }

    /// The same, and shows this certificate to a server that asks for one.
    pub(crate) fn load_as(path: &Path, identity: Option<&TlsFiles>) -> Result<Self, LoadCertificatesError> {
        let mut roots = RootCertStore::empty();
        let named = add(&mut roots, path)?;
        Self::trusting(roots, named, identity)
    }

    /// Trusts the authorities that browsers trust, and the certificates in the file.
    pub(crate) fn web(path: Option<&Path>) -> Result<Self, LoadCertificatesError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let named = path.map(|path| add(&mut roots, path)).transpose()?;
        Self::trusting(roots, named.unwrap_or_default(), None)
    }

    fn trusting(
        roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        identity: Option<&TlsFiles>,
    ) -> Result<Self, LoadCertificatesError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| LoadCertificatesError::Setup(rustls::Error::General(error.to_string())))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(LoadCertificatesError::Setup)?
            // Verifies as rustls does by itself, and takes one certificate more; see there.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OwnCertificate::new(usual, named)));
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = serve_tls::identity(files)?;
                config.with_client_auth_cert(chain, key).map_err(|error| serve_tls::refused(files, error))?
            }
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands; the certificate must be for the host as the URL names it.
    pub(crate) async fn handshake(
        &self,
        address: &Address,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        // A certificate names no dot at the end.
        let host = address.host.strip_suffix('.').unwrap_or(&address.host).to_owned();
        let name = ServerName::try_from(host);
        let name =
            name.map_err(|_| io::Error::other("the host is not a name that a certificate can have"))?;
        self.0.connect(name, stream).await
    }
}

/// Adds the certificates of a file. Ones that cannot be used as roots are passed over: the bundles of
/// many systems hold some.
fn add(
    roots: &mut RootCertStore,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, LoadCertificatesError> {
    let unreadable = |source| LoadCertificatesError::Unreadable { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 { Err(LoadCertificatesError::Empty(path.to_owned())) } else { Ok(certificates) }
}
