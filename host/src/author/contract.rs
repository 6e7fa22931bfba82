//! The contract, as text.

/// `wit/v1/policy.wit` of this host.
pub const CONTRACT: &str = include_str!("../../../wit/v1/policy.wit");
