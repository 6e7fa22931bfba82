//! Ids of instances: shared text, compared a million times.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{InvalidIdError, check};
use super::natural::natural_cmp;

/// Id of an instance within its scale set. Ordered as people count, so that `2` comes before `10` and
/// `web-9` before `web-10`; see [`natural_cmp`]. Cheap to clone.
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    text: Arc<str>,
    /// Its value when it is wholly numeric, else [`NO_NUMBER`].
    number: u64,
}

/// No number, or one that is compared as a text. A fleet has many ids: each is to be small.
const NO_NUMBER: u64 = u64::MAX;

impl InstanceId {
    /// Parses the identifier.
    ///
    /// # Errors
    /// When the text is empty, too long, or holds a character outside letters, digits, `.`, `_`
    /// and `-`.
    pub fn parse(text: &str) -> Result<Self, InvalidIdError> {
        check(text, "._-")?;
        Ok(Self { text: text.into(), number: text.parse().unwrap_or(NO_NUMBER) })
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its value when it is a number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        (self.number != NO_NUMBER).then_some(self.number)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for InstanceId {
    type Error = InvalidIdError;
    fn try_from(text: String) -> Result<Self, InvalidIdError> {
        Self::parse(&text)
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.text.as_ref().to_owned()
    }
}

/// Most ids that are compared are copies of one: their text need not be looked at.
impl PartialEq for InstanceId {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

/// As equality sees it: the number follows from the text.
impl Hash for InstanceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for InstanceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InstanceId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.text, &other.text) {
            return Ordering::Equal;
        }
        match (self.number, other.number) {
            // Most fleets are numbered: the texts need not be looked at.
            (number, other) if number != other && number != NO_NUMBER && other != NO_NUMBER => {
                number.cmp(&other)
            }
            (_, _) => natural_cmp(&self.text, &other.text),
        }
    }
}
