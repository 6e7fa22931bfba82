//! Whole releases, made up: good ones, and one that is bad from a region phase on.

use std::time::Duration;

use super::*;
use crate::kernel::released;
use crate::kernel::testing::orders;

fn setup(bad_from: Option<usize>, seed: u64) -> Setup {
    let subject = ExtensionType::new("contoso", "app").unwrap();
    let wanted = Invented { regions: 7, sets: 14, instances: 6, zones: 3, bake: Duration::from_secs(3600) };
    let (sets, rules) = invented(&wanted, &orders().spec, &subject).unwrap();
    Setup {
        sets,
        rules,
        subject,
        version: ReleaseVersion::parse("1.1.0").unwrap(),
        bad_from,
        rates: Rates::default(),
        apply: (Duration::from_secs(2), Duration::from_secs(10)),
        start: Duration::from_secs(3),
        begin: Timestamp(1_767_603_600_000),
        seed,
        limit: Duration::from_secs(30 * 86_400),
    }
}

#[test]
fn a_good_version_goes_everywhere_and_nothing_is_broken() {
    for seed in 0..5 {
        let course = run(&setup(None, seed));
        assert_eq!(course.violations, Vec::<String>::new(), "seed {seed}");
        assert_eq!((course.state, course.have_it), (Some("Completed"), course.instances), "{course:#?}");
        assert_eq!(course.sets, [("Done", 14)].into());
        // Canary, two, four; each baked for an hour before the next.
        assert_eq!(course.phases.iter().map(|phase| phase.regions.len()).collect::<Vec<_>>(), [1, 2, 4]);
        let began: Vec<Duration> = course.phases.iter().map(|phase| phase.began.unwrap()).collect();
        let ended: Vec<Duration> = course.phases.iter().map(|phase| phase.ended.unwrap()).collect();
        for (ended, began) in ended.iter().zip(began.iter().skip(1)) {
            assert!(*began >= *ended + Duration::from_secs(3600), "{course:#?}");
        }
    }
}

#[test]
fn a_version_that_is_bad_from_the_third_region_phase_on_is_stopped_there() {
    let course = run(&setup(Some(3), 1));
    assert_eq!((course.violations.len(), course.state), (0, Some("Halted")), "{course:#?}");
    let had: Vec<usize> = course.phases.iter().map(|phase| phase.had_it).collect();
    assert_eq!((had[0], had[1]), (12, 24), "{course:#?}");
    assert!(had[2] > 0 && had[2] < 24, "{had:?}");
    let first = run(&setup(Some(1), 1));
    assert_eq!(first.phases.iter().skip(1).map(|phase| phase.had_it).sum::<usize>(), 0, "{first:#?}");
}

#[test]
fn the_same_seed_gives_the_same_course() {
    assert_eq!(run(&setup(Some(2), 7)), run(&setup(Some(2), 7)));
}

#[test]
fn hours_in_which_nothing_is_under_way_cost_nothing() {
    let turns = |hours: u64| {
        let mut setup = setup(None, 3);
        setup.rules.strategy.bake = Duration::from_secs(hours * 3600);
        let course = run(&setup);
        assert_eq!(course.state, Some("Completed"));
        course.turns
    };
    assert_eq!(turns(1), turns(48), "nobody is asked and nothing is looked at");
}

/// From the third region phase on bad, where all sets may fail, each is tried once more.
fn failing() -> Setup {
    let mut setup = setup(Some(3), 1);
    setup.rules.strategy.max_failed_sets = 99;
    setup.rules.strategy.retry_limit = 1;
    setup
}

#[test]
fn a_set_that_failed_is_tried_again_and_comes_to_an_end() {
    let setup = failing();
    let retry_after = setup.rules.strategy.retry_after;
    let course = run(&setup);
    assert_eq!((course.violations.len(), course.state), (0, Some("Completed")), "{course:#?}");
    assert_eq!(course.sets, [("Done", 6), ("Failed", 8)].into(), "{course:#?}");
    assert!(course.duration > retry_after && course.duration < retry_after * 2, "{course:#?}");
}

