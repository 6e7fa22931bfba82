//! The core's values in the words of the wire, for all that writes JSON. Each match names every value, so that a
//! new one does not go out before a word for it was chosen. Makes no sentences.

use phasegate_core::domain::{
    Component, Health, Now, Participation, PersonsWord, PluginStamp, ProcessState, Provision, ProvisionPart,
    Provisioned, RollingUpgradePolicy, Runs, WordKind,
};
use phasegate_core::kernel::report::WaitsFor;
use phasegate_core::kernel::state::{FileDiffers, SetState};
use phasegate_core::plan::{BatchTime, Finding, HoldReason, Resolved, TimesFinding};
use phasegate_core::record::audit::{HoldState, Wait, What, WordNote};
use phasegate_core::rollout::{BatchState, UpgradeErrorCode, UpgradeState, Wish};
use phasegate_wire as wire;

pub(crate) fn health(health: Health) -> wire::Health {
    match health {
        Health::Initializing => wire::Health::Initializing,
        Health::Healthy => wire::Health::Healthy,
        Health::Unhealthy => wire::Health::Unhealthy,
        Health::Unknown => wire::Health::Unknown,
    }
}

pub(crate) fn version_state(runs: &Runs) -> wire::VersionState {
    match runs {
        Runs::Version { .. } => wire::VersionState::Version,
        Runs::Nothing { .. } => wire::VersionState::Absent,
        Runs::Unknown { .. } => wire::VersionState::Unknown,
    }
}

/// Why an instance is left alone, as a word.
pub(crate) fn hold_code(reason: &HoldReason) -> wire::HoldCode {
    match reason {
        HoldReason::Skip(_) => wire::HoldCode::Skip,
        HoldReason::Defer(_) => wire::HoldCode::Defer,
        HoldReason::Protected => wire::HoldCode::Protected,
        HoldReason::PersonHold(_) => wire::HoldCode::PersonHold,
        HoldReason::PersonSkip(_) => wire::HoldCode::PersonSkip,
        HoldReason::Vanished => wire::HoldCode::Vanished,
        HoldReason::Replaced => wire::HoldCode::Replaced,
        HoldReason::NoWayBack(_) => wire::HoldCode::NoWayBack,
        HoldReason::Undecided => wire::HoldCode::Undecided,
        HoldReason::PluginFailed(_) => wire::HoldCode::PluginFailed,
        HoldReason::Unknown(_) => wire::HoldCode::Unknown,
    }
}

pub(crate) fn participation(participation: Participation) -> wire::Participation {
    match participation {
        Participation::Proceed => wire::Participation::Proceed,
        Participation::Skip => wire::Participation::Skip,
        Participation::Defer => wire::Participation::Defer,
    }
}

pub(crate) fn upgrade_state(state: UpgradeState) -> wire::UpgradeState {
    match state {
        UpgradeState::RollingForward => wire::UpgradeState::RollingForward,
        UpgradeState::Completed => wire::UpgradeState::Completed,
        UpgradeState::Cancelled => wire::UpgradeState::Cancelled,
        UpgradeState::Faulted => wire::UpgradeState::Faulted,
    }
}

pub(crate) fn batch_state(state: BatchState) -> wire::BatchState {
    match state {
        BatchState::Pending => wire::BatchState::Pending,
        BatchState::InProgress => wire::BatchState::InProgress,
        BatchState::Completed => wire::BatchState::Completed,
        BatchState::Failed => wire::BatchState::Failed,
    }
}

/// What an upgrade waits for, as a word.
pub(crate) fn waiting_code(waiting: &WaitsFor<'_>) -> wire::WaitingCode {
    wait_code(waiting.wait())
}

