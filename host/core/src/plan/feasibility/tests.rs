//! Policies and fleets of all sizes, and what is said about them.

use jiff::tz::TimeZone;

use super::*;
use crate::domain::{ClockTime, FreezeWindow, Phase, Weekdays, testing};

struct Case {
    policy: UpgradePolicy,
    freeze: FreezeWindows,
    protected: usize,
}

fn percent(value: u8) -> Percent {
    Percent::new(value).unwrap()
}

fn defaults() -> Case {
    Case {
        policy: testing::upgrade_policy(testing::limits(20)),
        freeze: FreezeWindows::default(),
        protected: 0,
    }
}

impl Case {
    fn look(&self, total: usize) -> Feasibility {
        feasibility(&FeasibilityInput {
            health: None,
            policy: &self.policy,
            freeze: &self.freeze,
            total,
            protected: self.protected,
            driver_limit: None,
            batches: None,
            now: Timestamp(1_784_073_600_000),
        })
    }

    /// The findings, one per line.
    fn says(&self, total: usize) -> String {
        let findings = self.look(total).findings;
        findings.iter().map(|finding| format!("{}: {finding}\n", finding.code())).collect()
    }

    fn limits(batch: u8, unhealthy: u8) -> Self {
        let mut case = defaults();
        case.policy.rolling.max_batch_instance_percent = percent(batch);
        case.policy.rolling.max_unhealthy_instance_percent = percent(unhealthy);
        case
    }

    fn batches(batch: u8, batches: &[BatchSize]) -> Self {
        let mut case = Self::limits(batch, 100);
        case.policy.rolling.batches = batches.to_vec();
        case
    }
}

#[test]
fn counts() {
    for (total, batch, unhealthy, batch_max, unhealthy_max) in [
        (1, 20, 20, 1, 0),
        (2, 20, 20, 1, 0),
        (2, 100, 50, 2, 1),
        (4, 20, 20, 1, 0),
        (5, 20, 20, 1, 1),
        (9, 20, 20, 1, 1),
        (10, 20, 20, 2, 2),
        (10, 50, 20, 5, 2),
        (19, 5, 5, 1, 0),
        (20, 5, 5, 1, 1),
        (100_000, 100, 100, 100_000, 100_000),
    ] {
        let resolved = Case::limits(batch, unhealthy).look(total).resolved;
        let expected =
            Resolved { total, protected: 0, batch_max, unhealthy_max, batch_sizes: vec![batch_max] };
        assert_eq!(resolved, expected, "{batch} % and {unhealthy} % of {total}");
    }
    let growing =
        Case::batches(40, &[BatchSize::Count(1), BatchSize::Count(9), BatchSize::Share(percent(30))]);
    assert_eq!(growing.look(10).resolved.batch_sizes, [1, 4, 3]);
}

#[test]
fn nothing_is_said_about_the_defaults() {
    for total in (5..300).chain([10_000, 100_000]) {
        assert_eq!(defaults().says(total), "", "{total}");
    }
    assert_eq!(defaults().says(0), "");
}

#[test]
fn nothing_is_said_about_policies_that_fit() {
    let count = BatchSize::Count;
    for (case, total) in [
        (Case::limits(100, 100), 1),
        (Case::limits(5, 50), 2),
        (Case::limits(50, 50), 2),
        (Case::limits(20, 34), 3),
        (Case::limits(5, 5), 20),
        // Small batches of a set whose limit alone would be too large.
        (
            Case {
                policy: UpgradePolicy {
                    rolling: RollingUpgradePolicy {
                        batches: vec![count(1), count(2)],
                        ..Case::limits(50, 20).policy.rolling
                    },
                    ..defaults().policy
                },
                ..defaults()
            },
            10,
        ),
        (Case::batches(20, &[count(1), count(5), BatchSize::Share(percent(20))]), 25),
        (Case { protected: 9, ..defaults() }, 10),
    ] {
        assert_eq!(case.says(total), "", "{total}: {:?}", case.policy);
    }
}

#[test]
fn one_instance_is_more_than_may_be_down() {
    for (total, unhealthy, enough) in [
        (1, 20, 100),
        (1, 99, 100),
        (2, 20, 50),
        (2, 49, 50),
        (3, 33, 34),
        (4, 20, 25),
        (7, 14, 15),
        (19, 5, 6),
    ] {
        let expected = Finding::Unsatisfiable { total, limit: percent(unhealthy), enough: percent(enough) };
        assert_eq!(Case::limits(50, unhealthy).look(total).findings, [expected], "{unhealthy} % of {total}");
        let at_least = Case::limits(5, enough).look(total);
        assert_eq!(
            (at_least.resolved.unhealthy_max, at_least.findings),
            (1, vec![]),
            "{enough} % of {total}"
        );
    }
    insta::assert_snapshot!(defaults().says(2), @"unsatisfiable: maxUnhealthyInstancePercent = 20 can never pass: it allows 0 of 2 instances to be unhealthy, and the smallest batch takes 1 down (50 %). Phasegate upgrades one at a time all the same, as Azure does, but an upgrade ends when one instance is down before a batch or stays down after a failure; 50 or more allows one");
}

