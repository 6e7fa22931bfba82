//! What a release would do: region phases, sets and counts, and why a set is or is not part of it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::enrolment::{Left, Moves};
use super::estate::Tally;
use super::strategy::Strategy;
use crate::domain::{Digest, ExtensionType, Location, ReleaseVersion, ScaleSetName, Subscription, Version};

/// One set of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSet {
    /// Its name.
    pub name: ScaleSetName,
    /// Its region.
    pub location: Location,
    /// What is wanted there.
    pub from: Option<Version>,
    /// What its instances are known to have, with how many; those of whom nobody knows are not among them.
    pub runs: BTreeMap<Version, usize>,
    /// Of a stand-alone machine: the subscription whose machines in its region are counted as one set.
    pub machines_of: Option<Subscription>,
    /// Sets that come before it.
    pub after: Vec<ScaleSetName>,
    /// Whether it is part of the release, and what has to be done there.
    pub standing: Result<Moves, Left>,
    /// Too much of it is unhealthy now for its first batch.
    pub held_unhealthy: bool,
    /// Its instances.
    pub tally: Tally,
}

impl PlannedSet {
    /// How many of it are unhealthy now, and stay as they are where that lasts.
    #[must_use]
    pub fn unhealthy(&self) -> usize {
        self.tally.not_eligible.get(Left::HeldUnhealthy.code()).copied().unwrap_or(0)
    }

    /// Those of the sets before it that have to be brought up first.
    pub fn waits_for<'a>(&'a self, phase: &'a PlannedPhase) -> impl Iterator<Item = &'a ScaleSetName> {
        let has_to_move =
            |name: &&ScaleSetName| phase.sets.iter().any(|set| set.name == **name && set.has_to_move());
        self.after.iter().filter(has_to_move)
    }

    /// Whether it does not have the version everywhere, although it is part of the release: also one whose upgrade was
    /// ended half-way.
    #[must_use]
    pub fn has_to_move(&self) -> bool {
        match self.standing {
            Ok(Moves::Up) => true,
            // Who is unhealthy may be well when it begins.
            Ok(Moves::There) => self.tally.at_version < self.tally.eligible + self.unhealthy(),
            Err(_) => false,
        }
    }
}

/// One region phase of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPhase {
    /// Its regions.
    pub regions: Vec<Location>,
    /// The sets in them that have the type in their model, by name; who comes after another one stands behind it.
    pub sets: Vec<PlannedSet>,
}

/// What a release would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan {
    /// Of what.
    pub subject: ExtensionType,
    /// Which version.
    pub version: ReleaseVersion,
    /// In order.
    pub phases: Vec<PlannedPhase>,
    /// SHA-256 of everything that decides what happens. The health of the moment is no part of it.
    pub digest: Digest,
}

/// Plans a release. The sets are those that have the type in their model.
#[must_use]
pub fn plan(
    subject: &ExtensionType,
    version: &ReleaseVersion,
    strategy: &Strategy,
    sets: Vec<PlannedSet>,
) -> ReleasePlan {
    let regions: BTreeSet<Location> = sets.iter().map(|set| set.location.clone()).collect();
    let mut phases: Vec<PlannedPhase> = strategy
        .phases(&regions)
        .into_iter()
        .map(|regions| PlannedPhase { regions, sets: Vec::new() })
        .collect();
    for set in sets {
        if let Some(phase) = phases.iter_mut().find(|phase| phase.regions.contains(&set.location)) {
            phase.sets.push(set);
        }
    }
    for phase in &mut phases {
        phase.sets = in_order(std::mem::take(&mut phase.sets));
    }
    let digest = digest(subject, version, strategy, &phases);
    ReleasePlan { subject: subject.clone(), version: version.clone(), phases, digest }
}

/// By name, and each behind those that it comes after. What goes in a circle stays as it is.
fn in_order(mut sets: Vec<PlannedSet>) -> Vec<PlannedSet> {
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    if sets.iter().all(|set| set.after.is_empty()) {
        return sets;
    }
    let mut open: BTreeSet<ScaleSetName> = sets.iter().map(|set| set.name.clone()).collect();
    let mut placed = Vec::with_capacity(sets.len());
    while !sets.is_empty() {
        let (now, later): (Vec<_>, Vec<_>) =
            sets.into_iter().partition(|set| !set.after.iter().any(|name| open.contains(name)));
        if now.is_empty() {
            placed.extend(later);
            break;
        }
        now.iter().for_each(|set| _ = open.remove(&set.name));
        placed.extend(now);
        sets = later;
    }
    placed
}

fn digest(
    subject: &ExtensionType,
    version: &ReleaseVersion,
    strategy: &Strategy,
    phases: &[PlannedPhase],
) -> Digest {
    let mut hash = Sha256::new();
    let mut line = |text: String| {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    };
    line(format!("release 1 {subject} {version} {}", strategy.digest()));
    for phase in phases {
        line(format!("phase {}", phase.regions.iter().map(Location::as_str).collect::<Vec<_>>().join(" ")));
        for set in &phase.sets {
            // What runs there is of the moment, as health is.
            let PlannedSet {
                name,
                location,
                from,
                runs: _,
                machines_of,
                after,
                standing,
                held_unhealthy: _,
                tally,
            } = set;
            let from = from.as_ref().map_or("", Version::as_str);
            let standing = match standing {
                Ok(Moves::Up) => "up",
                Ok(Moves::There) => "there",
                // It comes and goes by itself, and the set joins when it is well.
                Err(Left::HeldUnhealthy) => "up",
                Err(left) => left.code(),
            };
            line(format!("set {name} {location} {from} {standing} {}", tally.total));
            machines_of.iter().for_each(|of| line(format!("machines of {of}")));
            if !after.is_empty() {
                line(format!(
                    "after {}",
                    after.iter().map(ScaleSetName::as_str).collect::<Vec<_>>().join(" ")
                ));
            }
            tally.zones.iter().for_each(|(zone, count)| line(format!("zone {zone} {count}")));
            // Who says skip now and did not then makes another plan of it; who is ill may be well when it begins.
            let out = tally.not_eligible.iter().filter(|(code, _)| *code != Left::HeldUnhealthy.code());
            out.for_each(|(code, count)| line(format!("out {code} {count}")));
        }
    }
    Digest(hash.finalize().into())
}