fn with(rates: Rates, seed: u64) -> Course {
    let mut setup = setup(None, seed);
    setup.rates = rates;
    setup.rules.strategy.bake = Duration::from_secs(600);
    setup.rules.strategy.retry_after = Duration::from_secs(1_800);
    setup.limit = Duration::from_secs(86_400);
    setup.rules.strategy.max_failed_sets = 99;
    run(&setup)
}

#[test]
fn faults_befall_a_release_and_nothing_is_broken() {
    let usual = Rates {
        crash: 20_000,
        flap: 20_000,
        zone_loss: 50_000,
        slow: 50_000,
        lost_probe: 10_000,
        bad_version: 10_000,
        driver: 10_000,
    };
    for seed in 0..3 {
        let course = with(usual, seed);
        assert_eq!(course.violations, Vec::<String>::new(), "seed {seed}: {course:#?}");
        assert_eq!(course.state, Some("Completed"), "seed {seed}: {course:#?}");
    }
    assert_eq!(with(usual, 1), with(usual, 1));
    let none = with(Rates::default(), 3);
    let all_bad = with(Rates { bad_version: 1_000_000, ..Rates::default() }, 3);
    assert_eq!(all_bad.sets.get("Done"), None, "{all_bad:#?}");
    let failing = with(Rates { driver: 1_000_000, ..Rates::default() }, 3);
    assert_eq!((failing.sets.get("Done"), failing.had_it), (None, 0), "{failing:#?}");
    let slow = with(Rates { slow: 1_000_000, ..Rates::default() }, 3);
    assert!(slow.duration > none.duration + Duration::from_secs(60), "{slow:#?}");
    let losses = with(Rates { zone_loss: 2_000_000, ..Rates::default() }, 3);
    assert!(losses.judged > none.judged, "{losses:#?}");
}

#[test]
fn a_course_that_is_told_to_stop_gives_nothing() {
    let setup = setup(None, 1);
    let mut asked = 0;
    let course = settled(&setup).run_while(&mut || {
        asked += 1;
        asked < 5
    });
    assert_eq!((course, asked), (None, 5));
    assert_eq!(settled(&setup).run_while(&mut || true), Some(run(&setup)));
}

#[test]
fn the_duration_of_a_plan_is_that_of_its_simulation() {
    let mut setup = setup(None, 0);
    (setup.apply.0, setup.apply.1) = (Duration::from_secs(2), Duration::from_secs(10));
    setup.start = Duration::from_secs(10);
    let estate = settled(&setup);
    let (fleet, now) = (estate.0.kernel.fleet(), estate.0.now);
    let planned = released::plan(fleet, &setup.subject, &setup.version, now).unwrap();
    let takes = expected(fleet, &planned, now, &mut || true).unwrap();
    assert_eq!(takes, run(&Setup { begin: now.wall.date(), ..setup.clone() }).duration);
    assert!(takes > Duration::from_secs(2 * 3600), "two bakes lie between three region phases: {takes:?}");
    assert_eq!(expected(fleet, &planned, now, &mut || false), None, "nobody waits");
    let mut large = setup.clone();
    large.sets.truncate(1);
    let one = large.sets[0].spec.instances.values().next().unwrap().clone();
    large.sets[0].spec.instances = (0..5_001)
        .map(|number| {
            let mut one = (*one).clone();
            one.id = crate::domain::InstanceId::parse(&number.to_string()).unwrap();
            (one.id.clone(), std::sync::Arc::new(one))
        })
        .collect();
    let estate = settled(&large);
    let (fleet, now) = (estate.0.kernel.fleet(), estate.0.now);
    let planned = released::plan(fleet, &large.subject, &large.version, now).unwrap();
    assert_eq!(expected(fleet, &planned, now, &mut || true), None, "a formula has to do");
}
