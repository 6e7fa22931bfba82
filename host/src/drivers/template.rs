//! Texts with placeholders, for argument lists, environments and URLs of drivers.
//!
//! No shell and no expressions: a placeholder is replaced by one value, and whatever that value
//! holds is never looked at again.

mod placed;
mod placeholder;
mod request;

use std::fmt;

pub use placed::{PlacedTemplates, Refuse, argv_form, environment_form};
pub(in crate::drivers) use placed::{both_or_none, working_dir};
use placeholder::Placeholder;
pub use request::{RenderError, asks_for_missing_address, render_command, render_url};

use super::settings::SettingsFiles;
use phasegate_core::domain::{
    Component, Direction, Fence, Instance, InstanceId, Located, OperationId, ScaleSetName, Version,
};

/// A text such as `--port={port}`. `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// What the placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub struct TemplateValues<'a> {
    /// Gives `{name}`.
    pub scale_set: &'a ScaleSetName,
    /// Gives `{id}`, `{address}`, `{host}`, `{port}`, `{zone}` and `{label.NAME}`.
    pub instance: &'a Instance,
    /// Gives the rest.
    pub wish: Wish<'a>,
}

/// What is wanted of an instance; which of these there is decides about some placeholders.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// Nothing: it is only looked at.
    Look,
    /// What it has of this: `{component}`.
    Observe(&'a Component),
    /// That it runs a version: `{version}`.
    Run(&'a Version),
    /// One effect: also `{component}`, `{operation}` and `{generation}`.
    Apply {
        /// What of the instance.
        component: &'a Component,
        /// The version that it shall have.
        version: &'a Version,
        /// Identity of the effect.
        operation: &'a OperationId,
        /// Which host speaks: `{generation}`.
        fence: Fence,
        /// Where its settings are: `{settingsFile}`, `{protectedSettingsFile}`.
        settings: &'a SettingsFiles,
    },
    /// That it comes into being: as an effect on the application, and `{replaces}`. Its address is
    /// still that of the one that it replaces.
    Create {
        /// Whose place it takes.
        replaces: &'a InstanceId,
        /// The version that it shall have.
        version: &'a Version,
        /// Identity of the effect.
        operation: &'a OperationId,
        /// Which host speaks: `{generation}`.
        fence: Fence,
    },
    /// That a hook is run round an effect on it: also `{direction}`.
    Hook {
        /// The version that is brought.
        version: Option<&'a Version>,
        /// Whether anybody knows its address.
        located: Located,
        /// Identity of the hook.
        operation: &'a OperationId,
        /// Which host speaks: `{generation}`.
        fence: Fence,
        /// Whether something is brought, or brought back.
        direction: Direction,
    },
    /// That a hook is run round a batch: `{batch}`, `{instances}` and `{direction}`, and nothing of an instance.
    Batch {
        /// Its number, from 1.
        number: usize,
        /// Its members.
        instances: &'a [InstanceId],
        /// Identity of the hook.
        operation: &'a OperationId,
        /// Which host speaks: `{generation}`.
        fence: Fence,
        /// Whether something is brought, or brought back.
        direction: Direction,
    },
    /// That it goes: `{operation}` and `{generation}`.
    Delete {
        /// Whether anybody knows its address.
        located: Located,
        /// Identity of the effect.
        operation: &'a OperationId,
        /// Which host speaks: `{generation}`.
        fence: Fence,
    },
}

/// Which placeholders a text may have, by what it is rendered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// For [`Wish::Look`].
    Look,
    /// For [`Wish::Observe`].
    Observe,
    /// For [`Wish::Run`].
    Run,
    /// For [`Wish::Apply`], somewhere else.
    Apply,
    /// For [`Wish::Apply`], by a program on this machine.
    ApplyHere,
    /// For [`Wish::Create`].
    Create,
    /// For [`Wish::Delete`].
    Delete,
    /// For [`Wish::Hook`].
    Hook,
    /// For [`Wish::Batch`].
    BatchHook,
}

