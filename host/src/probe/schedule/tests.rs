//! The schedule on a made-up time line.

use super::*;

const SLOT: Slot = Slot(1);

/// Which lanes may start a probe now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admit {
    Both,
    PromptOnly,
    Neither,
}

impl Admission for Admit {
    fn lane(&self, lane: Lane) -> bool {
        match self {
            Self::Both => true,
            Self::PromptOnly => lane == Lane::Prompt,
            Self::Neither => false,
        }
    }

    fn group(&self, _: Group, _: Lane) -> bool {
        true
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn scheduled(interval: u64, due: u64) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.insert((SLOT, Group(0)), ms(interval), ms(due));
    schedule
}

/// Starts one target's probes as soon as they are due plus `late`; each takes what `lasts` says.
/// Returns the start times.
fn starts(interval: u64, late: u64, lasts: &[u64]) -> Vec<u64> {
    let mut schedule = scheduled(interval, 0);
    let mut started = Vec::new();
    for last in lasts {
        let now = schedule.next_due(&Admit::Both).unwrap() + ms(late);
        let start = schedule.take_due(now, &Admit::Both).unwrap();
        assert_eq!(schedule.next_due(&Admit::Both), None, "two probes of one target at once");
        started.push(u64::try_from(now.as_millis()).unwrap());
        schedule.finish(SLOT, start.ticket, now + ms(*last), Lane::Prompt);
    }
    started
}

#[test]
fn next_start_is_the_interval_after_the_start_or_the_end_of_the_probe_before() {
    assert_eq!(starts(5_000, 0, &[0, 10, 4_999, 5_000, 5]), [0, 5_000, 10_000, 15_000, 20_000]);
    // S13 of the conformance list: healthy at once, then two hangs of 30 s.
    assert_eq!(starts(5_000, 0, &[0, 30_000, 30_000, 0, 0]), [0, 5_000, 35_000, 65_000, 70_000]);
}

#[test]
fn small_delays_do_not_add_up_and_great_ones_move_the_rhythm() {
    assert_eq!(starts(1_000, 7, &[1; 5]), [7, 1_007, 2_007, 3_007, 4_007]);
    assert_eq!(starts(1_000, 900, &[1; 4]), [900, 2_900, 4_900, 6_900]);
}

#[test]
fn after_a_stall_everybody_goes_back_to_its_own_times() {
    let (mut schedule, interval) = (Schedule::default(), 1_000);
    for number in 0..200 {
        schedule.insert((Slot(number), Group(0)), ms(interval), ms(number * 5));
    }
    // Nothing was started for a while, and then all at once.
    let mut now = ms(5_123);
    let mut starts: BTreeMap<Slot, Vec<Duration>> = BTreeMap::new();
    while now < ms(15_000) {
        while let Some(start) = schedule.take_due(now, &Admit::Both) {
            schedule.finish(start.slot, start.ticket, now, Lane::Prompt);
            starts.entry(start.slot).or_default().push(now);
        }
        now = schedule.next_due(&Admit::Both).unwrap();
    }
    for (Slot(number), starts) in starts {
        let own = u128::from(number * 5);
        assert_eq!(starts.last().unwrap().as_millis() % 1_000, own, "{number}: {starts:?}");
        for pair in starts.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(gap >= ms(900) && gap <= ms(1_105), "{number}: {starts:?}");
        }
    }
}

#[test]
fn nothing_is_taken_before_it_is_due_and_the_longest_waiting_first() {
    let mut schedule = scheduled(1_000, 50);
    schedule.insert((Slot(2), Group(0)), ms(1_000), ms(20));
    assert_eq!(schedule.take_due(ms(19), &Admit::Both), None);
    assert_eq!(schedule.take_due(ms(60), &Admit::Both).map(|s| (s.slot, s.due)), Some((Slot(2), ms(20))));
    assert_eq!(schedule.take_due(ms(60), &Admit::Both).map(|s| (s.slot, s.due)), Some((SLOT, ms(50))));
    assert_eq!(schedule.take_due(ms(9_999), &Admit::Both), None);
}

#[test]
fn a_removed_target_is_never_due_again() {
    let mut schedule = scheduled(1_000, 0);
    let start = schedule.take_due(ms(0), &Admit::Both).unwrap();
    schedule.remove(SLOT);
    schedule.finish(SLOT, start.ticket, ms(5), Lane::Prompt);
    assert_eq!(schedule.next_due(&Admit::Both), None);

    schedule.insert((SLOT, Group(0)), ms(1_000), ms(10));
    schedule.remove(SLOT);
    assert_eq!(schedule.next_due(&Admit::Both), None);
}

