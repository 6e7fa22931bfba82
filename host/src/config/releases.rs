//! Declares `[releases]`, and compares it with the scale sets.

use std::collections::{BTreeMap, BTreeSet};

use crate::drivers::DriverConfig;
use crate::keys::{Form, Given, Is, Key, Section, Value, no_check};
use phasegate_core::domain::{Location, ScaleSet, ScaleSetName};
use phasegate_core::kernel::ReleaseRules;
use phasegate_core::release::Unlisted;

/// Most regions, phases and pairs: a longer list is a mistake.
const REGIONS_MAX: usize = 1_000;

pub(super) const RELEASES: Section<ReleaseRules> = Section {
    keys: &[
        Key::<ReleaseRules>::preset(
            "name",
            "\"default\"",
            Is::Own(
                || Form::Text,
                |rules, value| {
                    rules.strategy.name = value.filled()?.to_owned();
                    Some(())
                },
            ),
        )
        .doc("by which people know the strategy; part of the digest of a plan"),
        Key::<ReleaseRules>::preset(
            "version",
            "1",
            Is::Whole(1, 1_000_000, |rules, version| rules.strategy.version = version),
        )
        .doc("raise it with each change of the strategy; a release goes by the one that it was started with"),
        Key::<ReleaseRules>::preset(
            "regionPhases",
            "[]",
            Is::Own(
                || Form::List(Box::new(Form::List(Box::new(Form::Text)))),
                |rules, value| {
                    let phases = value.array("an array of arrays of regions")?;
                    let phases = phases.iter().map(|phase| regions(phase)).collect::<Option<Vec<_>>>()?;
                    if phases.iter().map(Vec::len).sum::<usize>() > REGIONS_MAX {
                        value.problem("has too many regions", format!("allowed: {REGIONS_MAX}"));
                        return None;
                    }
                    rules.strategy.region_phases = phases;
                    Some(())
                },
            ),
        )
        .example("[[\"canary\"], [\"westeurope\", \"eastus\"]]")
        .doc("regions that are entered together, in order; a region phase begins when the one before did well"),
        Key::<ReleaseRules>::preset(
            "geoPairs",
            "[]",
            Is::Own(
                || Form::List(Box::new(Form::List(Box::new(Form::Text)))),
                |rules, value| {
                    let pairs = value.array("an array of pairs of regions")?;
                    rules.strategy.geo_pairs = pairs.iter().map(pair).collect::<Option<Vec<_>>>()?;
                    Some(())
                },
            ),
        )
        .example("[[\"northeurope\", \"westeurope\"]]")
        .doc("regions that are never in flight together, not even through two releases"),
        Key::<ReleaseRules>::preset("bake", "\"PT1H\"", Is::Span(None, |rules, span| rules.strategy.bake = span))
            .doc("how long every eligible instance of a region phase stays Healthy before the next one begins"),
        Key::<ReleaseRules>::preset(
            "unlisted",
            "\"last\"",
            Is::Word(&[
                ("last", |rules| rules.strategy.unlisted = Unlisted::Last),
                ("refuse", |rules| rules.strategy.unlisted = Unlisted::Refuse),
            ]),
        )
        .doc("what becomes of regions that no region phase names: they come last, or the file is refused"),
        Key::<ReleaseRules>::preset(
            "maxFailedSets",
            "0",
            Is::Whole(0, 100_000, |rules, sets| rules.strategy.max_failed_sets = sets),
        )
        .doc("so many sets may fail; one more halts the release everywhere and puts the version into quarantine"),
        Key::<ReleaseRules>::preset(
            "retryAfter",
            "\"P3D\"",
            Is::Span(Some(("PT1S", "P365D")), |rules, span| rules.strategy.retry_after = span),
        )
        .doc("a failed set is tried again after so long, where its own `upgradePolicy.retryAfter` says nothing"),
        Key::<ReleaseRules>::preset(
            "retryLimit",
            "5",
            Is::Whole(0, 100, |rules, limit| rules.strategy.retry_limit = limit),
        )
        .doc("so many times"),
        Key::<ReleaseRules>::preset(
            "requireFeature",
            "false",
            Is::Flag(|rules, yes| rules.require_feature = yes),
        )
        .example("true")
        .doc(
            "leave sets out whose subscription has not registered the feature `AutomaticExtensionUpgradePreview` \
             with `phasegate feature register`",
        ),
    ],
    check: no_check,
};

fn regions(value: &Value<'_>) -> Option<Vec<Location>> {
    let regions = value.array("an array of regions")?;
    regions.iter().map(|region| region.id(Location::parse)).collect()
}

fn pair(value: &Value<'_>) -> Option<(Location, Location)> {
    let both = regions(value)?;
    let [one, other] = both.as_slice() else {
        value.problem(format!("has {} regions", both.len()), "a pair are two".to_owned());
        return None;
    };
    Some((one.clone(), other.clone()))
}

/// Compares the strategy with the regions that there are, and looks for sets that wait for each other.
pub(super) fn check(rules: &ReleaseRules, sets: &[ScaleSet<DriverConfig>], given: &mut Given<'_>) {
    let regions: BTreeSet<Location> = sets.iter().map(|set| set.estate.location.clone()).collect();
    for problem in rules.strategy.problems(&regions) {
        given.conflict("releases", problem.to_string(), "see RELEASES.md");
    }
    let after: BTreeMap<&ScaleSetName, &[ScaleSetName]> =
        sets.iter().map(|set| (&set.name, set.estate.after.as_slice())).collect();
    for (name, before) in &after {
        if let Some(unknown) = before.iter().find(|other| !after.contains_key(other)) {
            let message = format!("has `{name}` with after = [\"{unknown}\"], and there is no such set");
            given.conflict("scaleSets", message, "name sets of this file");
        }
        if let Some(later) = before.iter().find(|other| comes_later(rules, sets, name, other)) {
            let message = format!(
                "has `{name}` with after = [\"{later}\"], which is in a later region phase: neither would ever begin"
            );
            given.conflict("scaleSets", message, "name sets of the same region phase or of an earlier one");
        }
        if comes_after(name, name, &after, sets.len()) {
            let message = format!("has `{name}`, which comes after itself (after)");
            given.conflict("scaleSets", message, "leave one of the names in after out");
        }
    }
}

/// Whether a set is in a later region phase than another one.
fn comes_later(
    rules: &ReleaseRules,
    sets: &[ScaleSet<DriverConfig>],
    name: &ScaleSetName,
    other: &ScaleSetName,
) -> bool {
    let phases = rules.strategy.phases(&sets.iter().map(|set| set.estate.location.clone()).collect());
    let phase = |name: &ScaleSetName| {
        let set = sets.iter().find(|set| set.name == *name)?;
        phases.iter().position(|phase| phase.contains(&set.estate.location))
    };
    phase(name).zip(phase(other)).is_some_and(|(one, other)| other > one)
}

/// Whether a set comes, over so many steps at most, after another one.
fn comes_after(
    name: &ScaleSetName,
    goal: &ScaleSetName,
    after: &BTreeMap<&ScaleSetName, &[ScaleSetName]>,
    steps: usize,
) -> bool {
    let mut seen: BTreeSet<&ScaleSetName> = BTreeSet::new();
    let mut open: Vec<&ScaleSetName> = after.get(name).into_iter().flat_map(|before| before.iter()).collect();
    while let Some(next) = open.pop() {
        if next == goal {
            return true;
        }
        if seen.len() <= steps && seen.insert(next) {
            open.extend(after.get(next).into_iter().flat_map(|before| before.iter()));
        }
    }
    false
}
