//! What may stand between braces, and what it stands for.

use std::fmt;
use std::path::Path;

use super::{InvalidTemplateError, MissingValueError, Scope, TemplateValues, Wish};
use crate::drivers::settings::SettingsFiles;
use crate::net::url::escape;
use phasegate_core::domain::{Component, Fence, InstanceId, Located, OperationId, Version};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placeholder {
    Id,
    Replaces,
    Name,
    Component,
    Version,
    Operation,
    Generation,
    Address,
    Host,
    Port,
    Zone,
    Label(String),
    Direction,
    Batch,
    Instances,
    Settings,
    ProtectedSettings,
}

impl Placeholder {
    pub(super) fn parse(name: &str, scope: Scope) -> Result<Self, InvalidTemplateError> {
        let unknown = || InvalidTemplateError::Unknown { name: name.to_owned(), known: scope.known() };
        Ok(match (name, scope) {
            ("name", _) => Self::Name,
            ("direction", Scope::Hook | Scope::BatchHook) => Self::Direction,
            ("operation", Scope::Hook | Scope::BatchHook) => Self::Operation,
            ("generation", Scope::Hook | Scope::BatchHook) => Self::Generation,
            ("batch", Scope::BatchHook) => Self::Batch,
            ("instances", Scope::BatchHook) => Self::Instances,
            (_, Scope::BatchHook) => return Err(unknown()),
            ("id", _) => Self::Id,
            ("replaces", Scope::Create) => Self::Replaces,
            ("settingsFile", Scope::ApplyHere) => Self::Settings,
            ("protectedSettingsFile", Scope::ApplyHere) => Self::ProtectedSettings,
            ("version", Scope::Run | Scope::Apply | Scope::ApplyHere | Scope::Create | Scope::Hook) => {
                Self::Version
            }
            ("component", Scope::Observe | Scope::Apply | Scope::ApplyHere | Scope::Create) => {
                Self::Component
            }
            ("operation", Scope::Apply | Scope::ApplyHere | Scope::Create | Scope::Delete) => Self::Operation,
            ("generation", Scope::Apply | Scope::ApplyHere | Scope::Create | Scope::Delete) => {
                Self::Generation
            }
            ("address", _) => Self::Address,
            ("host", _) => Self::Host,
            ("port", _) => Self::Port,
            ("zone", _) => Self::Zone,
            (other, _) => match other.strip_prefix("label.") {
                Some(label) if !label.is_empty() => Self::Label(label.to_owned()),
                _ => return Err(unknown()),
            },
        })
    }

