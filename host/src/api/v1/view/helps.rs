//! Which commands help once an upgrade has ended and not as it was meant to.
//!
//! Says what there is to do; does none of it.

use phasegate_core::domain::{Change, Component, Goal, InstanceId};
use phasegate_core::kernel::report::StatusReport;
use phasegate_core::plan::HoldReason;
use phasegate_core::rollout::{Purpose, Upgrade, UpgradeErrorCode, UpgradeState};
use phasegate_wire as wire;

/// Commands, the likeliest first.
pub(super) fn helps(report: &StatusReport<'_>) -> Vec<wire::Help> {
    let upgrade = report.upgrade;
    let set = &upgrade.scale_set;
    let mut all = Vec::new();
    let mut add = |command: String, does: &str| all.push(wire::Help { command, does: does.to_owned() });
    let start = format!("phasegate upgrade start {set}{}", wanted(&upgrade.goal));
    let before = UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade;
    if let Some(error) = upgrade.error.as_ref().filter(|error| error.code == before) {
        add("phasegate fleet".to_owned(), "shows who is not Healthy and why; then start it again");
        add(start.clone(), "starts it again, once enough instances are Healthy");
        // A protected one is refused, whoever names it.
        let is_protected = |id: &InstanceId| {
            upgrade.holds.iter().any(|hold| hold.instance == *id && hold.reason == HoldReason::Protected)
        };
        let ids = error.details.iter().map(|(id, _)| id).filter(|id| !is_protected(id));
        let ids: Vec<&str> = ids.take(NAMED_MAX).map(InstanceId::as_str).collect();
        if !ids.is_empty() {
            let named = format!("{start} --instances {}", ids.join(","));
            add(
                named,
                "brings it to these, or to others that you name, without limits and whatever their health",
            );
        }
        return all;
    }
    let in_quarantine = !report.quarantined.is_empty();
    match upgrade.state {
        UpgradeState::Faulted if in_quarantine => {
            add(format!("{start} --force"), "tries the version again, although it is in quarantine");
            add(
                format!("phasegate upgrade retry {set}"),
                "does the same where it has failed or did not come to",
            );
            for change in &report.quarantined {
                let command = format!("phasegate quarantine lift {set} {}", lifted(change));
                add(command, "lets a start take it as any other version");
            }
        }
        UpgradeState::Faulted | UpgradeState::Cancelled | UpgradeState::Completed
            if matches!(upgrade.purpose, Purpose::Forward) =>
        {
            add(start, "goes on with what failed or was left out");
        }
        UpgradeState::RollingForward
        | UpgradeState::Faulted
        | UpgradeState::Cancelled
        | UpgradeState::Completed => {}
    }
    if upgrade.state == UpgradeState::Faulted && matches!(upgrade.purpose, Purpose::Rollback { .. }) {
        add(
            format!("phasegate upgrade rollback {set} --continue"),
            "goes on bringing back, whatever becomes of those that were brought back",
        );
    }
    if let Some((id, _)) = stays_held(upgrade) {
        add(
            format!("phasegate instance release {set} {id}"),
            "lets upgrades take it again, which its failed round trip holds",
        );
    }
    if touched(upgrade) {
        add(
            format!("phasegate upgrade rollback {set}"),
            "brings what it has touched back to what it had before, newest first",
        );
    }
    add(
        format!("phasegate upgrade log {set} --upgrade {}", upgrade.id),
        "shows what was decided and done, and why",
    );
    all
}

/// Instances that are named in a command.
const NAMED_MAX: usize = 10;

/// The instance that a failed round trip holds, and why.
fn stays_held(upgrade: &Upgrade) -> Option<&(InstanceId, String)> {
    let failed = UpgradeErrorCode::RollingUpgradeRoundTripFailed;
    upgrade.error.as_ref().filter(|error| error.code == failed)?.details.first()
}

/// Whether there is anything to take back.
fn touched(upgrade: &Upgrade) -> bool {
    !matches!(upgrade.purpose, Purpose::Rollback { .. })
        && upgrade.members.values().any(phasegate_core::rollout::Member::is_touched)
}

/// The goal as arguments.
fn wanted(goal: &Goal) -> String {
    let argument = |change: &Change| match &change.component {
        Component::Application => format!(" --to {}", change.to),
        Component::Extension(name) => format!(" --extension {name}={}", change.to),
    };
    goal.changes().map(argument).collect()
}

fn lifted(change: &Change) -> String {
    match &change.component {
        Component::Application => change.to.to_string(),
        Component::Extension(name) => format!("{} --extension {name}", change.to),
    }
}
