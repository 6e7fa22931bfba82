//! Declares `[[scaleSets.upgradePolicy.freezeWindows]]` and `[[scaleSets.allow]]`, which look alike.

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::keys::show::quoted;
use crate::keys::suggest::suggest;
use crate::keys::{Form, Given, Is, Key, Section, Value};
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

/// One window as a table.
const WINDOW: Section<FreezeWindow> = Section {
    keys: &[
        Key::<FreezeWindow>::optional(
            "days",
            "[\"Fri\", \"Sat\"]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |window, value| {
                    window.days = weekdays(value)?;
                    Some(())
                },
            ),
        )
        .without("every day")
        .bounds("`Mon` or `Monday` to `Sun`, any case")
        .doc("days on which it starts"),
        Key::<FreezeWindow>::preset(
            "from",
            "\"00:00\"",
            Is::Own(
                || Form::Text,
                |window, value| {
                    window.from = start(value)?;
                    Some(())
                },
            ),
        )
        .example("\"18:00\"")
        .bounds("`00:00` to `23:59`")
        .doc("start, by the clock on the wall"),
        Key::<FreezeWindow>::preset(
            "to",
            "\"24:00\"",
            Is::Own(
                || Form::Text,
                |window, value| {
                    window.to = clock_time(value)?;
                    Some(())
                },
            ),
        )
        .example("\"08:00\"")
        .bounds("`00:00` to `24:00`")
        .doc("end; not later than `from` means on the next day, and the same as `from` means 24 hours"),
        Key::<FreezeWindow>::preset(
            "timeZone",
            "\"UTC\"",
            Is::Own(
                || Form::Text,
                |window, value| {
                    window.zone = time_zone(value)?;
                    Some(())
                },
            ),
        )
        .example("\"Europe/Berlin\"")
        .bounds("IANA name")
        .doc("whose clock; the rules are built in and do not depend on the machine"),
        Key::<FreezeWindow>::optional(
            "firstDate",
            "\"2026-12-20\"",
            Is::Own(
                || Form::Text,
                |window, value| {
                    window.first_date = Some(date(value)?);
                    Some(())
                },
            ),
        )
        .bounds("`2026-12-20`")
        .doc("first date on which it starts"),
        Key::<FreezeWindow>::optional(
            "lastDate",
            "\"2027-01-03\"",
            Is::Own(
                || Form::Text,
                |window, value| {
                    window.last_date = Some(date(value)?);
                    Some(())
                },
            ),
        )
        .bounds("`2027-01-03`")
        .doc("last date on which it starts"),
        Key::<FreezeWindow>::optional(
            "reason",
            "\"end of the quarter\"",
            Is::Own(
                || Form::Text,
                |window, value| {
                    value.filled()?;
                    window.reason = Some(value.text()?);
                    Some(())
                },
            ),
        )
        .without("the window itself")
        .bounds("text")
        .doc("shown while it is in force"),
    ],
    check,
};

/// The windows as a key of a policy.
pub(super) fn form() -> Form {
    Form::Tables(WINDOW.shape())
}

pub(super) fn read(value: &Value<'_>) -> Option<Vec<FreezeWindow>> {
    let windows = read_all(value, "tables [[scaleSets.upgradePolicy.freezeWindows]]", read_freeze)?;
    if (FreezeWindows { frozen: windows.clone(), allowed: Vec::new() }).is_endless() {
        value.conflict(
            "cover all time together, for ever: no upgrade could ever start",
            "leave some day or hour out, or give one of them a lastDate",
        );
        return None;
    }
    Some(windows)
}

/// The windows in which alone something may begin.
pub(super) fn read_allowed(value: &Value<'_>) -> Option<Vec<FreezeWindow>> {
    read_all(value, "tables [[scaleSets.allow]]", |value| {
        let mut window = blank();
        WINDOW.read(value.table()?, &mut window).is_sound().then_some(window)
    })
}

fn read_all(
    value: &Value<'_>,
    wanted: &str,
    read: impl Fn(&Value<'_>) -> Option<FreezeWindow>,
) -> Option<Vec<FreezeWindow>> {
    let values = value.array(wanted)?;
    if values.len() > WINDOWS_MAX {
        value.problem(format!("has {} entries", values.len()), format!("at most {WINDOWS_MAX}"));
        return None;
    }
    let windows: Vec<Option<FreezeWindow>> = values.iter().map(read).collect();
    windows.into_iter().collect()
}

fn read_freeze(value: &Value<'_>) -> Option<FreezeWindow> {
    let mut window = blank();
    let mut given = WINDOW.read(value.table()?, &mut window);
    is_some_time_over(&window, &mut given);
    given.is_sound().then_some(window)
}

fn blank() -> FreezeWindow {
    FreezeWindow {
        days: Weekdays::ALL,
        from: ClockTime::START_OF_DAY,
        to: ClockTime::END_OF_DAY,
        zone: TimeZone::UTC,
        first_date: None,
        last_date: None,
        reason: None,
    }
}

/// Whether the parts of a window fit together.
fn check(window: &mut FreezeWindow, given: &mut Given<'_>) {
    if !given.is_sound() {
        return;
    }
    if let (Some(first), Some(last)) = (window.first_date, window.last_date)
        && last < first
    {
        given.conflict(
            "lastDate",
            format!("is \"{last}\", which is before firstDate = \"{first}\""),
            "write the same date or a later one",
        );
        return;
    }
    if let (Some(first), Some(last), true) = (window.first_date, window.last_date, given.has("days"))
        && !first
            .series(jiff::Span::new().days(1))
            .take(7)
            .any(|day| day <= last && window.days.contains(day.weekday()))
    {
        given.conflict(
            "days",
            format!("names no day from {first} to {last}: this window would never open"),
            "leave days out, or choose other dates",
        );
    }
}

/// A freeze has an end; a window in which something may begin needs none.
fn is_some_time_over(window: &FreezeWindow, given: &mut Given<'_>) {
    if !given.is_sound() {
        return;
    }
    if (FreezeWindows { frozen: vec![window.clone()], allowed: Vec::new() }).is_endless() {
        let table = given.table().clone();
        given.source().conflict(
            &table,
            "covers all time, for ever: no upgrade could ever start",
            "give it days, from and to, or a lastDate",
        );
        given.spoil();
    }
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
