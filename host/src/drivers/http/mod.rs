//! The http driver: an agent of the site's own brings an instance to a version.
//!
//! One operation is one POST, repeated under the same `Idempotency-Key` while the agent is busy or
//! cannot be reached, and then as many polls as it takes. Everything that an agent sends is
//! limited and quoted; it can point to nobody but itself.
//!
//! Keeps nothing running, follows no redirects, does not judge health, and remembers nothing
//! across a restart of the host: a repeat of the operation then says the same key.

mod agent;
mod body;
mod client;
pub mod config;
mod error;
mod judge;
mod keys;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::agent::{Agents, Timing};
pub use self::config::{HttpConfig, SurgeUrls};
pub use self::keys::KIND;
use super::looking::Confirm;
use super::site::{Patience, Site};
use super::template::RenderError;
use super::{BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, Ensure, Observe, Words};
use crate::drivers::settings::ExtensionSettings;
use crate::net::serve_tls::{self, ServeTlsError, TlsFiles};
pub use crate::net::tls::LoadCertificatesError;
use crate::net::tls::VerifiedTls;
use crate::net::url::HttpUrl;
use phasegate_core::domain::{Address, Component, Instance, OperationId, ScaleSetName, Seen, Sight};

/// Renders the URLs of an instance. Must not block.
pub trait AgentUrls: Send + Sync {
    /// Where the request is sent.
    ///
    /// # Errors
    /// When there is no such URL; one line for people.
    fn apply(&self, request: &Ensure) -> Result<HttpUrl, RenderError>;

    /// Where a new instance is asked for; none when the site has no such place.
    ///
    /// # Errors
    /// When there is no such URL; one line for people.
    fn create(&self, request: &Create) -> Result<Option<HttpUrl>, RenderError>;

    /// Where the end of an instance is asked for; none when nobody can say where, because the
    /// instance never had an address.
    ///
    /// # Errors
    /// When there is no such URL; one line for people.
    fn delete(&self, request: &Delete) -> Result<Option<HttpUrl>, RenderError>;

    /// Where the version of a component of the instance is asked for; none when the site cannot be asked.
    ///
    /// # Errors
    /// When there is no such URL; one line for people.
    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Result<Option<HttpUrl>, RenderError>;
}

/// What an http driver needs to know.
pub struct HttpSettings {
    /// Whom to ask.
    pub urls: Box<dyn AgentUrls>,
    /// Whether `urls` can create and delete.
    pub creation: Creation,
    /// What `urls` can look at.
    pub sight: Sight,
    /// When it counts what they say.
    pub confirm: Confirm,
    /// What extensions are configured with.
    pub extensions: ExtensionSettings,
    /// File with a token that every request carries; read anew each time, so that it can change.
    pub token_file: Option<PathBuf>,
    /// Certificates that are trusted, in PEM. Without it nothing is spoken over https.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key that are shown to an agent that asks who we are.
    pub identity: Option<TlsFiles>,
    /// From the first request of an operation to its end.
    pub timeout: Duration,
    /// Most requests at once.
    pub max_concurrent: usize,
    /// Where it says how far it is.
    pub words: Words,
}

/// Asks agents to upgrade instances.
///
/// `ensure` asks the instance for its version afterwards, where the site has a URL for that, as the
/// command driver does.
pub struct HttpDriver {
    site: Site<Agents>,
    creation: Creation,
    sight: Sight,
}

impl HttpDriver {
    /// Makes the driver; nothing is asked yet.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn start(settings: HttpSettings) -> Result<Self, LoadCertificatesError> {
        Self::start_with(settings, Timing::default())
    }

    /// Whether a certificate and its key can be shown to an agent.
    ///
    /// # Errors
    /// When they cannot be read, or do not go together.
    pub fn check_identity(files: &TlsFiles) -> Result<(), ServeTlsError> {
        // The same rules as for a server's own.
        serve_tls::load(files).map(|_| ())
    }

    /// Whether the file holds certificates that can be trusted.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_certificates(path: &Path) -> Result<(), LoadCertificatesError> {
        VerifiedTls::load(path).map(|_| ())
    }

    fn start_with(settings: HttpSettings, timing: Timing) -> Result<Self, LoadCertificatesError> {
        let (creation, sight) = (settings.creation, settings.sight);
        let patience = Patience { confirm: settings.confirm, longest: settings.timeout };
        Ok(Self { creation, sight, site: Site::new(Agents::new(settings, timing)?, patience) })
    }
}

impl Driver for HttpDriver {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        self.site.ensure(request)
    }

    fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        self.site.observe(question)
    }

    fn sight(&self) -> Sight {
        self.sight
    }

    fn creation(&self) -> Creation {
        self.creation
    }

    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        self.site.create(request)
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        self.site.delete(request)
    }

    fn end(&self, operation: &OperationId) {
        self.site.end_one(operation);
    }

    fn custody(&self) -> Custody {
        Custody::Site
    }

    /// Hangs up. What agents have begun is theirs to finish.
    fn shutdown(&self) -> BoxFuture<()> {
        self.site.end();
        Box::pin(std::future::ready(()))
    }
}
