//! An estate that is made up: regions in phases that grow, pairs that are apart, sets in zones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Address, Component, Creation, DriverTraits, Enrolment, Estate, ExtensionType, HandlerVersion, Instance,
    InstanceId, Location, OnFailure, Protection, ReleaseVersion, ScaleSet, ScaleSetName, Sight, Version,
};
use crate::kernel::{ReleaseRules, SetConfig, TypeRules};
use crate::release::Strategy;

/// Most regions that are entered together.
const PHASE_MAX: usize = 4;

/// What is made up.
#[derive(Debug, Clone)]
pub struct Invented {
    /// Regions.
    pub regions: usize,
    /// Sets, spread evenly.
    pub sets: usize,
    /// Instances of each set.
    pub instances: usize,
    /// Zones of each region; 0 is none.
    pub zones: usize,
    /// How long a region phase is looked at.
    pub bake: Duration,
}

/// The sets and the rules, with one set as a pattern of what they have in common.
///
/// # Errors
/// When a name cannot be made, which is a mistake in here.
pub fn invented(
    wanted: &Invented,
    pattern: &ScaleSet,
    subject: &ExtensionType,
) -> Result<(Vec<SetConfig>, ReleaseRules), String> {
    let regions = (0..wanted.regions.max(1)).map(|number| {
        let name = if number == 0 { "canary".to_owned() } else { format!("region-{number}") };
        Location::parse(&name).map_err(|error| error.to_string())
    });
    let regions: Vec<Location> = regions.collect::<Result<_, _>>()?;
    let mut phases: Vec<Vec<Location>> = Vec::new();
    let mut size = 1;
    for region in &regions {
        if phases.last().is_none_or(|phase| phase.len() >= size) {
            size = if phases.is_empty() { 1 } else { (size * 2).min(PHASE_MAX) };
            phases.push(Vec::new());
        }
        if let Some(phase) = phases.last_mut() {
            phase.push(region.clone());
        }
    }
    // The first regions of neighbouring phases are pairs.
    let firsts: Vec<&Location> = phases.iter().skip(1).filter_map(|phase| phase.first()).collect();
    let pairs = firsts.chunks(2).filter_map(|two| match two {
        [one, other] => Some(((*one).clone(), (*other).clone())),
        _ => None,
    });
    let strategy = Strategy {
        geo_pairs: pairs.collect(),
        region_phases: phases,
        bake: wanted.bake,
        ..Strategy::default()
    };
    let types = [(subject.clone(), TypeRules { versions_max: 1_000 })];
    let rules = ReleaseRules { strategy, types: types.into(), require_feature: false };
    let sets = (0..wanted.sets).map(|number| {
        let region = regions.get(number % regions.len()).ok_or("no region")?;
        set(wanted, pattern, subject, (number, region))
    });
    Ok((sets.collect::<Result<_, String>>()?, rules))
}

fn set(
    wanted: &Invented,
    pattern: &ScaleSet,
    subject: &ExtensionType,
    (number, region): (usize, &Location),
) -> Result<SetConfig, String> {
    let name = ScaleSetName::parse(&format!("{region}-set-{number}")).map_err(|error| error.to_string())?;
    let instance = |index: usize| {
        let id = InstanceId::parse(&index.to_string()).map_err(|error| error.to_string())?;
        let zone = (wanted.zones > 0).then(|| (index % wanted.zones.max(1) + 1).to_string());
        let one = Instance {
            id: id.clone(),
            address: Address { host: "127.0.0.1".to_owned(), port: 1 },
            region: Some(region.to_string()),
            zone,
            update_domain: None,
            fault_domain: None,
            labels: BTreeMap::new(),
            protection: Protection::default(),
        };
        Ok((id, Arc::new(one)))
    };
    let instances = (0..wanted.instances.max(1)).map(instance).collect::<Result<_, String>>()?;
    let first = ReleaseVersion::parse("1.0.0").map_err(|error| error.to_string())?;
    let enrolment = Enrolment {
        subject: subject.clone(),
        component: Component::Application,
        automatic: true,
        minor: true,
        handler: HandlerVersion { major: first.major(), minor: first.minor() },
        resolves: false,
    };
    let mut spec = pattern.clone();
    spec.name = name;
    spec.model.version = Version::parse("1.0.0").map_err(|error| error.to_string())?;
    spec.model.extensions.clear();
    spec.estate = Estate { location: region.clone(), enrolments: vec![enrolment], ..Estate::default() };
    spec.instances = instances;
    Ok(SetConfig { spec, driver: site(), on_failure: OnFailure::Hold })
}

/// From one look at an instance to the next, where nothing is begun: never. It would see what is recorded.
const LOOKED_AT: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A driver of instances that the site keeps running.
#[must_use]
pub fn site() -> DriverTraits {
    DriverTraits {
        custody: crate::domain::Custody::Site,
        creation: Creation::NotTold,
        sight: Sight { interval: LOOKED_AT, ..Sight::APPLICATION },
    }
}
