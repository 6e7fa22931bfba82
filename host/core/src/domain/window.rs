//! Windows: when nothing may begin, and when alone something may, told by the clock on the wall of some place.
//!
//! Pure: the time and the zone's rules are values. A freeze is never cut short by a change of the
//! clock: a time that does not exist is the first instant after the gap; of a time that exists
//! twice, a freeze begins at the first and ends at the second.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::time::Timestamp;

/// How far ahead is looked. A freeze that lasts longer is said to end here.
pub const HORIZON: Duration = Duration::from_secs(400 * 24 * 3600);

/// Days of spans that one sweep looks at, and how far its result is sure: a day less, because dates
/// are local.
const SWEEP_DAYS: i8 = 8;
const SWEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Windows that are named where none is open.
const SHOWN_MAX: usize = 3;

/// Dates from this year on are as good as "never".
const FAR_YEAR: i16 = 2100;

/// Days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays(u8);

impl Weekdays {
    /// No day.
    pub const NONE: Self = Self(0);
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// The same days, and this one.
    #[must_use]
    pub fn with(self, day: Weekday) -> Self {
        Self(self.0 | bit(day))
    }

    /// Whether the day is one of them.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & bit(day) != 0
    }
}

fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

/// A time of day on the wall, to the minute; 24:00 is the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockTime {
    minutes: u16,
}

/// Why a text is not a time of day; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a time of day; write hours and minutes with two digits each, from \"00:00\" to \"24:00\"")]
pub struct InvalidClockTimeError;

impl ClockTime {
    /// 00:00.
    pub const START_OF_DAY: Self = Self { minutes: 0 };
    /// 24:00.
    pub const END_OF_DAY: Self = Self { minutes: 24 * 60 };

