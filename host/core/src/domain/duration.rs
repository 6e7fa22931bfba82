//! ISO-8601 durations as Azure writes them (`PT30S`, `P1DT12H`, `P2W`).
//!
//! Years and months have no fixed length and are refused, as are signs and empty parts.

use std::time::Duration;

/// Why a text is not a duration; a fragment that follows the object's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; write for example PT0S, PT30S, PT5M, P1DT12H or P2W")]
pub struct InvalidDurationError {
    reason: &'static str,
}

fn invalid(reason: &'static str) -> InvalidDurationError {
    InvalidDurationError { reason }
}

/// Longest accepted duration: one year of 366 days. A longer pause is a mistake.
pub const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Parses `PnW` or `PnDTnHnMnS`; only seconds may have a fraction.
///
/// # Errors
/// When the text has another form, a sign, a year or month part, or is longer than
/// [`DURATION_MAX`].
pub fn parse_iso_duration(text: &str) -> Result<Duration, InvalidDurationError> {
    let Some(rest) = text.strip_prefix('P') else {
        let small = text.starts_with('p') && parse_iso_duration(&text.to_ascii_uppercase()).is_ok();
        return Err(invalid(if small { "has small letters" } else { "is not an ISO-8601 duration" }));
    };
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return Err(invalid("ends after `T`")),
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return Err(invalid("has no parts"));
    }
    if date.contains('Y') || date.contains('M') {
        return Err(invalid("uses years or months, whose length varies (minutes come after `T`)"));
    }
    let mut total = Duration::ZERO;
    if date.contains('W') {
        if !time.is_empty() {
            return Err(invalid("mixes weeks with other parts"));
        }
        total = add_parts(total, date, &[('W', 7 * 24 * 3600)])?;
    } else {
        total = add_parts(total, date, &[('D', 24 * 3600)])?;
        total = add_parts(total, time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    }
    if total > DURATION_MAX { Err(invalid("is longer than a year")) } else { Ok(total) }
}

/// Adds parts such as `5M30S`, whose units must come in the given order, each at most once.
fn add_parts(
    mut total: Duration,
    mut text: &str,
    units: &[(char, u64)],
) -> Result<Duration, InvalidDurationError> {
    for (unit, seconds) in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        total = total.checked_add(parse_part(number, *unit, *seconds)?).ok_or(invalid("is too long"))?;
        text = rest;
    }
    if text.is_empty() {
        return Ok(total);
    }
    let bare = text.bytes().all(|byte| byte.is_ascii_digit());
    Err(invalid(if bare { "has a number without a unit" } else { "has a part that is out of place" }))
}

fn parse_part(number: &str, unit: char, seconds: u64) -> Result<Duration, InvalidDurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || (number.contains('.') && !digits(fraction)) {
        return Err(invalid("has a part that is not a number"));
    }
    if !fraction.is_empty() && unit != 'S' {
        return Err(invalid("has a fraction on a part other than seconds"));
    }
    let whole: u64 = whole.parse().map_err(|_| invalid("is too long"))?;
    let base = Duration::from_secs(whole.checked_mul(seconds).ok_or(invalid("is too long"))?);
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    Ok(base + Duration::from_millis(millis.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_azure_writes() {
        for (text, seconds) in [
            ("PT0S", 0.0),
            ("PT30S", 30.0),
            ("PT0.5S", 0.5),
            ("PT5M", 300.0),
            ("PT1H30M", 5400.0),
            ("P1D", 86_400.0),
            ("P1DT12H", 129_600.0),
            ("P2W", 1_209_600.0),
        ] {
            assert_eq!(parse_iso_duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "P",
            "PT",
            "5",
            "5s",
            "PT5",
            "PTS",
            "P5S",
            "PT5D",
            "-PT5S",
            "PT-5S",
            "P1Y",
            "P1M",
            "P1WT1H",
            "PT1S1M",
            "PT1M1M",
            "pt5s",
            "PT1.S",
            "PT.5S",
            "PT1.5M",
            "PT 5S",
            "PT5S ",
            "P1DT",
            "PT99999999999999999999S",
            "P9999999D",
        ] {
            assert!(parse_iso_duration(text).is_err(), "{text:?} must be refused");
        }
    }
}
