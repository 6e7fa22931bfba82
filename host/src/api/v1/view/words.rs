//! The core's values in the words of the wire. Each match names every value, so that a new one does not
//! go out before a word for it was chosen.

use phasegate_core::domain::{Health, Participation};
use phasegate_core::plan::Finding;
use phasegate_core::record::audit::What;
use phasegate_core::rollout::{BatchState, UpgradeErrorCode, UpgradeState};
use phasegate_wire as wire;

pub(super) fn health(health: Health) -> wire::Health {
    match health {
        Health::Initializing => wire::Health::Initializing,
        Health::Healthy => wire::Health::Healthy,
        Health::Unhealthy => wire::Health::Unhealthy,
        Health::Unknown => wire::Health::Unknown,
    }
}

pub(super) fn participation(participation: Participation) -> wire::Participation {
    match participation {
        Participation::Proceed => wire::Participation::Proceed,
        Participation::Skip => wire::Participation::Skip,
        Participation::Defer => wire::Participation::Defer,
    }
}

pub(super) fn upgrade_state(state: UpgradeState) -> wire::UpgradeState {
    match state {
        UpgradeState::RollingForward => wire::UpgradeState::RollingForward,
        UpgradeState::Completed => wire::UpgradeState::Completed,
        UpgradeState::Cancelled => wire::UpgradeState::Cancelled,
        UpgradeState::Faulted => wire::UpgradeState::Faulted,
    }
}

pub(super) fn batch_state(state: BatchState) -> wire::BatchState {
    match state {
        BatchState::Pending => wire::BatchState::Pending,
        BatchState::InProgress => wire::BatchState::InProgress,
        BatchState::Completed => wire::BatchState::Completed,
        BatchState::Failed => wire::BatchState::Failed,
    }
}

pub(super) fn error_code(code: UpgradeErrorCode) -> wire::ErrorCode {
    match code {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade => {
            wire::ErrorCode::UnhealthyBefore
        }
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededInRollingUpgrade => {
            wire::ErrorCode::UnhealthyDuring
        }
        UpgradeErrorCode::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade => {
            wire::ErrorCode::UnhealthyUpgraded
        }
        UpgradeErrorCode::RollingUpgradeInProgressWithFailedUpgradedVMs => wire::ErrorCode::FailedUpgraded,
    }
}

/// What a finding is called.
pub(crate) fn warning_code(finding: &Finding) -> wire::WarningCode {
    match finding {
        Finding::AllProtected { .. } => wire::WarningCode::AllProtected,
        Finding::Unsatisfiable { .. } => wire::WarningCode::Unsatisfiable,
        Finding::BatchesShrink { .. } => wire::WarningCode::BatchesShrink,
        Finding::BatchesCut { .. } => wire::WarningCode::BatchesCut,
        Finding::FirstFailureRollsBack => wire::WarningCode::FirstFailureRollsBack,
        Finding::PauseAfterLast => wire::WarningCode::PauseAfterLast,
        Finding::ShortOpening { .. } => wire::WarningCode::ShortOpening,
        Finding::FleetUnhealthy { .. } => wire::WarningCode::FleetUnhealthy,
    }
}

/// What a line of the trail is called; the trail's own codes are those of the wire.
pub(super) fn log_kind(what: &What) -> wire::LogKind {
    wire::LogKind::from(what.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_has_the_names_of_the_core() {
        for one in [Health::Initializing, Health::Healthy, Health::Unhealthy, Health::Unknown] {
            assert_eq!(health(one).as_str(), one.name());
        }
        for one in [Participation::Proceed, Participation::Skip, Participation::Defer] {
            assert_eq!(participation(one).as_str(), one.name());
        }
        for one in [
            UpgradeState::RollingForward,
            UpgradeState::Completed,
            UpgradeState::Cancelled,
            UpgradeState::Faulted,
        ] {
            assert_eq!(upgrade_state(one).as_str(), one.name());
        }
        for one in [BatchState::Pending, BatchState::InProgress, BatchState::Completed, BatchState::Failed] {
            assert_eq!(batch_state(one).as_str(), one.name());
        }
        for one in [
            UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade,
            UpgradeErrorCode::MaxUnhealthyInstancePercentExceededInRollingUpgrade,
            UpgradeErrorCode::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade,
            UpgradeErrorCode::RollingUpgradeInProgressWithFailedUpgradedVMs,
        ] {
            assert_eq!(error_code(one).as_str(), one.name());
        }
        for one in
            [Finding::FirstFailureRollsBack, Finding::PauseAfterLast, Finding::AllProtected { total: 1 }]
        {
            assert_eq!(warning_code(&one).as_str(), one.code());
        }
    }
}
