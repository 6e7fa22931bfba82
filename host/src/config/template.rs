//! Texts with placeholders, for argument lists and environments of drivers.
//!
//! No shell and no expressions: a placeholder is replaced by one value, and whatever that value
//! holds is never looked at again.

use std::fmt;

use crate::domain::{Instance, ScaleSetName, Version};

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
    /// Gives `{version}`: the version that the instance shall run.
    pub version: &'a Version,
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
    #[error("has the unknown placeholder {{{0}}}; known: {KNOWN}; write {{{{ and }}}} for braces")]
    Unknown(String),
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
}

const KNOWN: &str = "{id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Placeholder {
    Id,
    Name,
    Version,
    Address,
    Host,
    Port,
    Zone,
    Label(String),
}

impl Template {
    /// Parses the text.
    ///
    /// # Errors
    /// When a brace has no partner, a placeholder is not known, or the text holds a NUL character.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplateError> {
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
                parts.push(Part::Placeholder(Placeholder::parse(name)?));
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
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => text.push_str(&placeholder.value(values)?),
            }
        }
        Ok(text)
    }

    /// What the instance lacks, if anything.
    pub(super) fn missing(&self, instance: &Instance) -> Option<MissingValueError> {
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

impl Placeholder {
    fn parse(name: &str) -> Result<Self, InvalidTemplateError> {
        Ok(match name {
            "id" => Self::Id,
            "name" => Self::Name,
            "version" => Self::Version,
            "address" => Self::Address,
            "host" => Self::Host,
            "port" => Self::Port,
            "zone" => Self::Zone,
            other => match other.strip_prefix("label.") {
                Some(label) if !label.is_empty() => Self::Label(label.to_owned()),
                _ => return Err(InvalidTemplateError::Unknown(other.to_owned())),
            },
        })
    }

    fn value(&self, values: &TemplateValues<'_>) -> Result<String, MissingValueError> {
        let TemplateValues { scale_set, instance, version } = values;
        Ok(match self {
            Self::Id => instance.id.to_string(),
            Self::Name => scale_set.to_string(),
            Self::Version => version.to_string(),
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
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Version => "version",
            Self::Address => "address",
            Self::Host => "host",
            Self::Port => "port",
            Self::Zone => "zone",
            Self::Label(name) => return write!(f, "label.{name}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Address, InstanceId, Protection};

    fn instance() -> Instance {
        Instance {
            id: InstanceId::parse("7").unwrap(),
            address: Address { host: "::1".to_owned(), port: 9100 },
            region: None,
            zone: None,
            update_domain: None,
            fault_domain: None,
            labels: [("role".to_owned(), "{id}".to_owned())].into(),
            protection: Protection::default(),
        }
    }

    fn render(text: &str) -> Result<String, String> {
        let template = Template::parse(text).map_err(|error| error.to_string())?;
        assert_eq!(Template::parse(&template.to_string()).as_ref(), Ok(&template), "{text}");
        let scale_set = ScaleSetName::parse("orders").unwrap();
        let version = Version::parse("v1").unwrap();
        let instance = instance();
        let values = TemplateValues { scale_set: &scale_set, instance: &instance, version: &version };
        let result = template.render(&values).map_err(|error| error.to_string());
        assert_eq!(template.missing(&instance).map(|error| error.to_string()), result.clone().err());
        result
    }

    #[test]
    fn replaces_placeholders_once() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{id}", "7"),
            ("--port={port}", "--port=9100"),
            ("{name}-{id}-{version}", "orders-7-v1"),
            ("{address} {host}", "[::1]:9100 ::1"),
            ("{label.role}", "{id}"),
            ("{{id}}", "{id}"),
            ("{{{id}}}", "{7}"),
            ("}}{{", "}{"),
            ("é{id}é", "é7é"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for (text, message) in [
            ("{", "has a { that is not closed; write {{ for a brace"),
            ("{id", "has a { that is not closed; write {{ for a brace"),
            ("{{{id", "has a { that is not closed; write {{ for a brace"),
            ("}", "has a } without a { before it; write }} for a brace"),
            ("{id}}", "has a } without a { before it; write }} for a brace"),
            ("a\0b", "contains a NUL character"),
            ("{zone}", "has no zone"),
            ("{label.rack}", "has no label \"rack\""),
        ] {
            assert_eq!(render(text).unwrap_err(), message, "{text}");
        }
        for text in ["{}", "{ID}", "{ id }", "{label.}", "{label}", "{{{{{nope}", "{{id}"] {
            assert!(render(text).is_err(), "{text}");
        }
        insta::assert_snapshot!(render("{prot}").unwrap_err(), @"has the unknown placeholder {prot}; known: {id}, {name}, {version}, {address}, {host}, {port}, {zone}, {label.NAME}; write {{ and }} for braces");
    }
}
