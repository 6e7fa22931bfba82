//! The planning rows of the conformance table.

use std::time::Duration;

use super::*;
use crate::domain::{BatchSize, Percent, RollingUpgradePolicy, testing};

/// Parses candidates such as `1:0 2:- 3:1s 4:0@b/1`: id, phase (`-` none), `s` skip, `d` defer,
/// `u` unhealthy, `p` protected, `x` already there, `@zone`, `/update domain`.
fn candidates(text: &str) -> Vec<Candidate> {
    text.split_whitespace().map(candidate).collect()
}

fn candidate(text: &str) -> Candidate {
    let (text, update_domain) = match text.split_once('/') {
        Some((rest, domain)) => (rest, Some(domain.parse().unwrap())),
        None => (text, None),
    };
    let (text, zone) = match text.split_once('@') {
        Some((rest, zone)) => (rest, Some(zone.to_owned())),
        None => (text, None),
    };
    let (id, rest) = text.split_once(':').unwrap();
    let flags: String = rest.chars().filter(|c| c.is_ascii_alphabetic()).collect();
    let number: String = rest.chars().filter(char::is_ascii_digit).collect();
    let participation = match () {
        () if flags.contains('s') => Participation::Skip,
        () if flags.contains('d') => Participation::Defer,
        () => Participation::Proceed,
    };
    Candidate {
        held: None,
        id: InstanceId::parse(id).unwrap(),
        zone,
        update_domain,
        fault_domain: None,
        protection: Protection { from_scale_set_actions: flags.contains('p'), from_scale_in: true },
        runs: Runs::at(Version::parse(if flags.contains('x') { "v2" } else { "v1" }).unwrap()),
        extensions: BTreeMap::new(),
        health: if flags.contains('u') { Health::Unhealthy } else { Health::Healthy },
        standing: Standing::Decided {
            phase: number.parse().ok().and_then(Phase::new),
            participation,
            detail: String::new(),
        },
    }
}

fn policy(batch_percent: u8) -> RollingUpgradePolicy {
    RollingUpgradePolicy {
        max_batch_instance_percent: Percent::new(batch_percent).unwrap(),
        ..testing::limits(20)
    }
}

fn plan_with(candidates: &[Candidate], policy: &RollingUpgradePolicy) -> Plan {
    plan(&PlanInput {
        there: There::Stays,
        scale_set: &ScaleSetName::parse("orders").unwrap(),
        goal: &Goal::application(Version::parse("v2").unwrap()),
        policy: &testing::upgrade_policy(policy.clone()),
        candidates,
        total: candidates.len(),
        batches_before: 0,
    })
}

/// Smallest percentage that gives batches of `cap` for `total` instances.
fn percent_for(cap: usize, total: usize) -> u8 {
    (1..=100).find(|p| Percent::new(*p).unwrap().of(total).max(1) == cap).unwrap()
}

fn show(plan: &Plan) -> String {
    let batch = |b: &Batch| {
        let ids: Vec<&str> = b.instances.iter().map(InstanceId::as_str).collect();
        format!("[{}]", ids.join(","))
    };
    plan.batches.iter().map(batch).collect::<Vec<_>>().join(" ")
}

#[test]
fn planning_rows() {
    for (row, instances, cap, expected) in [
        ("P01", "1:1 2:0 3:2 4:0", 1, "[2] [4] [1] [3]"),
        ("P02", "1:- 2:0 3:-", 2, "[2] [1,3]"),
        ("P03", "1:0 2:0 3:0 4:1", 2, "[1,2] [3] [4]"),
        ("P04", "1:10 2:2 3:1", 1, "[3] [2] [1]"),
        ("P05", "1:0s 2:0", 1, "[2]"),
        ("P06", "1:0s 2:-s", 2, ""),
        ("P07", "1:- 2:- 3:- 4:- 5:- 6:- 7:- 8:- 9:- 10:-", 2, "[1,2] [3,4] [5,6] [7,8] [9,10]"),
        ("P09", "1:0 2:- 3:5", 1, "[1] [3] [2]"),
        ("P10", "1:0@a 2:0@a 3:0@b 4:0@b", 2, "[1,2] [3,4]"),
        ("P11 off", "1:0@a 2:0@b", 2, "[1] [2]"),
        ("P12", "1:0/0 2:0/1", 2, "[1] [2]"),
        ("P18", "1:0p 2:0", 1, "[2]"),
        ("P19", "1:0 2:0", 2, "[1,2]"),
        ("P20", "1:0x 2:0", 1, "[2]"),
        ("defer", "1:0d 2:0", 1, "[2]"),
        ("names of one kind", "db-12:0 db-9:0 db-10:0 db-009:0", 1, "[db-009] [db-9] [db-10] [db-12]"),
        ("names with a common digit", "db1-2:0 db10-1:0 db1-10:0", 1, "[db1-2] [db1-10] [db10-1]"),
        ("a name within a name", "web-2:0 web:0 web-10:0 web-1a:0", 1, "[web] [web-1a] [web-2] [web-10]"),
        ("ids as people count", "web-10:0 web-9:0 web-1:0 3:0", 1, "[3] [web-1] [web-9] [web-10]"),
        ("zones as people count", "1:0@z-10 2:0@z-2 3:0@a", 3, "[3] [2] [1]"),
        ("zones as numbers", "1:0@10 2:0@2 3:0", 3, "[3] [2] [1]"),
    ] {
        let candidates = candidates(instances);
        let policy = policy(percent_for(cap, candidates.len()));
        let mut reversed = candidates.clone();
        reversed.reverse();
        let planned = plan_with(&candidates, &policy);
        assert_eq!(show(&planned), expected, "{row}");
        assert_eq!(planned, plan_with(&reversed, &policy), "{row}: the order of the input must not matter");
    }
}

