//! Every rule alone makes another digest. The layout itself is checked by `plan/tests/properties.rs`.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{Goal, Percent, Phase, ScaleSetName, Version, testing};
use crate::plan::There;

fn sample() -> UpgradePolicy {
    testing::upgrade_policy(testing::limits(20))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn phase(number: u32) -> PhaseName {
    PhaseName::Number(Phase::new(number).unwrap())
}

/// The digest of a plan without instances: only the rules make a difference.
fn digest(policy: &UpgradePolicy) -> Digest {
    let input = PlanInput {
        there: There::Stays,
        scale_set: &ScaleSetName::parse("orders").unwrap(),
        goal: &Goal::application(Version::parse("v2").unwrap()),
        policy,
        candidates: &[],
        total: 10,
        batches_before: 0,
    };
    of(&input, 2, &[], &[])
}

#[test]
fn each_rule_alone_makes_another_digest() {
    type Change = fn(&mut UpgradePolicy);
    let changes: [(&str, Change); 24] = [
        ("nothing", |_| ()),
        ("largest batch", |p| p.rolling.max_batch_instance_percent = Percent::clamped(21)),
        ("unhealthy", |p| p.rolling.max_unhealthy_instance_percent = Percent::clamped(21)),
        ("upgraded", |p| p.rolling.max_unhealthy_upgraded_instance_percent = Percent::clamped(21)),
        ("pause", |p| p.rolling.pause_time_between_batches = Duration::from_nanos(1)),
        ("zones", |p| p.rolling.enable_cross_zone_upgrade = true),
        ("unhealthy first", |p| p.rolling.prioritize_unhealthy_instances = true),
        ("surge", |p| p.rolling.max_surge = true),
        ("a count", |p| p.rolling.batches = vec![BatchSize::Count(1)]),
        ("two counts", |p| p.rolling.batches = vec![BatchSize::Count(1), BatchSize::Count(1)]),
        ("a share", |p| p.rolling.batches = vec![BatchSize::Share(Percent::clamped(1))]),
        ("wait", |p| p.gate.wait = seconds(1)),
        ("stable for", |p| p.gate.stable_for = seconds(1)),
        ("deadline", |p| p.gate.deadline = seconds(1)),
        ("instance failure", |p| p.failure.instance = OnInstanceFailure::Leave),
        ("breach: restore", |p| p.failure.breach = OnBreach::RestoreFailed),
        ("breach: roll back", |p| p.failure.breach = OnBreach::RollBack),
        ("pause after", |p| p.checkpoints.pause_after = [phase(1)].into()),
        ("approval before", |p| p.checkpoints.approval_before = [phase(1)].into()),
        ("approval before the last", |p| p.checkpoints.approval_before = [PhaseName::Last].into()),
        ("decisions", |p| p.decisions = Decisions::Live),
        ("defer", |p| p.defer_max = seconds(1801)),
        ("urgency", |p| p.urgency = crate::domain::Urgency::Security),
        ("prepare", |p| p.prepare_max = seconds(61)),
    ];
    let mut seen: BTreeMap<Digest, &str> = BTreeMap::new();
    for (name, change) in changes {
        let mut changed = sample();
        change(&mut changed);
        assert_eq!(digest(&changed), digest(&changed.clone()), "{name}: the same rules, the same digest");
        let other = seen.insert(digest(&changed), name);
        assert_eq!(other, None, "{name} has the digest of another change");
    }
}
