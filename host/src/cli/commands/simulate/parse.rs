//! Numbers with their units, as arguments write them.

use std::time::Duration;

use anyhow::bail;

use phasegate_core::sim::forecast::{Rates, Span};

/// All in millionths.
const MILLION: u64 = 1_000_000;

/// Most events an hour of one instance.
const PER_HOUR_MAX: u64 = 60;

/// Longest time that anything takes, in seconds.
const SECONDS_MAX: u64 = 24 * 3600;

/// What a bare name means.
const USUAL: Rates = Rates {
    crash: 20_000,
    flap: 20_000,
    zone_loss: 50_000,
    lost_probe: 10_000,
    slow: 50_000,
    bad_version: 10_000,
    driver: 10_000,
};

/// Parses `crash,slow=10%`.
pub(super) fn faults(text: &str, zones: usize) -> anyhow::Result<Rates> {
    let mut rates = Rates::default();
    for part in text.split(',').map(str::trim) {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("none", None) => rates = Rates::default(),
            ("all", None) => {
                rates = USUAL;
                // A fleet without zones cannot lose one.
                rates.zone_loss = if zones == 0 { 0 } else { USUAL.zone_loss };
            }
            ("crash", value) => rates.crash = hourly(name, value, USUAL.crash)?,
            ("flap", value) => rates.flap = hourly(name, value, USUAL.flap)?,
            ("zone-loss", _) if zones == 0 => bail!("`--faults zone-loss` needs a fleet with zones"),
            ("zone-loss", value) => rates.zone_loss = hourly(name, value, USUAL.zone_loss)?,
            ("slow", value) => rates.slow = chance(name, value, USUAL.slow)?,
            ("lost-probe", value) => rates.lost_probe = chance(name, value, USUAL.lost_probe)?,
            ("bad-version", value) => rates.bad_version = chance(name, value, USUAL.bad_version)?,
            ("driver", value) => rates.driver = chance(name, value, USUAL.driver)?,
            _ => bail!(
                "`--faults` has `{part}`; known: crash, flap, zone-loss, slow, lost-probe, bad-version, \
                 driver, all, none"
            ),
        }
    }
    Ok(rates)
}

fn hourly(name: &str, value: Option<&str>, usual: u64) -> anyhow::Result<u64> {
    let Some(text) = value else { return Ok(usual) };
    let number = text.strip_suffix("/h").unwrap_or(text);
    match millionths(number) {
        Some(rate) if rate <= PER_HOUR_MAX * MILLION => Ok(rate),
        _ => bail!("fault `{name}` is `{text}` (allowed: 0/h to {PER_HOUR_MAX}/h, for example 0.5/h)"),
    }
}

fn chance(name: &str, value: Option<&str>, usual: u32) -> anyhow::Result<u32> {
    let Some(text) = value else { return Ok(usual) };
    match share(text) {
        Some(chance) => Ok(chance),
        None => bail!("fault `{name}` is `{text}` (allowed: 0% to 100%, for example 2.5%)"),
    }
}

/// Parses a percentage with or without its sign, as millionths.
pub(super) fn percent(what: &str, text: &str) -> anyhow::Result<u32> {
    match share(text) {
        Some(share) => Ok(share),
        None => bail!("`{what}` is `{text}` (allowed: 0 to 100 percent)"),
    }
}

fn share(text: &str) -> Option<u32> {
    let percent = millionths(text.strip_suffix('%').unwrap_or(text))?;
    let share = u32::try_from(percent / 100).ok()?;
    (percent <= 100 * MILLION).then_some(share)
}

/// Parses `12.5`: digits, and at most six more behind a point.
fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 || whole.len() > 9 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
    Some(whole.parse::<u64>().ok()? * MILLION + fraction)
}

/// Parses `2..10` or `5`, in seconds.
pub(super) fn span(what: &str, text: &str) -> anyhow::Result<Span> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let (low, high) = (seconds(what, low)?, seconds(what, high)?);
    if low > high {
        bail!("`{what}` is `{text}`, whose end is before its beginning");
    }
    Ok(Span { low, high })
}

/// Parses seconds.
pub(super) fn seconds(what: &str, text: &str) -> anyhow::Result<Duration> {
    match millionths(text.strip_suffix('s').unwrap_or(text)) {
        Some(micros) if micros <= SECONDS_MAX * MILLION => Ok(Duration::from_micros(micros)),
        _ => bail!("`{what}` is `{text}` (allowed: 0 to {SECONDS_MAX} seconds)"),
    }
}

/// Parses a number of equal phases, or the share of each.
pub(super) fn phases(text: &str) -> anyhow::Result<Vec<u32>> {
    let million = u32::try_from(MILLION).unwrap_or(u32::MAX);
    if let Ok(count) = text.parse::<u32>() {
        if count > 1000 {
            bail!("`--phases` is {count} (allowed: 0 to 1000, or shares such as 60,30)");
        }
        // What rounding leaves goes to the first.
        let share = million.checked_div(count).unwrap_or(0);
        let mut shares: Vec<u32> = (0..count).map(|_| share).collect();
        if let Some(first) = shares.first_mut() {
            *first += million % count.max(1);
        }
        return Ok(shares);
    }
    let shares: Vec<u32> =
        text.split(',').map(|share| percent("--phases", share.trim())).collect::<Result<_, _>>()?;
    let sum: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    if sum > MILLION {
        bail!("the shares of `--phases` are {} percent together (limit 100)", sum / 10_000);
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_units() {
        let read = |text: &str| faults(text, 3).unwrap();
        assert_eq!(read("none"), Rates::default());
        assert_eq!(read("all"), USUAL);
        assert_eq!(read("all, crash=1.5/h").crash, 1_500_000);
        assert_eq!(read("lost-probe=0.01%").lost_probe, 100);
        assert_eq!(read("slow=100").slow, 1_000_000);
        assert_eq!(faults("all", 0).unwrap().zone_loss, 0);
        for bad in ["", "crush", "crash=-1/h", "crash=61/h", "slow=101%", "slow=x", "all=1", "crash=1/d"] {
            let error = faults(bad, 3).unwrap_err().to_string();
            assert!(error.contains(bad.split('=').next().unwrap()), "{bad}: {error}");
        }
        assert!(faults("zone-loss", 0).is_err());
    }

    #[test]
    fn phases_are_a_number_or_shares() {
        assert_eq!(phases("0").unwrap(), Vec::<u32>::new());
        assert_eq!(phases("3").unwrap(), [333_334, 333_333, 333_333]);
        assert_eq!(phases("60,30.5").unwrap(), [600_000, 305_000]);
        for bad in ["60,50", "1001", "a", "60,,1", "-1"] {
            assert!(phases(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_in_seconds() {
        let span = |text| super::span("--apply", text);
        assert_eq!(span("2..10").unwrap().high, Duration::from_secs(10));
        assert_eq!(span("0.5").unwrap().low, Duration::from_millis(500));
        for bad in ["10..2", "x", "", "1..", "90000"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
