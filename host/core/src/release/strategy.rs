//! In which order regions are entered, and how long and how strictly each of them is looked at: a named value that
//! the digest of a plan covers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::{Digest, Location};

/// What becomes of regions that no region phase names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unlisted {
    /// They come last, after all that are named.
    #[default]
    Last,
    /// A configuration with such a region is refused.
    Refuse,
}

/// How a release goes through regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// By which people know it.
    pub name: String,
    /// Raised by people when they change it.
    pub version: u32,
    /// Regions that are entered together, in order.
    pub region_phases: Vec<Vec<Location>>,
    /// Pairs that are never in flight together.
    pub geo_pairs: Vec<(Location, Location)>,
    /// How long every eligible instance of a region phase stays Healthy before the next one begins.
    pub bake: Duration,
    /// What becomes of regions that are not named.
    pub unlisted: Unlisted,
    /// So many sets may end Faulted.
    pub max_failed_sets: u32,
    /// A failed set is tried again after so long.
    pub retry_after: Duration,
    /// So many times.
    pub retry_limit: u32,
}

/// One region phase after the other as they are named; a bake of an hour; no failed set; a retry after three days.
impl Default for Strategy {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            version: 1,
            region_phases: Vec::new(),
            geo_pairs: Vec::new(),
            bake: Duration::from_secs(3_600),
            unlisted: Unlisted::Last,
            max_failed_sets: 0,
            retry_after: Duration::from_secs(3 * 86_400),
            retry_limit: 5,
        }
    }
}

/// What is wrong with a strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategyProblem {
    /// A region phase without regions.
    #[error("region phase {phase} is empty; name a region, or leave the phase out")]
    EmptyPhase {
        /// Which, from 1.
        phase: usize,
    },
    /// A region is named twice.
    #[error(
        "region \"{region}\" is in region phase {first} and in region phase {second}; name each region once"
    )]
    Twice {
        /// The region.
        region: Location,
        /// Where it is first, from 1.
        first: usize,
        /// Where it is again, from 1.
        second: usize,
    },
    /// Both of a pair are entered together.
    #[error(
        "region phase {phase} has \"{one}\" and \"{other}\", which are a pair; paired regions are never updated \
         together, put them into different region phases"
    )]
    PairTogether {
        /// Which, from 1.
        phase: usize,
        /// One of the pair.
        one: Location,
        /// The other one.
        other: Location,
    },
    /// A region is its own pair.
    #[error("region \"{region}\" is paired with itself; a pair are two regions")]
    PairOfOne {
        /// The region.
        region: Location,
    },
    /// No set is in a region of a pair.
    #[error(
        "a pair has \"{region}\", in which no scale set is, so that it keeps nothing apart; known: {}",
        listed(known)
    )]
    UnknownPair {
        /// The region.
        region: Location,
        /// Those that have sets.
        known: BTreeSet<Location>,
    },
    /// No set is in a region.
    #[error("region phase {phase} has \"{region}\", in which no scale set is; known: {}", listed(known))]
    Unknown {
        /// Which, from 1.
        phase: usize,
        /// The region.
        region: Location,
        /// Regions with sets.
        known: BTreeSet<Location>,
    },
    /// A region with sets is in no region phase, and `unlisted` says that each must be.
    #[error("region \"{region}\" is in no region phase; name it in one, or say unlisted = \"last\"")]
    NotListed {
        /// The region.
        region: Location,
    },
}

fn listed(all: &BTreeSet<Location>) -> String {
    all.iter().map(Location::to_string).collect::<Vec<_>>().join(", ")
}

