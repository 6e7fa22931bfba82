//! Who wants something, and under which name a request is known.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name, reason or key in bytes: each is shown in one line.
pub const TEXT_BYTES_MAX: usize = 500;

/// Names a request that waits for its reply; means nothing after the host has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A name that a caller gives to a request, so that the same request, sent again, is answered as before
/// and not done again. 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestKey(Arc<str>);

/// Why a text is no key of a request; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no key of a request: give 1 to 128 visible ASCII characters")]
pub struct InvalidRequestKey;

impl RequestKey {
    /// Parses a key.
    ///
    /// # Errors
    /// When it is empty, longer than 128 bytes, or holds anything but visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, InvalidRequestKey> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(InvalidRequestKey) }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestKey {
    type Error = InvalidRequestKey;
    fn try_from(text: String) -> Result<Self, InvalidRequestKey> {
        Self::parse(&text)
    }
}

impl From<RequestKey> for String {
    fn from(key: RequestKey) -> Self {
        key.0.as_ref().to_owned()
    }
}

/// Who has decided something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// The host by itself.
    #[default]
    Host,
    /// A person or a program, by the name that the door knows.
    Operator(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Operator(name) => f.write_str(name),
        }
    }
}

/// Who wants something, why, and under which key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// Why, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Under which key, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestKey>,
}

impl By {
    /// The host, by itself.
    #[must_use]
    pub fn host() -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in ["a", "0f8b-4", &"x".repeat(128)] {
            assert_eq!(RequestKey::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "two words", "tab\t", "é", &"x".repeat(129)] {
            assert_eq!(RequestKey::parse(bad), Err(InvalidRequestKey), "{bad:?}");
        }
    }
}
