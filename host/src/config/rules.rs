//! Reads phases by name and the sizes of batches.

use std::collections::BTreeSet;

use toml::de::DeValue;

use crate::keys::Value;
use crate::keys::show::quoted;
use phasegate_core::domain::{BatchSize, Percent, Phase, PhaseName};

/// Largest number of entries in `batches`: a longer list is a mistake.
const BATCHES_MAX: usize = 100;

/// Reads `[0, "last"]`.
pub(super) fn phases(value: &Value<'_>) -> Option<BTreeSet<PhaseName>> {
    let values = value.array("an array of phase numbers and \"last\"")?;
    let named: Vec<Option<PhaseName>> = values.iter().map(phase).collect();
    let mut phases = BTreeSet::new();
    for (value, phase) in values.iter().zip(named.into_iter().collect::<Option<Vec<_>>>()?) {
        if !phases.insert(phase) {
            value.problem("names the same phase a second time", "name each phase once".to_owned());
            return None;
        }
    }
    Some(phases)
}

fn phase(value: &Value<'_>) -> Option<PhaseName> {
    match value.raw {
        DeValue::Integer(_) => value.integer(0, Phase::MAX).and_then(Phase::new).map(PhaseName::Number),
        DeValue::String(text) if text.parse::<u32>().is_ok() => {
            value.problem(format!("is \"{text}\""), format!("write {text} without quotes"));
            None
        }
        DeValue::String(_) => value.choice(&[("last", PhaseName::Last)]),
        _ => {
            value.wrong_type("a phase number or \"last\"");
            None
        }
    }
}

/// Reads `batches = [1, 5, "20%"]`.
pub(super) fn batches(value: &Value<'_>) -> Option<Vec<BatchSize>> {
    let sizes = value.array("an array of counts and shares")?;
    if sizes.is_empty() || sizes.len() > BATCHES_MAX {
        let hint = format!("write 1 to {BATCHES_MAX}, or leave it out for batches as large as allowed");
        value.problem(format!("has {} entries", sizes.len()), hint);
        return None;
    }
    sizes.iter().map(batch_size).collect()
}

fn batch_size(value: &Value<'_>) -> Option<BatchSize> {
    match value.raw {
        DeValue::Integer(_) => value.integer(1, 1_000_000).map(BatchSize::Count),
        DeValue::String(text) => {
            let digits = |number: &&str| number.bytes().all(|byte| byte.is_ascii_digit());
            let share = text.strip_suffix('%').filter(digits).and_then(|number| number.parse().ok());
            let share = share.and_then(Percent::new).filter(|share| share.get() > 0);
            if share.is_none() {
                let hint = "write a count such as 5, or a share from \"1%\" to \"100%\"".to_owned();
                value.problem(format!("is {}", quoted(text)), hint);
            }
            share.map(BatchSize::Share)
        }
        _ => {
            value.wrong_type("a count, or a share such as \"20%\"");
            None
        }
    }
}
