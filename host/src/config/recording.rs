//! Reads `[recording]`.

use std::time::Duration;

use super::show::quoted;
use super::table::Table;
use crate::recording::{Pointer, RecordingConfig};

/// Ages that make sense: a minute to a year.
const AGE_MIN: Duration = Duration::from_secs(60);
const AGE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// None inside: nothing is recorded.
pub(super) fn read(mut table: Table<'_>) -> Option<Option<RecordingConfig>> {
    let default = RecordingConfig::default();
    let size = table.optional("maxMiB", "64");
    let age = table.optional("maxAge", "\"P1D\"");
    let redact = table.optional("redact", "[\"/password\", \"/users/*/email\"]");
    table.finish();

    let mib = size.map_or(Some(64), |value| value.integer(0, 65_536));
    let age_max = age.map_or(Some(default.age_max), |value| {
        let age = value.iso_duration()?;
        if !(AGE_MIN..=AGE_MAX).contains(&age) {
            let seen = value.raw.as_str().map(quoted).unwrap_or_default();
            value.problem(format!("is {seen}"), "allowed: PT1M to P365D".to_owned());
            return None;
        }
        Some(age)
    });
    let pointers = redact.map_or(Some(Vec::new()), |value| value.array("an array of JSON pointers"));
    let pointers = pointers.map(|values| {
        let pointer = |value: &super::value::Value<'_>| {
            let text = value.filled()?;
            value.parsed(text, Pointer::parse(text))
        };
        // All are looked at, so that each that is wrong is told of.
        let parsed: Vec<Option<Pointer>> = values.iter().map(pointer).collect();
        parsed.into_iter().collect::<Option<Vec<Pointer>>>()
    });
    let (mib, age_max, redact) = (mib?, age_max?, pointers??);
    Some((mib > 0).then(|| RecordingConfig { bytes_max: u64::from(mib) << 20, age_max, redact }))
}
