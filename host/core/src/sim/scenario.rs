//! What a simulated world is like: fleet, policy, faults. As JSON it is what a regression test replays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Bake, Checkpoints, Claim, Component, Decisions, ExtensionName, FailureRules, Goal, HealthGate, HookKinds,
    Model, RetryRule, RollingUpgradePolicy, Timeouts, UpgradeMode, Version, prepare_max, testing,
};
use crate::health::{FoldSettings, GraceEnd};

/// A world before it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Scenario {
    /// How many scale sets there are.
    pub(super) sets: usize,
    /// Instances of each.
    pub(super) instances: usize,
    /// Zones in use; 0 is a regional set.
    pub(super) zones: u32,
    /// Update domains in use; 0 is none.
    pub(super) update_domains: u32,
    /// Phases in use, besides instances without one.
    pub(super) phases: u32,
    /// Instances in a thousand that say skip.
    pub(super) skip: u32,
    /// Instances in a thousand that are protected.
    pub(super) protected: u32,
    /// Whether the upgrade changes the application.
    pub(super) application: Application,
    /// How many extensions it brings.
    pub(super) extensions: u32,
    /// Parts of an instance in a thousand that are there in the new version before.
    pub(super) ahead: u32,
    /// Other extensions of an instance in a thousand that it does not have before.
    pub(super) missing: u32,
    /// Azure's limits.
    pub(super) policy: RollingUpgradePolicy,
    /// The health gate.
    pub(super) gate: HealthGate,
    /// What happens beyond a failure.
    pub(super) failure: FailureRules,
    /// Where it stops by itself.
    pub(super) checkpoints: Checkpoints,
    /// Whether the application is asked again before each batch.
    pub(super) decisions: Decisions,
    /// The health state machine.
    pub(super) health: FoldSettings,
    /// From one probe to the next.
    pub(super) interval: Duration,
    /// When nothing may begin: from and to, since the beginning.
    pub(super) freeze: Option<(Duration, Duration)>,
    /// What kind of upgrade it is.
    pub(super) kind: Kind,
    /// Whether a person wants it in spite of the freeze.
    pub(super) bypass: bool,
    /// What goes wrong.
    pub(super) faults: Faults,
    /// Who keeps instances running.
    pub(super) keeper: Keeper,
    /// What a failed evaluation of the plugin means.
    pub(super) on_failure: Failing,
    /// Whether the first instance makes a round trip.
    pub(super) round_trip: bool,
    /// Publishers release versions of the extensions, through regions.
    pub(super) releases: bool,
    /// How people and publishers deal with releases.
    pub(super) release_people: ReleasePeople,
    /// What is run round instances and batches.
    pub(super) hooks: HookKinds,
    /// What begins an upgrade when the model changes.
    pub(super) mode: UpgradeMode,
    /// Whether an upgrade that failed is tried again by itself.
    pub(super) retry: Option<RetryRule>,
    /// Whether people start exactly the plan that they were shown.
    pub(super) planned: bool,
    /// How long what was upgraded is looked at in the end.
    pub(super) bake: Option<Bake>,
    /// How long it may take.
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    /// A person swaps in a component that says skip of some instances: so long after the beginning.
    pub(super) swap_at: Option<Duration>,
    /// The host hears nobody: so long after the beginning, and for so long.
    pub(super) cut_off: Option<(Duration, Duration)>,
    /// One crash at one place, instead of by chance.
    pub(super) crash: Option<Crash>,
    /// One commit that goes wrong, instead of by chance.
    pub(super) commit: Option<BadCommit>,
    /// Faults and people stop here.
    pub(super) quiet_after: Duration,
    /// Whatever has not ended here never will.
    pub(super) limit: Duration,
}

/// What kind of upgrade a world sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Batch by batch.
    Rolling,
    /// A person names all instances.
    Manual,
}

/// Whether an upgrade changes the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Application {
    /// It does.
    Changes,
    /// It stays as it is: only extensions change.
    Stays,
}

/// How people and publishers deal with releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ReleasePeople {
    /// Something newer is published before the last one is through, and releases are ended as often as anything else.
    Rash,
    /// Each type has a release that goes its way, and is paused and resumed again and again.
    Fickle,
}

/// Who keeps instances running, and what becomes of them when the host is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Keeper {
    /// The host; they live on.
    Host,
    /// The host; they are its children and die with it.
    HostAlone,
    /// The site; the driver can tell what runs.
    Site,
    /// The site; the driver cannot tell what runs.
    SiteSilent,
}

/// What a failed evaluation of the plugin means; see [`crate::domain::OnFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Failing {
    /// Held back.
    Hold,
    /// The last good decision.
    LastGood,
    /// As Azure would.
    Azure,
}

/// Which of the versions of a world: 1 is there before, 2 is what the first upgrade brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edition(pub(super) u32);

