//! Releases in a world: publishers, what people make of them, and what must hold at any time.
//!
//! The extensions are published, three sets are in two or three regions. What runs in a set is looked at by the rules of
//! any upgrade.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{
    Component, Enrolment, Estate, ExtensionName, ExtensionType, HandlerVersion, InstanceId, Location,
    ReleaseId, ReleaseVersion, ScaleSetName, Subscription, Timestamp, UpgradeId,
};
use crate::kernel::command::{Begins, Enrol, ReleaseCommand, ReleaseWish, ThenBack};
use crate::kernel::{Command, Fleet, ReleaseRules, SetState, TypeRules};
use crate::release::{How, Part, Release, ReleaseState, Run, Strategy};
use crate::rollout::invariants::Rule;
use crate::rollout::{Purpose, Stage, Upgrade};

use super::people::Why;
use super::scenario::{ReleasePeople, Scenario};
use super::world::{BEGIN, World};

/// Versions of each type that a world publishes.
const PUBLISHED_MAX: u32 = 3;

/// What is left of a release so long after the faults have stopped is stopped by a person.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// What is remembered of the releases of a world.
#[derive(Debug, Default)]
pub(super) struct Releasing {
    published: BTreeMap<ExtensionType, u32>,
    begun: BTreeSet<UpgradeId>,
    /// Upgrades that may not go on, and how many of their batches had begun by then.
    stopped: BTreeMap<UpgradeId, usize>,
}

fn region(number: usize) -> Location {
    Location::parse(&format!("r{number}")).unwrap()
}

fn subject(extension: u32) -> ExtensionType {
    ExtensionType::new("contoso", &format!("extension-{extension}")).unwrap()
}

fn version(minor: u32) -> ReleaseVersion {
    ReleaseVersion::parse(&format!("1.{minor}")).unwrap()
}

/// Not drawn, so that the worlds stay what they were: what differs between those with releases.
fn shape(scenario: &Scenario) -> u64 {
    scenario.interval.as_secs() / 5 + u64::from(scenario.missing / 300) * 2 + u64::from(scenario.ahead / 100)
}

/// Whether subscriptions have to register the feature.
fn requires_feature(scenario: &Scenario) -> bool {
    shape(scenario) >= 4
}

/// Who pays for a set: the last one is another's.
fn subscription(set: usize) -> Subscription {
    let number = usize::from(set == 2);
    Subscription::parse(&format!("00000000-0000-0000-0000-00000000000{number}")).unwrap()
}

/// Where a set stands: several in one region, of which one comes after the other, or each in its own.
pub(super) fn estate(scenario: &Scenario, set: usize) -> Estate {
    if !scenario.releases {
        return Estate::default();
    }
    let (regions, after) = match shape(scenario) % 3 {
        0 => ([0, 0, 1], [None, Some(0), None]),
        1 => ([0, 1, 2], [None; 3]),
        _ => ([0, 1, 1], [None, None, Some(1)]),
    };
    let after = after.get(set).copied().flatten();
    let enrolment = |number: u32| Enrolment {
        subject: subject(number),
        component: Component::Extension(ExtensionName::parse(&format!("extension-{number}")).unwrap()),
        automatic: true,
        minor: true,
        handler: HandlerVersion { major: 1, minor: 0 },
        resolves: false,
    };
    Estate {
        subscription: subscription(set),
        location: region(regions.get(set).copied().unwrap_or_default()),
        after: after
            .map(|number: usize| ScaleSetName::parse(&format!("set{number}")).unwrap())
            .into_iter()
            .collect(),
        enrolments: (0..scenario.extensions).map(enrolment).collect(),
        ..Estate::default()
    }
}

/// What releases of a world go by.
pub(super) fn rules(scenario: &Scenario) -> ReleaseRules {
    if !scenario.releases {
        return ReleaseRules::default();
    }
    let strategy = Strategy {
        region_phases: vec![vec![region(0)], vec![region(1)]],
        geo_pairs: vec![(region(2), region(1))],
        bake: Duration::from_secs(60),
        max_failed_sets: 1,
        retry_after: Duration::from_secs(90),
        retry_limit: 1,
        ..Strategy::default()
    };
    let types = (0..scenario.extensions).map(|number| (subject(number), TypeRules { versions_max: 100 }));
    ReleaseRules { strategy, types: types.collect(), require_feature: requires_feature(scenario) }
}

