//! Reads `[[scaleSets.upgradePolicy.freezeWindows]]`.

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::show::quoted;
use super::suggest::suggest;
use super::table::Table;
use super::value::Value;
use phasegate_core::domain::{ClockTime, FreezeWindow, FreezeWindows, Weekdays};

/// Largest number of windows: a longer list is a mistake.
const WINDOWS_MAX: usize = 100;

const DAYS: [(&str, Weekday); 7] = [
    ("Monday", Weekday::Monday),
    ("Tuesday", Weekday::Tuesday),
    ("Wednesday", Weekday::Wednesday),
    ("Thursday", Weekday::Thursday),
    ("Friday", Weekday::Friday),
    ("Saturday", Weekday::Saturday),
    ("Sunday", Weekday::Sunday),
];

pub(super) fn read(value: Option<&Value<'_>>) -> Option<FreezeWindows> {
    let Some(value) = value else { return Some(FreezeWindows::default()) };
    let values = value.array("tables [[scaleSets.upgradePolicy.freezeWindows]]")?;
    if values.len() > WINDOWS_MAX {
        value.problem(format!("has {} entries", values.len()), format!("at most {WINDOWS_MAX}"));
        return None;
    }
    let read_one = |value: &Value<'_>| read_window(value, value.table()?);
    let windows: Vec<Option<FreezeWindow>> = values.iter().map(read_one).collect();
    let windows = FreezeWindows(windows.into_iter().collect::<Option<_>>()?);
    if windows.is_endless() {
        value.conflict(
            "cover all time together, for ever: no upgrade could ever start",
            "leave some day or hour out, or give one of them a lastDate",
        );
        return None;
    }
    Some(windows)
}

fn read_window(value: &Value<'_>, mut table: Table<'_>) -> Option<FreezeWindow> {
    let days = table.optional("days", "[\"Fri\", \"Sat\"]");
    let from = table.optional("from", "\"18:00\"");
    let to = table.optional("to", "\"08:00\"");
    let zone = table.optional("timeZone", "\"Europe/Berlin\"");
    let first = table.optional("firstDate", "\"2026-12-20\"");
    let last = table.optional("lastDate", "\"2027-01-03\"");
    let reason = table.optional("reason", "\"end of the quarter\"");
    table.finish();

    let first_date = optional(first.as_ref(), date);
    let last_date = optional(last.as_ref(), date);
    let read_days = days.as_ref().map_or(Some(Weekdays::ALL), weekdays);
    let from = from.map_or(Some(ClockTime::START_OF_DAY), |value| start(&value));
    let to = to.map_or(Some(ClockTime::END_OF_DAY), |value| clock_time(&value));
    let zone = zone.map_or(Some(TimeZone::UTC), |value| time_zone(&value));
    let reason = optional(reason.as_ref(), |value| value.filled().and_then(|_| value.text()));
    let window = FreezeWindow {
        days: read_days?,
        from: from?,
        to: to?,
        zone: zone?,
        first_date: first_date?,
        last_date: last_date?,
        reason: reason?,
    };
    check(&window, value, days.as_ref(), last.as_ref()).then_some(window)
}

/// Whether the parts of a window fit together.
fn check(
    window: &FreezeWindow,
    value: &Value<'_>,
    days: Option<&Value<'_>>,
    last: Option<&Value<'_>>,
) -> bool {
    if let (Some(first), Some(last_date), Some(last)) = (window.first_date, window.last_date, last)
        && last_date < first
    {
        last.conflict(
            format!("is \"{last_date}\", which is before firstDate = \"{first}\""),
            "write the same date or a later one",
        );
        return false;
    }
    if let (Some(first), Some(last), Some(days)) = (window.first_date, window.last_date, days)
        && !first
            .series(jiff::Span::new().days(1))
            .take(7)
            .any(|day| day <= last && window.days.contains(day.weekday()))
    {
        days.conflict(
            format!("names no day from {first} to {last}: this window would never freeze anything"),
            "leave days out, or choose other dates",
        );
        return false;
    }
    if FreezeWindows(vec![window.clone()]).is_endless() {
        value.conflict(
            "covers all time, for ever: no upgrade could ever start",
            "give it days, from and to, or a lastDate",
        );
        return false;
    }
    true
}

