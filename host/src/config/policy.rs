//! Declares `[scaleSets.upgradePolicy]`; names and bounds are Azure's where Azure has the key.

use std::time::Duration;

use super::freeze;
use super::rules::{batches, phases};
use crate::keys::{Form, Given, Is, Key, Section, Value, no_check};
use phasegate_core::domain::{
    Checkpoints, Decisions, FailureRules, FreezeWindows, HealthGate, OnBreach, OnInstanceFailure, Percent,
    Phase, RetryRule, RollingUpgradePolicy, ScaleSet, UpgradePolicy,
};

/// Everything that `[scaleSets.upgradePolicy]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// What one upgrade goes by; how long it waits before its snapshot is not said here.
    pub(super) rules: UpgradePolicy,
    pub(super) retry: Option<RetryRule>,
    pub(super) freeze: FreezeWindows,
}

pub(super) const POLICY: Section<Policy> = Section {
    keys: &[
        Key::<Policy>::preset("mode", "\"Rolling\"", Is::Own(|| Form::Words(vec!["Rolling"]), mode))
            .doc("Azure's other modes are refused"),
        Key::<Policy>::table(
            "rollingUpgradePolicy",
            "{ maxBatchInstancePercent = 20 }",
            Is::Table(|| ROLLING.shape(), |policy, table| ROLLING.read(table, policy)),
        )
        .doc("Azure's limits of a batch"),
        Key::<Policy>::preset(
            "restoreFailedInstances",
            "true",
            Is::Flag(|policy, restore| {
                policy.rules.failure.instance =
                    if restore { OnInstanceFailure::Restore } else { OnInstanceFailure::Leave };
            }),
        )
        .doc("an instance that fails gets the version back that it ran before"),
        Key::<Policy>::preset(
            "rollbackOnPolicyBreach",
            "false",
            Is::Flag(|policy, roll_back| match (roll_back, policy.rules.failure.breach) {
                (true, _) => policy.rules.failure.breach = OnBreach::RollBack,
                (false, OnBreach::RollBack) => policy.rules.failure.breach = OnBreach::Stop,
                (false, OnBreach::Stop | OnBreach::RestoreFailed) => {}
            }),
        )
        .doc("at a breach, roll the whole upgrade back, newest first"),
        Key::<Policy>::optional(
            "pauseAfterPhase",
            "[0]",
            Is::Own(phase_names, |policy, value| {
                policy.rules.checkpoints.pause_after = phases(value)?;
                Some(())
            }),
        )
        .bounds("phase numbers, `\"last\"`")
        .doc("wait for `upgrade resume` when these phases are done"),
        Key::<Policy>::optional(
            "approvalBeforePhase",
            "[1, \"last\"]",
            Is::Own(phase_names, |policy, value| {
                policy.rules.checkpoints.approval_before = phases(value)?;
                Some(())
            }),
        )
        .bounds("phase numbers, `\"last\"`")
        .doc("wait for `upgrade approve` before these phases"),
        Key::<Policy>::preset(
            "decisions",
            "\"snapshot\"",
            Is::Word(&[
                ("snapshot", |policy| policy.rules.decisions = Decisions::Snapshot),
                ("live", |policy| policy.rules.decisions = Decisions::Live),
            ]),
        )
        .doc(
            "whether an upgrade follows the plugin's decisions at its start, or before each batch those on \
             the latest probes, at most an interval old, of everybody whose turn has not come",
        ),
        // A version that failed is not tried again in a hurry.
        Key::<Policy>::optional(
            "retryAfter",
            "\"P3D\"",
            Is::Span(Some(("PT1M", "P365D")), |policy, after| {
                policy.retry = Some(RetryRule { after, limit: policy.retry.map_or(0, |rule| rule.limit) });
            }),
        )
        .doc("how long after its end an upgrade that failed is tried again by itself; without it, never"),
        Key::<Policy>::preset(
            "retryLimit",
            "3",
            Is::Whole(1, 100, |policy, limit| policy.retry.iter_mut().for_each(|rule| rule.limit = limit)),
        )
        .bounds("only together with `retryAfter`")
        .doc("how many times"),
        Key::<Policy>::optional(
            "freezeWindows",
            "[{ days = [\"Sat\", \"Sun\"] }]",
            Is::Own(freeze::form, |policy, value| {
                policy.freeze.frozen = freeze::read(value)?;
                Some(())
            }),
        )
        .bounds("at most 100")
        .doc("when nothing may begin; see below"),
        // An instance that is busy is asked for half an hour, then left out.
        Key::<Policy>::preset(
            "deferDeadline",
            "\"PT30M\"",
            Is::Span(None, |policy, time| policy.rules.defer_max = time),
        )
        .doc(
            "how long after the start of an upgrade instances that say \"not now\" are asked again, each at \
             the end of its phase; then they are left out",
        ),
        Key::<Policy>::table(
            "healthGate",
            "{ wait = \"PT0S\", stableFor = \"PT10S\", deadline = \"PT5M\" }",
            Is::Table(|| GATE.shape(), |policy, table| GATE.read(table, &mut policy.rules.gate)),
        )
        .doc("when an upgraded instance counts as good"),
    ],
    check: |_, given| {
        if given.has("retryLimit") && given.are_sound(&["retryLimit"]) && !given.has("retryAfter") {
            given.conflict(
                "retryLimit",
                "is set although retryAfter is not: nothing would be tried again",
                "add for example retryAfter = \"P3D\", or leave retryLimit out",
            );
        }
    },
};

