//! Worlds out of numbers.

use std::time::Duration;

use crate::domain::{
    Bake, BatchOf, BatchSize, Checkpoints, Claim, Decisions, FailureRules, HealthGate, HookKind, HookKinds,
    OnBakeFailure, OnBreach, OnInstanceFailure, OnTimeout, Percent, Phase, PhaseName, RetryRule,
    RollingUpgradePolicy, Timeouts, UpgradeMode,
};
use crate::health::{FoldSettings, GraceEnd};

use super::rng::Rng;
use super::scenario::{Application, Failing, Faults, Keeper, Kind, Scenario};
use super::silence;

impl Scenario {
    /// A world out of numbers: every setting may be anything that a site could configure.
    #[must_use]
    pub(super) fn random(rng: &mut Rng) -> Self {
        let policy = policy(rng);
        let stable = pick(rng, &[0, 0, 15, 30]);
        let gate = HealthGate {
            wait: Duration::from_secs(pick(rng, &[0, 0, 5, 20])),
            stable_for: Duration::from_secs(stable),
            deadline: Duration::from_secs(stable + pick(rng, &[60, 120])),
        };
        let failure = FailureRules {
            instance: if rng.chance(700) { OnInstanceFailure::Restore } else { OnInstanceFailure::Leave },
            breach: *rng
                .pick(&[OnBreach::Stop, OnBreach::RestoreFailed, OnBreach::RollBack])
                .unwrap_or(&OnBreach::Stop),
        };
        let checkpoints = checkpoints(rng);
        let extensions = pick(rng, &[0, 0, 0, 1, 2, 3]);
        let stays = extensions > 0 && rng.chance(250);
        let sets = usize::try_from(pick(rng, &[1, 1, 1, 2, 3])).unwrap_or(1);
        let keepers = [Keeper::Host, Keeper::HostAlone, Keeper::Site, Keeper::SiteSilent];
        let failing = [Failing::Hold, Failing::Hold, Failing::LastGood, Failing::Azure];
        // Drawn aside, so that all worlds in mode Manual stay what they are.
        let (mode, cut_off) = (mode(rng), silence::cut_off(rng, sets));
        let (after, limit) = (Duration::from_secs(pick(rng, &[60, 120])), pick(rng, &[1, 2]));
        Self {
            sets,
            instances: usize::try_from(rng.between(1, if sets == 1 { 12 } else { 5 })).unwrap_or(1),
            zones: small(rng, 3),
            update_domains: if rng.chance(300) { 2 } else { 0 },
            phases: small(rng, 3),
            skip: pick(rng, &[0, 100, 300]),
            protected: pick(rng, &[0, 100]),
            application: if stays { Application::Stays } else { Application::Changes },
            extensions,
            ahead: pick(rng, &[0, 0, 0, 100]),
            missing: pick(rng, &[0, 300]),
            policy,
            gate,
            failure,
            checkpoints,
            decisions: if rng.chance(500) { Decisions::Live } else { Decisions::Snapshot },
            health: FoldSettings {
                number_of_probes: small(rng, 3),
                grace_period: Duration::from_secs(pick(rng, &[0, 20, 60])),
                fail_state: if rng.chance(500) { Claim::Unknown } else { Claim::Unhealthy },
                at_grace_end: GraceEnd::HearOut,
            },
            interval: Duration::from_secs(pick(rng, &[5, 10])),
            faults: Faults::random(rng),
            keeper: *rng.pick(&keepers).unwrap_or(&Keeper::Host),
            on_failure: *rng.pick(&failing).unwrap_or(&Failing::Hold),
            mode,
            cut_off,
            retry: rng.chance(300).then_some(RetryRule { after, limit }),
            planned: rng.chance(300),
            bake: rng.chance(200).then(|| Bake {
                duration: Duration::from_secs(pick(rng, &[0, 30, 120])),
                probes: small(rng, 4),
                on_failure: if rng.chance(500) { OnBakeFailure::RollBack } else { OnBakeFailure::Stop },
            }),
            timeouts: timeouts(rng),
            freeze: rng.chance(200).then(|| {
                let from = rng.between(0, 120);
                (Duration::from_secs(from), Duration::from_secs(from + rng.between(1, 600)))
            }),
            kind: if rng.chance(100) { Kind::Manual } else { Kind::Rolling },
            bypass: rng.chance(100),
            hooks: if rng.chance(300) { hooks(rng) } else { HookKinds::default() },
            ..Self::default()
        }
    }
}

/// Few worlds stop by themselves.
fn checkpoints(rng: &mut Rng) -> Checkpoints {
    let mut checkpoints = Checkpoints::default();
    if rng.chance(200) {
        checkpoints.pause_after.extend(Phase::new(0).map(PhaseName::Number));
        checkpoints.approval_before.insert(PhaseName::Last);
    }
    checkpoints
}

