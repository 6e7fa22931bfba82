//! How the scale sets of a world come into being: what the configuration says, and what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Address, Change, ClockTime, Component, Creation, Custody, DriverTraits, Fence, FreezeWindow,
    FreezeWindows, HealthSettings, Instance, InstanceId, OnFailure, Participation, Phase, PluginName,
    ProbeConnection, ProbeProtocol, Profile, Protection, Provisioning, ScaleSet, ScaleSetName, Sight,
    UpgradePolicy, Weekdays,
};
use crate::kernel::SetConfig;

use super::fleet::{Node, Says};
use super::releasing;
use super::rng::Rng;
use super::scenario::{Edition, Failing, Keeper, Scenario};
use super::versions::Versions;
use super::world::BEGIN;

/// Where each instance listens; no two are at one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(u16);

impl Addresses {
    pub(super) fn next(&mut self) -> Address {
        self.0 += 1;
        Address { host: "10.0.0.1".to_owned(), port: self.0 }
    }
}

/// What instances are made of.
pub(super) struct Making<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) scenario: &'a Scenario,
    pub(super) addresses: &'a mut Addresses,
}

impl Making<'_> {
    /// One scale set by its number, and what runs of it.
    pub(super) fn set(&mut self, number: usize) -> (SetConfig, BTreeMap<InstanceId, Node>) {
        let scenario = self.scenario;
        let mut instances = BTreeMap::new();
        let mut nodes = BTreeMap::new();
        for instance in 0..scenario.instances {
            let id = InstanceId::parse(&instance.to_string()).unwrap();
            let (instance, node) = self.instance(id.clone());
            instances.insert(id.clone(), Arc::new(instance));
            nodes.insert(id, node);
        }
        let plugin = if number == 2 { "other" } else { "simulated" };
        let spec = ScaleSet {
            name: ScaleSetName::parse(&format!("set{number}")).unwrap(),
            plugin: PluginName::parse(plugin).unwrap(),
            health: health(scenario),
            policy: policy(scenario),
            mode: scenario.mode,
            retry: scenario.retry,
            freeze: freeze(scenario),
            estate: releasing::estate(scenario, number),
            model: scenario.model(Edition(1)),
            instances,
            provisioning: provisioning(scenario),
            forget_after: Duration::from_secs(3600),
            driver: (),
        };
        let custody = match scenario.keeper {
            Keeper::Host | Keeper::HostAlone => Custody::Host,
            Keeper::Site | Keeper::SiteSilent => Custody::Site,
        };
        let on_failure = on_failure(scenario.on_failure);
        let sight = match scenario.keeper {
            Keeper::Host | Keeper::HostAlone | Keeper::Site => Sight::APPLICATION,
            Keeper::SiteSilent => Sight::NONE,
        };
        let driver = DriverTraits { custody, creation: Creation::Possible, sight };
        (SetConfig { spec, driver, on_failure }, nodes)
    }

    /// The next instance: as it is configured, and as it is.
    pub(super) fn instance(&mut self, id: InstanceId) -> (Instance, Node) {
        let scenario = self.scenario;
        let zone = self.below(scenario.zones).map(|zone| (zone + 1).to_string());
        let update_domain = self.below(scenario.update_domains);
        let phase = self.below(scenario.phases).and_then(Phase::new);
        let last_phase = self.rng.chance(150);
        let protection =
            Protection { from_scale_set_actions: self.rng.chance(scenario.protected), from_scale_in: false };
        let skips = self.rng.chance(scenario.skip);
        let bad_version = self.bad_version();
        let address = self.addresses.next();
        let says = Says {
            phase: if last_phase { None } else { phase },
            participation: if skips { Participation::Skip } else { Participation::Proceed },
        };
        let node = Node {
            zone: zone.clone(),
            says,
            bad_version,
            address: address.clone(),
            running: self.versions(),
            up_at: BEGIN,
            calls: BTreeMap::new(),
            fence: Fence::NONE,
        };
        let labels = BTreeMap::new();
        let region = None;
        let instance =
            Instance { id, address, region, zone, update_domain, fault_domain: None, labels, protection };
        (instance, node)
    }

    /// What of the next edition never works, if anything.
    pub(super) fn bad_version(&mut self) -> Option<Change> {
        let goal = self.scenario.goal(Edition(2));
        let changes: Vec<&Change> = goal.changes().collect();
        let bad = self.rng.chance(self.scenario.faults.bad_version);
        if bad { self.rng.pick(&changes).copied().cloned() } else { None }
    }

    /// All run the application. An extension may be missing, or be there in its new version.
    fn versions(&mut self) -> Versions {
        let (before, after) = (self.scenario.model(Edition(1)), self.scenario.goal(Edition(2)));
        let mut versions = Versions::default();
        for change in before.goal().changes() {
            let ahead = self.rng.chance(self.scenario.ahead);
            let newer = after.of(&change.component).filter(|_| ahead);
            let version = match &change.component {
                Component::Extension(_) if newer.is_none() && self.rng.chance(self.scenario.missing) => None,
                Component::Application | Component::Extension(_) => Some(newer.unwrap_or(&change.to).clone()),
            };
            versions.set(&change.component, version);
        }
        versions
    }

    fn below(&mut self, count: u32) -> Option<u32> {
        let last = u64::from(count.checked_sub(1)?);
        u32::try_from(self.rng.between(0, last)).ok()
    }
}

