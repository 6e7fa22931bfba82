//! Who is simulated: a made-up fleet, the instances of a configuration, or a recorded fleet.

use std::path::Path;

use anyhow::{Context, bail};

use super::parse;
use crate::cli::args::SimulateArgs;
use phasegate_core::domain::{Instance, InstanceId, Participation, Phase, Protection, ScaleSet, Version};
use phasegate_core::sim::forecast::{Condition, Crowd, Facts, Fleet, Invented};
use phasegate_wire as wire;

/// Instances of a made-up fleet, if no number is named.
const INSTANCES: usize = 100;

/// Largest fleet; twice what fits into the memory of a small machine.
const INSTANCES_MAX: usize = 2_000_000;

/// Most regions, zones and update domains.
const PARTS_MAX: u32 = 1000;

/// Version of instances of which none is known.
const FORMER: &str = "before";

/// Who, in how many regions, and which version they get.
pub(super) struct Simulated {
    pub(super) fleet: Fleet,
    pub(super) regions: u32,
    pub(super) to: Version,
}

/// Chooses by the arguments.
pub(super) fn of(
    args: &SimulateArgs,
    set: Option<&ScaleSet>,
    to: Option<&Version>,
) -> anyhow::Result<Simulated> {
    if let Some(path) = &args.fleet {
        made_up_only(args, "--fleet")?;
        return recorded(path, args, to);
    }
    let wanted = to.cloned().or_else(|| set.map(|set| set.model.version.clone()));
    let to = match wanted {
        Some(version) => version,
        None => version("wanted")?,
    };
    match set {
        Some(set) if args.instances.is_none() => configured(args, set, to),
        Some(_) | None => made_up(args, to),
    }
}

