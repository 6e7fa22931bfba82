//! What must hold in any release, whatever happens: looked at after each turn, at the sets with an upgrade under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{Location, ScaleSetName};
use crate::kernel::{Fleet, SetState};
use crate::release::{How, Left, Part, Release, Run};
use crate::rollout::{Stage, Upgrade};

/// Violations that are kept.
const KEPT_MAX: usize = 20;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    begun: BTreeSet<ScaleSetName>,
    /// Sets with an upgrade under way: their region, and the zone of their batch in flight.
    flying: BTreeMap<ScaleSetName, (Location, Option<Zone>)>,
    /// The same by region, counted.
    regions: BTreeMap<Location, Region>,
    pub(super) violations: Vec<String>,
}

/// A zone; instances without one are a zone of their own.
type Zone = Option<String>;

/// What is under way in a region.
#[derive(Debug, Default)]
struct Region {
    sets: usize,
    zones: BTreeMap<Zone, usize>,
}

impl Checks {
    /// Looks at the sets that have changed in a turn.
    pub(super) fn look(&mut self, fleet: &Fleet, changed: &[ScaleSetName]) {
        let Some((_, release)) = fleet.releases.all.get_max() else { return };
        let mut regions: BTreeSet<Location> = BTreeSet::new();
        for set in changed.iter().filter_map(|name| fleet.set(name).ok()) {
            let forward = set.active().filter(|upgrade| upgrade.is_forward());
            let region = &set.spec.estate.location;
            let in_batch = forward.filter(|upgrade| upgrade.stage == Stage::InBatch);
            let zone = in_batch.and_then(|upgrade| upgrade.batches.get(upgrade.current));
            let zone = zone.map(|batch| batch.zone.clone());
            self.count(&set.spec.name, forward.map(|_| (region.clone(), zone)));
            let Some(upgrade) = forward else { continue };
            regions.insert(region.clone());
            self.batch(set, upgrade);
            if self.begun.insert(set.spec.name.clone()) {
                self.begins(release, &set.spec.name);
            }
        }
        for region in &regions {
            self.together(release, region);
        }
    }

    /// What a set has under way from now on.
    fn count(&mut self, name: &ScaleSetName, now: Option<(Location, Option<Zone>)>) {
        if let Some((region, zone)) = self.flying.remove(name)
            && let Some(counted) = self.regions.get_mut(&region)
        {
            counted.sets -= 1;
            if let Some(count) = zone.as_ref().and_then(|zone| counted.zones.get_mut(zone)) {
                *count -= 1;
            }
            counted.zones.retain(|_, count| *count > 0);
        }
        let Some((region, zone)) = now else { return };
        let counted = self.regions.entry(region.clone()).or_default();
        counted.sets += 1;
        if let Some(zone) = &zone {
            *counted.zones.entry(zone.clone()).or_default() += 1;
        }
        self.flying.insert(name.clone(), (region, zone));
    }

    /// One zone of a region, and no pair.
    fn together(&mut self, release: &Release, region: &Location) {
        let flies = |region: &Location| self.regions.get(region).is_some_and(|region| region.sets > 0);
        let mut said = Vec::new();
        if let Some(counted) = self.regions.get(region).filter(|counted| counted.zones.len() > 1) {
            let zones: Vec<&Zone> = counted.zones.keys().collect();
            said.push(format!("zones {zones:?} of {region} are in flight together"));
        }
        let pairs = release.strategy.paired(region).filter(|pair| flies(region) && flies(pair));
        said.extend(pairs.map(|pair| format!("the pair {region} and {pair} is in flight together")));
        said.into_iter().for_each(|what| self.say(what));
    }

    /// No batch is larger than the policy allows, and never all of more than one.
    fn batch(&mut self, set: &SetState, upgrade: &Upgrade) {
        let total = set.census().total();
        let flying = upgrade.members.in_flight().count();
        let limit = upgrade.policy.rolling.batch_max(total);
        if flying > limit || (total > 1 && flying >= total) {
            let name = &set.spec.name;
            self.say(format!("{flying} of {total} instances of `{name}` are in flight (limit {limit})"));
        }
    }

    /// No region phase before its predecessor, and nobody who is opted out.
    fn begins(&mut self, release: &Arc<Release>, name: &ScaleSetName) {
        let Some(part) = release.parts.get(name) else { return };
        if part.run == Run::Left(Left::OptedOut) {
            self.say(format!("`{name}` was opted out and begins"));
        }
        let is_open = |part: &Part| match &part.run {
            // Who has failed is passed over, also while it is tried again.
            Run::Runs => !part.passed_over,
            // Tried as often as it was to be: passed over where so many may.
            Run::Ended { how: How::Incomplete, retry_at: None, .. } => false,
            Run::Waits
            | Run::GoesBack
            | Run::Ended { how: How::Incomplete | How::Cancelled | How::NotApproved, .. } => true,
            Run::Left(_)
            | Run::Done
            | Run::Back
            | Run::NotBack { .. }
            | Run::Ended { how: How::Faulted, .. } => false,
        };
        let earlier = release.parts.iter().filter(|(_, other)| other.phase < part.phase);
        if let Some((before, _)) = earlier.into_iter().find(|(_, other)| is_open(other)) {
            self.say(format!("`{name}` begins, and `{before}` of an earlier region phase is not through"));
        }
    }

    fn say(&mut self, what: String) {
        if self.violations.len() < KEPT_MAX {
            self.violations.push(what);
        }
    }
}