#[test]
fn cross_zone_keeps_update_domains() {
    let mut policy = policy(100);
    policy.enable_cross_zone_upgrade = true;
    assert_eq!(show(&plan_with(&candidates("1:0@a 2:0@b"), &policy)), "[1,2]", "P11 on");
    assert_eq!(show(&plan_with(&candidates("1:0@a/0 2:0@b/1"), &policy)), "[1] [2]", "P12 cross-zone");
}

#[test]
fn batches_grow_over_the_whole_upgrade_and_never_above_the_limit() {
    let mut policy = policy(40);
    policy.batches =
        vec![BatchSize::Count(1), BatchSize::Count(2), BatchSize::Share(Percent::new(90).unwrap())];
    let ten = "1:0@a 2:0@a 3:0@a 4:0@b 5:0@b 6:0@b 7:0@b 8:0@b 9:0@b 10:1@b";
    let planned = plan_with(&candidates(ten), &policy);
    assert_eq!(show(&planned), "[1] [2,3] [4,5,6,7] [8,9] [10]", "1, 2, then 90 % cut to 40 %");
}

#[test]
fn unhealthy_first_within_the_phase() {
    let mut policy = policy(34);
    policy.prioritize_unhealthy_instances = true;
    assert_eq!(show(&plan_with(&candidates("1:0 2:0u 3:1u"), &policy)), "[2] [1] [3]", "P13");
}

#[test]
fn each_hold_says_why() {
    let mut all = candidates("1:0s 2:0d 3:0p 4:0");
    all[3].standing = Standing::Undecided;
    let planned = plan_with(&all, &policy(20));
    let lines: Vec<String> = planned.holds.iter().map(|h| format!("{}: {}", h.instance, h.reason)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    1: skip
    2: not now
    3: protectFromScaleSetActions is set
    4: no probe has been judged by its plugin yet
    ");
}

#[test]
fn digest_follows_the_course_and_not_the_wording() {
    let policy_20 = policy(20);
    let base = plan_with(&candidates("1:0 2:1 3:0s"), &policy_20);
    let mut reworded = candidates("1:0 2:1 3:0s");
    if let Standing::Decided { detail, .. } = &mut reworded[2].standing {
        *detail = "in-backup: 42 % done".to_owned();
    }
    assert_eq!(plan_with(&reworded, &policy_20).digest, base.digest);
    for other in ["1:0 2:0 3:0s", "1:0 2:1 3:0", "1:0 2:1 3:0d", "1:0 2:1 3:0s 4:0", "1:0@a 2:1 3:0s"] {
        assert_ne!(plan_with(&candidates(other), &policy_20).digest, base.digest, "{other}");
    }
    assert_ne!(plan_with(&candidates("1:0 2:1 3:0s"), &policy(100)).digest, base.digest);
}

mod properties;
mod standing;

#[test]
fn a_batch_of_an_availability_set_is_a_share_of_its_update_domain() {
    let by_domain = |share| RollingUpgradePolicy { batch_of: BatchOf::UpdateDomain, ..policy(share) };
    // Ten in domain 0, two in domain 1, one in none.
    let many: Vec<String> = (0..10).map(|number| format!("a{number}:0/0")).collect();
    let fleet = candidates(&format!("{} b0:0/1 b1:0/1 c0:0", many.join(" ")));
    let plan = plan_with(&fleet, &by_domain(20));
    let sizes: Vec<(Option<u32>, usize)> =
        plan.batches.iter().map(|batch| (batch.update_domain, batch.instances.len())).collect();
    let two = (Some(0), 2);
    let rest = [(Some(1), 1), (Some(1), 1)];
    let expected: Vec<(Option<u32>, usize)> = [(None, 1)].into_iter().chain([two; 5]).chain(rest).collect();
    assert_eq!(sizes, expected);
    assert_eq!(plan.batch_max, 2);
    assert_ne!(plan.digest, plan_with(&fleet, &policy(20)).digest, "the rule is in the digest");
}
