//! Conformance with the extension, sequence by sequence, and what must hold for every sequence.

use super::*;

/// `id | protocol | interval s | numberOfProbes | gracePeriod s | probes | committed@end s`.
///
/// Probes: `h` healthy, `u` unhealthy, `k` unknown, all without duration; `t` a hang of 30 s that
/// ends in unknown. Committed: I Initializing, H Healthy, U Unhealthy, K Unknown. The ids are
/// those of the conformance list: S of the extension's own integration tests, D derived.
const SEQUENCES: &str = "\
S01|http|5|1|5|h h|H@0 H@5
S02|https|5|1|5|k k k|I@0 K@5 K@10
S03|http|7|3|21|k k|I@0 I@7
S04|http|5|2|10|h h k k|I@0 H@5 H@10 K@15
S05|http|8|2|16|h h k k h|I@0 H@8 H@16 K@24 K@32
S06|http|5|2|10|h h k k h h|I@0 H@5 H@10 K@15 K@20 H@25
S07|tcp|5|1|5|u u u|I@0 U@5 U@10
S08|tcp|5|1|5|h h|H@0 H@5
S09|none|5|1|5|h h|H@0 H@5
S10|http|5|2|10|h h k h k k|I@0 H@5 H@10 H@15 H@20 K@25
S11|http|5|2|10|k h h u u k k|I@0 I@5 K@10 K@15 U@20 U@25 K@30
S12|http|5|2|10|k h h k h u h k h|I@0 I@5 K@10 K@15 K@20 K@25 K@30 K@35 K@40
S13|http|5|2|10|h t t|I@0 K@35 K@65
S14|http|5|2|600|k h u h|I@0 I@5 I@10 I@15
S15|http|5|1|600|t t t|I@30 I@60 I@90
S16|http|10|2|600|k h u h h k k|I@0 I@10 I@20 I@30 H@40 H@50 K@60
S17|http|10|2|600|k h u h h u u h k k|I@0 I@10 I@20 I@30 H@40 H@50 U@60 U@70 U@80 K@90
S18|http|5|4|600|k k k k h u h u u h h h h u k k k k|I@0 I@5 I@10 I@15 I@20 I@25 I@30 I@35 I@40 I@45 I@50 I@55 H@60 H@65 H@70 H@75 H@80 K@85
S19|http|10|2|60|u k k k h u h|I@0 I@10 I@20 I@30 I@40 I@50 K@60
S20|http|10|2|60|k u k u k u h u h h h|I@0 I@10 I@20 I@30 I@40 I@50 K@60 K@70 K@80 H@90 H@100
S21|http|5|2|600|h h|I@0 H@5
S22|http|5|2|600|h h u u|I@0 H@5 H@10 U@15
S23|http|5|2|600|k k|I@0 I@5
S24|https|5|2|10|k k k|I@0 I@5 K@10
D01|http|5|1|5|u u u|U@0 U@5 U@10
D02|http|5|1|5|k h h|I@0 K@5 H@10
D03|http|5|3|15|h h h h|I@0 I@5 H@10 H@15
D04|http|10|2|10|h h h h|I@0 K@10 K@20 H@30
D05|http|5|2|10|u u h h|I@0 U@5 U@10 H@15
D06|http|5|2|600|k k k k h h|I@0 I@5 I@10 I@15 I@20 H@25
D07|tcp|5|2|60|u u h h u u|I@0 I@5 I@10 H@15 H@20 U@25
D08|tcp|5|2|10|u u u u h h|I@0 I@5 U@10 U@15 U@20 H@25
D09|tcp|5|3|15|h h h|I@0 I@5 H@10
D10|http|5|1|5|h u h k|H@0 U@5 H@10 K@15
D11|http|5|2|600|h h k h k h k k|I@0 H@5 H@10 H@15 H@20 H@25 H@30 K@35
D12|http|5|3|600|h h h u k u u u|I@0 I@5 H@10 H@15 H@20 H@25 H@30 U@35
D13|http|5|2|10|k h h h h h|I@0 I@5 K@10 K@15 H@20 H@25
D14|http|5|3|600|h h u h h h k k h k k k|I@0 I@5 I@10 I@15 I@20 H@25 H@30 H@35 H@40 H@45 H@50 K@55
D15|http|5|3|15|u u u|I@0 I@5 U@10
D16|http|5|1|5|t h h|K@30 H@30 H@35
";

/// Where the simulated instance was started; any number but zero, so that nothing counts from
/// the epoch.
const START: Timestamp = Timestamp(1_700_000_000_000);