impl Strategy {
    /// Everything that is wrong with it in an estate with sets in these regions.
    #[must_use]
    pub fn problems(&self, regions: &BTreeSet<Location>) -> Vec<StrategyProblem> {
        let mut problems = Vec::new();
        let mut seen: BTreeMap<&Location, usize> = BTreeMap::new();
        for (index, phase) in self.region_phases.iter().enumerate() {
            let number = index + 1;
            if phase.is_empty() {
                problems.push(StrategyProblem::EmptyPhase { phase: number });
            }
            for region in phase {
                if let Some(first) = seen.insert(region, number) {
                    let (region, second) = (region.clone(), number);
                    problems.push(StrategyProblem::Twice { region, first, second });
                }
                if !regions.contains(region) {
                    let (region, known) = (region.clone(), regions.clone());
                    problems.push(StrategyProblem::Unknown { phase: number, region, known });
                }
            }
            let together =
                self.geo_pairs.iter().filter(|(a, b)| phase.contains(a) && phase.contains(b) && a != b);
            problems.extend(together.map(|(one, other)| StrategyProblem::PairTogether {
                phase: number,
                one: one.clone(),
                other: other.clone(),
            }));
        }
        // A pair neither of which has sets is one of a list that serves several estates.
        let half = |(a, b): &(Location, Location)| match (regions.contains(a), regions.contains(b)) {
            (true, false) => Some(b.clone()),
            (false, true) => Some(a.clone()),
            (true, true) | (false, false) => None,
        };
        let unknown: BTreeSet<Location> = self.geo_pairs.iter().filter_map(half).collect();
        let known = || regions.clone();
        problems.extend(
            unknown.into_iter().map(|region| StrategyProblem::UnknownPair { region, known: known() }),
        );
        let selves = self.geo_pairs.iter().filter(|(a, b)| a == b);
        problems.extend(selves.map(|(region, _)| StrategyProblem::PairOfOne { region: region.clone() }));
        if self.unlisted == Unlisted::Refuse {
            let missing = regions.iter().filter(|region| !seen.contains_key(region));
            problems.extend(missing.map(|region| StrategyProblem::NotListed { region: region.clone() }));
        }
        problems
    }

    /// The regions that one must not be in flight with.
    pub fn paired<'a>(&'a self, region: &'a Location) -> impl Iterator<Item = &'a Location> {
        self.geo_pairs.iter().filter_map(move |(a, b)| match (a == region, b == region) {
            (true, false) => Some(b),
            (false, true) => Some(a),
            (true, true) | (false, false) => None,
        })
    }

    /// The region phases of an estate: those that are named and have sets, then the regions that are not named, in as
    /// many phases as it takes to keep pairs apart.
    #[must_use]
    pub fn phases(&self, regions: &BTreeSet<Location>) -> Vec<Vec<Location>> {
        let mut phases: Vec<Vec<Location>> = self.region_phases.clone();
        let named: BTreeSet<&Location> = self.region_phases.iter().flatten().collect();
        let first = phases.len();
        for region in regions.iter().filter(|region| !named.contains(region)) {
            self.put_last(&mut phases, region, first);
        }
        phases
    }

    /// Puts a region that is not named behind the first so many phases.
    pub(super) fn put_last(&self, phases: &mut Vec<Vec<Location>>, region: &Location, first: usize) {
        let is_free = |phase: &Vec<Location>| !self.paired(region).any(|pair| phase.contains(pair));
        match phases.iter_mut().skip(first).find(|phase| is_free(phase)) {
            Some(phase) => phase.push(region.clone()),
            None => phases.push(vec![region.clone()]),
        }
    }

    /// SHA-256 of all of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Destructured, so that a new rule breaks the build until the digest names it.
        let Self {
            name,
            version,
            region_phases,
            geo_pairs,
            bake,
            unlisted,
            max_failed_sets,
            retry_after,
            retry_limit,
        } = self;
        let mut hash = Sha256::new();
        let mut line = |text: String| {
            hash.update(text.len().to_be_bytes());
            hash.update(text.as_bytes());
        };
        line(format!("strategy 1 {name} {version}"));
        for phase in region_phases {
            line(format!("phase {}", phase.iter().map(Location::as_str).collect::<Vec<_>>().join(" ")));
        }
        geo_pairs.iter().for_each(|(a, b)| line(format!("pair {a} {b}")));
        line(format!("bake {} {unlisted:?} {max_failed_sets}", bake.as_millis()));
        line(format!("retry {} {retry_limit}", retry_after.as_millis()));
        Digest(hash.finalize().into())
    }
}
