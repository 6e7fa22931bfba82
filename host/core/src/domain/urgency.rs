//! How urgent an upgrade is: what of its policy is waiting for its own sake, and shrinks with the urgency.
//!
//! Deliberately touches no limit of health: not how many may be down, not the health gate, not the evidence before a
//! batch, and not where a person is waited for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::Bake;
use super::upgrade_policy::UpgradePolicy;

/// How urgent an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Urgency {
    /// As the policy says.
    #[default]
    Routine,
    /// A quarter of the time.
    Security,
    /// Nothing is waited for that is not about health.
    Emergency,
}

impl Urgency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Routine, Self::Security, Self::Emergency];

    /// As JSON and the command line write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Security => "security",
            Self::Emergency => "emergency",
        }
    }

    /// From its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Whether the policy holds as it is written.
    #[must_use]
    pub fn is_routine(&self) -> bool {
        *self == Self::Routine
    }

    /// What is left of a time.
    #[must_use]
    pub fn of(self, span: Duration) -> Duration {
        match self {
            Self::Routine => span,
            Self::Security => span / 4,
            Self::Emergency => Duration::ZERO,
        }
    }

    fn of_bake(self, bake: Bake) -> Option<Bake> {
        match self {
            Self::Routine => Some(bake),
            // How often everybody is asked is evidence, and stays.
            Self::Security => Some(Bake { duration: self.of(bake.duration), ..bake }),
            Self::Emergency => None,
        }
    }
}

impl UpgradePolicy {
    /// What an upgrade of that urgency goes by, where this is what is written.
    #[must_use]
    pub fn at(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self.defer_max = urgency.of(self.defer_max);
        self.bake = self.bake.and_then(|bake| urgency.of_bake(bake));
        let pause = &mut self.rolling.pause_time_between_batches;
        *pause = urgency.of(*pause);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{limits, upgrade_policy};
    use crate::domain::{OnBakeFailure, RollingUpgradePolicy};

    #[test]
    fn waiting_shrinks_and_no_limit_of_health_does() {
        let bake = Bake { duration: Duration::from_secs(80), probes: 3, on_failure: OnBakeFailure::Stop };
        let mut written = upgrade_policy(limits(20));
        written.bake = Some(bake);
        written.defer_max = Duration::from_secs(400);
        written.rolling.pause_time_between_batches = Duration::from_secs(20);
        for (urgency, part, baked) in [
            (Urgency::Routine, 1, Some(bake)),
            (Urgency::Security, 4, Some(Bake { duration: Duration::from_secs(20), ..bake })),
            (Urgency::Emergency, 0, None),
        ] {
            let of = |seconds: u64| Duration::from_secs(seconds.checked_div(part).unwrap_or(0));
            let expected = UpgradePolicy {
                urgency,
                defer_max: of(400),
                bake: baked,
                rolling: RollingUpgradePolicy {
                    pause_time_between_batches: of(20),
                    ..written.rolling.clone()
                },
                ..written.clone()
            };
            assert_eq!(written.clone().at(urgency), expected, "{urgency:?}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for urgency in Urgency::ALL {
            assert_eq!(Urgency::parse(urgency.name()), Some(urgency));
        }
        assert_eq!(Urgency::parse("Emergency"), None);
    }
}