/// The same of a line of the trail.
pub(crate) fn wait_code(wait: Wait) -> wire::WaitingCode {
    match wait {
        Wait::Record => wire::WaitingCode::Record,
        Wait::Adoption => wire::WaitingCode::Holding,
        Wait::Evidence => wire::WaitingCode::Evidence,
        Wait::Look => wire::WaitingCode::Look,
        Wait::Line => wire::WaitingCode::Line,
        Wait::Freeze => wire::WaitingCode::Freeze,
        Wait::Scheduled => wire::WaitingCode::Scheduled,
        Wait::PauseBetweenBatches => wire::WaitingCode::PauseBetweenBatches,
        Wait::Paused => wire::WaitingCode::Paused,
        Wait::Approval => wire::WaitingCode::Approval,
        Wait::Initializing => wire::WaitingCode::Initializing,
        Wait::Deferral => wire::WaitingCode::Deferral,
        Wait::NotAsked => wire::WaitingCode::NotAsked,
        Wait::SelfDoubt => wire::WaitingCode::SelfDoubt,
        Wait::Release => wire::WaitingCode::Release,
        Wait::Zone => wire::WaitingCode::Zone,
        Wait::Group => wire::WaitingCode::MachineGroup,
        Wait::Bake => wire::WaitingCode::Bake,
        Wait::Health => wire::WaitingCode::Health,
        Wait::Driver => wire::WaitingCode::Driver,
        Wait::DriverBusy => wire::WaitingCode::DriverBusy,
        Wait::DriverHanging => wire::WaitingCode::DriverHanging,
        Wait::Hook => wire::WaitingCode::Hook,
        Wait::Gate => wire::WaitingCode::Gate,
    }
}

pub(crate) fn error_code(code: UpgradeErrorCode) -> wire::ErrorCode {
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
        UpgradeErrorCode::RollingUpgradeRoundTripFailed => wire::ErrorCode::RoundTripFailed,
        UpgradeErrorCode::RollingUpgradeRoundTripImpossible => wire::ErrorCode::RoundTripImpossible,
        UpgradeErrorCode::RollingUpgradeTimeoutError => wire::ErrorCode::TimedOut,
        UpgradeErrorCode::PlanChangedBeforeRollingUpgrade => wire::ErrorCode::PlanChanged,
    }
}

/// What a finding is called.
pub(crate) fn warning_code(finding: &Finding) -> wire::WarningCode {
    match finding {
        Finding::Quarantined { .. } => wire::WarningCode::Quarantined,
        Finding::RoundTrip { .. } => wire::WarningCode::RoundTrip,
        Finding::NeverProceeds { .. } => wire::WarningCode::NeverProceeds,
        Finding::AllProtected { .. } => wire::WarningCode::AllProtected,
        Finding::Unsatisfiable { .. } => wire::WarningCode::Unsatisfiable,
        Finding::BatchesShrink { .. } => wire::WarningCode::BatchesShrink,
        Finding::BatchesCut { .. } => wire::WarningCode::BatchesCut,
        Finding::FirstFailureRollsBack => wire::WarningCode::FirstFailureRollsBack,
        Finding::PauseAfterLast => wire::WarningCode::PauseAfterLast,
        Finding::ShortDeadline { .. } => wire::WarningCode::ShortDeadline,
        Finding::Times(finding) => times_code(finding),
        Finding::ShortOpening { .. } => wire::WarningCode::ShortOpening,
        Finding::FleetUnhealthy { .. } => wire::WarningCode::FleetUnhealthy,
    }
}

fn times_code(finding: &TimesFinding) -> wire::WarningCode {
    match finding {
        TimesFinding::GateNeverPasses { .. } => wire::WarningCode::GateNeverPasses,
        TimesFinding::ShortBatchTimeout { .. } => wire::WarningCode::ShortBatchTimeout,
        TimesFinding::ShortUpgradeTimeout { .. } => wire::WarningCode::ShortUpgradeTimeout,
        TimesFinding::UpgradeBelowBatch { .. } => wire::WarningCode::UpgradeBelowBatch,
        TimesFinding::NoApproval => wire::WarningCode::NoApproval,
        TimesFinding::NoTimeout => wire::WarningCode::NoTimeout,
        TimesFinding::NeverOpens { .. } => wire::WarningCode::NeverOpens,
        TimesFinding::EmptyCheckpoint { .. } => wire::WarningCode::EmptyCheckpoint,
    }
}

/// What a batch takes.
pub(crate) fn batch_time(time: BatchTime) -> wire::BatchTime {
    let BatchTime { evidence_max, wait, stable_for, pause } = time;
    wire::BatchTime {
        evidence_seconds_max: evidence_max.as_secs_f64(),
        wait_seconds: wait.as_secs_f64(),
        stable_for_seconds: stable_for.as_secs_f64(),
        pause_seconds: pause.as_secs_f64(),
    }
}

