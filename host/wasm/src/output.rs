//! Checks of what a guest answered; every value is hostile until it has passed here.
//!
//! Text for people is cut and cleaned. What a machine acts on is refused when it breaks the
//! contract, never repaired.

use phasegate_core::domain::{DEFER_PROGRESS, DEFER_UNTIL, Phase, PluginFailure, Reason, Timestamp};

use super::text;

const CODE_BYTES_MAX: usize = 64;
const LINE_BYTES_MAX: usize = 1024;
const MEMORY_BYTES_MAX: usize = 4096;
const ATTRIBUTES_MAX: usize = 16;
const ATTRIBUTE_NAME_BYTES_MAX: usize = 64;
const ATTRIBUTE_VALUE_BYTES_MAX: usize = 16 << 10;
const SHOWN_BYTES_MAX: usize = 64;

pub(super) fn phase(number: Option<u32>) -> Result<Option<Phase>, PluginFailure> {
    let Some(number) = number else { return Ok(None) };
    match Phase::new(number) {
        Some(phase) => Ok(Some(phase)),
        None => Err(PluginFailure::BadOutput(format!("phase {number} (limit {})", Phase::MAX))),
    }
}

pub(super) fn reason(code: String, detail: String) -> Reason {
    Reason { code: text::code(code, CODE_BYTES_MAX), detail: text::into_line(detail, LINE_BYTES_MAX) }
}

pub(super) fn memory(bytes: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, PluginFailure> {
    match bytes.as_ref().map(Vec::len) {
        Some(len) if len > MEMORY_BYTES_MAX => {
            Err(PluginFailure::BadOutput(format!("memory of {len} bytes (limit {MEMORY_BYTES_MAX})")))
        }
        _ => Ok(bytes),
    }
}

pub(super) fn attributes(entries: Vec<(String, String)>) -> Result<Vec<(String, String)>, PluginFailure> {
    if entries.len() > ATTRIBUTES_MAX {
        let said = format!("{} attributes (limit {ATTRIBUTES_MAX})", entries.len());
        return Err(PluginFailure::BadOutput(said));
    }
    for (name, value) in &entries {
        if name.len() > ATTRIBUTE_NAME_BYTES_MAX {
            let said = format!("attribute name of {} bytes (limit {ATTRIBUTE_NAME_BYTES_MAX})", name.len());
            return Err(PluginFailure::BadOutput(said));
        }
        if value.len() > ATTRIBUTE_VALUE_BYTES_MAX {
            let said = format!(
                "attribute `{}` of {} bytes (limit {ATTRIBUTE_VALUE_BYTES_MAX})",
                text::one_line(name, ATTRIBUTE_NAME_BYTES_MAX),
                value.len()
            );
            return Err(PluginFailure::BadOutput(said));
        }
    }
    entries.iter().try_for_each(|(name, value)| known(name, value))?;
    Ok(entries)
}

/// A name that the host heeds has a value of its form.
fn known(name: &str, value: &str) -> Result<(), PluginFailure> {
    let (good, wanted) = match name {
        DEFER_PROGRESS => (value.parse::<i64>().is_ok(), "an integer of 64 bits"),
        DEFER_UNTIL => (Timestamp::parse(value).is_some(), "a date as RFC 3339 has it"),
        _ => return Ok(()),
    };
    if good {
        return Ok(());
    }
    let said =
        format!("attribute `{name}` is {:?}, and not {wanted}", text::one_line(value, SHOWN_BYTES_MAX));
    Err(PluginFailure::BadOutput(said))
}

pub(super) fn refused(kind: &str, detail: &str) -> PluginFailure {
    PluginFailure::Refused { kind: kind.to_owned(), detail: text::one_line(detail, LINE_BYTES_MAX) }
}

pub(super) fn count(seen: usize, expected: usize) -> Result<(), PluginFailure> {
    if seen == expected {
        return Ok(());
    }
    Err(PluginFailure::BadOutput(format!("{seen} results for {expected} observations")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_the_contract_are_refused() {
        let pair = |name: usize, value: usize| ("n".repeat(name), "v".repeat(value));
        let said = |failure: PluginFailure| failure.to_string();
        let prefix = "answered outside the contract: ";
        assert_eq!(
            said(phase(Some(1 << 31)).unwrap_err()),
            format!("{prefix}phase 2147483648 (limit 2147483647)")
        );
        assert_eq!(
            said(memory(Some(vec![0; 4097])).unwrap_err()),
            format!("{prefix}memory of 4097 bytes (limit 4096)")
        );
        assert_eq!(
            said(attributes(vec![pair(1, 1); 17]).unwrap_err()),
            format!("{prefix}17 attributes (limit 16)")
        );
        assert_eq!(
            said(attributes(vec![pair(65, 1)]).unwrap_err()),
            format!("{prefix}attribute name of 65 bytes (limit 64)")
        );
        assert_eq!(
            said(attributes(vec![pair(1, 16385)]).unwrap_err()),
            format!("{prefix}attribute `n` of 16385 bytes (limit 16384)")
        );
        assert_eq!(said(count(3, 2).unwrap_err()), format!("{prefix}3 results for 2 observations"));
    }

    #[test]
    fn what_a_deferral_says_is_a_number_and_a_date() {
        let of = |name: &str, value: &str| attributes(vec![(name.to_owned(), value.to_owned())]);
        for (name, value, is_good) in [
            ("defer-progress", "12", true),
            ("defer-progress", "-3", true),
            ("defer-progress", "12.5", false),
            ("defer-progress", "", false),
            ("defer-until", "2026-01-05T09:00:00Z", true),
            ("defer-until", "2026-01-05T10:00:00+01:00", true),
            ("defer-until", "9999-12-31T23:59:59Z", true),
            ("defer-until", "9999-12-31", false),
            ("defer-until", "tonight", false),
            ("defer-reason", "whatever", true),
        ] {
            assert_eq!(of(name, value).is_ok(), is_good, "{name} = {value}");
        }
        let said = of("defer-until", "tonight").unwrap_err().to_string();
        assert!(
            said.ends_with("attribute `defer-until` is \"tonight\", and not a date as RFC 3339 has it"),
            "{said}"
        );
    }

    #[test]
    fn values_at_the_limit_pass() {
        assert_eq!(phase(Some(Phase::MAX)).unwrap().unwrap().get(), Phase::MAX);
        assert_eq!(memory(Some(vec![0; 4096])).unwrap().unwrap().len(), 4096);
        assert_eq!(attributes(vec![("n".repeat(64), "v".repeat(16384)); 16]).unwrap().len(), 16);
        assert_eq!(reason("a".to_owned(), "é".repeat(600)).detail.len(), 1024);
    }
}
