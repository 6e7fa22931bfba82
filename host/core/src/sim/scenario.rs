//! What a simulated world is like: fleet, policy, faults.

use std::time::Duration;

use crate::domain::{
    Change, Checkpoints, Claim, Component, Decisions, FailureRules, Goal, HealthGate, Percent,
    RollingUpgradePolicy, Version, prepare_max,
};
use crate::health::FoldSettings;

/// A world before it begins.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Size of the fleet.
    pub instances: usize,
    /// Zones in use; 0 is a regional set.
    pub zones: u32,
    /// Update domains in use; 0 is none.
    pub update_domains: u32,
    /// Phases in use, besides instances without one.
    pub phases: u32,
    /// Instances in a thousand that say skip.
    pub skip: u32,
    /// Instances in a thousand that are protected.
    pub protected: u32,
    /// Where the application stands among what the upgrade brings.
    pub application: Place,
    /// How many extensions it brings.
    pub extensions: u32,
    /// Parts of an instance in a thousand that are there in the new version before.
    pub ahead: u32,
    /// Other extensions of an instance in a thousand that it does not have before.
    pub missing: u32,
    /// Azure's limits.
    pub policy: RollingUpgradePolicy,
    /// The health gate.
    pub gate: HealthGate,
    /// What happens beyond a failure.
    pub failure: FailureRules,
    /// Where it stops by itself.
    pub checkpoints: Checkpoints,
    /// Whether the application is asked again before each batch.
    pub decisions: Decisions,
    /// The health state machine.
    pub health: FoldSettings,
    /// From one probe to the next.
    pub interval: Duration,
    /// When nothing may begin: from and to, since the beginning.
    pub freeze: Option<(Duration, Duration)>,
    /// What kind of upgrade it is.
    pub kind: Kind,
    /// Whether a person wants it in spite of the freeze.
    pub bypass: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// Instances are children of the host and die with it.
    pub dies_with_host: bool,
    /// One crash at one place, instead of by chance.
    pub crash: Option<Crash>,
    /// Faults and people stop here.
    pub quiet_after: Duration,
    /// Whatever has not ended here never will.
    pub limit: Duration,
}

/// What kind of upgrade a world sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Batch by batch.
    Rolling,
    /// A person names all instances.
    Manual,
}

/// Where the application stands among what an upgrade brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the extensions.
    First,
    /// Behind them.
    Last,
    /// It stays as it is: only extensions change.
    Absent,
}

/// Whose versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Those of the model before the upgrade.
    Before,
    /// Those that the upgrade brings.
    After,
}

/// Rates, each in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// An instance goes down for a while; for each probe.
    pub instance_crash: u32,
    /// A probe gets no answer.
    pub lost_probe: u32,
    /// A new version of the application takes long to start.
    pub slow_start: u32,
    /// An instance never becomes healthy at the new version of one part.
    pub bad_version: u32,
    /// A zone goes down for a while; for each probe of its instances.
    pub zone_loss: u32,
    /// The driver fails.
    pub driver_fails: u32,
    /// The driver says done and nothing was done; only of the application, because nobody can ask
    /// what an extension is at.
    pub driver_lies: u32,
    /// The driver does not answer until it is asked again after a restart of the host.
    pub driver_hangs: u32,
    /// The driver answers twice, the second time late.
    pub driver_repeats: u32,
    /// The host goes down; for each commit.
    pub host_crash: u32,
    /// A person wants something; for each half minute. Also, that an upgrade that ended is taken back.
    pub wishes: u32,
    /// A person stops the line or lets it go on; for each half minute.
    pub line: u32,
    /// Two instances swap their phases, as when the leader moves, and say something else about
    /// taking part; for each probe.
    pub fickle: u32,
}

/// Where exactly the host goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// At which place.
    pub at: CrashAt,
    /// The how-manieth of them, from 0.
    pub number: usize,
}

/// A place where a crash hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashAt {
    /// Decided, not recorded.
    BeforeCommit,
    /// Recorded, nothing done.
    AfterCommit,
    /// One effect handed over, its answer lost.
    AfterAct,
}

impl Default for Scenario {
    /// Twelve healthy instances, three zones, two phases, no faults.
    fn default() -> Self {
        let percent = Percent::clamped;
        Self {
            instances: 12,
            zones: 3,
            update_domains: 0,
            phases: 2,
            skip: 0,
            protected: 0,
            application: Place::First,
            extensions: 0,
            ahead: 0,
            missing: 0,
            policy: RollingUpgradePolicy {
                max_batch_instance_percent: percent(20),
                max_unhealthy_instance_percent: percent(20),
                max_unhealthy_upgraded_instance_percent: percent(20),
                pause_time_between_batches: Duration::ZERO,
                enable_cross_zone_upgrade: false,
                prioritize_unhealthy_instances: false,
                max_surge: false,
                batches: Vec::new(),
            },
            gate: HealthGate {
                wait: Duration::ZERO,
                stable_for: Duration::ZERO,
                deadline: Duration::from_secs(120),
            },
            failure: FailureRules::default(),
            checkpoints: Checkpoints::default(),
            decisions: Decisions::Snapshot,
            health: FoldSettings {
                number_of_probes: 1,
                grace_period: Duration::from_secs(40),
                fail_state: Claim::Unknown,
            },
            interval: Duration::from_secs(5),
            freeze: None,
            kind: Kind::Rolling,
            bypass: false,
            faults: Faults::default(),
            dies_with_host: false,
            crash: None,
            quiet_after: Duration::from_secs(15 * 60),
            limit: Duration::from_secs(6 * 3600),
        }
    }
}

impl Scenario {
    /// How long an upgrade waits for answers before its snapshot. No probe takes longer than its interval.
    pub(super) fn prepare_max(&self) -> Duration {
        let FoldSettings { number_of_probes, grace_period, fail_state: _ } = self.health;
        prepare_max(grace_period, number_of_probes, self.interval, self.interval)
    }

    /// The versions that the model names of everything that the upgrade brings, in its order.
    pub(super) fn goal(&self, of: Of) -> Goal {
        let (application, extension) = match of {
            Of::Before => ("v1", "1.0"),
            Of::After => ("v2", "1.1"),
        };
        let change = |(component, to): (String, &str)| {
            Some(Change { component: Component::try_from(component).ok()?, to: Version::parse(to).ok()? })
        };
        let extensions = (0..self.extensions).map(|number| (format!("extension-{number}"), extension));
        let application = || (Component::Application.to_string(), application);
        let (first, last) = match self.application {
            Place::First => (Some(application()), None),
            Place::Last => (None, Some(application())),
            Place::Absent => (None, None),
        };
        Goal::new(first.into_iter().chain(extensions).chain(last).filter_map(change))
    }
}
