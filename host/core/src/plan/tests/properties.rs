//! What holds for the plan of any fleet.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::PhaseName;

fn any_standing() -> impl Strategy<Value = Standing> {
    let phase = prop_oneof![Just(None), (0_u32..4).prop_map(Phase::new)];
    let participation = prop_oneof![6 => Just(Participation::Proceed), 1 => Just(Participation::Skip), 1 => Just(Participation::Defer)];
    let decided = (phase, participation).prop_map(|(phase, participation)| Standing::Decided {
        phase,
        participation,
        detail: String::new(),
    });
    prop_oneof![
        8 => decided,
        1 => Just(Standing::Undecided),
        1 => Just(Standing::PluginFailed { failure: "trapped".to_owned(), phase: None }),
        1 => Just(Standing::Unknown { detail: "timeout".to_owned(), phase: None, says: None }),
    ]
}

prop_compose! {
    fn any_candidate()(
        zone in prop_oneof![Just(None), (1_u32..12).prop_map(|zone| Some(zone.to_string()))],
        update_domain in prop_oneof![Just(None), (0_u32..3).prop_map(Some)],
        fault_domain in prop_oneof![Just(None), (0_u32..3).prop_map(Some)],
        from_scale_set_actions in prop::bool::weighted(0.1),
        version in prop_oneof![1 => Just(None), 1 => Just(Some("v2")), 8 => Just(Some("v1"))],
        health in prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy), Just(Health::Unknown)],
        standing in any_standing(),
    ) -> Candidate {
        Candidate {
            held: None,
            id: InstanceId::parse("0").unwrap(),
            zone,
            update_domain,
            fault_domain,
            protection: Protection { from_scale_set_actions, from_scale_in: false },
            runs: match version {
                Some(version) => Runs::at(Version::parse(version).unwrap()),
                None => Runs::Unknown { before: Version::parse("v2").ok() },
            },
            extensions: BTreeMap::new(),
            health,
            standing,
        }
    }
}

fn any_fleet() -> impl Strategy<Value = Vec<Candidate>> {
    let named = |(mut fleet, names): (Vec<Candidate>, &str)| {
        for (number, candidate) in fleet.iter_mut().enumerate() {
            let id = match names {
                // Not all of one kind, and of equal value.
                "mixed" => {
                    [format!("a{number}"), format!("b{number}-x"), format!("a0{}", number - number % 3)]
                        [number % 3]
                        .clone()
                }
                prefix => format!("{prefix}{number}"),
            };
            candidate.id = InstanceId::parse(&id).unwrap();
        }
        fleet.sort_by(|a, b| a.id.cmp(&b.id));
        fleet
    };
    let names = prop::sample::select(vec!["", "web-", "a0", "x1-0", "mixed"]);
    (prop::collection::vec(any_candidate(), 0..24), names).prop_map(named)
}

prop_compose! {
    fn any_policy()(
        batch in 5_u8..=100,
        enable_cross_zone_upgrade: bool,
        prioritize_unhealthy_instances: bool,
        by_domain: bool,
        batches in prop::collection::vec(
            prop_oneof![(0_u32..9).prop_map(BatchSize::Count), (1_u8..=100).prop_map(|share| {
                BatchSize::Share(Percent::new(share).unwrap())
            })],
            0..4,
        ),
    ) -> RollingUpgradePolicy {
        RollingUpgradePolicy {
            enable_cross_zone_upgrade,
            prioritize_unhealthy_instances,
            max_surge: false,
            batch_of: if by_domain { BatchOf::UpdateDomain } else { BatchOf::Set },
            batches,
            ..policy(batch)
        }
    }
}

