//! Declares `[scaleSets.upgradePolicy]`; names and bounds are Azure's where Azure has the key.

use std::time::Duration;

use super::freeze;
use super::rules::{batches, phases};
use crate::keys::{Form, Given, Is, Key, Section, Value, no_check};
use phasegate_core::domain::{
    Bake, Decisions, FreezeWindows, HealthGate, HealthSettings, OnBakeFailure, OnBreach, OnInstanceFailure,
    OnTimeout, Percent, Phase, RetryRule, RollingUpgradePolicy, ScaleSet, UpgradeMode, UpgradePolicy,
};

/// What `healthGate` says. What it does not say follows from how instances are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GateKeys {
    wait: Duration,
    stable_for: Option<Duration>,
    deadline: Option<Duration>,
}

impl GateKeys {
    fn resolved(self, health: &HealthSettings) -> HealthGate {
        let Self { wait, stable_for, deadline } = self;
        let stable_for = stable_for.unwrap_or_else(|| HealthGate::stable_by_default(wait, deadline, health));
        let by_default = || HealthGate::deadline_by_default(wait, stable_for, health);
        HealthGate { wait, stable_for, deadline: deadline.unwrap_or_else(by_default) }
    }
}

/// What `bake` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BakeKeys {
    duration: Option<Duration>,
    probes: Option<u32>,
    on_failure: OnBakeFailure,
}

impl BakeKeys {
    fn of(bake: Option<Bake>) -> Self {
        let Some(Bake { duration, probes, on_failure }) = bake else { return Self::default() };
        Self { duration: Some(duration), probes: Some(probes), on_failure }
    }

    /// One of the two is enough for a bake.
    fn resolved(self) -> Option<Bake> {
        let Self { duration, probes, on_failure } = self;
        let is_written = duration.is_some() || probes.is_some();
        is_written.then(|| Bake {
            duration: duration.unwrap_or_default(),
            probes: probes.unwrap_or(BAKE_PROBES),
            on_failure,
        })
    }
}

/// Less than a second no batch can keep; a year is for ever.
const TIMEOUT: Option<(&str, &str)> = Some(("PT1S", "P365D"));

/// How often everybody is asked where only a time is written.
const BAKE_PROBES: u32 = 1;

/// Everything that `[scaleSets.upgradePolicy]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// What one upgrade goes by; how long it waits before its snapshot is not said here.
    pub(super) rules: UpgradePolicy,
    /// When an upgraded instance counts as good, as far as that is written.
    pub(super) gate: GateKeys,
    pub(super) mode: UpgradeMode,
    pub(super) retry: Option<RetryRule>,
    pub(super) freeze: FreezeWindows,
    /// How long it looks on in the end.
    bake: BakeKeys,
}

