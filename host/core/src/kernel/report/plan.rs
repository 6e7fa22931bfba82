//! What an upgrade would do now, and what to know before it starts.

use std::collections::BTreeSet;

use crate::domain::{Frozen, HookKinds, InstanceId, Now, PhaseName, RollingUpgradePolicy, Runs};
use crate::kernel::command::Wanted;
use crate::kernel::refusal::Refusal;
use crate::kernel::start::{no_round_trip_now, plan_now, wanted as goal_of};
use crate::kernel::state::SetState;
use crate::plan::{
    BatchTime, FeasibilityInput, Finding, Plan, Resolved, TimesFinding, Waits, feasibility, fleet_unhealthy,
};
use crate::record::StoppedLine;
use crate::rollout::{Extent, FleetView, unproven};

/// A planned instance that runs no version that is known.
#[derive(Debug, Clone)]
pub struct Unseen {
    /// Which.
    pub id: InstanceId,
    /// What is known of what it runs.
    pub runs: Runs,
}

/// A plan, and what a person should know before it is started now.
#[derive(Debug, Clone)]
pub struct PlanReport<'a> {
    /// The plan.
    pub plan: Plan,
    /// The policy whose percentages are `limits`.
    pub policy: &'a RollingUpgradePolicy,
    /// What a batch takes beside the work of the driver.
    pub batch_time: BatchTime,
    /// Its percentages as counts.
    pub limits: Resolved,
    /// The freeze in force.
    pub frozen: Option<Frozen>,
    /// What to know.
    pub findings: Vec<Finding>,
    /// A stopped line holds a start, too.
    pub line: Option<&'a StoppedLine>,
    /// Who makes the round trip.
    pub round_trip: Option<InstanceId>,
    /// What is run round it, on both ways.
    pub hooks: HookKinds,
    /// Those of its batches that run no version that is known.
    pub unseen: Vec<Unseen>,
}

/// Plans for what is wanted, as a start would do at this moment.
///
/// # Errors
/// When the model has no such extension, or one is named twice.
pub fn plan<'a>(
    set: &'a SetState,
    wanted: &Wanted,
    extent: Extent,
    now: Now,
) -> Result<PlanReport<'a>, Refusal> {
    let goal = goal_of(set, wanted)?;
    let plan = plan_now(set, &goal, extent, wanted.urgency, now);
    let effective = set.spec.policy.clone().at(wanted.urgency);
    let planned = plan.batches.iter().flat_map(|batch| &batch.instances);
    let unseen = planned
        .filter_map(|id| set.instance(id))
        .filter(|instance| instance.runs.version().is_none())
        .map(|instance| Unseen { id: instance.spec.id.clone(), runs: instance.runs.clone() })
        .collect();
    let date = now.wall.date();
    let batches = (!plan.batches.is_empty()).then_some(plan.batches.len());
    let input = FeasibilityInput { batches, policy: &effective, ..FeasibilityInput::of(&set.spec, date) };
    let found = feasibility(&input);
    let empty = empty_checkpoints(set, &plan, now);
    let never = set.never_proceeds().map(|answers| Finding::NeverProceeds {
        plugin: set.spec.plugin.clone(),
        answers,
        instances: set.view(now).total(),
    });
    let quarantined = goal.changes().filter_map(|change| {
        let reason = set.quarantined.get(change)?.clone();
        Some(Finding::Quarantined { change: change.to_string(), reason })
    });
    let trip = no_round_trip_now(set, &goal, extent, now);
    let trip = trip.map(|(instance, why)| Finding::RoundTrip { instance, why });
    let trips = set.spec.policy.round_trip && extent == Extent::Missing;
    let first = plan.batches.first().and_then(|batch| batch.instances.first());
    let round_trip = first.filter(|_| trips).cloned();
    let policy = &set.spec.policy.rolling;
    let view = set.view(now);
    // A plan without batches ends before anything is counted.
    let starts = !plan.batches.is_empty();
    let at_once = starts.then(|| fleet_unhealthy(policy, &view.unhealthy(), view.total())).flatten();
    Ok(PlanReport {
        plan,
        policy,
        batch_time: BatchTime::of(&effective, &set.spec.health),
        limits: found.resolved,
        frozen: set.spec.freeze.frozen_at(date),
        findings: quarantined
            .chain(trip)
            .chain(never)
            .chain(found.findings)
            .chain(empty)
            .chain(at_once)
            .collect(),
        line: set.line.as_ref(),
        round_trip,
        hooks: effective.hooks,
        unseen,
    })
}

/// Phases with a checkpoint of which the plan upgrades nobody.
fn empty_checkpoints(set: &SetState, plan: &Plan, now: Now) -> Vec<Finding> {
    let checkpoints = &set.spec.policy.checkpoints;
    let named = [
        ("pauseAfterPhase", &checkpoints.pause_after),
        ("approvalBeforePhase", &checkpoints.approval_before),
    ];
    if plan.batches.is_empty() || named.iter().all(|(_, phases)| phases.is_empty()) {
        return Vec::new();
    }
    let unproven = unproven(checkpoints, plan, &set.view(now).candidates());
    let planned: BTreeSet<PhaseName> = plan.batches.iter().map(|batch| batch.phase.into()).collect();
    let empty = named.into_iter().flat_map(|(key, phases)| {
        let missing = phases.iter().filter(|phase| !planned.contains(phase) && **phase != PhaseName::Last);
        missing.map(move |phase| (key, *phase))
    });
    let finding = |(key, phase)| {
        let waits = if unproven.contains(&phase) { Waits::Yes } else { Waits::No };
        Finding::Times(TimesFinding::EmptyCheckpoint { key, phase, waits })
    };
    empty.map(finding).collect()
}
