//! Certificates by which the host shows instances who it is: read once, and again when their files have changed.
//!
//! A pair that cannot be read any more leaves the one before in force, and is told of once: certificates are renewed
//! by writing two files, and no instance is to blame for the moment between. Verifies nobody.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tokio_rustls::TlsConnector;

use super::tls::{Speaks, connector};
use crate::net::serve_tls::{self, ServeTlsError, TlsFiles};
use phasegate_core::domain::ProbeIdentity;

/// All that are in use.
#[derive(Default)]
pub(super) struct Identities(Mutex<BTreeMap<(ProbeIdentity, Speaks), Known>>);

/// One that was read.
#[derive(Clone)]
struct Known {
    seen: Seen,
    connector: TlsConnector,
}

/// How both files looked.
type Seen = [Option<Look>; 2];

/// Changes when a file is written in place or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    size: u64,
    written: (i64, i64),
}

impl Identities {
    /// What connections are made with under this certificate.
    ///
    /// # Errors
    /// When it cannot be used, and never could.
    pub(super) async fn connector(
        &self,
        identity: &ProbeIdentity,
        speaks: Speaks,
    ) -> Result<TlsConnector, ServeTlsError> {
        let key = (identity.clone(), speaks);
        let known = self.all().get(&key).cloned();
        let wanted = key.clone();
        let before = known.as_ref().map(|known| known.seen);
        let work = tokio::task::spawn_blocking(move || {
            let seen = look_at(&wanted.0);
            (seen, (before != Some(seen)).then(|| load(&wanted.0, wanted.1)))
        });
        let (seen, read) = match work.await {
            Ok(done) => done,
            Err(error) => {
                let source = io::Error::other(error.to_string());
                return Err(ServeTlsError::Unreadable { path: identity.certificate.clone(), source });
            }
        };
        let connector = match (read, known) {
            (None, Some(known)) => return Ok(known.connector),
            (None, None) => load(identity, speaks)?,
            (Some(Ok(fresh)), _) => fresh,
            (Some(Err(error)), Some(known)) => {
                tracing::warn!(
                    "probes go on with the client certificate that was read before: {}",
                    error.line()
                );
                known.connector
            }
            (Some(Err(error)), None) => return Err(error),
        };
        self.all().insert(key, Known { seen, connector: connector.clone() });
        Ok(connector)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ProbeIdentity, Speaks), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_at(identity: &ProbeIdentity) -> Seen {
    let look = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        let written = (metadata.mtime(), metadata.mtime_nsec());
        Some(Look { inode: metadata.ino(), size: metadata.size(), written })
    };
    [look(&identity.certificate), look(&identity.key)]
}

fn load(identity: &ProbeIdentity, speaks: Speaks) -> Result<TlsConnector, ServeTlsError> {
    let files = files(identity);
    let pair = serve_tls::identity(&files)?;
    connector(speaks, Some(pair)).map_err(|error| serve_tls::refused(&files, error))
}

fn files(identity: &ProbeIdentity) -> TlsFiles {
    let ProbeIdentity { certificate, key } = identity.clone();
    TlsFiles { certificate, key }
}
