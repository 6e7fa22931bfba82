//! The JSON of everything that is not a success.

use serde::{Deserialize, Serialize};

use crate::words::words;

/// Body of every response that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The error.
    pub error: Error,
}

/// An error in Azure's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Error {
    /// Which kind.
    pub code: ErrorCode,
    /// One line for people.
    pub message: String,
    /// One entry per instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorDetail>,
}

/// What went wrong with one instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorDetail {
    /// Which kind.
    pub code: ErrorCode,
    /// `<scale set>/virtualMachines/<id>`.
    pub target: String,
    /// One line for people.
    pub message: String,
}

words! {
    /// What kind of failure it is.
    ErrorCode {
        /// The request is wrong.
        InvalidParameter = "InvalidParameter",
        /// A token is missing or wrong.
        Unauthorized = "Unauthorized",
        /// The request was made for another server or by a foreign page.
        Forbidden = "Forbidden",
        /// There is no such thing.
        NotFound = "NotFound",
        /// There is such a thing, and it takes other methods.
        MethodNotAllowed = "MethodNotAllowed",
        /// The body did not arrive in time.
        RequestTimeout = "RequestTimeout",
        /// Not in this state.
        Conflict = "Conflict",
        /// The body is too large.
        RequestEntityTooLarge = "RequestEntityTooLarge",
        /// What was handed in is not good enough.
        Refused = "Refused",
        /// The host cannot do it at all.
        InternalServerError = "InternalServerError",
        /// The host cannot do it now.
        ServiceUnavailable = "ServiceUnavailable",
        /// Too many instances were unhealthy when the upgrade was to begin.
        UnhealthyBefore = "MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade",
        /// Too many instances became unhealthy meanwhile.
        UnhealthyDuring = "MaxUnhealthyInstancePercentExceededInRollingUpgrade",
        /// Too many of the upgraded instances are unhealthy.
        UnhealthyUpgraded = "MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade",
        /// Instances failed, and nothing else went wrong.
        FailedUpgraded = "RollingUpgradeInProgressWithFailedUpgradedVMs",
        /// It took longer than `batchTimeout`, `upgradeTimeout` or `approvalTimeout` says.
        TimedOut = "RollingUpgradeTimeoutError",
        /// Exactly the plan that was shown was wanted, and it is another one by now.
        PlanChanged = "PlanChangedBeforeRollingUpgrade",
        /// The first instance did not come up, back and up again.
        RoundTripFailed = "RollingUpgradeRoundTripFailed",
        /// The first instance has nothing to go back to.
        RoundTripImpossible = "RollingUpgradeRoundTripImpossible",
        /// What happened to one instance.
        InstanceUnhealthy = "RollingUpgradeInstanceUnhealthyError",
    }
}
