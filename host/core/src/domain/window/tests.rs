//! Freezes around changes of the clock, by table and against a slow reference.

use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn time(text: &str) -> ClockTime {
    ClockTime::parse(text).unwrap()
}

/// Parses windows such as `Fri,Sat 18:00 08:00 2026-12-20 2027-01-03`, with `;` between them; `*` is
/// every day, and the dates may be left out or be `-`.
fn windows(zone_name: &str, text: &str) -> FreezeWindows {
    let window = |text: &str| {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let date = |index: usize| parts.get(index).and_then(|text| text.parse().ok());
        let week = Weekday::Monday.cycle_forward().take(7);
        let named = week.filter(|day| parts[0] == "*" || parts[0].contains(&format!("{day:?}")[..3]));
        FreezeWindow {
            days: named.fold(Weekdays::NONE, Weekdays::with),
            from: time(parts[1]),
            to: time(parts[2]),
            zone: zone(zone_name),
            first_date: date(3),
            last_date: date(4),
            reason: None,
        }
    };
    FreezeWindows { frozen: text.split(';').map(window).collect(), allowed: Vec::new() }
}

#[test]
fn times_of_day() {
    for (text, minutes) in [("00:00", 0), ("08:05", 485), ("23:59", 1439), ("24:00", 1440)] {
        let parsed = time(text);
        assert_eq!((parsed.minutes, parsed.to_string().as_str()), (minutes, text));
    }
    for text in [
        "", "8", "8:00", "18", "18:0", "18:60", "24:01", "25:00", "18:00:00", "-1:00", "+8:00", "1８:00",
        "6pm",
    ] {
        assert!(ClockTime::parse(text).is_err(), "{text:?} must be refused");
    }
}

