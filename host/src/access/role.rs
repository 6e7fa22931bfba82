//! What the bearer of a token may do: each role may do what those below it may.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything.
    Read,
    /// Let an upgrade that waits for approval go on.
    Approve,
    /// Start upgrades and tell them what to do; stop the line.
    Operate,
    /// Change what decides: components and configuration.
    Admin,
}

impl Role {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Approve, Self::Operate, Self::Admin];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Approve => "approve",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no role; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no role; known: read, approve, operate, admin")]
pub struct InvalidRoleError;

impl FromStr for Role {
    type Err = InvalidRoleError;

    fn from_str(text: &str) -> Result<Self, InvalidRoleError> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(InvalidRoleError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_in_order_and_have_names() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(InvalidRoleError));
    }
}