impl Scope {
    fn known(self) -> &'static str {
        match self {
            Self::Look => "{id}, {name}, {address}, {host}, {port}, {zone}, {label.NAME}",
            Self::Observe => "{id}, {name}, {address}, {host}, {port}, {zone}, {label.NAME}, {component}",
            Self::Run => "{id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}",
            Self::Apply => {
                "{id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}, {component}, \
                 {operation}, {generation}"
            }
            Self::ApplyHere => {
                "{id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}, {component}, \
                 {operation}, {generation}, {settingsFile}, {protectedSettingsFile}"
            }
            Self::Create => {
                "{id}, {replaces}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}, \
                 {component}, {operation}, {generation}"
            }
            Self::Hook => {
                "{id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}, {operation}, {generation}, \
                 {direction}"
            }
            Self::BatchHook => "{name}, {batch}, {instances}, {operation}, {generation}, {direction}",
            Self::Delete => {
                "{id}, {name}, {address}, {host}, {port}, {zone}, {label.NAME}, {operation}, {generation}"
            }
        }
    }
}

/// Why a text is not a template; a fragment that follows the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplateError {
    /// `{` without `}`.
    #[error("has a {{ that is not closed; write {{{{ for a brace")]
    Open,
    /// `}` without `{`.
    #[error("has a }} without a {{ before it; write }}}} for a brace")]
    Close,
    /// Not a placeholder.
    #[error("has the unknown placeholder {{{name}}}; known: {known}; write {{{{ and }}}} for braces")]
    Unknown {
        /// What stands between the braces.
        name: String,
        /// What may stand there.
        known: &'static str,
    },
    /// No program can be given this character.
    #[error("contains a NUL character")]
    Nul,
}

/// An instance has no value for a placeholder; a fragment that follows the instance's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingValueError {
    /// It has no such label.
    #[error("has no label {0:?}")]
    Label(String),
    /// It has no zone.
    #[error("has no zone")]
    Zone,
    /// It was never said where it is.
    #[error("never had an address")]
    Address,
    /// The text was read for another purpose than it is rendered for.
    #[error("is not given {{{0}}} here")]
    Wish(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

impl Template {
    /// Parses the text.
    ///
    /// # Errors
    /// When a brace has no partner, a placeholder is not known, or the text holds a NUL character.
    pub fn parse(text: &str, scope: Scope) -> Result<Self, InvalidTemplateError> {
        if text.contains('\0') {
            return Err(InvalidTemplateError::Nul);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = from.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or(InvalidTemplateError::Open)?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(Placeholder::parse(name, scope)?));
                rest = after;
            } else {
                return Err(InvalidTemplateError::Close);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// Replaces the placeholders.
    ///
    /// # Errors
    /// When the instance has no zone or no label that the template asks for.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<String, MissingValueError> {
        self.render_each(|placeholder| placeholder.value(values))
    }

    /// Replaces the placeholders so that no value can change the structure of a URL: a host is
    /// written as a URL writes it, and everything else is escaped.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_url(&self, values: &TemplateValues<'_>) -> Result<String, MissingValueError> {
        self.render_each(|placeholder| placeholder.url_value(values))
    }

    fn render_each(
        &self,
        value: impl Fn(&Placeholder) -> Result<String, MissingValueError>,
    ) -> Result<String, MissingValueError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => text.push_str(&value(placeholder)?),
            }
        }
        Ok(text)
    }

    /// Whether it says which component it is about.
    #[must_use]
    pub fn asks_for_component(&self) -> bool {
        self.parts.contains(&Part::Placeholder(Placeholder::Component))
    }

    /// Whether it says where the instance is.
    #[must_use]
    pub fn asks_for_address(&self) -> bool {
        let places = [Placeholder::Address, Placeholder::Host, Placeholder::Port];
        places.into_iter().any(|place| self.parts.contains(&Part::Placeholder(place)))
    }

    /// What the instance lacks, if anything.
    #[must_use]
    pub fn missing(&self, instance: &Instance) -> Option<MissingValueError> {
        self.parts.iter().find_map(|part| match part {
            Part::Placeholder(Placeholder::Zone) if instance.zone.is_none() => Some(MissingValueError::Zone),
            Part::Placeholder(Placeholder::Label(name)) if !instance.labels.contains_key(name) => {
                Some(MissingValueError::Label(name.clone()))
            }
            Part::Literal(_) | Part::Placeholder(_) => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(literal) => f.write_str(&literal.replace('{', "{{").replace('}', "}}")),
            Part::Placeholder(placeholder) => write!(f, "{{{placeholder}}}"),
        })
    }
}

#[cfg(test)]
mod tests;