impl World {
    /// Publishers publish, and people do with releases what they like. When all is quiet, they let them go on, and in the
    /// end stop what is left.
    pub(super) fn people_and_releases(&mut self) {
        let Some(fleet) = self.kernel.as_ref().map(|kernel| kernel.fleet().clone()) else { return };
        if self.is_quiet() {
            return self.people_see_to_the_end(&fleet);
        }
        let number = u32::try_from(self.rng.between(0, u64::from(self.scenario.extensions - 1))).unwrap();
        let type_ = subject(number);
        let count = self.releasing.published.entry(type_.clone()).or_default();
        let (publish, wish) = match (self.scenario.release_people, *count) {
            (ReleasePeople::Rash, _) => (300, 150),
            (ReleasePeople::Fickle, 0) => (400, 300),
            (ReleasePeople::Fickle, _) => (20, 300),
        };
        if *count < PUBLISHED_MAX && self.rng.chance(publish) {
            *count += 1;
            let version = version(4 + *count);
            let begins = if self.rng.chance(900) { Begins::ByItself } else { Begins::WhenStarted };
            self.ask_of_releases(ReleaseCommand::Publish {
                subject: type_.clone(),
                version,
                digest: None,
                begins,
            });
        }
        if self.rng.chance(60) {
            let set = usize::try_from(self.rng.between(0, 2)).unwrap();
            let enrol = if self.rng.chance(500) { Enrol::Out } else { Enrol::In };
            self.ask_of_releases(ReleaseCommand::Enrol(self.name(set), type_.clone(), enrol));
        }
        if requires_feature(&self.scenario) && self.rng.chance(100) {
            let set = usize::try_from(self.rng.between(0, 2)).unwrap();
            let enrol = if self.rng.chance(700) { Enrol::In } else { Enrol::Out };
            self.ask_of_releases(ReleaseCommand::Feature(subscription(set), enrol));
        }
        let active: Vec<(ReleaseId, ReleaseVersion, usize)> = fleet
            .releases
            .active()
            .map(|release| (release.id.clone(), release.version.clone(), release.phases.len()))
            .collect();
        for (id, version, phases) in active {
            if !self.rng.chance(wish) {
                continue;
            }
            let phase = usize::try_from(self.rng.between(0, phases as u64)).unwrap();
            let rash = [
                ReleaseWish::Pause,
                ReleaseWish::Resume,
                ReleaseWish::Resume,
                ReleaseWish::Approve(phase),
                ReleaseWish::Approve(phase),
                ReleaseWish::Stop,
                ReleaseWish::RollBack,
            ];
            let fickle = [ReleaseWish::Pause, ReleaseWish::Resume, ReleaseWish::Resume];
            let (wishes, withdraws): (&[ReleaseWish], u32) = match self.scenario.release_people {
                ReleasePeople::Rash => (&rash, 100),
                ReleasePeople::Fickle => (&fickle, 0),
            };
            let wish = self.rng.pick(wishes).copied().unwrap();
            if self.rng.chance(1_000 - withdraws) {
                self.ask_of_releases(ReleaseCommand::Wish(id, wish));
            } else {
                let then = if self.rng.chance(500) { ThenBack::Stay } else { ThenBack::GoBack };
                self.ask_of_releases(ReleaseCommand::Withdraw { subject: type_.clone(), version, then });
            }
        }
    }

    fn people_see_to_the_end(&mut self, fleet: &Fleet) {
        let is_late = self.now.since(BEGIN) >= self.scenario.quiet_after + PATIENCE;
        let wish = |release: &Release| match release.state {
            ReleaseState::Running | ReleaseState::Halted if is_late => Some(ReleaseWish::Stop),
            ReleaseState::Halted => Some(ReleaseWish::Resume),
            ReleaseState::Running if release.paused => Some(ReleaseWish::Resume),
            ReleaseState::Running | ReleaseState::Ending(_) | ReleaseState::Ended(..) => None,
        };
        let all: Vec<(ReleaseId, ReleaseWish)> =
            fleet.releases.active().filter_map(|it| Some((it.id.clone(), wish(it)?))).collect();
        for (id, wish) in all {
            self.ask_of_releases(ReleaseCommand::Wish(id, wish));
        }
    }

