//! The inner levels: the custom metrics' text, `RollingUpgrade` and its two members.
//!
//! Deliberately ignores every other name, among them the older `rollingUpgradePolicy`.

use super::body::replace;
use super::{Diagnostic, InvalidSkip, Metrics, MetricsStatus, Options, PHASE_MAX, Skip};
use crate::scan::{self, Kind};

/// Names of the members, as messages spell them.
const UPGRADE: &str = "RollingUpgrade";
const PHASE: &str = "PhaseOrderingNumber";
const SKIP: &str = "SkipUpgrade";

/// Reads a metrics text that is not empty.
pub(super) fn read(raw: String, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> Metrics {
    match rolling_upgrade(&raw, diagnostics) {
        Ok(upgrade) => {
            let (phase, skip) = members(upgrade, diagnostics);
            let phase = phase.and_then(|json| read_phase(json, diagnostics));
            let skip = skip.map_or(Skip::No, |json| read_skip(json, options, diagnostics));
            let too_large = scan::overflowing(&raw).map(scan::excerpt);
            let Some(number) = too_large else {
                return Metrics { raw, status: MetricsStatus::Success, phase, skip };
            };
            // Azure's extension cannot read such a text. What it says of phase and skip is read all the same: who says
            // skip is not upgraded for a number beside it.
            let why = format!("has a number that is too large for a double: {number}");
            diagnostics.push(Diagnostic::MetricsInvalid(why));
            Metrics { raw, status: MetricsStatus::Error, phase, skip }
        }
        Err(why) => {
            diagnostics.push(Diagnostic::MetricsInvalid(why));
            Metrics { raw, status: MetricsStatus::Error, phase: None, skip: Skip::No }
        }
    }
}

/// The text of `RollingUpgrade`, or why the metrics are not an object with a member.
fn rolling_upgrade<'a>(raw: &'a str, diagnostics: &mut Vec<Diagnostic>) -> Result<Option<&'a str>, String> {
    let kind = Kind::of(raw);
    if kind != Kind::Object {
        return Err("is not the text of a JSON object".to_owned());
    }
    let mut count = 0_usize;
    let mut upgrade = None;
    scan::members(raw, |name, value| {
        count = count.saturating_add(1);
        if name.eq_ignore_ascii_case(UPGRADE) && Kind::of(value) != Kind::Null {
            replace(&mut upgrade, value, UPGRADE, diagnostics);
        }
    })
    .map_err(|error| format!("is not the text of a JSON object: {error}"))?;
    match count {
        0 => Err("is an object without members".to_owned()),
        _ => Ok(upgrade),
    }
}

/// The texts of phase and skip.
fn members<'a>(
    upgrade: Option<&'a str>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<&'a str>, Option<&'a str>) {
    let Some(upgrade) = upgrade else { return (None, None) };
    let kind = Kind::of(upgrade);
    if kind != Kind::Object {
        diagnostics.push(Diagnostic::RollingUpgradeIgnored(kind.name()));
        return (None, None);
    }
    let (mut phase, mut skip, mut null_phase) = (None, None, None);
    let walked = scan::members(upgrade, |name, value| {
        let null = Kind::of(value) == Kind::Null;
        if name.eq_ignore_ascii_case(PHASE) {
            match null {
                true => null_phase = Some(value),
                false => replace(&mut phase, value, PHASE, diagnostics),
            }
        } else if name.eq_ignore_ascii_case(SKIP) && !null {
            replace(&mut skip, value, SKIP, diagnostics);
        }
    });
    // The text around it is valid JSON, so this object is too.
    debug_assert_eq!(walked, Ok(()));
    // A phase that is only null is a mistake worth a word, unlike an absent one.
    (phase.or(null_phase), skip)
}

fn read_phase(json: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<u32> {
    let max = u64::from(PHASE_MAX);
    let phase = match Kind::of(json) {
        Kind::Number => narrow(scan::whole(json, max)),
        Kind::Text => {
            let phase = scan::text(json).and_then(|text| {
                let digits = text.trim_ascii();
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| narrow(scan::whole(digits, max))).flatten()
            });
            diagnostics.extend(phase.map(Diagnostic::PhaseCoerced));
            phase
        }
        _ => None,
    };
    if phase.is_none() {
        diagnostics.push(Diagnostic::PhaseIgnored(scan::excerpt(json)));
    }
    phase
}

fn narrow(number: Option<u64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

fn read_skip(json: &str, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> Skip {
    let skip = match (Kind::of(json), json) {
        (Kind::Bool, "true") => Some(Skip::Yes),
        (Kind::Bool, _) => Some(Skip::No),
        (Kind::Text, _) => scan::text(json).and_then(|text| {
            let word = text.trim_ascii();
            let yes = word.eq_ignore_ascii_case("true").then_some(Skip::Yes);
            yes.or_else(|| word.eq_ignore_ascii_case("false").then_some(Skip::No))
        }),
        _ => None,
    };
    match (skip, options.invalid_skip) {
        (Some(skip), _) => {
            if Kind::of(json) == Kind::Text {
                diagnostics.push(Diagnostic::SkipCoerced);
            }
            skip
        }
        (None, invalid) => {
            diagnostics.push(Diagnostic::SkipInvalid(scan::excerpt(json)));
            match invalid {
                InvalidSkip::Hold => Skip::Held,
                InvalidSkip::Ignore => Skip::No,
            }
        }
    }
}
