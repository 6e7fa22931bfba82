//! Whole releases, made up: good ones, and one that is bad from a region phase on.

use std::time::Duration;

use super::*;
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