fn optional<'a, T>(
    value: Option<&Value<'a>>,
    read: impl FnOnce(&Value<'a>) -> Option<T>,
) -> Option<Option<T>> {
    value.map_or(Some(None), |value| read(value).map(Some))
}

fn weekdays(value: &Value<'_>) -> Option<Weekdays> {
    let values = value.array("an array of days")?;
    if values.is_empty() {
        value.problem("is empty", format!("leave it out for every day, or write days = {}", value.example));
        return None;
    }
    let named: Vec<Option<Weekday>> = values.iter().map(weekday).collect();
    let mut days = Weekdays::NONE;
    for (value, day) in values.iter().zip(named.into_iter().collect::<Option<Vec<_>>>()?) {
        if days.contains(day) {
            value.problem(format!("names {day:?} a second time"), "name each day once".to_owned());
            return None;
        }
        days = days.with(day);
    }
    Some(days)
}

fn weekday(value: &Value<'_>) -> Option<Weekday> {
    let text = value.string()?;
    let is = |name: &str| {
        name.eq_ignore_ascii_case(text) || name.get(..3).is_some_and(|short| short.eq_ignore_ascii_case(text))
    };
    let day = DAYS.iter().find(|(name, _)| is(name)).map(|(_, day)| *day);
    if day.is_none() {
        let meant = suggest(text, DAYS.iter().map(|(name, _)| *name));
        let meant = meant.map_or_else(String::new, |meant| format!("did you mean \"{meant}\"? "));
        let hint = format!("{meant}write \"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\", \"Sat\" or \"Sun\"");
        value.problem(format!("is {}, which is not a day of the week", quoted(text)), hint);
    }
    day
}

fn clock_time(value: &Value<'_>) -> Option<ClockTime> {
    let text = value.string()?;
    value.parsed(text, ClockTime::parse(text))
}

fn start(value: &Value<'_>) -> Option<ClockTime> {
    let time = clock_time(value)?;
    if time == ClockTime::END_OF_DAY {
        value.problem(
            "is \"24:00\", which can only be an end",
            "write \"00:00\" and the day after".to_owned(),
        );
        return None;
    }
    Some(time)
}

/// A date such as `2026-12-20`, and no other form of it.
fn date(value: &Value<'_>) -> Option<Date> {
    let text = value.string()?;
    let form = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    let well_formed = text.len() == 10 && text.bytes().enumerate().all(form);
    let hint = format!("write year, month and day, for example {} = {}", value.name, value.example);
    if !well_formed {
        value.problem(format!("is {}, which is not a date", quoted(text)), hint);
        return None;
    }
    let date = text.parse().ok();
    if date.is_none() {
        value.problem(format!("is {}, which is not in the calendar", quoted(text)), hint);
    }
    date
}

fn time_zone(value: &Value<'_>) -> Option<TimeZone> {
    let text = value.filled()?;
    let zones = TimeZoneDatabase::bundled();
    if let Ok(zone) = zones.get(text)
        && !zone.is_unknown()
    {
        return Some(zone);
    }
    let known: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    // People know the city.
    let city = text.replace(' ', "_");
    let is_city =
        |name: &&str| name.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(&city));
    let names = || known.iter().map(String::as_str);
    // Three or four letters are near to too many names that mean something else.
    let near = || if text.len() > 4 { suggest(text, names()) } else { None };
    let hint = match names().find(is_city).or_else(near) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "write an IANA name such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
    };
    value.problem(format!("is {}, which is not a known time zone", quoted(text)), hint);
    None
}
