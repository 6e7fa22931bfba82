//! What is published: an extension's type, by its publisher. Two publishers may use the same name.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{InvalidIdError, check};

/// Why a text names no type; a fragment that follows the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExtensionType {
    /// Not two names with a slash between them.
    #[error("is not PUBLISHER/TYPE")]
    Form,
    /// A name is wrong.
    #[error("has a {part} that {why}")]
    Part {
        /// Which of the two.
        part: &'static str,
        /// What is wrong with it.
        why: InvalidIdError,
    },
}

/// `PUBLISHER/TYPE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtensionType {
    publisher: Arc<str>,
    name: Arc<str>,
}

impl ExtensionType {
    /// A type of a publisher.
    ///
    /// # Errors
    /// When one of the names is empty, too long, or has something else than letters, digits and `._-`.
    pub fn new(publisher: &str, name: &str) -> Result<Self, InvalidExtensionType> {
        let part = |part: &'static str, text: &str| {
            check(text, "._-").map_err(|why| InvalidExtensionType::Part { part, why })
        };
        part("publisher", publisher)?;
        part("type", name)?;
        Ok(Self { publisher: publisher.into(), name: name.into() })
    }

    /// Parses `PUBLISHER/TYPE`.
    ///
    /// # Errors
    /// As [`Self::new`], and when there is no slash.
    pub fn parse(text: &str) -> Result<Self, InvalidExtensionType> {
        let (publisher, name) = text.split_once('/').ok_or(InvalidExtensionType::Form)?;
        Self::new(publisher, name)
    }

    /// Who publishes it.
    #[must_use]
    pub fn publisher(&self) -> &str {
        &self.publisher
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ExtensionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.publisher, self.name)
    }
}

impl TryFrom<String> for ExtensionType {
    type Error = InvalidExtensionType;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ExtensionType> for String {
    fn from(subject: ExtensionType) -> Self {
        subject.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_publishers_may_use_one_name() {
        let [ours, theirs] =
            ["contoso/agent", "fabrikam/agent"].map(|text| ExtensionType::parse(text).unwrap());
        assert!(ours != theirs && ours.name() == theirs.name());
        assert_eq!(ours.to_string(), "contoso/agent");
        for bad in ["agent", "/agent", "contoso/", "a b/c", "contoso/agent/2", "-x/y"] {
            assert!(ExtensionType::parse(bad).is_err(), "{bad}");
        }
    }
}