/// The percentages of a policy beside their counts.
pub(crate) fn limits(policy: &RollingUpgradePolicy, resolved: &Resolved) -> wire::Limits {
    let Resolved { total, protected, batch_max, unhealthy_max, batch_sizes } = resolved;
    wire::Limits {
        instances: *total,
        protected: *protected,
        max_batch_instance_percent: policy.max_batch_instance_percent.get(),
        batch_max: *batch_max,
        max_unhealthy_instance_percent: policy.max_unhealthy_instance_percent.get(),
        unhealthy_max: *unhealthy_max,
        max_unhealthy_upgraded_instance_percent: policy.max_unhealthy_upgraded_instance_percent.get(),
        batch_sizes: batch_sizes.clone(),
    }
}

/// Which code decided.
pub(crate) fn stamp(stamp: &PluginStamp) -> wire::Stamp {
    let PluginStamp { name, digest, generation } = stamp;
    wire::Stamp { name: name.to_string(), digest: digest.to_string(), generation: generation.0 }
}

/// Keys of the file that say something else than what is wanted.
pub(crate) fn file_differs(set: &SetState) -> Vec<wire::FileDiffers> {
    let key = |component: &Component| match component {
        Component::Application => "model.version".to_owned(),
        Component::Extension(name) => format!("model.extensions.{name}"),
    };
    let said = |differs: FileDiffers| wire::FileDiffers {
        scale_set: set.spec.name.to_string(),
        key: key(&differs.component),
        file: differs.file.to_string(),
        recorded: differs.recorded.to_string(),
    };
    set.file_differs().into_iter().map(said).collect()
}

/// What a line of the trail is called.
pub(crate) fn log_kind(what: &What) -> wire::LogKind {
    match what {
        What::Start { .. } => wire::LogKind::Start,
        What::Plan { .. } => wire::LogKind::Plan,
        What::Decision { .. } | What::MindChanged { .. } => wire::LogKind::Decision,
        What::Admitted(_) => wire::LogKind::Admitted,
        What::Stalls(_) => wire::LogKind::Stalled,
        What::Hold { .. } | What::Leaves { .. } => wire::LogKind::Hold,
        What::Apply { .. } | What::ApplyBeside { .. } => wire::LogKind::Apply,
        What::Applied { .. } | What::AppliedBeside { .. } => wire::LogKind::Applied,
        What::Succeeded { .. } | What::Replaced { .. } => wire::LogKind::Succeeded,
        What::Restore { .. } => wire::LogKind::Restore,
        What::Seen { .. } => wire::LogKind::Seen,
        What::Quarantine { .. } => wire::LogKind::Quarantine,
        What::Failed { .. } => wire::LogKind::Failed,
        What::Create { .. } => wire::LogKind::Create,
        What::Ready { .. } => wire::LogKind::Ready,
        What::Replace { .. } => wire::LogKind::Replace,
        What::Remove { .. } => wire::LogKind::Remove,
        What::Hook { .. } | What::HookEnded { .. } => wire::LogKind::Hook,
        What::Batch { .. } => wire::LogKind::Batch,
        What::End { .. } => wire::LogKind::End,
        What::ExtensionEnds { .. } => wire::LogKind::Extension,
        What::Retry { .. } => wire::LogKind::Retry,
        What::Wish { wish } => log_wish(*wish),
        What::Waits { .. } => wire::LogKind::Waiting,
        What::Word { note: WordNote::Said { kind, .. } } => log_word(*kind),
        What::Word { note: WordNote::Released { .. } | WordNote::Over { .. } } => wire::LogKind::Release,
        What::Line { .. } => wire::LogKind::Line,
        What::SelfDoubt { .. } => wire::LogKind::SelfDoubt,
        What::Record { state: HoldState::Holds { .. } } => wire::LogKind::Held,
        What::Record { state: HoldState::Adopted { .. } } => wire::LogKind::Adopted,
        What::Process { state: ProcessState::Exited, .. } => wire::LogKind::Exited,
        What::Process { state: ProcessState::Restarted, .. } => wire::LogKind::Restarted,
        What::StaysDeleted { .. } => wire::LogKind::Deleted,
        What::PluginTrouble { .. } => wire::LogKind::PluginTrouble,
        What::PluginAsked { .. } => wire::LogKind::Plugin,
        What::Reloaded { .. } => wire::LogKind::Reload,
        What::Members { .. } => wire::LogKind::Members,
        What::Provision { .. } => wire::LogKind::Provision,
        What::PluginReverted { .. } => wire::LogKind::PluginReverted,
    }
}