fn mode(rng: &Rng) -> UpgradeMode {
    let mut aside = rng.clone();
    let modes = [UpgradeMode::Manual, UpgradeMode::Manual, UpgradeMode::Rolling, UpgradeMode::Automatic];
    aside.pick(&modes).copied().unwrap_or_default()
}

/// Some hooks.
fn hooks(rng: &mut Rng) -> HookKinds {
    HookKind::ALL.into_iter().filter(|_| rng.chance(600)).collect()
}

/// Few worlds have limits of time, and theirs are short.
fn timeouts(rng: &mut Rng) -> Timeouts {
    let limit =
        |rng: &mut Rng, lengths: &[u64]| rng.chance(120).then(|| Duration::from_secs(pick(rng, lengths)));
    Timeouts {
        batch: limit(rng, &[10, 60, 200]),
        upgrade: limit(rng, &[5, 120, 900]),
        approval: limit(rng, &[20, 300]),
        then: if rng.chance(500) { OnTimeout::RollBack } else { OnTimeout::Stop },
    }
}

impl Faults {
    /// Some faults at some rates; one world in ten has none.
    fn random(rng: &mut Rng) -> Self {
        if rng.chance(100) {
            return Self::default();
        }
        Self {
            instance_crash: pick(rng, &[0, 2, 10]),
            lost_probe: pick(rng, &[0, 20, 200]),
            slow_start: pick(rng, &[0, 100, 400]),
            bad_version: pick(rng, &[0, 0, 50, 300, 1000]),
            zone_loss: pick(rng, &[0, 0, 2]),
            driver_fails: pick(rng, &[0, 50, 300]),
            driver_lies: pick(rng, &[0, 0, 100]),
            driver_hangs: pick(rng, &[0, 0, 100]),
            driver_repeats: pick(rng, &[0, 200]),
            host_crash: pick(rng, &[0, 20, 150]),
            wishes: pick(rng, &[0, 50, 300]),
            line: pick(rng, &[0, 0, 0, 100]),
            fickle: pick(rng, &[0, 0, 5, 50]),
            late_probe: pick(rng, &[0, 20, 200]),
            plugin_fails: pick(rng, &[0, 0, 20, 300]),
            swaps: pick(rng, &[0, 0, 150, 500]),
            hand_fails: pick(rng, &[0, 0, 50]),
            hand_hangs: pick(rng, &[0, 0, 10]),
            hand_late: pick(rng, &[0, 100, 400]),
            hand_repeats: pick(rng, &[0, 100]),
            reloads: pick(rng, &[0, 0, 50]),
            exits: pick(rng, &[0, 0, 5]),
            taken_address: pick(rng, &[0, 0, 200]),
            refuses: pick(rng, &[0, 0, 30, 150]),
            loses: pick(rng, &[0, 0, 30, 150]),
            members: pick(rng, &[0, 0, 300]),
            churn: 0,
            again: pick(rng, &[0, 0, 300]),
            clock: pick(rng, &[0, 0, 50]),
            stalls: pick(rng, &[0, 0, 50]),
            twice: pick(rng, &[0, 200]),
        }
        .with_churn(rng)
    }

    /// Drawn aside, so that all worlds without it stay what they are.
    fn with_churn(self, rng: &Rng) -> Self {
        let mut aside = rng.clone();
        Self {
            churn: pick(&mut aside, &[0, 0, 0, 700]),
            reloads: if aside.chance(250) { 200 } else { self.reloads },
            ..self
        }
    }
}

pub(super) fn policy(rng: &mut Rng) -> RollingUpgradePolicy {
    let mut percent = |low, high| Percent::clamped(rng.between(low, high));
    let (batch, unhealthy, upgraded, share) =
        (percent(5, 100), percent(5, 100), percent(0, 100), percent(1, 100));
    let growing = vec![BatchSize::Count(1), BatchSize::Share(share)];
    RollingUpgradePolicy {
        max_unhealthy_instance_percent: unhealthy,
        max_unhealthy_upgraded_instance_percent: upgraded,
        pause_time_between_batches: Duration::from_secs(pick(rng, &[0, 0, 10, 60])),
        enable_cross_zone_upgrade: rng.chance(300),
        prioritize_unhealthy_instances: rng.chance(300),
        max_surge: rng.chance(250),
        // No draw of its own: what comes after stays what it is.
        batch_of: if share.get() % 7 == 0 { BatchOf::UpdateDomain } else { BatchOf::Set },
        batches: if rng.chance(300) { growing } else { Vec::new() },
        ..RollingUpgradePolicy::plain(batch)
    }
}

fn pick<T: Copy + Default>(rng: &mut Rng, choices: &[T]) -> T {
    rng.pick(choices).copied().unwrap_or_default()
}

fn small(rng: &mut Rng, high: u64) -> u32 {
    u32::try_from(rng.between(0, high)).unwrap_or(0)
}
