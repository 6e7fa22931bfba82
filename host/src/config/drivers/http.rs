//! Reads the keys of `kind = "http"`.

use std::path::PathBuf;

use super::super::table::Table;
use super::super::value::Value;
use super::{Templates, both_or_none, read_max_concurrent, read_template, read_wait};
use crate::drivers::http::{HttpConfig, SurgeUrls};
use crate::drivers::template::{Scope, Template, TemplateValues, Wish};
use crate::net::url::{HttpUrl, Scheme};
use phasegate_core::domain::{Component, Fence, Instance, Located, OperationId, ScaleSetName, Version};

/// A URL that is checked when the instances are known.
pub(super) struct UrlTemplate<'a> {
    value: Value<'a>,
    template: Template,
    scope: Scope,
    ca_file: Option<PathBuf>,
}

pub(super) fn read<'a>(mut table: Table<'a>, templates: &mut Templates<'a>) -> Option<HttpConfig> {
    let url = table.required("url", "\"http://{host}:8080/upgrade/{id}\"");
    let observe_url = table.optional("observeUrl", "\"http://{host}:8080/version/{id}\"");
    let create = table.optional("createUrl", "\"http://{host}:8080/create/{id}\"");
    let delete = table.optional("deleteUrl", "\"http://{host}:8080/delete/{id}\"");
    let token_file = table.optional("tokenFile", "\"agent.token\"");
    let ca_file = table.optional("caFile", "\"/etc/ssl/certs/ca-certificates.crt\"");
    let timeout = table.optional("timeoutInSeconds", "600");
    let max_concurrent = table.optional("maxConcurrent", "64");
    table.finish();

    let token_file = read_file(token_file);
    let ca_file = read_file(ca_file);
    let trusted = ca_file.clone().flatten();
    let url = url.and_then(|value| read_url(value, Scope::Apply, trusted.clone(), templates));
    let observe_url = match observe_url {
        Some(value) => read_url(value, Scope::Look, trusted.clone(), templates).map(Some),
        None => Some(None),
    };
    let both = both_or_none(create.as_ref(), delete.as_ref());
    let create = create.map(|value| read_url(value, Scope::Create, trusted.clone(), templates));
    let delete = delete.map(|value| read_url(value, Scope::Delete, trusted, templates));
    let surge = match (create, delete) {
        (Some(create), Some(delete)) => {
            create.and_then(|create| Some(Some(SurgeUrls { create, delete: delete? })))
        }
        (_, _) => both.then_some(None),
    };
    let timeout = read_wait(timeout, 0.1);
    let max_concurrent = read_max_concurrent(max_concurrent);
    Some(HttpConfig {
        url: url?,
        observe_url: observe_url?,
        surge: surge?,
        token_file: token_file?,
        ca_file: ca_file?,
        timeout: timeout?,
        max_concurrent: max_concurrent?,
    })
}

/// A file that may be left out; nothing at all when its path is wrong.
fn read_file(value: Option<Value<'_>>) -> Option<Option<PathBuf>> {
    let Some(value) = value else { return Some(None) };
    value.remember();
    value.path().map(Some)
}

fn read_url<'a>(
    value: Value<'a>,
    scope: Scope,
    ca_file: Option<PathBuf>,
    templates: &mut Templates<'a>,
) -> Option<Template> {
    let text = value.filled()?;
    let template = read_template(value.clone(), text, scope, templates)?;
    templates.urls.push(UrlTemplate { value, template: template.clone(), scope, ca_file });
    Some(template)
}

impl UrlTemplate<'_> {
    /// Reports the first instance for which this is no URL that the driver may use.
    pub(super) fn check<'i>(
        &self,
        scale_set: Option<&ScaleSetName>,
        mut instances: impl Iterator<Item = &'i Instance>,
    ) {
        // What cannot be read is reported where it is.
        let (Some(scale_set), Ok(version)) = (scale_set, Version::parse("v1")) else { return };
        let operation = OperationId("operation".to_owned());
        let wish = match self.scope {
            Scope::Look => Wish::Look,
            Scope::Run => Wish::Run(&version),
            Scope::Delete => {
                Wish::Delete { located: Located::Yes, operation: &operation, fence: Fence::NONE }
            }
            // One for each instance, below.
            Scope::Apply | Scope::Create => Wish::Apply {
                component: &Component::Application,
                version: &version,
                operation: &operation,
                fence: Fence::NONE,
            },
        };
        let problem = instances.find_map(|instance| {
            let wish = match self.scope {
                Scope::Create => {
                    let replaces = &instance.id;
                    Wish::Create { replaces, version: &version, operation: &operation, fence: Fence::NONE }
                }
                Scope::Look | Scope::Run | Scope::Apply | Scope::Delete => wish,
            };
            let url = self.template.render_url(&TemplateValues { scale_set, instance, wish }).ok()?;
            let (message, hint) = self.refusal(&url)?;
            Some((format!("cannot be used for instance \"{}\": `{url}` {message}", instance.id), hint))
        });
        if let Some((message, hint)) = problem {
            self.value.conflict(message, hint);
        }
    }

    fn refusal(&self, url: &str) -> Option<(String, &'static str)> {
        match HttpUrl::parse(url) {
            Err(error) => Some((error.to_string(), "for example http://{host}:8080/upgrade/{id}")),
            Ok(url) if url.scheme == Scheme::Https && self.ca_file.is_none() => Some((
                "is https, and nothing says which certificates to trust".to_owned(),
                "add caFile = \"/etc/ssl/certs/ca-certificates.crt\", or that of your own authority",
            )),
            Ok(_) => None,
        }
    }
}