#[test]
fn batches_that_shrink_and_entries_that_are_cut() {
    insta::assert_snapshot!(Case::limits(50, 20).says(10), @"batches-shrink: batches of 5 shrink to 2: maxUnhealthyInstancePercent = 20 allows 2 of 10 instances to be down");
    let (count, share) = (BatchSize::Count, |value| BatchSize::Share(percent(value)));
    insta::assert_snapshot!(Case::batches(20, &[count(1), count(5)]).says(10), @"batches-cut: batches[1] = 5 is cut to 2 by maxBatchInstancePercent = 20");
    insta::assert_snapshot!(Case::batches(20, &[share(50), count(2), count(9)]).says(10), @r#"batches-cut: batches[0] = "50%" (5) is cut to 2 by maxBatchInstancePercent = 20, and 1 more"#);
    let mut both = Case::batches(50, &[count(1), count(9)]);
    both.policy.rolling.max_unhealthy_instance_percent = percent(20);
    insta::assert_snapshot!(both.says(10), @r"
    batches-shrink: batches of 5 shrink to 2: maxUnhealthyInstancePercent = 20 allows 2 of 10 instances to be down
    batches-cut: batches[1] = 9 is cut to 5 by maxBatchInstancePercent = 50
    ");
}

#[test]
fn protection_failures_and_checkpoints() {
    insta::assert_snapshot!(Case { protected: 2, ..defaults() }.says(2), @"all-protected: protectFromScaleSetActions is set for all 2 instances: no upgrade would ever change anything");
    insta::assert_snapshot!(Case { protected: 1, ..defaults() }.says(1), @"all-protected: protectFromScaleSetActions is set for the only instance: no upgrade would ever change anything");

    let mut strict = defaults();
    strict.policy.rolling.max_unhealthy_upgraded_instance_percent = percent(0);
    assert_eq!(strict.says(10), "", "0 % alone is a choice");
    strict.policy.failure.breach = OnBreach::RestoreFailed;
    assert_eq!(strict.says(10), "");
    strict.policy.failure.breach = OnBreach::RollBack;
    insta::assert_snapshot!(strict.says(10), @"first-failure-rolls-back: maxUnhealthyUpgradedInstancePercent = 0 and rollbackOnPolicyBreach = true: the first instance that fails rolls back all that were upgraded before it");

    let mut waits = defaults();
    let zero = PhaseName::Number(Phase::new(0).unwrap());
    waits.policy.checkpoints.pause_after = [zero].into();
    waits.policy.checkpoints.approval_before = [zero, PhaseName::Last].into();
    assert_eq!(waits.says(10), "");
    waits.policy.checkpoints.pause_after = [zero, PhaseName::Last].into();
    insta::assert_snapshot!(waits.says(10), @r#"pause-after-last: pauseAfterPhase names "last", after which nothing is left to wait: the upgrade ends without a pause"#);
}

#[test]
fn openings_between_freezes() {
    let window = |from: &str, to: &str| FreezeWindow {
        days: Weekdays::ALL,
        from: ClockTime::parse(from).unwrap(),
        to: ClockTime::parse(to).unwrap(),
        zone: TimeZone::UTC,
        first_date: None,
        last_date: None,
        reason: None,
    };
    let frozen = |windows: &[(&str, &str)]| Case {
        freeze: FreezeWindows {
            frozen: windows.iter().map(|(from, to)| window(from, to)).collect(),
            allowed: Vec::new(),
        },
        ..defaults()
    };
    assert_eq!(frozen(&[("18:00", "08:00")]).says(10), "");
    assert_eq!(frozen(&[("08:05", "08:00")]).says(10), "", "just enough");
    insta::assert_snapshot!(frozen(&[("08:00", "12:00"), ("12:02", "18:00")]).says(10), @"short-opening: freeze windows leave only 120 s from 2026-07-15T12:00:00.000Z to 2026-07-15T12:02:00.000Z, less than healthGate.deadline (300 s): a batch that starts then is judged during the next freeze");
    // One freeze, once: nothing lies between.
    let mut once = frozen(&[("00:00", "24:00")]);
    once.freeze.frozen[0].last_date = Some(jiff::civil::date(2026, 7, 20));
    assert_eq!(once.says(10), "");
}

#[test]
fn a_fleet_that_is_over_its_limit_now() {
    let policy = defaults().policy.rolling;
    let ids =
        |count: u32| (1..=count).map(|id| InstanceId::parse(&id.to_string()).unwrap()).collect::<Vec<_>>();
    assert_eq!(fleet_unhealthy(&policy, &[], 0), None);
    assert_eq!(fleet_unhealthy(&policy, &ids(2), 10), None, "20 % is not more than 20 %");
    let finding = |count, total| fleet_unhealthy(&policy, &ids(count), total).unwrap().to_string();
    insta::assert_snapshot!(finding(3, 10), @"3 of 10 instances are unhealthy right now, more than maxUnhealthyInstancePercent = 20 allows (2): an upgrade that starts now ends Faulted at once; the first is `1`");
    insta::assert_snapshot!(finding(1, 2), @"1 of 2 instances is unhealthy right now, more than maxUnhealthyInstancePercent = 20 allows (0): an upgrade that starts now ends Faulted at once; the first is `1`");
}

/// With a way of asking, so that times can be reckoned.
fn timed(
    policy: &UpgradePolicy,
    health: &HealthSettings,
    driver_limit: Option<Duration>,
) -> Vec<&'static str> {
    let freeze = FreezeWindows::default();
    let found = feasibility(&FeasibilityInput {
        health: Some(health),
        policy,
        freeze: &freeze,
        total: 10,
        protected: 0,
        driver_limit,
        batches: None,
        now: Timestamp(1_784_073_600_000),
    });
    found.findings.iter().map(Finding::code).collect()
}

#[test]
fn limits_of_time_that_end_what_goes_well() {
    use crate::domain::{OnTimeout, Timeouts};
    let seconds = |length| Some(Duration::from_secs(length));
    let with = |timeouts| UpgradePolicy { timeouts, ..defaults().policy };
    let (none, health) = (Timeouts::default(), testing::health());
    let says = |timeouts| timed(&with(timeouts), &health, None).join(" ");
    assert_eq!(says(Timeouts { batch: seconds(299), ..none }), "short-batch-timeout", "a gate of 300 s");
    assert_eq!(says(Timeouts { batch: seconds(300), ..none }), "");
    let driver = Some(Duration::from_secs(60));
    let policy = with(Timeouts { batch: seconds(359), ..none });
    assert_eq!(timed(&policy, &health, driver), ["short-batch-timeout"]);
    // Five batches of two, with 60 s between them.
    let mut slow = with(Timeouts { upgrade: seconds(239), ..none });
    slow.rolling.pause_time_between_batches = Duration::from_secs(60);
    assert_eq!(timed(&slow, &health, None), ["short-upgrade-timeout"]);
    slow.timeouts.upgrade = seconds(240);
    assert_eq!(timed(&slow, &health, None), Vec::<&str>::new());
    assert_eq!(says(Timeouts { approval: seconds(60), ..none }), "no-approval");
    let mut asked = with(Timeouts { approval: seconds(60), ..none });
    asked.checkpoints.approval_before = [PhaseName::Last].into();
    assert_eq!(timed(&asked, &health, None), Vec::<&str>::new());
    assert_eq!(says(Timeouts { then: OnTimeout::RollBack, ..none }), "no-timeout");
}

#[test]
fn a_gate_that_nobody_can_pass_is_told_from_one_that_is_short() {
    let policy = defaults().policy;
    let health = |probes, profile| HealthSettings {
        number_of_probes: probes,
        interval: Duration::from_secs(60),
        profile,
        ..testing::health()
    };
    use crate::domain::Profile::{Azure, Fleet};
    assert_eq!(
        timed(&policy, &health(7, Azure), None),
        ["gate-never-passes"],
        "the seventh comes after 360 s"
    );
    assert_eq!(timed(&policy, &health(6, Azure), None), ["short-deadline"]);
    assert_eq!(
        timed(&policy, &health(7, Fleet), None),
        ["short-deadline"],
        "the first ones come quickly there"
    );
}

#[test]
fn windows_that_never_open() {
    let day = jiff::civil::date(2020, 1, 1);
    let past = FreezeWindow {
        days: Weekdays::ALL,
        from: ClockTime::parse("00:00").unwrap(),
        to: ClockTime::parse("10:00").unwrap(),
        zone: TimeZone::UTC,
        first_date: None,
        last_date: Some(day),
        reason: None,
    };
    let freeze = FreezeWindows { frozen: Vec::new(), allowed: vec![past] };
    assert_eq!(
        Case { freeze, ..defaults() }.look(10).findings,
        [Finding::Times(TimesFinding::NeverOpens { days: 400 })]
    );
}