#[test]
fn time_in_which_nobody_could_ask_is_no_part_of_the_grace() {
    let second = |seconds: i64| Timestamp(START.0 + seconds * 1_000);
    for (not_asked, expected) in [(0, Health::Unhealthy), (60, Health::Initializing)] {
        let mut fold = HealthFold::new(settings(2, 10, Claim::Unhealthy), START);
        assert_eq!(fold.observe(Claim::Unhealthy, second(1)), Health::Initializing);
        fold.was_not_asked(Duration::from_secs(not_asked));
        assert_eq!(fold.health(), Health::Initializing);
        assert_eq!(fold.observe(Claim::Unhealthy, second(61)), expected, "{not_asked} s");
    }
}

#[test]
fn the_edge_of_the_grace_period_is_a_slot_and_no_matter_of_milliseconds() {
    let interval = Duration::from_secs(5);
    for early in [-40, -1, 0, 1, 40] {
        let at = |seconds: i64, late: i64| Timestamp(START.0 + seconds * 1_000 + late);
        let probe = |began: Timestamp| (began, began + Duration::from_millis(1));
        // Azure's defaults, and `Unknown, Healthy`: the second probe falls on the end.
        let mut fold = HealthFold::new(settings(1, 5, Claim::Unknown), START);
        assert_eq!(fold.observe_probe(Claim::Unknown, probe(START), interval), Health::Initializing);
        assert_eq!(
            fold.observe_probe(Claim::Healthy, probe(at(5, -early)), interval),
            Health::Unknown,
            "{early}"
        );
        // S12: two in a row within ten seconds are in time, the third slot is the end.
        let mut fold = HealthFold::new(settings(2, 10, Claim::Unknown), START);
        let claims = [(0, Claim::Unknown), (5, Claim::Healthy), (10, Claim::Healthy)];
        let all =
            claims.map(|(second, claim)| fold.observe_probe(claim, probe(at(second, -early)), interval));
        assert_eq!(all, [Health::Initializing, Health::Initializing, Health::Unknown], "{early}");
    }
    // Whoever begins far from a slot belongs to none.
    let mut fold = HealthFold::new(settings(2, 5, Claim::Unknown), START);
    let between = Timestamp(START.0 + 4_000);
    assert_eq!(fold.observe_probe(Claim::Unknown, (START, START), interval), Health::Initializing);
    assert_eq!(fold.observe_probe(Claim::Healthy, (between, between), interval), Health::Initializing);
}

fn settings(number_of_probes: u32, grace_secs: u64, fail_state: Claim) -> FoldSettings {
    let grace_period = Duration::from_secs(grace_secs);
    FoldSettings { number_of_probes, grace_period, fail_state, at_grace_end: GraceEnd::FailState }
}

fn fail_state(protocol: &str) -> Claim {
    match protocol {
        "http" | "https" => Claim::Unknown,
        "tcp" | "none" => Claim::Unhealthy,
        other => panic!("{other}"),
    }
}

fn letter(health: Health) -> char {
    match health {
        Health::Initializing => 'I',
        Health::Healthy => 'H',
        Health::Unhealthy => 'U',
        Health::Unknown => 'K',
    }
}

/// Claims of the probes with the seconds at which they end: one after the other, each at
/// max(previous start + interval, previous end).
fn probes(interval: u64, tokens: &str) -> Vec<(Claim, u64)> {
    let mut starts_at = 0;
    tokens
        .split(' ')
        .map(|token| {
            let (claim, lasts) = match token {
                "h" => (Claim::Healthy, 0),
                "u" => (Claim::Unhealthy, 0),
                "k" => (Claim::Unknown, 0),
                "t" => (Claim::Unknown, 30),
                other => panic!("{other}"),
            };
            let ends_at = starts_at + lasts;
            starts_at = (starts_at + interval).max(ends_at);
            (claim, ends_at)
        })
        .collect()
}

fn check(settings: FoldSettings, interval: u64, tokens: &str) -> String {
    let mut fold = HealthFold::new(settings, START);
    assert_eq!(fold.health(), Health::Initializing);
    let mut seen = Vec::new();
    for (claim, ends_at) in probes(interval, tokens) {
        let health = fold.observe(claim, START + Duration::from_secs(ends_at));
        assert_eq!(fold.health(), health);
        seen.push(format!("{}@{ends_at}", letter(health)));
    }
    seen.join(" ")
}