/// Zone, windows, an instant, and the end of the freeze that it lies in (`-`: none).
#[test]
fn frozen_until() {
    for (zone, text, now, until) in [
        // A plain night, in winter and summer time.
        ("Europe/Berlin", "* 18:00 08:00", "2026-01-14T17:00:00Z", "2026-01-15T07:00:00Z"),
        ("Europe/Berlin", "* 18:00 08:00", "2026-01-15T06:59:59.999Z", "2026-01-15T07:00:00Z"),
        ("Europe/Berlin", "* 18:00 08:00", "2026-01-15T07:00:00Z", "-"),
        ("Europe/Berlin", "* 18:00 08:00", "2026-07-14T15:59:59Z", "-"),
        ("Europe/Berlin", "* 18:00 08:00", "2026-07-14T16:00:00Z", "2026-07-15T06:00:00Z"),
        // A night belongs to the day on which it starts.
        ("UTC", "Fri 18:00 08:00", "2026-07-17T07:00:00Z", "-"),
        ("UTC", "Fri 18:00 08:00", "2026-07-18T07:00:00Z", "2026-07-18T08:00:00Z"),
        // From and to alike: 24 hours.
        ("UTC", "Fri 18:00 18:00", "2026-07-18T17:00:00Z", "2026-07-18T18:00:00Z"),
        ("UTC", "Fri 00:00 24:00", "2026-07-17T00:00:00Z", "2026-07-18T00:00:00Z"),
        ("UTC", "Fri 00:00 00:00", "2026-07-17T00:00:00Z", "2026-07-18T00:00:00Z"),
        // What touches or overlaps is one freeze.
        (
            "Europe/Berlin",
            "Fri 18:00 00:00;Sat,Sun 00:00 24:00",
            "2026-07-17T16:30:00Z",
            "2026-07-19T22:00:00Z",
        ),
        ("UTC", "Fri 18:00 02:00;Sat 01:00 03:00", "2026-07-17T18:00:00Z", "2026-07-18T03:00:00Z"),
        ("UTC", "Fri 18:00 02:00;Sat 02:01 03:00", "2026-07-17T18:00:00Z", "2026-07-18T02:00:00Z"),
        // Holidays: the dates are those on which a freeze starts.
        ("UTC", "* 00:00 24:00 2026-12-20 2027-01-03", "2026-12-19T23:59:59Z", "-"),
        ("UTC", "* 00:00 24:00 2026-12-20 2027-01-03", "2026-12-20T00:00:00Z", "2027-01-04T00:00:00Z"),
        ("UTC", "* 18:00 08:00 2026-12-20 2026-12-20", "2026-12-21T07:00:00Z", "2026-12-21T08:00:00Z"),
        ("UTC", "* 18:00 08:00 - 2026-12-20", "2026-12-21T18:00:00Z", "-"),
        // Spring in Berlin: 02:00 to 03:00 do not exist on 2026-03-29; the change is at 01:00 UTC.
        ("Europe/Berlin", "* 02:30 04:00", "2026-03-29T00:59:59Z", "-"),
        ("Europe/Berlin", "* 02:30 04:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ("Europe/Berlin", "* 01:00 02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "* 02:10 02:50", "2026-03-29T01:00:00Z", "-"),
        ("Europe/Berlin", "Sun 00:00 24:00", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        // Autumn: 02:00 to 03:00 exist twice on 2026-10-25, from 00:00 UTC to 02:00 UTC.
        ("Europe/Berlin", "* 02:30 02:45", "2026-10-25T00:29:59Z", "-"),
        ("Europe/Berlin", "* 02:30 02:45", "2026-10-25T00:30:00Z", "2026-10-25T01:45:00Z"),
        ("Europe/Berlin", "* 02:30 02:45", "2026-10-25T00:59:00Z", "2026-10-25T01:45:00Z"),
        ("Europe/Berlin", "Sat 22:00 02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("Europe/Berlin", "Sun 00:00 24:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("Europe/Berlin", "Sat 18:00 18:00", "2026-10-24T16:00:00Z", "2026-10-25T17:00:00Z"),
        // The clock changes at midnight: forward, and a day begins at 01:00 …
        ("America/Santiago", "Sun 00:00 24:00", "2026-09-06T03:59:59Z", "-"),
        ("America/Santiago", "Sun 00:00 24:00", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"),
        ("America/Santiago", "Sat 00:00 24:00", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z"),
        ("Africa/Cairo", "Fri 00:00 24:00", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        ("Asia/Beirut", "Sat,Sun 00:00 24:00", "2026-03-27T22:00:00Z", "2026-03-29T21:00:00Z"),
        // … or back, and the last hour of a day comes twice.
        ("America/Santiago", "Sat 00:00 24:00", "2026-04-04T12:00:00Z", "2026-04-05T04:00:00Z"),
        ("America/Santiago", "Sat 23:30 23:45", "2026-04-05T03:00:00Z", "2026-04-05T03:45:00Z"),
        ("Africa/Cairo", "Thu 00:00 24:00", "2026-10-29T12:00:00Z", "2026-10-29T22:00:00Z"),
        ("Asia/Beirut", "Sat 00:00 24:00", "2026-10-24T12:00:00Z", "2026-10-24T22:00:00Z"),
        // Midnight itself comes twice.
        ("America/Havana", "Sat 00:00 24:00", "2025-11-01T12:00:00Z", "2025-11-02T05:00:00Z"),
        // Half hours, and half an hour of change.
        ("Asia/Kolkata", "* 18:00 08:00", "2026-07-14T12:30:00Z", "2026-07-15T02:30:00Z"),
        ("Australia/Lord_Howe", "* 01:45 02:15", "2026-10-03T15:15:00Z", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "* 01:45 02:15", "2026-04-04T14:45:00Z", "2026-04-04T15:45:00Z"),
        // A day that never was.
        ("Pacific/Apia", "Fri 00:00 24:00", "2011-12-30T10:00:00Z", "-"),
    ] {
        let until = (until != "-").then(|| until.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let seen = windows(zone, text).frozen_at(at(now)).map(|frozen| frozen.until.0);
        assert_eq!(seen, until, "{zone}: {text} at {now}, {:?}", seen.map(Timestamp));
    }
}

#[test]
fn the_next_freeze() {
    for (text, now, next) in [
        ("Fri 18:00 08:00", "2026-07-15T00:00:00Z", Some("2026-07-17T18:00:00Z")),
        ("Fri 18:00 08:00", "2026-07-17T17:59:59Z", Some("2026-07-17T18:00:00Z")),
        ("Fri 18:00 08:00", "2026-07-17T18:00:00Z", Some("2026-07-24T18:00:00Z")),
        ("Fri 18:00 24:00;Sat 00:00 24:00", "2026-07-17T20:00:00Z", Some("2026-07-24T18:00:00Z")),
        ("* 00:00 24:00 2027-12-20 2027-12-20", "2026-12-25T00:00:00Z", Some("2027-12-20T00:00:00Z")),
        ("* 00:00 24:00 2028-12-20 2028-12-20", "2026-12-25T00:00:00Z", None),
        ("* 00:00 24:00 - 2026-12-20", "2026-12-25T00:00:00Z", None),
        ("* 00:00 24:00", "2026-12-25T00:00:00Z", None),
    ] {
        assert_eq!(windows("UTC", text).next_after(at(now)), next.map(at), "{text} at {now}");
    }
    assert_eq!(FreezeWindows::default().next_after(at("2026-07-15T00:00:00Z")), None);
}

#[test]
fn what_never_ends_is_known_and_bounded() {
    for (text, endless) in [
        ("* 00:00 24:00", true),
        ("* 18:00 18:00", true),
        ("* 00:00 12:00;* 12:00 24:00", true),
        ("Mon,Tue,Wed,Thu 00:00 24:00;Fri,Sat,Sun 00:00 24:00", true),
        ("* 00:00 24:00 2030-01-01 -", true),
        ("* 00:00 24:00 - 9999-12-31", true),
        ("* 00:00 24:00 - 2030-01-01", false),
        ("* 00:00 23:59", false),
        ("* 00:00 12:00;* 12:01 24:00", false),
        ("Mon,Tue,Wed,Thu,Fri,Sat 00:00 24:00", false),
        ("* 00:00 24:00 9999-12-31 -", false),
    ] {
        assert_eq!(windows("Europe/Berlin", text).is_endless(), endless, "{text}");
    }
    assert!(!FreezeWindows::default().is_endless());
    let now = at("2026-07-15T00:00:00Z");
    assert_eq!(windows("UTC", "* 00:00 24:00").frozen_at(now).unwrap().until, now + HORIZON);
    for far in [i64::MIN, i64::MAX] {
        assert_eq!(windows("UTC", "* 00:00 24:00").frozen_at(Timestamp(far)), None, "no such date");
    }
}

#[test]
fn reasons() {
    let mut two = windows("Europe/Berlin", "Fri,Sat 18:00 08:00 2026-01-01 2026-12-31;* 00:00 23:00");
    let now = at("2026-07-17T18:00:00Z");
    let reason = |windows: &FreezeWindows| windows.frozen_at(now).unwrap().reason;
    insta::assert_snapshot!(reason(&two), @"freeze window Fri, Sat 18:00 to 08:00, from 2026-01-01 on, until 2026-12-31 (Europe/Berlin)");
    two.frozen[1].reason = Some("end of the quarter".to_owned());
    assert_eq!(reason(&two), "end of the quarter");
}

/// Changes of the clock, in the middle of the weeks that are looked at.
const CHANGES: [(&str, &str); 14] = [
    ("UTC", "2026-03-29T00:00:00Z"),
    ("Europe/Berlin", "2026-03-29T00:00:00Z"),
    ("Europe/Berlin", "2026-10-25T00:00:00Z"),
    ("America/New_York", "2026-11-01T00:00:00Z"),
    ("America/Santiago", "2026-04-05T00:00:00Z"),
    ("America/Santiago", "2026-09-06T00:00:00Z"),
    ("Africa/Cairo", "2026-04-24T00:00:00Z"),
    ("Africa/Cairo", "2026-10-29T00:00:00Z"),
    ("Asia/Beirut", "2026-03-29T00:00:00Z"),
    ("Asia/Beirut", "2026-10-25T00:00:00Z"),
    ("America/Havana", "2025-11-02T00:00:00Z"),
    ("Asia/Kolkata", "2026-03-29T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-05T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-04T00:00:00Z"),
];

const MINUTE: i64 = 60_000;

/// What the clock on the wall shows, minute by minute.
fn wall(zone: &TimeZone, middle: Timestamp) -> Vec<(i64, DateTime)> {
    let minutes = -12 * 1440..12 * 1440;
    let shown = |minute: i64| {
        let at = middle.0 + minute * MINUTE;
        (at, zone.to_datetime(jiff::Timestamp::from_millisecond(at).unwrap()))
    };
    minutes.map(shown).collect()
}

/// The minutes that a window freezes, found by looking at the clock only.
fn frozen_minutes(window: &FreezeWindow, wall: &[(i64, DateTime)]) -> Vec<(i64, i64)> {
    let when = |target: DateTime| {
        let same: Vec<i64> = wall.iter().filter(|(_, shown)| *shown == target).map(|(at, _)| *at).collect();
        let behind = wall.iter().find(|(_, shown)| *shown > target).map_or(i64::MAX, |(at, _)| *at);
        (same.first().copied().unwrap_or(behind), same.last().copied().unwrap_or(behind))
    };
    let mut date = wall[0].1.date().tomorrow().unwrap();
    let mut found = Vec::new();
    while date < wall[wall.len() - 1].1.date() {
        let midnight = date.at(0, 0, 0, 0);
        let minutes = |time: ClockTime| jiff::Span::new().minutes(i64::from(time.minutes));
        let whole = if window.to <= window.from { 24 * 60 } else { 0 };
        let end = midnight + minutes(window.to) + jiff::Span::new().minutes(whole);
        let outside = window.first_date.is_some_and(|first| date < first)
            || window.last_date.is_some_and(|last| date > last);
        if window.days.contains(date.weekday()) && !outside {
            found.push((when(midnight + minutes(window.from)).0, when(end).1));
        }
        date = date.tomorrow().unwrap();
    }
    found
}

prop_compose! {
    /// Times near the changes are as likely as all others together.
    fn any_time()(minutes in prop_oneof![0_u16..1440, 0_u16..240, 1380_u16..1440]) -> ClockTime {
        ClockTime { minutes }
    }
}

prop_compose! {
    fn any_window()(
        days in prop_oneof![Just(0b111_1111), 1_u8..128],
        from in any_time(),
        to in prop_oneof![any_time(), Just(ClockTime::END_OF_DAY)],
        dates in prop_oneof![2 => Just(None), 1 => (-6_i64..6, 0_i64..6).prop_map(Some)],
    ) -> (FreezeWindow, Option<(i64, i64)>) {
        let zone = TimeZone::UTC;
        let days = Weekdays(days);
        (FreezeWindow { days, from, to, zone, first_date: None, last_date: None, reason: None }, dates)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_a_look_at_the_clock_every_minute_says(
        change in 0..CHANGES.len(),
        parts in prop::collection::vec(any_window(), 1..4),
    ) {
        let (name, middle) = CHANGES[change];
        let (zone, middle) = (zone(name), at(middle));
        let wall = wall(&zone, middle);
        let day = zone.to_datetime(jiff::Timestamp::from_millisecond(middle.0).unwrap()).date();
        let windows: Vec<FreezeWindow> = parts.into_iter().map(|(window, dates)| {
            let shifted = |days: i64| day.checked_add(jiff::Span::new().days(days)).unwrap();
            FreezeWindow {
                zone: zone.clone(),
                first_date: dates.map(|(first, _)| shifted(first)),
                last_date: dates.map(|(first, length)| shifted(first + length)),
                ..window
            }
        }).collect();
        let mut frozen = vec![false; wall.len()];
        for (from, to) in windows.iter().flat_map(|window| frozen_minutes(window, &wall)) {
            for (index, (at, _)) in wall.iter().enumerate() {
                frozen[index] |= from <= *at && *at < to;
            }
        }
        let windows = FreezeWindows { frozen: windows, allowed: Vec::new() };
        // The days at the rims lack what reaches in from outside.
        let rim = 3 * 1440;
        let mut next_change = vec![None; wall.len()];
        for index in (0..wall.len() - 1).rev() {
            let changed = frozen[index] != frozen[index + 1];
            next_change[index] = if changed { Some(index + 1) } else { next_change[index + 1] };
        }
        for index in (rim..wall.len() - rim).step_by(13) {
            let now = Timestamp(wall[index].0);
            let seen = windows.frozen_at(now);
            prop_assert_eq!(seen.is_some(), frozen[index], "{} at {}", name, wall[index].1);
            let Some(next) = next_change[index].filter(|next| *next < wall.len() - rim) else { continue };
            match seen {
                Some(seen) => prop_assert_eq!(seen.until.0, wall[next].0, "{} at {}", name, wall[index].1),
                None => prop_assert_eq!(windows.next_after(now).map(|at| at.0), Some(wall[next].0)),
            }
        }
    }
}

/// The windows in which alone something may begin, and those in which nothing may.
fn allowed(zone_name: &str, allowed: &str, frozen: Option<&str>) -> FreezeWindows {
    let frozen = frozen.map_or_else(Vec::new, |text| windows(zone_name, text).frozen);
    FreezeWindows { frozen, allowed: windows(zone_name, allowed).frozen }
}

#[test]
fn outside_of_the_windows_in_which_something_may_begin_nothing_does() {
    // Zone, windows, freezes, an instant, when it opens (`-`: it is open), and since when it is closed.
    for (zone, open, frozen, now, until, since) in [
        // A window over midnight: its days are those on which it starts.
        (
            "UTC",
            "Tue 22:00 05:00",
            None,
            "2026-07-14T21:59:59Z",
            "2026-07-14T22:00:00Z",
            "2026-07-08T05:00:00Z",
        ),
        ("UTC", "Tue 22:00 05:00", None, "2026-07-14T22:00:00Z", "-", "-"),
        ("UTC", "Tue 22:00 05:00", None, "2026-07-15T04:59:59Z", "-", "-"),
        (
            "UTC",
            "Tue 22:00 05:00",
            None,
            "2026-07-15T05:00:00Z",
            "2026-07-21T22:00:00Z",
            "2026-07-15T05:00:00Z",
        ),
        (
            "UTC",
            "Tue 22:00 05:00",
            None,
            "2026-07-15T22:30:00Z",
            "2026-07-21T22:00:00Z",
            "2026-07-15T05:00:00Z",
        ),
        // By the clock there.
        ("Europe/Berlin", "* 22:00 05:00", None, "2026-07-14T20:00:00Z", "-", "-"),
        (
            "Europe/Berlin",
            "* 22:00 05:00",
            None,
            "2026-07-14T19:59:00Z",
            "2026-07-14T20:00:00Z",
            "2026-07-14T03:00:00Z",
        ),
        // A freeze holds inside of them.
        (
            "UTC",
            "* 22:00 05:00",
            Some("* 23:00 01:00"),
            "2026-07-14T23:30:00Z",
            "2026-07-15T01:00:00Z",
            "2026-07-14T23:00:00Z",
        ),
        (
            "UTC",
            "* 22:00 05:00",
            Some("Tue 18:00 06:00"),
            "2026-07-14T23:30:00Z",
            "2026-07-15T22:00:00Z",
            "2026-07-14T18:00:00Z",
        ),
    ] {
        let windows = allowed(zone, open, frozen);
        let found = windows.frozen_at(at(now));
        let expected = (until != "-").then(|| (at(until), at(since)));
        assert_eq!(found.as_ref().map(|one| (one.until, one.since)), expected, "{open} {frozen:?} {now}");
    }
}

#[test]
fn where_nothing_is_open_the_windows_are_named() {
    let reason =
        allowed("UTC", "Tue,Thu 22:00 05:00", None).frozen_at(at("2026-07-14T12:00:00Z")).unwrap().reason;
    assert_eq!(reason, "outside of the windows in which one may upgrade: Tue, Thu 22:00 to 05:00 (UTC)");
    let over = allowed("UTC", "* 22:00 05:00 2026-01-01 2026-01-02", None);
    let closed = over.frozen_at(at("2026-07-14T12:00:00Z")).unwrap();
    assert_eq!(closed.until, at("2026-07-14T12:00:00Z") + HORIZON, "it never opens again");
}

#[test]
fn windows_that_a_freeze_covers_never_open() {
    assert!(allowed("UTC", "* 22:00 05:00", Some("* 20:00 06:00")).is_endless());
    assert!(!allowed("UTC", "* 22:00 05:00", Some("* 23:00 06:00")).is_endless());
    assert!(!allowed("UTC", "* 22:00 05:00 2026-01-01 2026-01-02", None).is_endless(), "once is enough");
    let next = allowed("UTC", "* 22:00 05:00", None).next_after(at("2026-07-14T12:00:00Z"));
    assert_eq!(next, Some(at("2026-07-15T05:00:00Z")), "it closes again");
}