    fn ask_of_releases(&mut self, command: ReleaseCommand) {
        self.ask(Command::Releases(Box::new(command)), Why::Whatever);
    }

    /// One zone of a region and no pair; no region phase before its predecessor; nobody who is opted out.
    pub(super) fn releases_hold(&mut self) {
        let Some(fleet) = self.kernel.as_ref().map(|kernel| kernel.fleet().clone()) else { return };
        let mut zones: BTreeMap<Location, Vec<(ScaleSetName, Option<String>)>> = BTreeMap::new();
        let mut regions: BTreeSet<Location> = BTreeSet::new();
        for set in fleet.sets() {
            let Some(upgrade) = set.active().filter(|upgrade| waits_for_others(upgrade)) else { continue };
            let region = &set.spec.estate.location;
            if !upgrade.releases.is_empty() {
                regions.insert(region.clone());
                if self.releasing.begun.insert(upgrade.id.clone()) {
                    self.a_set_begins(&fleet, set, upgrade);
                }
                self.nothing_more_begins(&fleet, set, upgrade);
            }
            let crosses = upgrade.policy.rolling.enable_cross_zone_upgrade;
            let batch = upgrade.batches.get(upgrade.current);
            if let Some(batch) = batch.filter(|_| upgrade.stage == Stage::InBatch && !crosses) {
                zones.entry(region.clone()).or_default().push((set.spec.name.clone(), batch.zone.clone()));
            }
        }
        for release in fleet.releases.active().filter(|release| release.state == ReleaseState::Running) {
            let failed = release.failed_units().len();
            if failed > release.allowed {
                let detail = format!("{failed} sets of {} failed, and it goes on", release.id);
                self.violation(Rule::Stopped, detail);
            }
        }
        for (region, flying) in zones {
            if flying.iter().map(|(_, zone)| zone).collect::<BTreeSet<_>>().len() > 1 {
                self.violation(
                    Rule::Borders,
                    format!("zones of {region} are in flight together: {flying:?}"),
                );
            }
        }
        if regions.contains(&region(1)) && regions.contains(&region(2)) {
            self.violation(Rule::Borders, "a pair is in flight together".to_owned());
        }
    }

    fn a_set_begins(&mut self, fleet: &Fleet, set: &SetState, upgrade: &Upgrade) {
        let name = &set.spec.name;
        for id in &upgrade.releases {
            let Some(release) = fleet.releases.release(id) else { continue };
            let Some(part) = release.parts.get(name).filter(|part| part.run == Run::Runs) else { continue };
            if is_opted_out(fleet, name, release) {
                self.violation(Rule::Consent, format!("{id} begins in `{name}`, which is opted out"));
            }
            let subscription = &set.spec.estate.subscription;
            if fleet.releases.rules.require_feature && !fleet.releases.registered.contains_key(subscription) {
                self.violation(Rule::Consent, format!("{id} begins in `{name}`, which is not registered"));
            }
            let published = fleet.releases.catalogue.get(&release.subject);
            if published.is_some_and(|it| it.withdrawal(release.version.version()).is_some()) {
                self.violation(Rule::Consent, format!("{id} begins in `{name}`, and was withdrawn"));
            }
            // Who has failed may be tried again, so that the release can go on.
            if release.paused || (release.state == ReleaseState::Halted && part.tries <= 1) {
                let detail = format!("{id} begins in `{name}` while it is {}", release.state_name());
                self.violation(Rule::Stopped, detail);
            }
            let comes_first = |first: &&ScaleSetName| {
                let first = release.parts.get(*first).map(|part| &part.run);
                first.is_some_and(|run| !matches!(run, Run::Done | Run::Left(_)))
            };
            if let Some(first) = part.after.iter().find(comes_first) {
                self.violation(Rule::Phases, format!("{id} begins in `{name}` before `{first}`"));
            }
            let excused = release.excused.get(&part.phase);
            let mut before = release.parts.iter().filter(|(_, other)| other.phase < part.phase);
            let is_waited_for = |name: &ScaleSetName| excused.is_none_or(|sets| !sets.contains(name));
            let bake = release.strategy.bake;
            let is_open = |part: &Part| is_open(part, bake, self.now);
            if let Some((first, other)) = before.find(|(name, other)| is_waited_for(name) && is_open(other)) {
                let detail = format!("{id} begins in `{name}` before `{first}`, which is {other:?}");
                self.violation(Rule::Phases, detail);
            }
        }
    }

