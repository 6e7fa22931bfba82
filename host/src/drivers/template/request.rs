//! Where templates meet the requests to a driver: a driver gets texts, never templates.

use std::collections::BTreeMap;
use std::path::Path;

use super::{MissingValueError, Template, TemplateValues, Wish};
use crate::drivers::local::Command;
use crate::drivers::settings::SettingsFiles;
use crate::drivers::{Create, Delete, Ensure};
use crate::net::url::{HttpUrl, InvalidUrlError};

/// Why there is no program or no URL for an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The instance lacks something.
    #[error(transparent)]
    Missing(#[from] MissingValueError),
    /// What came out is no URL.
    #[error("`{text}` {error}")]
    Url {
        /// What came out.
        text: String,
        /// Why it is none; a fragment that follows the text.
        error: InvalidUrlError,
    },
}

impl<'a> TemplateValues<'a> {
    /// The values for an effect on an instance.
    #[must_use]
    pub fn of_request(request: &'a Ensure, settings: &'a SettingsFiles) -> Self {
        let Ensure { scale_set, instance, component, version, operation, fence, previous: _, again: _ } =
            request;
        let wish = Wish::Apply { component, version, operation, fence: *fence, settings };
        Self { scale_set, instance, wish }
    }

    /// The values for a new instance.
    #[must_use]
    pub fn of_creation(request: &'a Create) -> Self {
        let Create { scale_set, instance, replaces, version, taken: _, operation, fence } = request;
        let wish = Wish::Create { replaces, version, operation, fence: *fence };
        Self { scale_set, instance, wish }
    }

    /// The values for the end of an instance.
    #[must_use]
    pub fn of_deletion(request: &'a Delete) -> Self {
        let Delete { scale_set, instance, located, operation, fence } = request;
        let wish = Wish::Delete { located: *located, operation, fence: *fence };
        Self { scale_set, instance, wish }
    }
}

/// Whether texts ask for the address of an instance that never had one. Another address must never
/// stand in for it.
pub fn asks_for_missing_address<'a>(
    mut templates: impl Iterator<Item = &'a Template>,
    values: &TemplateValues<'_>,
) -> bool {
    templates.any(|template| template.render(values) == Err(MissingValueError::Address))
}

/// The URL for an instance.
///
/// # Errors
/// When the instance lacks a value, or what comes out is no URL.
pub fn render_url(template: &Template, values: &TemplateValues<'_>) -> Result<HttpUrl, RenderError> {
    let text = template.render_url(values)?;
    HttpUrl::parse(&text).map_err(|error| RenderError::Url { text, error })
}

/// The program for an instance.
///
/// # Errors
/// When the instance lacks a value.
pub fn render_command(
    argv: &[Template],
    environment: &BTreeMap<String, Template>,
    working_dir: &Path,
    values: &TemplateValues<'_>,
) -> Result<Command, RenderError> {
    let argv = argv.iter().map(|template| template.render(values)).collect::<Result<Vec<_>, _>>()?;
    let environment = environment
        .iter()
        .map(|(name, template)| Ok((name.clone(), template.render(values)?)))
        .collect::<Result<BTreeMap<_, _>, MissingValueError>>()?;
    Ok(Command { argv, environment, working_dir: working_dir.to_owned() })
}
