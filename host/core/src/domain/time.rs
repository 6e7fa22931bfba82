//! Points in time as plain numbers.
//!
//! Nothing here reads a clock; see `clock.rs`.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. Within one run of the host it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// A date as RFC 3339 has it, to the end of the year 9999.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse::<jiff::Timestamp>() {
            Ok(date) => Some(Self(date.as_millisecond())),
            Err(_) => at_the_edge(text),
        }
    }
}

/// RFC 3339 with milliseconds, UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(at) = jiff::Timestamp::from_millisecond(self.0) {
            return write!(f, "{at:.3}");
        }
        match EPOCH.checked_add(jiff::SignedDuration::from_millis(self.0)) {
            Ok(at) => write!(f, "{at:.3}Z"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// The last year that RFC 3339 can write.
const YEAR_MAX: i16 = 9999;

const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// The moments of the library end a day before its calendar does, so that each has a date in every zone. People write the
/// last second of 9999 for "not known yet".
fn at_the_edge(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.date().year() == YEAR_MAX)?;
    let local = pieces.date().to_datetime(pieces.time()?);
    let offset = jiff::SignedDuration::from_secs(pieces.to_numeric_offset()?.seconds().into());
    let span = local.duration_since(EPOCH).checked_sub(offset)?;
    Some(Timestamp(i64::try_from(span.as_millis()).ok()?))
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_one_to_the_end_of_the_last_year_that_can_be_written() {
        for (text, shown) in [
            ("2026-01-05T10:00:00+01:00", "2026-01-05T09:00:00.000Z"),
            ("9999-12-30T21:59:59Z", "9999-12-30T21:59:59.000Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("9999-12-31T23:59:59+01:00", "9999-12-31T22:59:59.000Z"),
            ("9999-12-31t00:00:00z", "9999-12-31T00:00:00.000Z"),
        ] {
            let parsed = Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(parsed.to_string(), shown, "{text}");
        }
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59Z"), Some(Timestamp(253_402_300_799_000)));
        for text in [
            "",
            "tonight",
            "9999-12-31",
            "9999-12-31T23:59:59",
            "9999-13-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp(i64::MAX).to_string(), i64::MAX.to_string());
    }
}
