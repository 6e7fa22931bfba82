//! What a running upgrade waits for, in one line.

use phasegate_core::domain::{Health, InstanceId, Now, PhaseName, Timestamp};
use phasegate_core::kernel::state::SetState;
use phasegate_core::rollout::{Member, MemberState, Stage, Upgrade, Waiting, waiting_now};

use super::moment;

/// What a running upgrade waits for, one line, and what follows when somebody wished for it.
pub(super) fn waiting(upgrade: &Upgrade, set: &SetState, now: Now) -> Option<String> {
    let line = waiting_for_what(upgrade, set, now)?;
    let then = match (upgrade.stage, upgrade.then_roll_back, upgrade.cancel_requested, upgrade.paused) {
        (Stage::InBatch, true, _, _) => "; then it is rolled back",
        (Stage::InBatch, _, true, _) => "; then it is cancelled",
        (Stage::InBatch, _, _, true) => "; then it is paused",
        _ => "",
    };
    Some(format!("{line}{then}"))
}

fn waiting_for_what(upgrade: &Upgrade, set: &SetState, now: Now) -> Option<String> {
    let of = |wanted: fn(&MemberState) -> bool| {
        let members = upgrade.members.iter().filter(|(_, member)| wanted(&member.state));
        some_of(&members.map(|(id, member)| busy_with(id, member).as_str()).collect::<Vec<_>>())
    };
    let any = |wanted: fn(&MemberState) -> bool| upgrade.members.values().any(|member| wanted(&member.state));
    let settling: fn(&MemberState) -> bool = |state| matches!(state, MemberState::Settling { .. });
    let creating: fn(&MemberState) -> bool = |state| matches!(state, MemberState::Creating { .. });
    let deleting: fn(&MemberState) -> bool =
        |state| matches!(state, MemberState::Deleting { .. } | MemberState::Removing { .. });
    let stopped =
        waiting_now(upgrade, &set.view(now), now.at).map(|waiting| waiting_line(waiting, upgrade, set, now));
    Some(match upgrade.stage {
        Stage::Ended { .. } => return None,
        Stage::Preparing { .. } if stopped.is_some() => return stopped,
        Stage::Preparing { .. } => {
            format!("first decision of {} (Initializing)", some_of(&initializing(set)))
        }
        Stage::Between { .. } => return stopped,
        Stage::Undoing => format!("driver to bring back {}", of(MemberState::is_with_driver)),
        Stage::InBatch if any(creating) => format!("driver to create {}", of(creating)),
        Stage::InBatch if any(deleting) => format!("driver to delete {}", of(deleting)),
        Stage::InBatch if any(MemberState::is_with_driver) => {
            format!("driver to change {}", of(MemberState::is_with_driver))
        }
        Stage::InBatch if any(settling) => format!("health of {}", of(settling)),
        Stage::InBatch => "upgraded instances to be healthy again after the host's restart".to_owned(),
    })
}

/// The instance that the driver or the health gate has in hand for a member.
fn busy_with<'a>(id: &'a InstanceId, member: &'a Member) -> &'a InstanceId {
    if matches!(member.state, MemberState::Deleting { .. }) { id } else { member.watched(id) }
}

fn waiting_line(waiting: Waiting, upgrade: &Upgrade, set: &SetState, now: Now) -> String {
    let phase = |phase: PhaseName| match phase {
        PhaseName::Number(phase) => format!("phase {}", phase.get()),
        PhaseName::Last => "the last phase".to_owned(),
    };
    let seconds = |until: Timestamp| until.since(now.at).as_secs_f32().ceil();
    let name = &upgrade.scale_set;
    match waiting {
        Waiting::Line => {
            let line = set.line.as_ref();
            let why =
                line.map_or_else(String::new, |line| format!(" since {}: {}", moment(line.at), line.reason));
            format!(
                "a person: the line is stopped for all scale sets{why}; let it go on with \
                 `phasegate line start`, or bypass it with `phasegate upgrade bypass {name} --reason TEXT`"
            )
        }
        Waiting::Freeze { until } => {
            let reason =
                set.spec.freeze.frozen_at(now.wall.date()).map_or_else(String::new, |frozen| frozen.reason);
            format!(
                "the end of a freeze window ({reason}) at {}; bypass it with \
                 `phasegate upgrade bypass {name} --reason TEXT`",
                moment(until)
            )
        }
        Waiting::Pause { until } => format!("pause between batches, {} s left", seconds(until)),
        Waiting::Paused => format!("a person: paused; go on with `phasegate upgrade resume {name}`"),
        Waiting::Resume { after } => {
            format!("a person: {} is done; go on with `phasegate upgrade resume {name}`", phase(after))
        }
        Waiting::Approval { before } => {
            format!("a person: {} needs `phasegate upgrade approve {name}`", phase(before))
        }
        Waiting::Initializing => format!("{} to leave Initializing", some_of(&initializing(set))),
        Waiting::Deferred { until } => {
            let ids: Vec<&str> = upgrade.deferred.keys().map(InstanceId::as_str).collect();
            format!("{} that said \"not now\", {} s at most", some_of(&ids), seconds(until))
        }
        Waiting::Recovery { until } => {
            format!("fleet to be healthy after the host's restart, {} s at most", seconds(until))
        }
    }
}

/// Instances that cannot be judged yet.
fn initializing(set: &SetState) -> Vec<&str> {
    let unready = set
        .members()
        .filter(|instance| instance.latest.is_none() || instance.fold.health() == Health::Initializing);
    unready.map(|instance| instance.spec.id.as_str()).collect()
}

/// At most five names, and how many more there are.
fn some_of(ids: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = ids.iter().copied().take(SHOWN).collect();
    match ids.len() {
        0 => "no instance".to_owned(),
        count if count > SHOWN => format!("instances {} and {} more", shown.join(", "), count - SHOWN),
        1 => format!("instance {}", shown.join("")),
        _ => format!("instances {}", shown.join(", ")),
    }
}