fn log_word(kind: WordKind) -> wire::LogKind {
    match kind {
        WordKind::Hold => wire::LogKind::Hold,
        WordKind::Skip => wire::LogKind::Skip,
        WordKind::Protect => wire::LogKind::Protect,
        WordKind::Force => wire::LogKind::Force,
    }
}

/// The first deployment of an instance.
pub(crate) fn provisioning(provision: &Provision, now: Now) -> wire::Provisioning {
    let extension = |part: &ProvisionPart| {
        let (state, reason) = match &part.state {
            Provisioned::Waiting => (wire::ProvisionedState::Waiting, None),
            Provisioned::Installing => (wire::ProvisionedState::Installing, None),
            Provisioned::Installed => (wire::ProvisionedState::Installed, None),
            Provisioned::Failed { why } => (wire::ProvisionedState::Failed, Some(why.clone())),
            Provisioned::NotInstalled { after } => (
                wire::ProvisionedState::NotInstalled,
                Some(format!("it comes after `{after}`, which is not there")),
            ),
        };
        let (name, version) = (part.extension.to_string(), part.version.to_string());
        wire::ProvisionedExtension { name, version, state, reason }
    };
    wire::Provisioning {
        state: match provision.is_open() {
            true => wire::ProvisioningState::Creating,
            false => wire::ProvisioningState::Failed,
        },
        until: provision.due().map(|due| now.date_of(due).to_string()),
        extensions: provision.parts.iter().map(extension).collect(),
    }
}

/// What a person has said about an instance.
pub(crate) fn word(word: &PersonsWord, now: Now) -> wire::Override {
    let PersonsWord { kind, by, reason, since, until, date: _ } = word;
    wire::Override {
        kind: match kind {
            WordKind::Hold => wire::OverrideKind::Hold,
            WordKind::Skip => wire::OverrideKind::Skip,
            WordKind::Protect => wire::OverrideKind::Protect,
            WordKind::Force => wire::OverrideKind::Force,
        },
        actor: by.to_string(),
        reason: reason.clone(),
        since: now.date_of(*since).to_string(),
        until: until.map(|until| now.date_of(until).to_string()),
    }
}

fn log_wish(wish: Wish) -> wire::LogKind {
    match wish {
        Wish::Cancel | Wish::CancelNow => wire::LogKind::Cancel,
        Wish::RollBack | Wish::RollBackOn => wire::LogKind::Rollback,
        Wish::Pause => wire::LogKind::Pause,
        Wish::Resume => wire::LogKind::Resume,
        Wish::Approve => wire::LogKind::Approve,
        Wish::Bypass => wire::LogKind::Bypass,
        Wish::Promote => wire::LogKind::Promote,
        Wish::Retry => wire::LogKind::Retry,
    }
}

#[cfg(test)]
mod tests {
    use phasegate_core::record::audit::LineState;

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
            UpgradeErrorCode::RollingUpgradeRoundTripFailed,
            UpgradeErrorCode::RollingUpgradeRoundTripImpossible,
            UpgradeErrorCode::RollingUpgradeTimeoutError,
            UpgradeErrorCode::PlanChangedBeforeRollingUpgrade,
        ] {
            assert_eq!(error_code(one).as_str(), one.name());
        }
        for one in
            [Finding::FirstFailureRollsBack, Finding::PauseAfterLast, Finding::AllProtected { total: 1 }]
        {
            assert_eq!(warning_code(&one).as_str(), one.code());
        }
        for wish in [
            Wish::Cancel,
            Wish::CancelNow,
            Wish::RollBack,
            Wish::RollBackOn,
            Wish::Pause,
            Wish::Resume,
            Wish::Approve,
            Wish::Bypass,
            Wish::Promote,
            Wish::Retry,
        ] {
            let what = What::Wish { wish };
            assert_eq!(log_kind(&what).as_str(), what.code());
        }
        for kind in WordKind::ALL {
            let what = What::Word { note: WordNote::Said { kind, until: None } };
            assert_eq!(log_kind(&what).as_str(), what.code());
            let what = What::Word { note: WordNote::Over { kind } };
            assert_eq!(log_kind(&what).as_str(), what.code());
        }
        for what in [
            What::Failed { reason: String::new() },
            What::StaysDeleted { replaced_by: None },
            What::Line { state: LineState::Stopped },
            What::Process { state: ProcessState::Exited, text: String::new() },
            What::Succeeded { has: Vec::new() },
        ] {
            assert_eq!(log_kind(&what).as_str(), what.code());
        }
    }
}