#[test]
fn a_new_interval_shortens_the_wait_and_never_lengthens_it() {
    let mut schedule = scheduled(60_000, 50_000);
    schedule.set_interval(SLOT, ms(1_000), ms(10));
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(1_010)));
    schedule.set_interval(SLOT, ms(60_000), ms(20));
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(1_010)));
    schedule.set_interval(SLOT, ms(60_000), ms(900));
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(1_010)), "the same interval keeps the schedule");
}

#[test]
fn hastening_waits_for_the_running_probe() {
    let mut schedule = scheduled(60_000, 0);
    let start = schedule.take_due(ms(0), &Admit::Both).unwrap();
    schedule.hasten(SLOT, ms(10));
    assert_eq!(schedule.next_due(&Admit::Both), None);
    schedule.finish(SLOT, start.ticket, ms(30), Lane::Prompt);
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(30)));

    let start = schedule.take_due(ms(30), &Admit::Both).unwrap();
    schedule.finish(SLOT, start.ticket, ms(31), Lane::Prompt);
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(60_000)), "back to its own times");
    schedule.hasten(SLOT, ms(40));
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(40)));
}

#[test]
fn a_new_life_does_not_wait_for_the_probe_of_the_old_one() {
    let mut schedule = scheduled(1_000, 0);
    let old = schedule.take_due(ms(0), &Admit::Both).unwrap();
    schedule.renew(SLOT, ms(100));
    let new = schedule.take_due(ms(100), &Admit::Both).unwrap();
    assert_ne!(old.ticket, new.ticket);

    // The old probe ends while the new one runs, and again after it: neither moves the schedule.
    schedule.finish(SLOT, old.ticket, ms(200), Lane::Slow);
    assert_eq!(schedule.next_due(&Admit::Both), None);
    schedule.finish(SLOT, new.ticket, ms(300), Lane::Prompt);
    schedule.finish(SLOT, old.ticket, ms(400), Lane::Slow);
    assert_eq!(schedule.next_due(&Admit::PromptOnly), Some(ms(1_000)), "back to its own times");

    schedule.renew(SLOT, ms(500));
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(500)));
    schedule.renew(SLOT, ms(600));
    assert_eq!(schedule.next_due(&Admit::Both), Some(ms(500)), "never later than it was");
}

#[test]
fn slow_targets_are_held_back_alone() {
    let mut schedule = scheduled(1_000, 0);
    let start = schedule.take_due(ms(0), &Admit::Both).unwrap();
    schedule.finish(SLOT, start.ticket, ms(1_000), Lane::Slow);
    schedule.insert((Slot(2), Group(0)), ms(1_000), ms(2_000));

    assert_eq!(schedule.next_due(&Admit::PromptOnly), Some(ms(2_000)));
    assert_eq!(schedule.next_due(&Admit::Neither), None);
    assert_eq!(schedule.take_due(ms(3_000), &Admit::Neither), None);
    assert_eq!(schedule.take_due(ms(3_000), &Admit::PromptOnly).map(|s| s.slot), Some(Slot(2)));
    assert_eq!(schedule.take_due(ms(3_000), &Admit::PromptOnly), None);
    let again = schedule.take_due(ms(3_000), &Admit::Both).unwrap();
    assert_eq!((again.slot, again.lane), (SLOT, Lane::Slow));

    schedule.renew(SLOT, ms(3_100));
    assert_eq!(
        schedule.next_due(&Admit::PromptOnly),
        Some(ms(3_100)),
        "a new life starts with a clean slate"
    );
}

#[test]
fn first_probes_are_spread_over_the_interval_and_stay_where_they_are() {
    let set = ScaleSetName::parse("web").unwrap();
    let mut tenths = [0_usize; 10];
    for number in 0..1_000 {
        let id = InstanceId::parse(&number.to_string()).unwrap();
        let offset = first_offset(&set, &id, ms(5_000));
        assert!(offset < ms(5_000));
        assert_eq!(offset, first_offset(&set, &id, ms(5_000)));
        tenths[usize::try_from(offset.as_millis() / 500).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");

    // Fixed for ever: a release that moves everybody's first probe shows up here.
    let id = InstanceId::parse("0").unwrap();
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(first_offset(&set, &id, ms(5_000)).as_millis(), 4_343);
    assert_eq!(first_offset(&set, &id, Duration::ZERO), Duration::ZERO);
}
