//! The certificate and the key by which a server shows who it is.
//!
//! Says what is wrong with the files before the first connection does. Asks no client for a certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its chain, and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's own certificate first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1, without a password.
    pub key: PathBuf,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServeTlsError {
    /// A file.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate in it.
    #[error("`{}` holds no certificate in PEM (BEGIN CERTIFICATE)", .0.display())]
    NoCertificate(PathBuf),
    /// There is no key in it.
    #[error("`{}` holds no private key in PEM (BEGIN PRIVATE KEY, without a password)", .0.display())]
    NoKey(PathBuf),
    /// They belong to others.
    #[error("the key in `{}` does not fit the certificate in `{}`", .0.key.display(), .0.certificate.display())]
    Mismatch(TlsFiles),
    /// The library.
    #[error("certificate `{}` and key `{}` cannot be used", files.certificate.display(), files.key.display())]
    Unusable {
        /// Which.
        files: TlsFiles,
        /// Why.
        source: rustls::Error,
    },
}

impl ServeTlsError {
    /// The error with its causes, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// A certificate chain and its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads both files.
pub(crate) fn identity(files: &TlsFiles) -> Result<Identity, ServeTlsError> {
    let TlsFiles { certificate, key } = files;
    let text = read(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| ServeTlsError::NoCertificate(certificate.clone()))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?);
    Ok((chain, secret.map_err(|_| ServeTlsError::NoKey(key.clone()))?))
}

/// What the library says of a pair that it does not take.
pub(crate) fn refused(files: &TlsFiles, error: rustls::Error) -> ServeTlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => ServeTlsError::Mismatch(files.clone()),
        source => ServeTlsError::Unusable { files: files.clone(), source },
    }
}

/// Reads and checks both files.
///
/// # Errors
/// When one cannot be read or is no PEM, or they do not go together.
pub fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, ServeTlsError> {
    let (chain, key) = identity(files)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(files, error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refused(files, error))?;
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<u8>, ServeTlsError> {
    std::fs::read(path).map_err(|source| ServeTlsError::Unreadable { path: path.to_owned(), source })
}
