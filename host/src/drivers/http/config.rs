//! The settings of the http driver, and what becomes of them when it starts.
//!
//! Does not read the files; a check of the configuration and the driver do.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{AgentUrls, HttpDriver, HttpSettings};
use crate::drivers::kind::{KindSettings, Needs, Premises, StartDriverError};
use crate::drivers::looking::Looking;
use crate::drivers::settings::SettingsFiles;
use crate::drivers::template::{
    RenderError, Template, TemplateValues, Wish, asks_for_missing_address, render_url,
};
use crate::drivers::{Create, Creation, Delete, Driver, Ensure};
use crate::net::serve_tls::TlsFiles;
use crate::net::url::HttpUrl;
use phasegate_core::domain::{CanTell, Component, Instance, ScaleSetName, Sight};

/// Settings of the http driver. Every template renders to a URL for every instance of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where an upgrade is asked for.
    pub url: Template,
    /// Where an instance says its version; knows no version and no operation.
    pub observe_url: Option<Template>,
    /// Where instances are created and deleted, where the site can.
    pub surge: Option<SurgeUrls>,
    /// File with the token that every request carries.
    pub token_file: Option<PathBuf>,
    /// Certificates that are trusted, in PEM; there when a URL is https.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key that are shown to an agent that asks who the host is.
    pub identity: Option<TlsFiles>,
    /// From the first request of an operation to its end, 0.1 s to a day.
    pub timeout: Duration,
    /// Most requests at once, 1 to 1024.
    pub max_concurrent: u32,
    /// When and how often is looked.
    pub looking: Looking,
}

/// Where instances are created and deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurgeUrls {
    /// Where a new instance is asked for.
    pub create: Template,
    /// Where the end of one is asked for.
    pub delete: Template,
}

impl HttpConfig {
    /// What can be looked at: extensions where `observeUrl` asks for the component.
    fn sight(&self) -> Sight {
        let Some(url) = &self.observe_url else { return self.looking.sight(CanTell::No, CanTell::No) };
        let extensions = if url.asks_for_component() { CanTell::Yes } else { CanTell::No };
        self.looking.sight(CanTell::Yes, extensions)
    }
}

impl KindSettings for HttpConfig {
    fn start(&self, premises: &Premises) -> Result<Arc<dyn Driver>, StartDriverError> {
        let settings = HttpSettings {
            words: premises.words.clone(),
            urls: Box::new(Urls {
                apply: self.url.clone(),
                look: self.observe_url.clone(),
                sight: self.sight(),
                surge: self.surge.clone(),
            }),
            creation: Creation::told(self.surge.as_ref()),
            sight: self.sight(),
            confirm: self.looking.confirm,
            token_file: self.token_file.clone(),
            ca_file: self.ca_file.clone(),
            identity: self.identity.clone(),
            extensions: premises.extensions.clone(),
            timeout: self.timeout,
            max_concurrent: usize::try_from(self.max_concurrent).unwrap_or(usize::MAX),
        };
        Ok(Arc::new(HttpDriver::start(settings)?))
    }

    fn needs(&self) -> Needs<'_> {
        Needs {
            files: {
                let token = self.token_file.iter().map(|path| ("tokenFile", path.as_path()));
                let identity = self.identity.iter().flat_map(|TlsFiles { certificate, key }| {
                    [("certificate", certificate.as_path()), ("key", key.as_path())]
                });
                token.chain(identity).collect()
            },
            identity: self.identity.as_ref(),
            certificates: self.ca_file.iter().map(|path| ("caFile", path.as_path())).collect(),
            ..Needs::default()
        }
    }

    fn lacks_for_creation(&self) -> Option<&'static str> {
        self.surge.is_none().then_some(
            "add for example createUrl = \"http://agent:8080/create/{id}\" and \
             deleteUrl = \"http://agent:8080/delete/{id}\" to the driver",
        )
    }

    fn lacks_for_looking(&self) -> Option<&'static str> {
        self.observe_url.is_none().then_some("observeUrl")
    }

    fn lacks_for_extensions(&self) -> Option<&'static str> {
        None
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn is_same(&self, other: &dyn KindSettings) -> bool {
        (other as &dyn Any).downcast_ref() == Some(self)
    }
}

/// The URLs of an agent as their templates say.
struct Urls {
    apply: Template,
    look: Option<Template>,
    sight: Sight,
    surge: Option<SurgeUrls>,
}

impl AgentUrls for Urls {
    fn apply(&self, request: &Ensure) -> Result<HttpUrl, RenderError> {
        render_url(&self.apply, &TemplateValues::of_request(request, SettingsFiles::NONE))
    }

    fn create(&self, request: &Create) -> Result<Option<HttpUrl>, RenderError> {
        let values = TemplateValues::of_creation(request);
        self.surge.as_ref().map(|surge| render_url(&surge.create, &values)).transpose()
    }

    fn delete(&self, request: &Delete) -> Result<Option<HttpUrl>, RenderError> {
        let values = TemplateValues::of_deletion(request);
        match &self.surge {
            Some(surge) if !asks_for_missing_address(std::iter::once(&surge.delete), &values) => {
                render_url(&surge.delete, &values).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Result<Option<HttpUrl>, RenderError> {
        if self.sight.of(component) == CanTell::No {
            return Ok(None);
        }
        let values = TemplateValues { scale_set, instance, wish: Wish::Observe(component) };
        self.look.as_ref().map(|template| render_url(template, &values)).transpose()
    }
}