pub(super) const ROLLING: Section<Policy> = Section {
    keys: &[
        Key::<Policy>::preset(
            "maxBatchInstancePercent",
            "20",
            Is::Percent(5, |policy, share| policy.rules.rolling.max_batch_instance_percent = share),
        )
        .doc("of all instances, rounded down, at least one"),
        Key::<Policy>::preset(
            "maxUnhealthyInstancePercent",
            "20",
            Is::Percent(5, |policy, share| policy.rules.rolling.max_unhealthy_instance_percent = share),
        )
        .doc(
            "checked before each batch over the whole set; strictly more stops the upgrade; a batch shrinks \
             so that it and what is down elsewhere stay within it, to one instance at least",
        ),
        Key::<Policy>::preset(
            "maxUnhealthyUpgradedInstancePercent",
            "20",
            Is::Percent(0, |policy, share| policy.rules.rolling.max_unhealthy_upgraded_instance_percent = share),
        )
        .doc("checked after each batch over all upgraded so far"),
        Key::<Policy>::preset(
            "pauseTimeBetweenBatches",
            "\"PT0S\"",
            Is::Span(None, |policy, pause| policy.rules.rolling.pause_time_between_batches = pause),
        )
        .doc("from the end of one batch to the start of the next"),
        Key::<Policy>::preset(
            "enableCrossZoneUpgrade",
            "false",
            Is::Flag(|policy, cross| policy.rules.rolling.enable_cross_zone_upgrade = cross),
        )
        .doc("batches may cross zones; never update domains"),
        Key::<Policy>::preset(
            "prioritizeUnhealthyInstances",
            "false",
            Is::Flag(|policy, first| policy.rules.rolling.prioritize_unhealthy_instances = first),
        )
        .doc(
            "within a phase, unhealthy ones first; also permission for those whose health is unknown and that \
             did not say skip",
        ),
        Key::<Policy>::preset(
            "rollbackFailedInstancesOnPolicyBreach",
            "false",
            Is::Flag(|policy, restore| match (restore, policy.rules.failure.breach) {
                (true, OnBreach::Stop) => policy.rules.failure.breach = OnBreach::RestoreFailed,
                (false, OnBreach::RestoreFailed) => policy.rules.failure.breach = OnBreach::Stop,
                (_, _) => {}
            }),
        )
        .doc("at a breach, bring back failed instances that were left as they are"),
        Key::<Policy>::optional(
            "batches",
            "[1, 5, \"20%\"]",
            Is::Own(
                || Form::List(Box::new(Form::Either(vec![Form::Whole(1, 1_000_000), Form::Text]))),
                |policy, value| {
                    policy.rules.rolling.batches = batches(value)?;
                    Some(())
                },
            ),
        )
        .bounds("1 to 100 entries")
        .doc(
            "sizes of the first batches, for example `[1, 5, \"20%\"]`; the last one goes on; never above \
             `maxBatchInstancePercent`",
        ),
        Key::<Policy>::preset("maxSurge", "false", Is::Flag(|policy, surge| policy.rules.rolling.max_surge = surge))
            .bounds("only where the driver has been told how to create instances")
            .doc("new instances first; the old ones go when those are healthy; see below"),
    ],
    check: no_check,
};

