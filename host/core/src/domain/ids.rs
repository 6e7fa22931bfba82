//! Identifiers, each a type of its own so that two of them cannot be swapped.
//!
//! Parsing happens once, at the edge; nothing here is checked again inside.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid identifier; a fragment that follows the object's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Too many bytes.
    #[error("is {seen} bytes long (limit {limit})")]
    TooLong {
        /// Length of the text in bytes.
        seen: usize,
        /// Longest allowed length in bytes.
        limit: usize,
    },
    /// A character that could change the meaning of a command line, a path or a URL.
    #[error("contains {seen:?}; use letters, digits and {allowed}")]
    Character {
        /// The first offending character.
        seen: char,
        /// The punctuation that is allowed.
        allowed: &'static str,
    },
    /// Would be read as an option by the program that receives it.
    #[error("starts with {0:?}; start with a letter or a digit")]
    Start(char),
}

/// Longest identifier in bytes: fits a DNS label with room, and keeps tables readable.
pub const ID_LEN_MAX: usize = 128;

pub(super) fn check(text: &str, allowed: &'static str) -> Result<(), InvalidIdError> {
    let Some(first) = text.chars().next() else { return Err(InvalidIdError::Empty) };
    if text.len() > ID_LEN_MAX {
        return Err(InvalidIdError::TooLong { seen: text.len(), limit: ID_LEN_MAX });
    }
    if let Some(seen) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !allowed.contains(*c)) {
        return Err(InvalidIdError::Character { seen, allowed });
    }
    if !first.is_ascii_alphanumeric() {
        return Err(InvalidIdError::Start(first));
    }
    Ok(())
}

/// Identifiers are shared text: each decision carries some.
macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the identifier.
            ///
            /// # Errors
            /// When the text is empty, too long, or holds a character outside letters, digits
            /// and the allowed punctuation.
            pub fn parse(text: &str) -> Result<Self, InvalidIdError> {
                check(text, $allowed)?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdError;
            fn try_from(text: String) -> Result<Self, InvalidIdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

macro_rules! plain_order {
    ($name:ident) => {
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                // Most are clones of one another.
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }
    };
}

string_id!(
    /// Name of a scale set.
    ScaleSetName,
    "._-"
);
plain_order!(ScaleSetName);

string_id!(
    /// Name of a plugin in the configuration.
    PluginName,
    "._-"
);
plain_order!(PluginName);

string_id!(
    /// Name of an extension: something installed beside the application, with a version of its
    /// own.
    ExtensionName,
    "._-"
);
plain_order!(ExtensionName);

string_id!(
    /// A version of the application or of an extension, as the site names it. It travels into
    /// argument lists and paths, hence the narrow alphabet and no `/`. Those of dpkg and rpm have a `~`, and not in front.
    Version,
    "._+-:@~"
);
plain_order!(Version);

string_id!(
    /// Id of one rolling upgrade; unique within a data directory and sortable by start.
    UpgradeId,
    "._-"
);
plain_order!(UpgradeId);

string_id!(
    /// A region, as the estate names it.
    Location,
    "._-"
);
plain_order!(Location);

string_id!(
    /// A subscription: what is counted and enrolled together.
    Subscription,
    "._-"
);
plain_order!(Subscription);

string_id!(
    /// A resource group.
    ResourceGroup,
    "._-"
);
plain_order!(ResourceGroup);

string_id!(
    /// Id of one release; unique within a data directory.
    ReleaseId,
    "._-"
);
plain_order!(ReleaseId);

/// What holds where a file names none.
macro_rules! preset {
    ($($name:ident)*) => {
        $(impl $name {
            /// A name that is known to be one.
            pub(super) fn preset(text: &'static str) -> Self {
                Self(text.into())
            }
        })*
    };
}

preset!(Location Subscription ResourceGroup);

/// Most digits of a number that follows a name in an id.
const NUMBER_DIGITS_MAX: usize = 20;

/// Longest name in bytes that leaves room for `-` and any number behind it: ids of upgrades are the name of
/// their set and a number, and so are those of instances that are created in the place of others.
pub const NUMBERED_LEN_MAX: usize = ID_LEN_MAX - 1 - NUMBER_DIGITS_MAX;

/// Identity of one effect on one instance. Sent to the driver, which treats a repeat as done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub String);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of something, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first 12 hexadecimal digits: enough for people to tell two apart.
    #[must_use]
    pub fn short(&self) -> String {
        let full = self.to_string();
        full.chars().skip("sha256:".len()).take(12).collect()
    }

    /// Parses the written form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a `sha256:` digest"))
    }
}

/// Rises with each swap of a plugin; never reused within a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Phase number from a plugin, 0 to 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phase(u32);

impl Phase {
    /// Largest phase number: the largest that every JSON reader keeps exactly as a signed 32-bit
    /// integer.
    pub const MAX: u32 = i32::MAX as u32;

    /// A phase number; none above [`Phase::MAX`].
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (number <= Self::MAX).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::InstanceId;
    use super::*;

    #[test]
    fn instance_ids_order_as_people_count() {
        let mut ids: Vec<InstanceId> = ["10", "2", "web-10", "b", "a", "01", "1", "web-9"]
            .iter()
            .map(|t| InstanceId::parse(t).unwrap())
            .collect();
        ids.sort();
        let texts: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
        assert_eq!(texts, ["01", "1", "2", "10", "a", "b", "web-9", "web-10"]);
    }

    #[test]
    fn identifiers_refuse_what_could_be_misread() {
        for (text, message) in [
            ("", "is empty"),
            ("-rf", "starts with '-'; start with a letter or a digit"),
            ("a b", "contains ' '; use letters, digits and ._+-:@~"),
            ("a/b", "contains '/'; use letters, digits and ._+-:@~"),
            ("v1\n", "contains '\\n'; use letters, digits and ._+-:@~"),
        ] {
            assert_eq!(Version::parse(text).unwrap_err().to_string(), message, "{text:?}");
        }
        assert_eq!(
            Version::parse(&"x".repeat(129)).unwrap_err().to_string(),
            "is 129 bytes long (limit 128)"
        );
    }

    #[test]
    fn digest_round_trips() {
        let digest = Digest([0xab; 32]);
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for bad in ["", "sha256:", "sha256:zz", "md5:00", &format!("sha256:{}", "é".repeat(32))] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