/// Rates, each in a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Faults {
    /// An instance goes down for a while; for each probe.
    pub(super) instance_crash: u32,
    /// A probe gets no answer.
    pub(super) lost_probe: u32,
    /// A new version of the application takes long to start.
    pub(super) slow_start: u32,
    /// An instance never becomes healthy at the new version of one part.
    pub(super) bad_version: u32,
    /// A zone goes down for a while; for each probe of its instances.
    pub(super) zone_loss: u32,
    /// The driver fails.
    pub(super) driver_fails: u32,
    /// The driver says done and nothing was done; only of the application, because nobody can ask
    /// what an extension is at.
    pub(super) driver_lies: u32,
    /// The driver does not answer until it is asked again after a restart of the host.
    pub(super) driver_hangs: u32,
    /// The driver answers twice, the second time late.
    pub(super) driver_repeats: u32,
    /// The host goes down; for each commit.
    pub(super) host_crash: u32,
    /// A person wants something; for each half minute. Also, that an upgrade that ended is taken back.
    pub(super) wishes: u32,
    /// A person stops the line or lets it go on; for each half minute.
    pub(super) line: u32,
    /// Two instances swap their phases, as when the leader moves, and say something else about
    /// taking part; for each probe.
    pub(super) fickle: u32,
    /// The answer to a probe takes so long that the instance may live another life by then.
    pub(super) late_probe: u32,
    /// The plugin fails on a round.
    pub(super) plugin_fails: u32,
    /// A person wants something of a plugin: another component, a way back, a file that is written, a changed
    /// configuration; for each half minute.
    pub(super) swaps: u32,
    /// A hand fails; for each stage.
    pub(super) hand_fails: u32,
    /// A hand never answers; for each stage.
    pub(super) hand_hangs: u32,
    /// A hand takes so long that its job may be over by then; for each stage.
    pub(super) hand_late: u32,
    /// A hand answers twice; for each stage.
    pub(super) hand_repeats: u32,
    /// The configuration is read again; for each half minute.
    pub(super) reloads: u32,
    /// A process ends by itself, and the driver says so; for each probe.
    pub(super) exits: u32,
    /// The driver says that a new instance is where another one is.
    pub(super) taken_address: u32,
    /// The record refuses, and goes on to do so for a while; for each commit.
    pub(super) refuses: u32,
    /// The answer of the record is lost: it was made, or it was not; for each commit.
    pub(super) loses: u32,
    /// Instances come, go and are protected, or another model is wanted; for each start of the host.
    pub(super) members: u32,
    /// A configuration that is read again has other instances, or another model; for each such.
    pub(super) churn: u32,
    /// A person starts another upgrade when one has ended.
    pub(super) again: u32,
    /// A person steps the wall clock; for each half minute.
    pub(super) clock: u32,
    /// The host stands still for a while; for each half minute.
    pub(super) stalls: u32,
    /// A request is sent twice under the same key.
    pub(super) twice: u32,
}

/// Where exactly the host goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crash {
    /// At which place.
    pub(super) at: CrashAt,
    /// The how-manieth of them, from 0.
    pub(super) number: usize,
}

/// A place where a crash hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CrashAt {
    /// Decided, not recorded.
    BeforeCommit,
    /// Recorded, nothing done.
    AfterCommit,
    /// One effect handed over, its answer lost.
    AfterAct,
}

/// Which commit goes wrong, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BadCommit {
    /// The how-manieth, from 0.
    pub(super) number: usize,
    /// How.
    pub(super) fate: Fate,
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// It is made.
    Made,
    /// It is not made, and the store knows.
    Refused,
    /// It is made, and the store cannot tell.
    AnswerLost,
    /// It is not made, and the store cannot tell.
    Doubted,
}

impl Default for Scenario {
    /// Twelve healthy instances, three zones, two phases, no faults.
    fn default() -> Self {
        Self {
            sets: 1,
            instances: 12,
            zones: 3,
            update_domains: 0,
            phases: 2,
            skip: 0,
            protected: 0,
            application: Application::Changes,
            extensions: 0,
            ahead: 0,
            missing: 0,
            policy: testing::limits(20),
            gate: testing::gate(120),
            failure: FailureRules::default(),
            checkpoints: Checkpoints::default(),
            decisions: Decisions::Snapshot,
            health: FoldSettings {
                number_of_probes: 1,
                grace_period: Duration::from_secs(40),
                fail_state: Claim::Unknown,
                at_grace_end: GraceEnd::HearOut,
            },
            interval: Duration::from_secs(5),
            freeze: None,
            kind: Kind::Rolling,
            bypass: false,
            faults: Faults::default(),
            keeper: Keeper::Host,
            on_failure: Failing::Hold,
            round_trip: false,
            releases: false,
            release_people: ReleasePeople::Rash,
            hooks: HookKinds::default(),
            mode: UpgradeMode::Manual,
            retry: None,
            planned: false,
            bake: None,
            timeouts: Timeouts::default(),
            swap_at: None,
            cut_off: None,
            crash: None,
            commit: None,
            quiet_after: Duration::from_secs(15 * 60),
            limit: Duration::from_secs(6 * 3600),
        }
    }
}

impl Scenario {
    /// How long an upgrade waits for answers before its snapshot. No probe takes longer than its interval.
    pub(super) fn prepare_max(&self) -> Duration {
        let FoldSettings { number_of_probes, grace_period, fail_state: _, at_grace_end: _ } = self.health;
        prepare_max(grace_period, number_of_probes, self.interval, self.interval)
    }

    /// Everything that an edition consists of.
    pub(super) fn model(&self, edition: Edition) -> Model {
        let extension = |number: u32| {
            let name = ExtensionName::parse(&format!("extension-{number}")).unwrap();
            (name, Version::parse(&format!("1.{}", edition.0 - 1)).unwrap())
        };
        Model {
            version: Version::parse(&format!("v{}", edition.0)).unwrap(),
            extensions: (0..self.extensions).map(extension).collect(),
        }
    }

    /// What an upgrade to an edition brings.
    pub(super) fn goal(&self, edition: Edition) -> Goal {
        let all = self.model(edition).goal();
        let stays = |component: &Component| {
            self.application == Application::Stays && *component == Component::Application
        };
        Goal::new(all.changes().filter(|change| !stays(&change.component)).cloned())
    }
}