    /// Parses `18:00`: two digits each.
    ///
    /// # Errors
    /// When the text has another form, or is later than 24:00.
    pub fn parse(text: &str) -> Result<Self, InvalidClockTimeError> {
        let number = |text: &str| -> Option<u16> {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        let (hours, minutes) = text.split_once(':').ok_or(InvalidClockTimeError)?;
        let (hours, minutes) =
            number(hours).zip(number(minutes).filter(|m| *m < 60)).ok_or(InvalidClockTimeError)?;
        let time = Self { minutes: hours * 60 + minutes };
        if time > Self::END_OF_DAY { Err(InvalidClockTimeError) } else { Ok(time) }
    }

    fn on(self, date: Date) -> Option<DateTime> {
        let date = if self == Self::END_OF_DAY { date.tomorrow().ok()? } else { date };
        let of_day = self.minutes % (24 * 60);
        Some(date.at(i8::try_from(of_day / 60).ok()?, i8::try_from(of_day % 60).ok()?, 0, 0))
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

/// Times at which nothing may begin, or at which alone something may, once for each of its days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeWindow {
    /// Days on which it starts.
    pub days: Weekdays,
    /// Start.
    pub from: ClockTime,
    /// End; not later than `from` means on the next day, and the same means 24 hours later.
    pub to: ClockTime,
    /// Whose clock is meant.
    pub zone: TimeZone,
    /// First date on which it may start.
    pub first_date: Option<Date>,
    /// Last date on which it may start.
    pub last_date: Option<Date>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// From an instant on, and up to but not at another.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: Timestamp,
    end: Timestamp,
}

enum Side {
    Start,
    End,
}

impl FreezeWindow {
    /// The freeze that starts on this date.
    fn on(&self, date: Date) -> Option<Span> {
        let in_time = self.first_date.is_none_or(|first| first <= date)
            && self.last_date.is_none_or(|last| date <= last);
        if !in_time || !self.days.contains(date.weekday()) {
            return None;
        }
        let end_date = if self.to <= self.from { date.tomorrow().ok()? } else { date };
        let start = self.instant(self.from.on(date)?, &Side::Start)?;
        let end = self.instant(self.to.on(end_date)?, &Side::End)?;
        // Empty when the clock jumps over all of it.
        (start < end).then_some(Span { start, end })
    }

    fn instant(&self, at: DateTime, side: &Side) -> Option<Timestamp> {
        let found = self.zone.to_ambiguous_timestamp(at);
        let instant = match (found.offset(), side) {
            (AmbiguousOffset::Gap { .. }, _) => {
                // The offset from before the change puts the time behind it, or at it.
                let behind = found.later().ok()?.checked_add(Duration::from_secs(1)).ok()?;
                self.zone.preceding(behind).next()?.timestamp()
            }
            (_, Side::Start) => found.earlier().ok()?,
            (_, Side::End) => found.later().ok()?,
        };
        Some(Timestamp(instant.as_millisecond()))
    }

    /// The date there at this instant, and so many days later.
    fn date(&self, at: Timestamp, days: i8) -> Option<Date> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
        let date = self.zone.to_datetime(at).date();
        date.checked_add(jiff::SignedDuration::from_hours(24 * i64::from(days))).ok()
    }

    /// The freezes that start so many days around this instant.
    fn spans(&self, around: Timestamp, days: RangeInclusive<i8>) -> Vec<Span> {
        let first = self.date(around, *days.start());
        let dates = std::iter::successors(first, |date| date.tomorrow().ok());
        dates.take(days.count()).filter_map(|date| self.on(date)).collect()
    }

    /// Whether this instant lies in one of its freezes.
    fn is_in_force(&self, at: Timestamp) -> bool {
        // A freeze lasts 25 hours at most, but its end may lie on the other side of a change.
        self.spans(at, -2..=1).iter().any(|span| span.start <= at && at < span.end)
    }

    /// When the one of its freezes began that this instant lies in.
    fn in_force_since(&self, at: Timestamp) -> Option<Timestamp> {
        let spans = self.spans(at, -2..=1);
        spans.iter().filter(|span| span.start <= at && at < span.end).map(|span| span.start).max()
    }

    /// Start of the first freeze that starts at this instant or later, within the horizon.
    fn start_from(&self, at: Timestamp) -> Option<Timestamp> {
        let mut date = self.date(at, -1)?.max(self.first_date.unwrap_or(Date::MIN));
        let limit = self.date(at + HORIZON, 0)?.min(self.last_date.unwrap_or(Date::MAX));
        while date <= limit {
            match self.on(date) {
                Some(span) if span.start >= at => return Some(span.start),
                Some(_) | None => date = date.tomorrow().ok()?,
            }
        }
        None
    }
}

/// For people, behind a word for what it is: ` Fri, Sat 18:00 to 08:00 (UTC)`.
impl fmt::Display for FreezeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, from, to, zone, first_date, last_date, reason: _ } = self;
        if *days != Weekdays::ALL {
            let week = Weekday::Monday.cycle_forward().take(7).filter(|day| days.contains(*day));
            let names: Vec<String> = week.map(|day| format!("{day:?}").chars().take(3).collect()).collect();
            write!(f, " {}", names.join(", "))?;
        }
        write!(f, " {from} to {to}")?;
        if let Some(first) = first_date {
            write!(f, ", from {first} on")?;
        }
        if let Some(last) = last_date {
            write!(f, ", until {last}")?;
        }
        write!(f, " ({})", zone.iana_name().unwrap_or("UTC"))
    }
}

/// That nothing may begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// When the latest of what holds now began to hold. Who let something go on before that has not meant it.
    pub since: Timestamp,
    /// First instant at which something may begin again, at most [`HORIZON`] away.
    pub until: Timestamp,
    /// Why, for people; never empty.
    pub reason: String,
}

/// All windows of a scale set: those in which nothing may begin, and those in which alone something may; without any of
/// the latter that is always. Windows that overlap or touch make one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreezeWindows {
    /// When nothing may begin.
    pub frozen: Vec<FreezeWindow>,
    /// When alone something may begin; always, where there is none.
    pub allowed: Vec<FreezeWindow>,
}

impl FreezeWindows {
    /// The freeze that this instant lies in. The reason is that of the first window in force which
    /// has one.
    #[must_use]
    pub fn frozen_at(&self, at: Timestamp) -> Option<Frozen> {
        let in_force: Vec<&FreezeWindow> =
            self.frozen.iter().filter(|window| window.is_in_force(at)).collect();
        let closed_since = self.closed_since(at);
        let reason = in_force.iter().find_map(|window| window.reason.clone());
        let reason = reason.or_else(|| in_force.first().map(|window| format!("freeze window{window}")));
        let reason = reason.or_else(|| closed_since.map(|_| self.when_allowed()))?;
        let since = in_force.iter().filter_map(|window| window.in_force_since(at)).chain(closed_since).max();
        Some(Frozen { since: since.unwrap_or(at), until: self.opens_from(at), reason })
    }