/// The first of several comes after the last.
fn provisioning(scenario: &Scenario) -> Provisioning {
    let names: Vec<_> = scenario.model(Edition(1)).extensions.into_iter().map(|(name, _)| name).collect();
    let after = match names.as_slice() {
        [first, .., last] => BTreeMap::from([(first.clone(), BTreeSet::from([last.clone()]))]),
        [] | [_] => BTreeMap::new(),
    };
    Provisioning { after, ..Provisioning::default() }
}

fn health(scenario: &Scenario) -> HealthSettings {
    let protocol = match scenario.health.fail_state {
        crate::domain::Claim::Unhealthy => ProbeProtocol::Tcp,
        crate::domain::Claim::Healthy | crate::domain::Claim::Unknown => ProbeProtocol::Http,
    };
    HealthSettings {
        profile: Profile::Fleet,
        protocol,
        port: None,
        request_path: "/health".to_owned(),
        grpc_service: String::new(),
        identity: None,
        interval: scenario.interval,
        timeout: scenario.interval,
        number_of_probes: scenario.health.number_of_probes,
        grace_period: scenario.health.grace_period,
        body_max: 1024,
        headers: Vec::new(),
        connection: ProbeConnection::Close,
        request_headers: Vec::new(),
        sources: Vec::new(),
    }
}

fn policy(scenario: &Scenario) -> UpgradePolicy {
    UpgradePolicy {
        rolling: scenario.policy.clone(),
        gate: scenario.gate,
        failure: scenario.failure,
        checkpoints: scenario.checkpoints.clone(),
        decisions: scenario.decisions,
        urgency: Default::default(),
        defer_max: Duration::from_secs(600),
        bake: scenario.bake,
        hooks: scenario.hooks,
        round_trip: scenario.round_trip,
        timeouts: scenario.timeouts,
        prepare_max: scenario.prepare_max(),
    }
}

/// One window on the first day of the world, in whole minutes.
fn freeze(scenario: &Scenario) -> FreezeWindows {
    let Some((from, to)) = scenario.freeze else { return FreezeWindows::default() };
    let clock = |since: Duration| {
        let minutes = (BEGIN + since).0 / 60_000;
        ClockTime::parse(&format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)).unwrap()
    };
    let day = jiff::civil::date(1970, 1, 1);
    let frozen = vec![FreezeWindow {
        days: Weekdays::ALL,
        from: clock(from),
        to: clock(to + Duration::from_secs(60)),
        zone: jiff::tz::TimeZone::UTC,
        first_date: Some(day),
        last_date: Some(day),
        reason: None,
    }];
    FreezeWindows { frozen, allowed: Vec::new() }
}

pub(super) fn on_failure(failing: Failing) -> OnFailure {
    match failing {
        Failing::Hold => OnFailure::Hold,
        Failing::LastGood => OnFailure::LastGood,
        Failing::Azure => OnFailure::Azure,
    }
}
