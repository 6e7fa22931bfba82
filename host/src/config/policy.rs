//! Reads `[scaleSets.upgradePolicy]`; names and bounds are Azure's.

use std::time::Duration;

use super::freeze;
use super::rules::{self, Rules};
use super::table::Table;
use super::value::Value;
use phasegate_core::domain::{
    Checkpoints, Decisions, FailureRules, FreezeWindows, HealthGate, Percent, RetryRule,
    RollingUpgradePolicy, UpgradePolicy,
};

/// Azure: an upgraded instance that is not healthy after 5 minutes has failed.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(300);

/// Everything that `[scaleSets.upgradePolicy]` says.
pub(super) struct PolicyTable<'a> {
    pub(super) rolling: RollingUpgradePolicy,
    /// `maxSurge`, where it is written.
    pub(super) surge: Option<Value<'a>>,
    pub(super) gate: HealthGate,
    pub(super) failure: FailureRules,
    pub(super) checkpoints: Checkpoints,
    pub(super) defer_max: Duration,
    pub(super) decisions: Decisions,
    pub(super) retry: Option<RetryRule>,
    pub(super) freeze: FreezeWindows,
}

impl PolicyTable<'_> {
    /// What an upgrade goes by that waits so long before its snapshot.
    pub(super) fn rules(self, prepare_max: Duration) -> UpgradePolicy {
        let Self { rolling, surge: _, gate, failure, checkpoints, defer_max, decisions, retry: _, freeze: _ } =
            self;
        UpgradePolicy { rolling, gate, failure, checkpoints, decisions, defer_max, prepare_max }
    }
}

/// An instance that is busy is asked for half an hour, then left out.
const DEFER_DEFAULT: Duration = Duration::from_secs(1800);

pub(super) fn read(mut table: Table<'_>) -> Option<PolicyTable<'_>> {
    let mode = table.optional("mode", "\"Rolling\"");
    let rolling = table.section("rollingUpgradePolicy", "{ maxBatchInstancePercent = 20 }");
    let gate = table.section("healthGate", "{ wait = \"PT0S\", stableFor = \"PT10S\", deadline = \"PT5M\" }");
    let rules = Rules::take(&mut table);
    let defer = table.optional("deferDeadline", "\"PT30M\"");
    let decisions = table.optional("decisions", "\"snapshot\"");
    let retry_after = table.optional("retryAfter", "\"P3D\"");
    let retry_limit = table.optional("retryLimit", "3");
    let windows = table.optional("freezeWindows", "[{ days = [\"Sat\", \"Sun\"] }]");
    table.finish();
    if let Some(mode) = mode {
        check_mode(&mode);
    }
    let rolling = read_rolling(rolling, rules);
    let gate = read_gate(gate);
    let defer_max = duration(defer.as_ref(), DEFER_DEFAULT);
    let decisions = decisions.map_or(Some(Decisions::default()), |value| {
        value.choice(&[("snapshot", Decisions::Snapshot), ("live", Decisions::Live)])
    });
    let retry = rules::retry(retry_after.as_ref(), retry_limit.as_ref());
    let freeze = freeze::read(windows.as_ref());
    let (rolling, surge, failure, checkpoints) = rolling?;
    Some(PolicyTable {
        rolling,
        surge,
        gate: gate?,
        failure,
        checkpoints,
        defer_max: defer_max?,
        decisions: decisions?,
        retry: retry?,
        freeze: freeze?,
    })
}

fn check_mode(value: &Value<'_>) {
    let Some(text) = value.string() else { return };
    let is = |mode: &str| text.eq_ignore_ascii_case(mode);
    if is("Automatic") || is("Manual") {
        value.problem(format!("is {text:?}, which is not supported"), "write \"Rolling\"".to_owned());
    } else if !is("Rolling") {
        // A suggestion for a misspelt word comes with the choice.
        value.choice(&[("Rolling", ())]);
    }
}

type Rolling<'a> = (RollingUpgradePolicy, Option<Value<'a>>, FailureRules, Checkpoints);

fn read_rolling<'a>(mut table: Table<'a>, rules: Rules<'a>) -> Option<Rolling<'a>> {
    let batch = table.optional("maxBatchInstancePercent", "20");
    let unhealthy = table.optional("maxUnhealthyInstancePercent", "20");
    let unhealthy_upgraded = table.optional("maxUnhealthyUpgradedInstancePercent", "20");
    let pause = table.optional("pauseTimeBetweenBatches", "\"PT0S\"");
    let cross_zone = table.optional("enableCrossZoneUpgrade", "false");
    let prioritize = table.optional("prioritizeUnhealthyInstances", "false");
    let surge = table.optional("maxSurge", "false");
    let rollback = table.optional("rollbackFailedInstancesOnPolicyBreach", "false");
    let sizes = table.optional("batches", "[1, 5, \"20%\"]");
    table.finish();

    let max_surge = surge.as_ref().map_or(Some(false), Value::boolean);
    let rules = rules.read(rollback.as_ref());
    let batches = rules::batches(sizes.as_ref());
    let batch = percent(batch, 5);
    let unhealthy = percent(unhealthy, 5);
    let unhealthy_upgraded = percent(unhealthy_upgraded, 0);
    let pause = duration(pause.as_ref(), Duration::ZERO);
    let cross_zone = cross_zone.map_or(Some(false), |value| value.boolean());
    let prioritize = prioritize.map_or(Some(false), |value| value.boolean());
    let policy = RollingUpgradePolicy {
        max_batch_instance_percent: batch?,
        max_unhealthy_instance_percent: unhealthy?,
        max_unhealthy_upgraded_instance_percent: unhealthy_upgraded?,
        pause_time_between_batches: pause?,
        enable_cross_zone_upgrade: cross_zone?,
        prioritize_unhealthy_instances: prioritize?,
        max_surge: max_surge?,
        batches: batches?,
    };
    let (failure, checkpoints) = rules?;
    Some((policy, surge, failure, checkpoints))
}

fn percent(value: Option<Value<'_>>, min: u32) -> Option<Percent> {
    let percent = value.map_or(Some(20), |value| value.integer(min, 100))?;
    u8::try_from(percent).ok().and_then(Percent::new)
}

fn duration(value: Option<&Value<'_>>, default: Duration) -> Option<Duration> {
    value.map_or(Some(default), Value::iso_duration)
}

fn read_gate(mut table: Table<'_>) -> Option<HealthGate> {
    let wait = table.optional("wait", "\"PT0S\"");
    let stable_for = table.optional("stableFor", "\"PT10S\"");
    let deadline = table.optional("deadline", "\"PT5M\"");
    table.finish();

    let wait_for = duration(wait.as_ref(), Duration::ZERO);
    let stable = duration(stable_for.as_ref(), Duration::ZERO);
    let until = duration(deadline.as_ref(), DEADLINE_DEFAULT);
    let gate = HealthGate { wait: wait_for?, stable_for: stable?, deadline: until? };
    let least = gate.wait + gate.stable_for;
    // One of the three was written, since the defaults fit.
    if let (true, Some(value)) = (least >= gate.deadline, deadline.or(stable_for).or(wait)) {
        let (least, deadline) = (least.as_secs_f64(), gate.deadline.as_secs_f64());
        value.conflict(
            format!("leaves no time: wait and stableFor take {least} s, deadline is {deadline} s"),
            "make deadline longer than both together",
        );
        return None;
    }
    Some(gate)
}
