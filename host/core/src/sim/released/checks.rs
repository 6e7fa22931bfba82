//! What must hold in any release, whatever happens: looked at after each turn, at the sets with an upgrade under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{Location, ScaleSetName};
use crate::kernel::{Fleet, SetState};
use crate::release::{How, Left, Release, Run};
use crate::rollout::{Stage, Upgrade};

/// Violations that are kept.
const KEPT_MAX: usize = 20;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    begun: BTreeSet<ScaleSetName>,
    pub(super) violations: Vec<String>,
}

impl Checks {
    /// Looks at the sets with an upgrade under way.
    pub(super) fn look(&mut self, fleet: &Fleet, active: &BTreeSet<ScaleSetName>) {
        let Some((_, release)) = fleet.releases.all.get_max() else { return };
        let mut zones: BTreeMap<&Location, BTreeSet<Option<&str>>> = BTreeMap::new();
        let mut flying: BTreeSet<&Location> = BTreeSet::new();
        for set in active.iter().filter_map(|name| fleet.set(name).ok()) {
            let Some(upgrade) = set.active().filter(|upgrade| upgrade.is_forward()) else { continue };
            let region = &set.spec.estate.location;
            flying.insert(region);
            if upgrade.stage == Stage::InBatch {
                let batch = upgrade.batches.get(upgrade.current);
                zones.entry(region).or_default().extend(batch.map(|batch| batch.zone.as_deref()));
            }
            self.batch(set, upgrade);
            if self.begun.insert(set.spec.name.clone()) {
                self.begins(release, &set.spec.name);
            }
        }
        for (region, zones) in zones.iter().filter(|(_, zones)| zones.len() > 1) {
            self.say(format!("zones {zones:?} of {region} are in flight together"));
        }
        for (one, other) in &release.strategy.geo_pairs {
            if flying.contains(one) && flying.contains(other) {
                self.say(format!("the pair {one} and {other} is in flight together"));
            }
        }
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
        let is_open = |run: &Run| {
            matches!(
                run,
                Run::Waits
                    | Run::Runs
                    | Run::GoesBack
                    | Run::Ended { how: How::Incomplete | How::Cancelled, .. }
            )
        };
        let earlier = release.parts.iter().filter(|(_, other)| other.phase < part.phase);
        if let Some((before, _)) = earlier.into_iter().find(|(_, other)| is_open(&other.run)) {
            self.say(format!("`{name}` begins, and `{before}` of an earlier region phase is not through"));
        }
    }

    fn say(&mut self, what: String) {
        if self.violations.len() < KEPT_MAX {
            self.violations.push(what);
        }
    }
}
