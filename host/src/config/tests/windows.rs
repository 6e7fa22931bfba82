//! Freeze windows, and what stands beside them: decisions and retries.

use super::values::read;
use super::*;

/// Inside `freezeWindows = [{ … }]`, and a part of the one problem that follows.
const WRONG_WINDOWS: &str = r##"
 | freezeWindows[0]: covers all time, for ever: no upgrade could ever start
from = "18:00", to = "18:00" | freezeWindows[0]: covers all time, for ever
firstDate = "2026-12-20" | freezeWindows[0]: covers all time, for ever
lastDate = "9999-12-31" | freezeWindows[0]: covers all time, for ever
to = "12:00" }, { from = "12:00" | freezeWindows: cover all time together, for ever
days = ["Mon","Tue","Wed","Thu","Fri"] }, { days = ["Sat","Sun"] | freezeWindows: cover all time together
days = [] | freezeWindows[0].days: is empty (leave it out for every day, or write days = ["Fri", "Sat"])
days = "Fri" | freezeWindows[0].days: is a string "Fri" (write an array of days, for example days =
days = [5] | freezeWindows[0].days[0]: is the number 5
days = ["Fr"] | freezeWindows[0].days[0]: is "Fr", which is not a day of the week (write "Mon", "Tue"
days = ["Firday"] | is "Firday", which is not a day of the week (did you mean "Friday"?
days = ["Fri-Sun"] | is "Fri-Sun", which is not a day
days = ["Fri", "friday"] | freezeWindows[0].days[1]: names Friday a second time
from = "25:00" | from: "25:00" is not a time of day; write hours and minutes with two digits each
from = "8" | from: "8" is not a time of day
from = "8:00" | from: "8:00" is not a time of day
from = "24:00" | from: is "24:00", which can only be an end
from = 18 | from: is the number 18 (write a string, for example from = "18:00")
from = 18:00:00 | from: is the date or time 18:00:00 (write a string
to = "24:01" | to: "24:01" is not a time of day
to = "" | to: "" is not a time of day
timeZone = "" | timeZone: is empty
timeZone = 2 | timeZone: is the number 2
timeZone = "Berlin" | timeZone: is "Berlin", which is not a known time zone (did you mean "Europe/Berlin"?)
timeZone = "Europe/Berln" | (did you mean "Europe/Berlin"?)
timeZone = "new york" | (did you mean "America/New_York"?)
timeZone = "PST" | is "PST", which is not a known time zone (write an IANA name such as "Europe/Berlin" or "UTC")
timeZone = "+02:00" | is "+02:00", which is not a known time zone (write an IANA name
timeZone = "Etc/Unknown" | is "Etc/Unknown", which is not
timezone = "UTC", days = ["Fri"] | timezone: is not a known key (did you mean "timeZone"?)
firstDate = 2026-12-20 | firstDate: is the date or time 2026-12-20 (write a string, for example firstDate =
firstDate = "20.12.2026" | firstDate: is "20.12.2026", which is not a date (write year, month and day
firstDate = "20261220" | firstDate: is "20261220", which is not a date
firstDate = "2026-02-30" | firstDate: is "2026-02-30", which is not in the calendar
firstDate = "2027-01-03", lastDate = "2026-12-20" | lastDate: is "2026-12-20", which is before firstDate =
days = ["Sat"], firstDate = "2026-12-21", lastDate = "2026-12-22" | days: names no day from 2026-12-21 to
days = ["Sat"], reason = "" | reason: is empty
days = ["Sat"], reason = "a\nb" | reason: contains the control character
"##;

#[test]
fn refuses_wrong_freeze_windows() {
    for row in WRONG_WINDOWS.trim_matches('\n').lines() {
        let (window, expected) = row.split_once(" | ").unwrap();
        let problems = read("#mode", &format!("freezeWindows = [{{ {window} }}]")).map(|_| "accepted");
        let problems = problems.unwrap_err();
        assert!(problems.to_string().contains(expected), "{row}\nseen: {problems}");
        assert_eq!(problems.list.len(), 1, "{row}\none mistake, one problem: {problems}");
    }
    for (value, expected) in [
        ("'weekend'", "is a string \"weekend\" (write tables [[scaleSets.upgradePolicy.freezeWindows]]"),
        ("{ days = ['Fri'] }", "is a table (write tables [["),
        ("[1]", "freezeWindows[0]: is the number 1 (write a table"),
        (&format!("[{}]", "{ days = ['Fri'] }, ".repeat(101)), "has 101 entries (at most 100)"),
    ] {
        let problems = read("#mode", &format!("freezeWindows = {value}")).unwrap_err().to_string();
        assert!(problems.contains(expected), "{value}\nseen: {problems}");
    }
}

#[test]
fn freeze_windows_decisions_and_retries() {
    let set = |new: &str| read("#mode", new).unwrap().scale_sets.remove(0);
    let plain = set("");
    assert_eq!(
        (plain.policy.decisions, plain.retry, plain.freeze.frozen.len()),
        (Decisions::Snapshot, None, 0)
    );
    assert_eq!(set("decisions = 'live'").policy.decisions, Decisions::Live);
    let retry = |new| set(new).retry.map(|rule| (rule.after.as_secs(), rule.limit));
    assert_eq!(retry("retryAfter = 'P3D'"), Some((259_200, 3)));
    assert_eq!(retry("retryAfter = 'PT1M'\nretryLimit = 100"), Some((60, 100)));

    let windows = r#"
[[scaleSets.upgradePolicy.freezeWindows]]
days = ["fri", "SATURDAY"]
from = "18:00"
to = "08:00"
timeZone = "europe/berlin"
firstDate = "2026-12-20"
lastDate = "2027-01-03"
reason = "holidays"
[[scaleSets.upgradePolicy.freezeWindows]]
days = ["Sun"]
"#;
    let freeze = set(windows).freeze;
    let [first, second] = freeze.frozen.as_slice() else { panic!("{freeze:?}") };
    insta::assert_snapshot!(format!("freeze window{first}"), @"freeze window Fri, Sat 18:00 to 08:00, from 2026-12-20 on, until 2027-01-03 (Europe/Berlin)");
    assert_eq!(first.reason.as_deref(), Some("holidays"));
    insta::assert_snapshot!(format!("freeze window{second}"), @"freeze window Sun 00:00 to 24:00 (UTC)");
    assert_eq!(set("freezeWindows = []").freeze, FreezeWindows::default());
}