#[test]
fn sequences_of_the_extension() {
    let mut failures = Vec::new();
    for line in SEQUENCES.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let [id, protocol, interval, number, grace, tokens, expected] = fields[..] else { panic!("{line}") };
        let settings = settings(number.parse().unwrap(), grace.parse().unwrap(), fail_state(protocol));
        let seen = check(settings, interval.parse().unwrap(), tokens);
        if seen != expected {
            failures.push(format!("{id}: {seen}, expected {expected}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(SEQUENCES.lines().count(), 24 + 16);
}

/// The extension's log of changes: a claim that differs from the one before, a commit that does.
fn change_log(settings: FoldSettings, interval: u64, tokens: &str) -> String {
    let mut fold = HealthFold::new(settings, START);
    let mut committed = None;
    let mut log = Vec::new();
    for (claim, ends_at) in probes(interval, tokens) {
        if fold.observed() != Some(claim) {
            log.push(format!("saw {}", letter(state_of(claim))));
        }
        let health = fold.observe(claim, START + Duration::from_secs(ends_at));
        if committed != Some(health) {
            committed = Some(health);
            log.push(format!("is {}", letter(health)));
        }
    }
    log.join(", ")
}

#[test]
fn q1_to_q5_change_logs() {
    let http = settings(2, 10, Claim::Unknown);
    for (id, tokens, expected) in [
        ("Q2", "h h k k", "saw H, is I, is H, saw K, is K"),
        ("Q3", "k h h u u k k", "saw K, is I, saw H, is K, saw U, is U, saw K, is K"),
    ] {
        assert_eq!(change_log(http, 5, tokens), expected, "{id}");
    }
    // Q4 and Q5 are the third probe of S11 and the whole of S12.
    assert_eq!(check(http, 5, "k h h"), "I@0 I@5 K@10");
    assert!(check(http, 5, "k h h k h u h k h").ends_with("K@40"));
}

#[test]
fn q6_and_q8_probes_that_hang() {
    let ends: Vec<u64> = probes(5, "h t t").iter().map(|(_, ends_at)| *ends_at).collect();
    assert_eq!(ends, [0, 35, 65], "Q6");
    assert_eq!(check(settings(1, 600, Claim::Unknown), 5, "t t t"), "I@30 I@60 I@90", "Q8");
    let tokens = ["t"; 20].join(" ");
    assert!(check(settings(1, 600, Claim::Unknown), 5, &tokens).ends_with("I@570 K@600"));
}

#[test]
fn a_slow_success_past_the_grace_period_is_too_late() {
    let mut fold = HealthFold::new(settings(1, 5, Claim::Unknown), START);
    assert_eq!(fold.observe(Claim::Healthy, START + Duration::from_secs(6)), Health::Unknown);
    assert_eq!(fold.observe(Claim::Healthy, START + Duration::from_secs(7)), Health::Healthy);
}

#[test]
fn expiry_counts_as_one_claim_of_the_fail_state() {
    // With numberOfProbes 2 the fail state at expiry and one more are a complete streak, so that
    // the claim after them starts a new one.
    let http = settings(2, 10, Claim::Unknown);
    assert_eq!(check(http, 10, "h k u u"), "I@0 K@10 K@20 U@30");
    assert_eq!(check(http, 10, "h h k k h h"), "I@0 K@10 K@20 K@30 K@40 H@50");
}

#[test]
fn no_grace_period_excuses_no_failure_and_still_wants_the_whole_streak() {
    for (number, tokens, expected) in [
        (1, "h u", "H@0 U@5"),
        (1, "k h", "K@0 H@5"),
        (1, "u", "U@0"),
        (3, "h h h", "I@0 I@5 H@10"),
        (3, "u h h h", "U@0 U@5 U@10 H@15"),
        (3, "h h k h h h", "I@0 I@5 K@10 K@15 K@20 H@25"),
        (2, "t h h", "K@30 K@30 H@35"),
    ] {
        for fail_state in [Claim::Unknown, Claim::Unhealthy] {
            assert_eq!(check(settings(number, 0, fail_state), 5, tokens), expected, "{number} {tokens}");
        }
    }
}

#[test]
fn zero_probes_count_as_one() {
    assert_eq!(check(settings(0, 5, Claim::Unknown), 5, "h k h"), "H@0 K@5 H@10");
}

/// All sequences of up to seven probes, every fail state, grace periods from none to endless.
#[test]
fn every_short_sequence_keeps_the_promises() {
    for number in 1..=3 {
        for grace_secs in [0, 1, 5, 10, 12, 20, 600] {
            for fail_state in [Claim::Unknown, Claim::Unhealthy] {
                let fold = HealthFold::new(settings(number, grace_secs, fail_state), START);
                descend(&fold, &mut Vec::new());
            }
        }
    }
}

fn descend(fold: &HealthFold, before: &mut Vec<(Claim, Health)>) {
    if before.len() == 7 {
        return;
    }
    for claim in [Claim::Healthy, Claim::Unhealthy, Claim::Unknown] {
        let elapsed = Duration::from_secs(5 * before.len() as u64);
        let mut next = fold.clone();
        let health = next.observe(claim, START + elapsed);
        let last = before.last().map_or(Health::Initializing, |(_, health)| *health);
        before.push((claim, health));
        assert_promises(&next, last, elapsed, before);

        let stored = serde_json::to_string(&next).unwrap();
        let restored: HealthFold = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, next, "{stored}");
        descend(&restored, before);
        before.pop();
    }
}

fn assert_promises(fold: &HealthFold, last: Health, elapsed: Duration, seen: &[(Claim, Health)]) {
    let FoldSettings { number_of_probes, grace_period, fail_state, at_grace_end: _ } = fold.settings();
    let number = number_of_probes as usize;
    let health = fold.health();
    let streak = |claim| seen.len() >= number && seen.iter().rev().take(number).all(|(c, _)| *c == claim);
    if health == Health::Healthy && last != Health::Healthy {
        assert!(streak(Claim::Healthy), "healthy without a streak: {fold:?} {seen:?}");
    }
    if health == Health::Initializing {
        assert_eq!(last, Health::Initializing, "Initializing came back: {fold:?} {seen:?}");
        let over = if grace_period.is_zero() { seen.len() >= number } else { elapsed >= grace_period };
        assert!(!over, "Initializing past the grace period: {fold:?} {seen:?}");
    }
    if last != Health::Initializing && health != last {
        // The claim that expiry stands for may be part of the streak.
        let left_by_expiry = health == state_of(fail_state) && !grace_period.is_zero();
        let newest = seen[seen.len() - 1].0;
        assert!(streak(newest) || left_by_expiry, "no streak: {fold:?} {seen:?}");
        assert_eq!(health, state_of(newest), "not what was claimed: {fold:?} {seen:?}");
    }
}

#[test]
fn claims_that_are_settled_may_be_left_out() {
    let mut left_out = 0;
    for (number_of_probes, grace, fail_state) in [
        (1, 0, Claim::Unknown),
        (2, 0, Claim::Unhealthy),
        (1, 15, Claim::Unknown),
        (2, 15, Claim::Unhealthy),
        (3, 20, Claim::Unknown),
    ] {
        let settings = FoldSettings {
            number_of_probes,
            grace_period: Duration::from_secs(grace),
            fail_state,
            at_grace_end: GraceEnd::FailState,
        };
        for sequence in 0..3_u32.pow(8) {
            let mut all = HealthFold::new(settings, START);
            let mut some = all.clone();
            for place in 0..8 {
                let now = START + Duration::from_secs(5 * u64::from(place));
                let claim = match sequence / 3_u32.pow(place) % 3 {
                    0 => Claim::Healthy,
                    1 => Claim::Unhealthy,
                    _ => Claim::Unknown,
                };
                all.observe(claim, now);
                match some.settled(claim) {
                    Settled::Forever => left_out += 1,
                    Settled::Until(at) if now < at => left_out += 1,
                    Settled::Until(_) | Settled::No => {
                        some.observe(claim, now);
                    }
                }
                assert_eq!(all.health(), some.health(), "{settings:?} {sequence} {place}");
            }
        }
    }
    assert!(left_out > 10_000, "{left_out}");
}

#[test]
fn outside_of_azure_the_end_of_grace_alone_is_no_verdict_on_a_healthy_claim() {
    for (at_grace_end, claims, expected) in [
        // The seed's own settings: 5 s of grace, one probe every 5 s, and the first one came too early.
        (GraceEnd::FailState, &[(0, Claim::Unknown), (5, Claim::Healthy)][..], Health::Unknown),
        (GraceEnd::HearOut, &[(0, Claim::Unknown), (5, Claim::Healthy)][..], Health::Healthy),
        (GraceEnd::HearOut, &[(0, Claim::Unknown), (5, Claim::Unknown)][..], Health::Unknown),
    ] {
        let mut fold =
            HealthFold::new(FoldSettings { at_grace_end, ..settings(1, 5, Claim::Unknown) }, Timestamp(0));
        let mut health = fold.health();
        for (at, claim) in claims {
            health = fold.observe(*claim, Timestamp(at * 1000));
        }
        assert_eq!(health, expected, "{at_grace_end:?} {claims:?}");
    }
    let two = FoldSettings { at_grace_end: GraceEnd::HearOut, ..settings(2, 5, Claim::Unknown) };
    let mut fold = HealthFold::new(two, Timestamp(0));
    let heard: Vec<Health> = [Claim::Unknown, Claim::Healthy, Claim::Healthy]
        .iter()
        .zip([0, 6, 12])
        .map(|(claim, at)| fold.observe(*claim, Timestamp(at * 1000)))
        .collect();
    assert_eq!(heard, [Health::Initializing, Health::Initializing, Health::Healthy], "it is heard out");
    let mut fold = HealthFold::new(two, Timestamp(0));
    fold.observe(Claim::Healthy, Timestamp(6_000));
    assert_eq!(
        fold.observe(Claim::Unhealthy, Timestamp(7_000)),
        Health::Unknown,
        "and only while it is Healthy"
    );
}
