//! An estate of scale sets whose drivers and probes are played by the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::*;
use crate::kernel::command::ReleaseCommand;
use crate::kernel::command::{Begins, Command};
use crate::kernel::event::Event;
use crate::kernel::state::{InstanceState, SetState};
use crate::kernel::testing::{Rig, claims, decision, heard, orders};
use crate::kernel::{Refusal, ReleaseRules, SetConfig, TypeRules};
use crate::record::Disk;
use crate::release::{Release, Strategy};
use crate::rollout::Stage;

pub(super) const BAKE: Duration = Duration::from_secs(60);

pub(super) fn subject(text: &str) -> ExtensionType {
    ExtensionType::parse(text).unwrap()
}

pub(super) fn version(text: &str) -> ReleaseVersion {
    ReleaseVersion::parse(text).unwrap()
}

pub(super) fn extension(name: &str) -> Component {
    Component::Extension(ExtensionName::parse(name).unwrap())
}

fn enrolment(name: &str) -> Enrolment {
    Enrolment {
        subject: subject(&format!("contoso/{name}")),
        component: extension(name),
        automatic: true,
        minor: true,
        handler: HandlerVersion { major: 1, minor: 0 },
        resolves: true,
    }
}

/// A set of four in two zones, with the extensions `agent` and `logs` at 1.0, both enrolled.
pub(super) fn set(name: &str, location: &str) -> SetConfig {
    let mut config = orders();
    let spec = &mut config.spec;
    spec.name = ScaleSetName::parse(name).unwrap();
    let instance = |number: u16| {
        let mut one = (*spec.instances.values().next().unwrap().clone()).clone();
        one.id = InstanceId::parse(&number.to_string()).unwrap();
        one.zone = Some(format!("z{}", number % 2));
        Arc::new(one)
    };
    spec.instances = (0..4).map(instance).map(|one| (one.id.clone(), one)).collect();
    let extensions = ["agent", "logs"];
    spec.model.extensions =
        extensions.map(|name| (ExtensionName::parse(name).unwrap(), Version::parse("1.0").unwrap())).to_vec();
    spec.estate.location = Location::parse(location).unwrap();
    spec.estate.enrolments = extensions.map(enrolment).to_vec();
    config
}

/// What the drivers and the probes of an estate do.
pub(super) struct World {
    pub(super) rig: Rig,
    /// Versions of extensions with which no instance is healthy.
    pub(super) bad: BTreeSet<Change>,
    /// Versions that drivers cannot install.
    pub(super) broken: BTreeSet<Change>,
    /// Instances on which drivers can install nothing.
    pub(super) broken_on: BTreeSet<(ScaleSetName, InstanceId)>,
    /// Sets that are unhealthy, whatever they run.
    pub(super) sick: BTreeSet<ScaleSetName>,
    /// Instances that are unhealthy, whatever they run.
    pub(super) ill: BTreeSet<(ScaleSetName, InstanceId)>,
    /// Sets that nobody hears.
    pub(super) silent: BTreeSet<ScaleSetName>,
    /// What instances have, in truth.
    has: BTreeMap<(ScaleSetName, InstanceId, Component), Version>,
    /// What was told to drivers, in order.
    pub(super) told: Vec<(String, Change)>,
}

pub(super) fn rules() -> ReleaseRules {
    let region = |text: &str| Location::parse(text).unwrap();
    let strategy = Strategy {
        region_phases: vec![vec![region("canary")], vec![region("westeurope"), region("eastus")]],
        geo_pairs: vec![(region("northeurope"), region("westeurope"))],
        bake: BAKE,
        ..Strategy::default()
    };
    let types =
        ["contoso/agent", "contoso/logs"].map(|name| (subject(name), TypeRules { versions_max: 100 }));
    ReleaseRules { strategy, types: types.into(), require_feature: false }
}

impl World {
    /// Two sets in each of four regions.
    pub(super) fn new() -> Self {
        let sets = ["canary", "westeurope", "eastus", "northeurope"];
        let both = |region: &&str| [set(&format!("{region}-a"), region), set(&format!("{region}-b"), region)];
        Self::of(sets.iter().flat_map(both).collect(), rules())
    }

    pub(super) fn of(sets: Vec<SetConfig>, rules: ReleaseRules) -> Self {
        let rig = Rig::with(Disk::default(), sets, rules, Now::same(Timestamp(1_000_000)));
        let empty = BTreeSet::new;
        let mut world = Self {
            rig,
            bad: empty(),
            broken: empty(),
            broken_on: BTreeSet::new(),
            sick: BTreeSet::new(),
            ill: BTreeSet::new(),
            silent: BTreeSet::new(),
            has: BTreeMap::new(),
            told: Vec::new(),
        };
        world.step();
        world.step();
        // Everybody is new, and gets the extensions first.
        while world.any_is_new() {
            world.step();
        }
        world.told.clear();
        world
    }

    fn any_is_new(&self) -> bool {
        let mut sets = self.rig.kernel.fleet().sets();
        sets.any(|set| set.members().any(InstanceState::is_provisioned_first))
    }

    pub(super) fn set(&self, name: &str) -> &SetState {
        self.rig.kernel.fleet().set(&ScaleSetName::parse(name).unwrap()).unwrap()
    }