/// What decides the course: batches, who is left alone and for which kind of reason, and the size
/// of the fleet. Not the wording, and not who is there already.
fn course(plan: &Plan) -> (Vec<Batch>, Vec<(InstanceId, &'static str)>, usize, usize) {
    let holds: Vec<_> = plan.holds.iter().map(|hold| (hold.instance.clone(), hold.reason.code())).collect();
    let planned: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
    let total = planned + holds.len() + plan.already.len();
    (plan.batches.clone(), holds, total, plan.batch_max)
}

/// The plan as simply as it can be said: sorts all instances by everything, and cuts where a border is.
fn simple_batches(fleet: &[Candidate], policy: &RollingUpgradePolicy) -> Vec<Batch> {
    let to = Goal::application(Version::parse("v2").unwrap());
    let mut targets: Vec<&Candidate> = fleet
        .iter()
        .filter(|c| !c.is_at(&to) && !c.protection.from_scale_set_actions)
        .filter(|c| matches!(c.standing, Standing::Decided { participation: Participation::Proceed, .. }))
        .collect();
    let zone = |c: &Candidate| if policy.enable_cross_zone_upgrade { None } else { c.zone.clone() };
    let zone_order = |c: &Candidate| {
        let number = |zone: &String| zone.parse::<u64>().unwrap_or(u64::MAX);
        zone(c).map(|zone| (number(&zone), zone))
    };
    let later = |c: &Candidate| policy.prioritize_unhealthy_instances && !c.health.is_unhealthy();
    let phase = |c: &Candidate| PhaseName::from(c.standing.phase());
    targets
        .sort_by_key(|c| (phase(c), later(c), zone_order(c), c.update_domain, c.fault_domain, c.id.clone()));
    let group = |c: &Candidate| (phase(c), later(c), zone(c), c.update_domain);
    let mut batches: Vec<Batch> = Vec::new();
    let mut last = None;
    for candidate in targets {
        let whole = match policy.batch_of {
            BatchOf::Set => fleet.len(),
            BatchOf::UpdateDomain => {
                fleet.iter().filter(|one| one.update_domain == candidate.update_domain).count()
            }
        };
        let size = policy.batch_size(batches.len().saturating_sub(1), whole);
        let fits = last == Some(group(candidate))
            && batches.last().is_some_and(|batch| batch.instances.len() < size);
        if !fits {
            batches.push(Batch {
                phase: candidate.standing.phase(),
                zone: zone(candidate),
                update_domain: candidate.update_domain,
                instances: Vec::new(),
            });
        }
        last = Some(group(candidate));
        batches.last_mut().unwrap().instances.push(candidate.id.clone());
    }
    batches
}

/// The digest as simply as it can be said.
fn simple_digest(plan: &Plan, policy: &RollingUpgradePolicy, total: usize) -> Digest {
    use sha2::Digest as _;
    let dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let number = |name: &str, value: u128| vec![name.to_owned(), value.to_string()];
    let text = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    let flag = |name: &str, value: bool| vec![name.to_owned(), value.to_string()];
    let mut lines = vec![
        text("phasegate plan 2", plan.scale_set.as_str()),
        vec!["goal".to_owned(), "application".to_owned(), "v2".to_owned()],
        number("instances", total as u128),
        number("largest batch", plan.batch_max as u128),
        number("maxBatchInstancePercent", policy.max_batch_instance_percent.get().into()),
        number("maxUnhealthyInstancePercent", policy.max_unhealthy_instance_percent.get().into()),
        number(
            "maxUnhealthyUpgradedInstancePercent",
            policy.max_unhealthy_upgraded_instance_percent.get().into(),
        ),
        number("pauseTimeBetweenBatches", policy.pause_time_between_batches.as_nanos()),
        flag("enableCrossZoneUpgrade", policy.enable_cross_zone_upgrade),
        flag("prioritizeUnhealthyInstances", policy.prioritize_unhealthy_instances),
        flag("maxSurge", policy.max_surge),
    ];
    if policy.batch_of == BatchOf::UpdateDomain {
        lines.push(text("batchOf", "updateDomain"));
    }
    lines.extend(policy.batches.iter().map(|size| match size {
        BatchSize::Count(count) => number("batches", (*count).into()),
        BatchSize::Share(share) => text("batches", &format!("{} %", share.get())),
    }));
    // The rest of the policy.
    lines.extend([
        number("wait", 0),
        number("stableFor", 0),
        number("deadline", 300_000_000_000),
        text("instance", "restore"),
        text("breach", "stop"),
        text("decisions", "snapshot"),
        number("deferDeadline", 1_800_000_000_000),
        number("prepare", 60_000_000_000),
    ]);
    for batch in &plan.batches {
        let phase = batch.phase.map_or_else(|| "last".to_owned(), |phase| phase.get().to_string());
        let zone = dash(batch.zone.as_ref().map(|zone| format!("zone {zone}")));
        let domain = dash(batch.update_domain.map(|domain| domain.to_string()));
        let ids = batch.instances.iter().map(InstanceId::to_string);
        lines.push(["batch".to_owned(), phase, zone, domain].into_iter().chain(ids).collect());
    }
    for hold in &plan.holds {
        lines.push(vec!["hold".to_owned(), hold.instance.to_string(), hold.reason.code().to_owned()]);
    }
    let mut hash = sha2::Sha256::new();
    for field in lines.iter().flat_map(|line| line.iter().map(Some).chain([None])) {
        match field {
            Some(field) => hash.update(format!("{}\t", field.escape_default())),
            None => hash.update("\n"),
        }
    }
    Digest(hash.finalize().into())
}

proptest! {
    #[test]
    fn quick_and_simple_planning_agree(
        mut fleet in any_fleet(),
        policy in any_policy(),
        odd in prop_oneof![Just("b\tc"), Just("é"), Just("01"), Just("a\"'\\z")],
    ) {
        for candidate in fleet.iter_mut().filter(|c| c.zone.as_deref() == Some("2")) {
            candidate.zone = Some(odd.to_owned());
        }
        let plan = plan_with(&fleet, &policy);
        prop_assert_eq!(&plan.batches, &simple_batches(&fleet, &policy));
        prop_assert_eq!(plan.digest, simple_digest(&plan, &policy, fleet.len()));
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        (fleet, shuffled) in any_fleet().prop_flat_map(|fleet| (Just(fleet.clone()), Just(fleet).prop_shuffle())),
        policy in any_policy(),
    ) {
        prop_assert_eq!(plan_with(&fleet, &policy), plan_with(&shuffled, &policy));
    }

    #[test]
    fn each_instance_has_exactly_one_place(fleet in any_fleet(), policy in any_policy()) {
        let plan = plan_with(&fleet, &policy);
        let batches = plan.batches.iter().flat_map(|batch| batch.instances.iter());
        let holds = plan.holds.iter().map(|hold| &hold.instance);
        let mut places: Vec<&InstanceId> = batches.chain(holds).chain(&plan.already).collect();
        places.sort();
        let all: Vec<&InstanceId> = fleet.iter().map(|candidate| &candidate.id).collect();
        prop_assert_eq!(places, all);
    }

    #[test]
    fn only_who_consents_is_planned(fleet in any_fleet(), policy in any_policy()) {
        let plan = plan_with(&fleet, &policy);
        let planned: BTreeSet<&InstanceId> =
            plan.batches.iter().flat_map(|batch| batch.instances.iter()).collect();
        let to = Version::parse("v2").unwrap();
        for candidate in &fleet {
            let consents = candidate.standing.participation() == Some(Participation::Proceed)
                && !candidate.protection.from_scale_set_actions
                && candidate.runs.version() != Some(&to);
            prop_assert_eq!(planned.contains(&candidate.id), consents, "{:?}", candidate);
        }
    }

    #[test]
    fn batches_keep_borders_sizes_and_the_order_of_phases(fleet in any_fleet(), policy in any_policy()) {
        let plan = plan_with(&fleet, &policy);
        let by_id: BTreeMap<&InstanceId, &Candidate> = fleet.iter().map(|c| (&c.id, c)).collect();
        let limit = policy.batch_max(fleet.len());
        let mut phases = Vec::new();
        for batch in &plan.batches {
            let size = batch.instances.len();
            prop_assert!((1..=limit).contains(&size), "{} (limit {})", size, limit);
            let members: Vec<&Candidate> = batch.instances.iter().map(|id| by_id[id]).collect();
            let zones: BTreeSet<_> = members.iter().map(|c| &c.zone).collect();
            let domains: BTreeSet<_> = members.iter().map(|c| c.update_domain).collect();
            let of_members: BTreeSet<_> = members.iter().map(|c| PhaseName::from(c.standing.phase())).collect();
            prop_assert!(zones.len() == 1 || policy.enable_cross_zone_upgrade);
            prop_assert_eq!(domains.into_iter().collect::<Vec<_>>(), vec![batch.update_domain]);
            prop_assert_eq!(of_members.into_iter().collect::<Vec<_>>(), vec![PhaseName::from(batch.phase)]);
            phases.push(PhaseName::from(batch.phase));
        }
        prop_assert!(phases.is_sorted(), "{:?}", phases);
    }

    #[test]
    fn equal_course_equal_digest(
        fleet in any_fleet(),
        policy in any_policy(),
        index: prop::sample::Index,
        other in any_candidate(),
    ) {
        let mut changed = fleet.clone();
        if !changed.is_empty() {
            let slot = index.index(changed.len());
            changed[slot] = Candidate { id: changed[slot].id.clone(), ..other };
        }
        let (a, b) = (plan_with(&fleet, &policy), plan_with(&changed, &policy));
        prop_assert_eq!(a.digest == b.digest, course(&a) == course(&b));
    }
}
