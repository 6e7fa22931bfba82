//! The contract between host and plugin: its text, its worlds, and the adapter of each version.

pub(crate) mod v1;

/// `wit/v1/policy.wit` of this host.
pub const CONTRACT: &str = include_str!("../../../../wit/v1/policy.wit");

/// Which world of the contract a component implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// The pure one.
    Policy,
    /// With the clock.
    TimedPolicy,
}

impl World {
    /// As the contract names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::TimedPolicy => "timed-policy",
        }
    }
}
