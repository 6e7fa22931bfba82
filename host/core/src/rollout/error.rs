//! What can stop an upgrade, in Azure's codes, with one detail per instance.

use serde::{Deserialize, Serialize};

use crate::domain::InstanceId;

/// Azure's error codes of a rolling upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeErrorCode {
    /// Too many unhealthy instances before the first batch.
    MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade,
    /// Too many unhealthy instances between two batches.
    MaxUnhealthyInstancePercentExceededInRollingUpgrade,
    /// Too many of the upgraded instances are unhealthy.
    MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade,
    /// Within the limits, yet some upgraded instances failed.
    RollingUpgradeInProgressWithFailedUpgradedVMs,
    /// Not one of Azure's: the first instance did not come up, back and up again.
    RollingUpgradeRoundTripFailed,
    /// Not one of Azure's: the first instance has nothing to go back to, or must not go up again.
    RollingUpgradeRoundTripImpossible,
    /// It took longer than it may.
    RollingUpgradeTimeoutError,
    /// Exactly the plan that was shown was wanted, and it is another one by now. Azure knows no such start.
    PlanChangedBeforeRollingUpgrade,
}

impl UpgradeErrorCode {
    /// Whether the wanted version is what went wrong, and not the state of the fleet.
    #[must_use]
    pub fn blames_the_version(self) -> bool {
        match self {
            Self::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade
            | Self::RollingUpgradeRoundTripFailed => true,
            Self::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade
            | Self::MaxUnhealthyInstancePercentExceededInRollingUpgrade
            | Self::RollingUpgradeInProgressWithFailedUpgradedVMs
            | Self::RollingUpgradeRoundTripImpossible
            // What is slow may be the driver, the fleet or a person.
            | Self::RollingUpgradeTimeoutError
            | Self::PlanChangedBeforeRollingUpgrade => false,
        }
    }

    /// As Azure writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade => {
                "MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade"
            }
            Self::MaxUnhealthyInstancePercentExceededInRollingUpgrade => {
                "MaxUnhealthyInstancePercentExceededInRollingUpgrade"
            }
            Self::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade => {
                "MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade"
            }
            Self::RollingUpgradeRoundTripFailed => "RollingUpgradeRoundTripFailed",
            Self::RollingUpgradeRoundTripImpossible => "RollingUpgradeRoundTripImpossible",
            Self::RollingUpgradeInProgressWithFailedUpgradedVMs => {
                "RollingUpgradeInProgressWithFailedUpgradedVMs"
            }
            Self::RollingUpgradeTimeoutError => "RollingUpgradeTimeoutError",
            Self::PlanChangedBeforeRollingUpgrade => "PlanChangedBeforeRollingUpgrade",
        }
    }
}

/// What went wrong, with one detail per instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeError {
    /// Azure's code.
    pub code: UpgradeErrorCode,
    /// One line for people, with the figures and the limit.
    pub message: String,
    /// Instance and one line each, by instance.
    pub details: Vec<(InstanceId, String)>,
}