    /// Where a release may not go on, no further batch of it begins.
    fn nothing_more_begins(&mut self, fleet: &Fleet, set: &SetState, upgrade: &Upgrade) {
        let name = &set.spec.name;
        let mut releases = upgrade.releases.iter().filter_map(|id| fleet.releases.release(id));
        let Some(why) = releases.find_map(|release| stopped(fleet, name, release, self.now)) else {
            self.releasing.stopped.remove(&upgrade.id);
            return;
        };
        // One whose hook before has failed has touched nobody.
        let has_begun = |id: &InstanceId| upgrade.members.get(id).is_some_and(|it| !it.never_began());
        let begun = upgrade.batches.iter().filter(|batch| {
            batch.started_at.is_some() && upgrade.members.of_batch(batch.number).any(has_begun)
        });
        let begun = begun.count();
        let before = *self.releasing.stopped.entry(upgrade.id.clone()).or_insert(begun);
        if begun > before {
            self.violation(Rule::Stopped, format!("another batch begins in `{name}`, where {why}"));
        }
    }
}

/// Why a release that has begun in a set may not go on there.
fn stopped(fleet: &Fleet, name: &ScaleSetName, release: &Release, now: Timestamp) -> Option<&'static str> {
    let part = release.parts.get(name).filter(|part| part.run == Run::Runs)?;
    let has_failed = |first: &ScaleSetName| {
        let run = release.parts.get(first).map(|part| &part.run);
        matches!(run, Some(Run::Ended { how: How::Faulted, .. }))
    };
    if is_opted_out(fleet, name, release) {
        Some("it was opted out")
    } else if part.after.iter().any(has_failed) {
        Some("what comes first has failed")
    } else if release.paused {
        Some("the release is paused")
    } else if release.state == ReleaseState::Halted && !part.passed_over {
        Some("the release is halted")
    } else if is_overtaken(release, part, now) {
        Some("an earlier region phase is no longer through")
    } else {
        None
    }
}

/// Whether a set of an earlier region phase is open again, and nobody has let this one go on without it. Who has not
/// begun because its pair is in flight is waited for by nobody that is.
fn is_overtaken(release: &Release, part: &Part, now: Timestamp) -> bool {
    let flying: BTreeSet<&Location> = release.regions_in_flight().collect();
    let pair_flies = |part: &Part| release.strategy.paired(&part.location).any(|pair| flying.contains(pair));
    let excused = release.excused.get(&part.phase);
    release.parts.iter().any(|(name, other)| {
        let has_begun = matches!(other.run, Run::Runs | Run::Done | Run::GoesBack | Run::Back);
        other.phase < part.phase
            && excused.is_none_or(|sets| !sets.contains(name))
            && (has_begun || !pair_flies(other))
            && is_open(other, release.strategy.bake, now)
    })
}

fn is_opted_out(fleet: &Fleet, name: &ScaleSetName, release: &Release) -> bool {
    fleet.releases.opted_out.contains_key(&(name.clone(), release.subject.clone()))
}

/// Whether an upgrade is one that has to wait for what is in flight beside it.
fn waits_for_others(upgrade: &Upgrade) -> bool {
    upgrade.is_forward() && upgrade.bypass.is_none() && upgrade.purpose == Purpose::Forward
}

fn is_open(part: &Part, bake: Duration, now: Timestamp) -> bool {
    match &part.run {
        Run::Done => part.watched_since.is_none_or(|since| since + bake > now),
        // Tried as often as it was to be: passed over where so many may.
        Run::Ended { how: How::Incomplete, retry_at: None, .. } => false,
        Run::Waits
        | Run::GoesBack
        | Run::Ended { how: How::Incomplete | How::Cancelled | How::NotApproved, .. } => true,
        Run::Runs => !part.passed_over,
        Run::Left(_) | Run::Back | Run::NotBack { .. } | Run::Ended { how: How::Faulted, .. } => false,
    }
}