pub(super) const POLICY: Section<Policy> = Section {
    keys: &[
        Key::<Policy>::preset("mode", "\"Manual\"", Is::Own(|| Form::Words(MODES.to_vec()), mode)).doc(
            "what begins an upgrade when the model changes: a person; with `Rolling` and `Automatic` it begins by \
             itself, in batches or at all instances at once; see below",
        ),
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
        .doc("how long after its end an upgrade that failed is tried again by itself; without it, never in mode `Manual`, \
             and after `P3D` in the others"),
        Key::<Policy>::preset(
            "retryLimit",
            "3",
            Is::Whole(1, 100, |policy, limit| policy.retry.iter_mut().for_each(|rule| rule.limit = limit)),
        )
        .bounds("in mode `Manual` only together with `retryAfter`")
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
            "how long after the snapshot of an upgrade instances that say \"not now\" are asked again, each at \
             the end of its phase; then they are left out. Time in a pause, in a freeze, on a stopped line or before its \
             date does not count",
        ),
        Key::<Policy>::table(
            "healthGate",
            "{ wait = \"PT0S\", stableFor = \"PT10S\", deadline = \"PT5M\" }",
            Is::Table(|| GATE.shape(), |policy, table| GATE.read(table, &mut policy.gate)),
        )
        .doc("when an upgraded instance counts as good"),
        Key::<Policy>::table(
            "bake",
            "{ duration = \"PT10M\", probes = 3 }",
            Is::Table(|| BAKE.shape(), |policy, table| BAKE.read(table, &mut policy.bake)),
        )
        .doc(
            "how long an upgrade stays in progress and looks on after its last batch; without it, it has Completed then",
        ),
        Key::<Policy>::table(
            "canary",
            "{ roundTrip = true }",
            Is::Table(|| CANARY.shape(), |policy, table| CANARY.read(table, policy)),
        )
        .doc("what the first instance has to prove before anybody else"),
        Key::<Policy>::preset(
            "onBakeFailure",
            "\"rollback\"",
            Is::Word(&[
                ("rollback", |policy| policy.bake.on_failure = OnBakeFailure::RollBack),
                ("stop", |policy| policy.bake.on_failure = OnBakeFailure::Stop),
            ]),
        )
        .doc("what follows when maxUnhealthyUpgradedInstancePercent is passed during the bake"),
        Key::<Policy>::optional(
            "batchTimeout",
            "\"PT30M\"",
            Is::Span(TIMEOUT, |policy, time| policy.rules.timeouts.batch = Some(time)),
        )
        .without("as long as it takes")
        .doc(
            "how long a batch may be in flight; then the upgrade ends with RollingUpgradeTimeoutError, and what is in \
             flight is ended and brought back. Time in a pause, in a freeze or on a stopped line does not count",
        ),
        Key::<Policy>::optional(
            "upgradeTimeout",
            "\"PT12H\"",
            Is::Span(TIMEOUT, |policy, time| policy.rules.timeouts.upgrade = Some(time)),
        )
        .without("as long as it takes")
        .doc("the same for the whole upgrade; time in which it waits for a person does not count"),
        Key::<Policy>::optional(
            "approvalTimeout",
            "\"P1D\"",
            Is::Span(TIMEOUT, |policy, time| policy.rules.timeouts.approval = Some(time)),
        )
        .without("as long as it takes")
        .doc("the same for the wait for one approval"),
        Key::<Policy>::preset(
            "onTimeout",
            "\"stop\"",
            Is::Word(&[
                ("stop", |policy| policy.rules.timeouts.then = OnTimeout::Stop),
                ("rollback", |policy| policy.rules.timeouts.then = OnTimeout::RollBack),
            ]),
        )
        .doc("what follows when one of the three is over: batches before it stay, or all of it is rolled back"),
    ],
    check: |policy, given| {
        if policy.mode == UpgradeMode::Manual
            && given.has("retryLimit") && given.are_sound(&["retryLimit"]) && !given.has("retryAfter") {
            given.conflict(
                "retryLimit",
                "is set although retryAfter is not: nothing would be tried again",
                "add for example retryAfter = \"P3D\", or leave retryLimit out",
            );
        }
        if given.has("onBakeFailure") && given.are_sound(&["onBakeFailure"]) && !given.has("bake") {
            given.conflict(
                "onBakeFailure",
                "is set although bake is not: without a bake none can fail",
                "add for example bake = { duration = \"PT10M\", probes = 3 }, or leave onBakeFailure out",
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

pub(super) const GATE: Section<GateKeys> = Section {
    keys: &[
        Key::<GateKeys>::preset("wait", "\"PT0S\"", Is::Span(None, |gate, wait| gate.wait = wait))
            .doc("health is not looked at before"),
        Key::<GateKeys>::optional(
            "stableFor",
            "\"PT10S\"",
            Is::Span(None, |gate, time| gate.stable_for = Some(time)),
        )
        .without("interval × 1.5, and no more than a written `deadline` leaves")
        .doc("Healthy without a break for this long; `PT0S`: one answer is enough"),
        Key::<GateKeys>::optional(
            "deadline",
            "\"PT5M\"",
            Is::Span(None, |gate, time| gate.deadline = Some(time)),
        )
        .without("`PT5M`, or wait + gracePeriod + interval × probes + stableFor where that is more")
        .bounds("more than both together")
        .doc("later the instance counts as failed"),
    ],
    check: check_gate,
};

const CANARY: Section<Policy> = Section {
    keys: &[Key::<Policy>::preset(
        "roundTrip",
        "false",
        Is::Flag(|policy, wanted| policy.rules.round_trip = wanted),
    )
    .doc(
        "the first instance of the first phase goes up, back and up again, each time with its gate, before anybody else; \
         see below",
    )],
    check: no_check,
};

const BAKE: Section<BakeKeys> = Section {
    keys: &[
        Key::<BakeKeys>::optional(
            "duration",
            "\"PT10M\"",
            Is::Span(None, |bake, time| bake.duration = Some(time)),
        )
        .without("no bake, or by `probes` alone")
        .doc("at least so long"),
        Key::<BakeKeys>::optional(
            "probes",
            "3",
            Is::Whole(0, 1_000_000, |bake, probes| bake.probes = Some(probes)),
        )
        .without("no bake, or 1 with `duration`")
        .doc("and until everybody has been asked so many times"),
    ],
    check: no_check,
};

fn phase_names() -> Form {
    Form::List(Box::new(Form::Either(vec![Form::Whole(0, Phase::MAX), Form::Words(vec!["last"])])))
}

/// As Azure calls them.
const MODES: [&str; 3] = ["Manual", "Rolling", "Automatic"];

/// When an upgrade that began by itself and failed is tried again, where nothing else is written.
const RETRY_AFTER: Duration = Duration::from_secs(3 * 24 * 3600);

/// Azure's words in any case.
fn mode(policy: &mut Policy, value: &Value<'_>) -> Option<()> {
    let modes = [UpgradeMode::Manual, UpgradeMode::Rolling, UpgradeMode::Automatic];
    let known: Vec<(&str, UpgradeMode)> = MODES.into_iter().zip(modes).collect();
    let text = value.string()?;
    let meant = known.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, mode)| *mode);
    policy.mode = match meant {
        Some(mode) => mode,
        // A suggestion for a misspelt word comes with the choice.
        None => value.choice(&known)?,
    };
    if policy.mode != UpgradeMode::Manual {
        policy.retry = Some(RetryRule { after: RETRY_AFTER, limit: 0 });
    }
    Some(())
}

fn check_gate(gate: &mut GateKeys, given: &mut Given<'_>) {
    const KEYS: [&str; 3] = ["deadline", "stableFor", "wait"];
    let least = gate.wait + gate.stable_for.unwrap_or_default();
    // Where it is not written it is long enough.
    let Some(deadline) = gate.deadline else { return };
    if !given.are_sound(&KEYS) || least < deadline {
        return;
    }
    // One of the three was written, since the presets fit.
    let written = KEYS.into_iter().find(|key| given.has(key)).unwrap_or("deadline");
    let (least, deadline) = (least.as_secs_f64(), deadline.as_secs_f64());
    given.conflict(
        written,
        format!("leaves no time: wait and stableFor take {least} s, deadline is {deadline} s"),
        "make deadline longer than both together",
    );
}

impl Policy {
    pub(super) fn blank() -> Self {
        let at_once =
            HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::ZERO };
        let rules = UpgradePolicy::plain(RollingUpgradePolicy::plain(Percent::clamped(0)), at_once);
        let (gate, bake) = (GateKeys::default(), BakeKeys::default());
        let mode = UpgradeMode::Manual;
        Self { rules, gate, bake, mode, retry: None, freeze: FreezeWindows::default() }
    }

    /// What a scale set has.
    pub(super) fn of(set: &ScaleSet) -> Self {
        let HealthGate { wait, stable_for, deadline } = set.policy.gate;
        Self {
            rules: set.policy.clone(),
            gate: GateKeys { wait, stable_for: Some(stable_for), deadline: Some(deadline) },
            bake: BakeKeys::of(set.policy.bake),
            mode: set.mode,
            retry: set.retry,
            freeze: set.freeze.clone(),
        }
    }

    /// The rules, where instances are probed so.
    pub(super) fn rules(&self, health: &HealthSettings) -> UpgradePolicy {
        let prepare_max = health.prepare_max();
        let (gate, bake) = (self.gate.resolved(health), self.bake.resolved());
        UpgradePolicy { gate, bake, prepare_max, ..self.rules.clone() }
    }

    /// Gives a scale set all of it.
    pub(super) fn give(self, set: &mut ScaleSet) {
        set.policy = self.rules(&set.health);
        (set.mode, set.retry, set.freeze) = (self.mode, self.retry, self.freeze);
    }
}