    /// Since when no window is open in which something may begin; none while one is. Since ever, where none was open
    /// in the week before.
    fn closed_since(&self, at: Timestamp) -> Option<Timestamp> {
        if self.allowed.is_empty() || self.allowed.iter().any(|window| window.is_in_force(at)) {
            return None;
        }
        let spans = self.allowed.iter().flat_map(|window| window.spans(at, -SWEEP_DAYS..=1));
        Some(spans.map(|span| span.end).filter(|end| *end <= at).max().unwrap_or(Timestamp(i64::MIN)))
    }

    /// When alone something may begin, for people.
    fn when_allowed(&self) -> String {
        let said = |window: &FreezeWindow| match &window.reason {
            Some(reason) => format!(" {reason}:{window}"),
            None => window.to_string(),
        };
        let all: Vec<String> = self.allowed.iter().take(SHOWN_MAX).map(said).collect();
        let more = if self.allowed.len() > SHOWN_MAX { " and others" } else { "" };
        format!("outside of the windows in which one may upgrade:{}{more}", all.join(";"))
    }

    /// First instant from this one on at which something may begin; at most the horizon.
    fn opens_from(&self, at: Timestamp) -> Timestamp {
        let limit = at + HORIZON;
        let mut opens = at;
        loop {
            let thawed = end_of_chain(&self.frozen, opens);
            let closed = self.closed_since(thawed).is_some();
            let next = || self.allowed.iter().filter_map(|window| window.start_from(thawed)).min();
            let open = if closed { next().unwrap_or(limit) } else { thawed };
            if open >= limit {
                return limit;
            }
            if open == opens {
                return opens;
            }
            opens = open;
        }
    }

    /// When the next freeze begins: after `at`, or, while frozen, after this freeze. None within
    /// [`HORIZON`].
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let end = self.opens_from(at);
        if end >= at + HORIZON {
            return None;
        }
        let freezes = self.frozen.iter().filter_map(|window| window.start_from(end)).min();
        let closes = Some(end_of_chain(&self.allowed, end)).filter(|_| !self.allowed.is_empty());
        freezes.into_iter().chain(closes).min()
    }

    /// Whether there comes a time from which on nothing may begin for good. That the last window of those in which
    /// something may has a last date is no mistake.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        let lasts = |window: &&FreezeWindow| window.last_date.is_none_or(|last| last.year() >= FAR_YEAR);
        let lasting = Self {
            frozen: self.frozen.iter().filter(lasts).cloned().collect(),
            allowed: self.allowed.iter().filter(lasts).cloned().collect(),
        };
        if lasting.allowed.is_empty() && !self.allowed.is_empty() {
            return false;
        }
        let all = lasting.frozen.iter().chain(&lasting.allowed);
        let begin = all.filter_map(|window| window.first_date).max();
        let begin = begin.unwrap_or(jiff::civil::date(2000, 1, 1));
        let Ok(begin) = TimeZone::UTC.to_timestamp(begin.at(0, 0, 0, 0)) else { return false };
        // Three days later all of them are in force, whatever their zone.
        let at = Timestamp(begin.as_millisecond()) + Duration::from_secs(3 * 24 * 3600);
        lasting.opens_from(at) >= at + HORIZON
    }
}

/// The instant itself when none of the windows is in force then. Sweeps over a week of spans at a time, so that
/// the cost does not depend on how the windows interlock.
fn end_of_chain(windows: &[FreezeWindow], at: Timestamp) -> Timestamp {
    let limit = at + HORIZON;
    let mut until = at;
    loop {
        let begin = until;
        let mut spans: Vec<Span> =
            windows.iter().flat_map(|window| window.spans(begin, -2..=SWEEP_DAYS)).collect();
        spans.sort_by_key(|span| span.start);
        for span in spans {
            if span.start > until {
                break;
            }
            until = until.max(span.end);
        }
        if until >= limit {
            return limit;
        }
        if until.since(begin) < SWEPT {
            return until;
        }
    }
}
#[cfg(test)]
mod tests;