    /// A second passes: drivers answer, and everybody is asked.
    pub(super) fn step(&mut self) {
        for asked in self.rig.questions() {
            let recorded = asked.expected.clone().unwrap_or_else(|| Version::parse("v1").unwrap());
            self.rig.sees(asked, Seen::Version(recorded));
        }
        for asked in self.rig.asked() {
            let change = Change { component: asked.component.clone(), to: asked.version.clone() };
            self.told.push((asked.scale_set.to_string(), change.clone()));
            let on = (asked.scale_set.clone(), asked.instance.id.clone());
            if self.broken.contains(&change) || self.broken_on.contains(&on) {
                self.rig.done(asked, Err("exit code 3"));
                continue;
            }
            self.has
                .insert((asked.scale_set.clone(), asked.instance.id.clone(), change.component), change.to);
            self.rig.done(asked, Ok(()));
        }
        self.judge();
        self.rig.pass(Duration::from_secs(1));
        self.check();
    }

    /// One probe of everybody.
    fn judge(&mut self) {
        let now = self.rig.now.at;
        let mut batch = Vec::new();
        for set in self.rig.kernel.fleet().sets() {
            for instance in set.members() {
                let of = |(name, id, _): &&(ScaleSetName, InstanceId, Component)| {
                    *name == set.spec.name && *id == instance.spec.id
                };
                let mine = self.has.iter().filter(|(key, _)| of(key));
                let is_bad = mine
                    .map(|((_, _, component), to)| Change { component: component.clone(), to: to.clone() })
                    .any(|change| self.bad.contains(&change));
                let is_ill = self.ill.contains(&(set.spec.name.clone(), instance.spec.id.clone()));
                let is_sick = is_bad || is_ill || self.sick.contains(&set.spec.name);
                let said = if is_sick { claims(Claim::Unhealthy) } else { decision(0) };
                let is_silent = self.silent.contains(&set.spec.name);
                let result = Ok(Arc::new(if is_silent { claims(Claim::Unknown) } else { said }));
                batch.push(Decided {
                    scale_set: set.spec.name.clone(),
                    instance: instance.spec.id.clone(),
                    epoch: instance.epoch,
                    started_at: now,
                    finished_at: now,
                    again: false,
                    heard: heard(&result),
                    outcome: Arc::new(Outcome {
                        stamp: PluginStamp {
                            name: PluginName::parse("db").unwrap(),
                            digest: Digest([7; 32]),
                            generation: Generation(1),
                        },
                        evaluation: Evaluation { at: now, ..Evaluation::default() },
                        result,
                    }),
                });
            }
        }
        self.rig.turn(vec![Event::Judged(batch)]);
    }

    /// What holds at any time: one zone of a region, and no pair.
    fn check(&self) {
        let mut flying: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut in_release: BTreeSet<&str> = BTreeSet::new();
        for set in self.rig.kernel.fleet().sets() {
            let Some(upgrade) =
                set.active().filter(|upgrade| upgrade.is_forward() && upgrade.bypass.is_none())
            else {
                continue;
            };
            let region = set.spec.estate.location.as_str();
            if !upgrade.releases.is_empty() {
                in_release.insert(region);
            }
            if upgrade.stage == Stage::InBatch {
                let zones = upgrade.batch_members(upgrade.current).into_iter();
                let zones = zones.map(|id| set.instance(id).unwrap().spec.zone.clone().unwrap());
                flying.entry(region).or_default().extend(zones);
            }
        }
        assert!(flying.values().all(|zones| zones.len() == 1), "{flying:?}");
        assert!(
            !(in_release.contains("northeurope") && in_release.contains("westeurope")),
            "a pair is in flight"
        );
    }

    /// Steps until something holds.
    pub(super) fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if holds(self) {
                return;
            }
            self.step();
        }
        panic!("it never came: {:?}", self.release().map(|it| (it.state_name(), it.log.clone())));
    }

    pub(super) fn ask(&mut self, wanted: ReleaseCommand) -> Result<(), Refusal> {
        self.rig.ask(Command::Releases(Box::new(wanted))).unwrap().map(drop)
    }

    pub(super) fn publish(&mut self, of: &str, number: &str) -> Result<(), Refusal> {
        let (subject, version) = (subject(of), version(number));
        self.ask(ReleaseCommand::Publish { subject, version, digest: None, begins: Begins::ByItself })
    }

    /// The latest release.
    pub(super) fn release(&self) -> Option<&Release> {
        self.rig.kernel.fleet().releases.all.get_max().map(|(_, release)| &**release)
    }

    pub(super) fn is(&self, state: &str) -> bool {
        self.release().is_some_and(|release| release.state_name() == state)
    }

    /// Sets all of whose instances have a version of the agent.
    pub(super) fn at(&self, number: &str) -> BTreeSet<String> {
        let has = |set: &SetState| {
            set.members()
                .all(|one| one.runs_of(&extension("agent")).version().map(Version::as_str) == Some(number))
        };
        self.rig.kernel.fleet().sets().filter(|set| has(set)).map(|set| set.spec.name.to_string()).collect()
    }

    pub(super) fn restart(mut self) -> Self {
        self.rig = self.rig.restart();
        self
    }
}