pub(super) const GATE: Section<HealthGate> = Section {
    keys: &[
        Key::<HealthGate>::preset("wait", "\"PT0S\"", Is::Span(None, |gate, wait| gate.wait = wait))
            .doc("health is not looked at before"),
        Key::<HealthGate>::preset(
            "stableFor",
            "\"PT0S\"",
            Is::Span(None, |gate, time| gate.stable_for = time),
        )
        .example("\"PT10S\"")
        .doc("Healthy without a break for this long"),
        // Azure: an upgraded instance that is not healthy after 5 minutes has failed.
        Key::<HealthGate>::preset("deadline", "\"PT5M\"", Is::Span(None, |gate, time| gate.deadline = time))
            .bounds("more than both together")
            .doc("later the instance counts as failed"),
    ],
    check: check_gate,
};

fn phase_names() -> Form {
    Form::List(Box::new(Form::Either(vec![Form::Whole(0, Phase::MAX), Form::Words(vec!["last"])])))
}

fn mode(_: &mut Policy, value: &Value<'_>) -> Option<()> {
    let text = value.string()?;
    let is = |mode: &str| text.eq_ignore_ascii_case(mode);
    if is("Automatic") || is("Manual") {
        value.problem(format!("is {text:?}, which is not supported"), "write \"Rolling\"".to_owned());
        return None;
    }
    // A suggestion for a misspelt word comes with the choice.
    if is("Rolling") { Some(()) } else { value.choice(&[("Rolling", ())]) }
}

fn check_gate(gate: &mut HealthGate, given: &mut Given<'_>) {
    const KEYS: [&str; 3] = ["deadline", "stableFor", "wait"];
    let least = gate.wait + gate.stable_for;
    if !given.are_sound(&KEYS) || least < gate.deadline {
        return;
    }
    // One of the three was written, since the presets fit.
    let written = KEYS.into_iter().find(|key| given.has(key)).unwrap_or("deadline");
    let (least, deadline) = (least.as_secs_f64(), gate.deadline.as_secs_f64());
    given.conflict(
        written,
        format!("leaves no time: wait and stableFor take {least} s, deadline is {deadline} s"),
        "make deadline longer than both together",
    );
}

impl Policy {
    pub(super) fn blank() -> Self {
        let none = Percent::clamped(0);
        let rules = UpgradePolicy {
            rolling: RollingUpgradePolicy {
                max_batch_instance_percent: none,
                max_unhealthy_instance_percent: none,
                max_unhealthy_upgraded_instance_percent: none,
                pause_time_between_batches: Duration::ZERO,
                enable_cross_zone_upgrade: false,
                prioritize_unhealthy_instances: false,
                max_surge: false,
                batches: Vec::new(),
            },
            gate: HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::ZERO },
            failure: FailureRules::default(),
            checkpoints: Checkpoints::default(),
            decisions: Decisions::default(),
            defer_max: Duration::ZERO,
            prepare_max: Duration::ZERO,
        };
        Self { rules, retry: None, freeze: FreezeWindows::default() }
    }

    /// What a scale set has.
    pub(super) fn of(set: &ScaleSet) -> Self {
        Self { rules: set.policy.clone(), retry: set.retry, freeze: set.freeze.clone() }
    }

    /// Gives a scale set all of it.
    pub(super) fn give(self, set: &mut ScaleSet) {
        (set.policy, set.retry, set.freeze) = (self.rules, self.retry, self.freeze);
    }
}
