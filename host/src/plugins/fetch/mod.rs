//! Fetches components: from web servers and from registries.
//!
//! How to read this module: `https` is one GET with its redirects and limits, `oci` the protocol of a
//! registry on top of it, `manifest` and `challenge` read what a registry sends, `credentials` what
//! it is told, `push` the way into a registry; `error` has every reason why nothing came. Nothing that comes in is trusted: sizes, redirects and texts are bounded, and what has
//! a digest is compared with it.
//!
//! Our own few hundred lines on the client that probes and agents use. The crate `oci-client` was
//! looked at: with it come ninety more crates, a second TLS stack that needs a C compiler
//! (`aws-lc-sys`), and a client that decides about redirects and token servers by itself. Proxies of
//! the environment are not used.

mod challenge;
pub mod config;
mod credentials;
mod error;
mod https;
mod manifest;
mod oci;
mod push;
mod signatures;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use config::{Credentials, FetchConfig};
pub use error::{FetchError, OtherDigestError, TransferError};
pub use push::{Push, Pushed};

use super::signature::Signed;
use crate::net::reference::{RemotePlace, RemoteSource};
use crate::net::tls::VerifiedTls;
use https::Client;
use phasegate_core::domain::Digest;

/// Progress is told each time that so many more bytes have come.
const PROGRESS_BYTES: u64 = 256 << 10;

/// A component that came, or did not need to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The component.
    pub bytes: Vec<u8>,
    /// How it came, for people.
    pub note: String,
    /// Its signatures, where they were asked for.
    pub signed: Vec<Signed>,
}

/// Whether signatures are to be fetched, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Nobody looks at them.
    Left,
    /// Those that the server has.
    Wanted,
}

/// What to fetch, and how.
pub struct Fetch<'a> {
    /// From where.
    pub source: &'a RemoteSource,
    /// With which trust, time limit and credentials.
    pub settings: &'a FetchConfig,
    /// What the component must be; what is known to be another one is not downloaded.
    pub wanted: Option<Digest>,
    /// Whether its signatures are to come along.
    pub signatures: Signatures,
    /// Looks for bytes that need not come again.
    pub kept: &'a (dyn Fn(Digest) -> Option<Vec<u8>> + Sync),
    /// Is told how many bytes have come.
    pub on_bytes: &'a (dyn Fn(u64) + Sync),
}

impl Fetch<'_> {
    /// Fetches the component. Blocks for as long as the settings allow, at most; on a thread of its
    /// own, so that it may be called from anywhere.
    ///
    /// # Errors
    /// When it does not come, is too large, or is not what its digest says.
    pub fn run(&self) -> Result<Fetched, FetchError> {
        let came = AtomicU64::new(0);
        on_a_thread(self.settings.timeout, &came, || self.come(&came))
    }

    async fn come(&self, came: &AtomicU64) -> Result<Fetched, FetchError> {
        let tls = VerifiedTls::web(self.settings.ca_file.as_deref()).map_err(TransferError::from)?;
        let on_bytes = |bytes: u64| {
            let before = came.swap(bytes, Ordering::Relaxed);
            if before / PROGRESS_BYTES != bytes / PROGRESS_BYTES {
                (self.on_bytes)(bytes);
            }
        };
        let authorizations = credentials::read(self.settings.credentials.clone()).await?;
        let client = Client { tls, on_bytes: &on_bytes };
        match self.source.place() {
            RemotePlace::Url(url) => https::component(&client, url, &authorizations, self.signatures).await,
            RemotePlace::Oci(reference) => {
                let trust = match self.settings.ca_file {
                    Some(_) => oci::Loopback::Https,
                    None => oci::Loopback::Http,
                };
                oci::component(self, &client, oci::Registry::new(reference, trust, authorizations)).await
            }
        }
    }
}

/// Waits for work with registries and web servers on a thread of its own, for so long at most.
fn on_a_thread<T: Send, W: Future<Output = Result<T, FetchError>>>(
    limit: Duration,
    came: &AtomicU64,
    work: impl FnOnce() -> W + Send,
) -> Result<T, FetchError> {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(TransferError::NoRuntime)?;
        let result = runtime.block_on(async { tokio::time::timeout(limit, work()).await });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        result.unwrap_or_else(|_| {
            Err(TransferError::TooSlow { limit, came: came.load(Ordering::Relaxed) }.into())
        })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("plugin-fetch".to_owned());
        let thread = thread.spawn_scoped(scope, wait);
        let thread = thread.map_err(TransferError::NoThread)?;
        thread.join().unwrap_or_else(|_| Err(TransferError::NoResult.into()))
    })
}