    pub(super) fn value(&self, values: &TemplateValues<'_>) -> Result<String, MissingValueError> {
        let TemplateValues { scale_set, instance, wish } = values;
        Ok(match self {
            Self::Id => instance.id.to_string(),
            Self::Name => scale_set.to_string(),
            Self::Version => wish.version().ok_or(MissingValueError::Wish("version"))?.to_string(),
            Self::Replaces => match wish {
                Wish::Create { replaces, .. } => replaces.to_string(),
                Wish::Look
                | Wish::Observe(_)
                | Wish::Run(_)
                | Wish::Apply { .. }
                | Wish::Hook { .. }
                | Wish::Batch { .. }
                | Wish::Delete { .. } => {
                    return Err(MissingValueError::Wish("replaces"));
                }
            },
            Self::Component => match wish {
                Wish::Observe(component) | Wish::Apply { component, .. } => component.to_string(),
                Wish::Create { .. } => Component::Application.to_string(),
                Wish::Look | Wish::Run(_) | Wish::Hook { .. } | Wish::Batch { .. } | Wish::Delete { .. } => {
                    return Err(MissingValueError::Wish("component"));
                }
            },
            Self::Operation => wish.effect().ok_or(MissingValueError::Wish("operation"))?.0.0.clone(),
            Self::Generation => wish.effect().ok_or(MissingValueError::Wish("generation"))?.1.to_string(),
            Self::Direction => match wish {
                Wish::Hook { direction, .. } | Wish::Batch { direction, .. } => direction.name().to_owned(),
                Wish::Look
                | Wish::Observe(_)
                | Wish::Run(_)
                | Wish::Apply { .. }
                | Wish::Create { .. }
                | Wish::Delete { .. } => return Err(MissingValueError::Wish("direction")),
            },
            Self::Settings => file(wish.files()?.settings.as_deref()),
            Self::ProtectedSettings => file(wish.files()?.protected.as_deref()),
            Self::Batch | Self::Instances => {
                let Wish::Batch { number, instances, .. } = wish else {
                    return Err(MissingValueError::Wish("batch"));
                };
                match self {
                    Self::Batch => number.to_string(),
                    _ => instances.iter().map(InstanceId::as_str).collect::<Vec<_>>().join(","),
                }
            }
            Self::Address | Self::Host | Self::Port
                if matches!(
                    wish,
                    Wish::Delete { located: Located::Never, .. } | Wish::Hook { located: Located::Never, .. }
                ) =>
            {
                return Err(MissingValueError::Address);
            }
            Self::Address => instance.address.to_string(),
            Self::Host => instance.address.host.clone(),
            Self::Port => instance.address.port.to_string(),
            Self::Zone => instance.zone.clone().ok_or(MissingValueError::Zone)?,
            Self::Label(name) => {
                let label = instance.labels.get(name).cloned();
                label.ok_or_else(|| MissingValueError::Label(name.clone()))?
            }
        })
    }

    pub(super) fn url_value(&self, values: &TemplateValues<'_>) -> Result<String, MissingValueError> {
        match self {
            Self::Host => self.value(values).map(|_| values.instance.address.url_host()),
            // Its form is checked where it is parsed: nothing in it has to be escaped.
            Self::Address => self.value(values),
            _ => Ok(escape(&self.value(values)?)),
        }
    }
}

/// What there is none of is empty.
fn file(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

impl Wish<'_> {
    fn version(&self) -> Option<&Version> {
        match self {
            Self::Look | Self::Observe(_) | Self::Delete { .. } | Self::Batch { .. } => None,
            Self::Hook { version, .. } => *version,
            Self::Run(version) | Self::Apply { version, .. } | Self::Create { version, .. } => Some(version),
        }
    }

    /// Where the settings of what is brought are.
    fn files(&self) -> Result<&SettingsFiles, MissingValueError> {
        match self {
            Self::Apply { settings, .. } => Ok(settings),
            Self::Look
            | Self::Observe(_)
            | Self::Run(_)
            | Self::Create { .. }
            | Self::Hook { .. }
            | Self::Batch { .. }
            | Self::Delete { .. } => Err(MissingValueError::Wish("settingsFile")),
        }
    }

    /// Identity of the effect, and which host speaks.
    fn effect(&self) -> Option<(&OperationId, Fence)> {
        match self {
            Self::Look | Self::Observe(_) | Self::Run(_) => None,
            Self::Apply { operation, fence, .. }
            | Self::Create { operation, fence, .. }
            | Self::Hook { operation, fence, .. }
            | Self::Batch { operation, fence, .. }
            | Self::Delete { operation, fence, .. } => Some((operation, *fence)),
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Replaces => "replaces",
            Self::Name => "name",
            Self::Component => "component",
            Self::Version => "version",
            Self::Operation => "operation",
            Self::Generation => "generation",
            Self::Address => "address",
            Self::Host => "host",
            Self::Port => "port",
            Self::Zone => "zone",
            Self::Direction => "direction",
            Self::Batch => "batch",
            Self::Instances => "instances",
            Self::Settings => "settingsFile",
            Self::ProtectedSettings => "protectedSettingsFile",
            Self::Label(name) => return write!(f, "label.{name}"),
        })
    }
}