/// Regions and zones cannot be asked of instances that have theirs.
fn made_up_only(args: &SimulateArgs, what: &str) -> anyhow::Result<()> {
    let given = [
        ("--zones", args.zones.is_some()),
        ("--regions", args.regions.is_some()),
        ("--update-domains", args.update_domains.is_some()),
        ("--phases", args.phases.is_some() && what == "--fleet"),
        ("--skip", args.skip.is_some() && what == "--fleet"),
        ("--protected", args.protected.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => bail!("`{option}` is for made-up fleets; the instances of `{what}` have theirs"),
        None => Ok(()),
    }
}

fn made_up(args: &SimulateArgs, to: Version) -> anyhow::Result<Simulated> {
    let instances = args.instances.unwrap_or(INSTANCES);
    if !(1..=INSTANCES_MAX).contains(&instances) {
        bail!("`--instances` is {instances} (allowed: 1 to {INSTANCES_MAX})");
    }
    let regions = part("--regions", args.regions.unwrap_or(1), 1)?;
    let invented = Invented {
        instances,
        zones: u16::try_from(part("--zones", u32::from(args.zones.unwrap_or(3)), 0)?)?,
        update_domains: part("--update-domains", args.update_domains.unwrap_or(0), 0)?,
        phases: parse::phases(args.phases.as_deref().unwrap_or("1"))?,
        skip: share("--skip", args.skip.as_deref())?,
        protected: share("--protected", args.protected.as_deref())?,
    };
    if usize::try_from(regions).is_ok_and(|regions| regions > instances) {
        bail!("`--regions` is {regions}, more than the {instances} instances");
    }
    Ok(Simulated { fleet: Fleet::Invented(invented), regions, to })
}

fn part(what: &str, count: u32, least: u32) -> anyhow::Result<u32> {
    if !(least..=PARTS_MAX).contains(&count) {
        bail!("`{what}` is {count} (allowed: {least} to {PARTS_MAX})");
    }
    Ok(count)
}

fn share(what: &str, text: Option<&str>) -> anyhow::Result<u32> {
    text.map_or(Ok(0), |text| parse::percent(what, text))
}

/// The instances of a configuration. Their phases are known to the application alone: they are
/// dealt out by the shares, in order.
fn configured(args: &SimulateArgs, set: &ScaleSet, to: Version) -> anyhow::Result<Simulated> {
    made_up_only(args, "-c")?;
    let shares = parse::phases(args.phases.as_deref().unwrap_or("1"))?;
    let skip = share("--skip", args.skip.as_deref())?;
    let count = u64::try_from(set.instances.len())?;
    let mut builder = Builder::new(to);
    let former = if builder.crowd.versions.iter().any(|version| version.as_str() == FORMER) {
        "former"
    } else {
        FORMER
    };
    for (number, instance) in set.instances.values().enumerate() {
        let number = u64::try_from(number)?;
        // The middle of its place among a million.
        let place = u32::try_from((number * 2 + 1) * 500_000 / count)?;
        let Instance { id, zone, update_domain, fault_domain, protection, .. } = &**instance;
        let facts = Facts {
            id: id.clone(),
            zone: builder.zone(zone.as_deref())?,
            update_domain: *update_domain,
            fault_domain: *fault_domain,
            protection: *protection,
            phase: dealt(&shares, place),
            participation: if place >= 1_000_000 - skip {
                Participation::Skip
            } else {
                Participation::Proceed
            },
            version: builder.version(Some(former))?,
            condition: Condition::Well,
        };
        builder.crowd.facts.push(facts);
    }
    builder.done(1)
}

fn dealt(shares: &[u32], place: u32) -> Option<Phase> {
    let mut below = 0;
    let number = shares.iter().position(|share| {
        below += share;
        place < below
    });
    number.and_then(|number| u32::try_from(number).ok()).and_then(Phase::new)
}

fn recorded(path: &Path, args: &SimulateArgs, to: Option<&Version>) -> anyhow::Result<Simulated> {
    let name = path.display();
    let text = std::fs::read(path).with_context(|| format!("cannot read `{name}`"))?;
    let fleet: wire::Fleet = serde_json::from_slice(&text)
        .with_context(|| format!("`{name}` is not what `phasegate fleet --json` prints"))?;
    let names: Vec<String> = fleet.scale_sets.iter().map(|set| format!("`{}`", set.name)).collect();
    let mut sets = fleet.scale_sets;
    if let Some(wanted) = &args.scale_set {
        sets.retain(|set| set.name == *wanted);
    }
    let set = match sets.len() {
        1 => sets.pop().context("no scale set")?,
        0 => bail!("`{name}` has no such scale set; it has {}", names.join(", ")),
        _ => bail!("`{name}` has several scale sets: {}; choose one with `--scale-set`", names.join(", ")),
    };
    if set.instances.is_empty() {
        bail!("scale set `{}` of `{name}` has no instances", set.name);
    }
    let to = match to {
        Some(to) => to.clone(),
        None => target(&set)?,
    };
    let mut builder = Builder::new(to);
    for instance in &set.instances {
        let facts =
            builder.recorded(instance).with_context(|| format!("instance `{}` of `{name}`", instance.id))?;
        builder.crowd.facts.push(facts);
    }
    builder.done(1)
}

/// What the model wants, if somebody does not have it yet.
fn target(set: &wire::ScaleSet) -> anyhow::Result<Version> {
    let behind = |instance: &&wire::Instance| {
        instance.desired_version.is_some() && instance.version != instance.desired_version
    };
    match set.instances.iter().find(behind).and_then(|instance| instance.desired_version.as_ref()) {
        Some(wanted) => version(wanted),
        None => version("wanted"),
    }
}

fn version(text: &str) -> anyhow::Result<Version> {
    Version::parse(text).map_err(|error| anyhow::anyhow!("version `{text}` {error}"))
}

/// Collects a crowd.
struct Builder {
    crowd: Crowd,
    to: Version,
}

impl Builder {
    fn new(to: Version) -> Self {
        Self { crowd: Crowd { versions: vec![to.clone()], ..Crowd::default() }, to }
    }

    fn zone(&mut self, zone: Option<&str>) -> anyhow::Result<Option<u16>> {
        let Some(zone) = zone else { return Ok(None) };
        let known = self.crowd.zones.iter().position(|known| known == zone);
        let index = known.unwrap_or(self.crowd.zones.len());
        if known.is_none() {
            self.crowd.zones.push(zone.to_owned());
        }
        Ok(Some(u16::try_from(index).context("more than 65,535 zones")?))
    }

    fn version(&mut self, text: Option<&str>) -> anyhow::Result<Option<u16>> {
        let Some(text) = text else { return Ok(None) };
        let known = self.crowd.versions.iter().position(|known| known.as_str() == text);
        let index = known.unwrap_or(self.crowd.versions.len());
        if known.is_none() {
            self.crowd.versions.push(version(text)?);
        }
        Ok(Some(u16::try_from(index).context("more than 65,535 versions")?))
    }

    fn recorded(&mut self, instance: &wire::Instance) -> anyhow::Result<Facts> {
        let id = InstanceId::parse(&instance.id).map_err(|error| anyhow::anyhow!("its id {error}"))?;
        let phase = match instance.phase {
            Some(number) => Some(Phase::new(number).with_context(|| format!("its phase is {number}"))?),
            None => None,
        };
        let participation = match &instance.participation {
            // Whom the host leaves alone, whatever its plugin says, it would leave alone.
            Some(wire::Participation::Proceed) | None if instance.held.is_some() => Participation::Skip,
            Some(wire::Participation::Proceed) | None => Participation::Proceed,
            Some(wire::Participation::Skip) => Participation::Skip,
            Some(wire::Participation::Defer) => Participation::Defer,
            Some(wire::Participation::Other(other)) => {
                bail!("`participation` is `{other}` (known: proceed, skip, defer)")
            }
        };
        let condition = match &instance.health {
            wire::Health::Healthy | wire::Health::Initializing => Condition::Well,
            wire::Health::Unhealthy => Condition::Ill,
            wire::Health::Unknown => Condition::Silent,
            wire::Health::Other(other) => {
                bail!("`health` is `{other}` (known: Initializing, Healthy, Unhealthy, Unknown)")
            }
        };
        Ok(Facts {
            id,
            zone: self.zone(instance.zone.as_deref())?,
            update_domain: instance.update_domain,
            fault_domain: instance.fault_domain,
            protection: Protection { from_scale_set_actions: instance.protected, from_scale_in: false },
            phase,
            participation,
            version: self.version(instance.version.as_deref())?,
            condition,
        })
    }

    fn done(mut self, regions: u32) -> anyhow::Result<Simulated> {
        self.crowd.facts.sort_by(|a, b| a.id.cmp(&b.id));
        let twice = self.crowd.facts.windows(2).find(|pair| matches!(pair, [a, b] if a.id == b.id));
        if let Some([one, _]) = twice {
            bail!("instance `{}` is there twice", one.id);
        }
        Ok(Simulated { fleet: Fleet::Recorded(self.crowd), regions, to: self.to })
    }
}
