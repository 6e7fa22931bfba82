//! Reads what an upgrade does about failures and where it waits: the keys of
//! `[scaleSets.upgradePolicy]` that Azure does not have, and `batches`.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

use super::show::quoted;
use super::table::Table;
use super::value::Value;
use phasegate_core::domain::{
    BatchSize, Checkpoints, FailureRules, OnBreach, OnInstanceFailure, Percent, Phase, PhaseName, RetryRule,
};

/// A version that failed is not tried again in a hurry.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(60);

/// How often it is tried again when the file does not say.
const RETRY_LIMIT_DEFAULT: u32 = 3;

/// Largest number of entries in `batches`: a longer list is a mistake.
const BATCHES_MAX: usize = 100;

/// The values of the keys, taken out of their table.
pub(super) struct Rules<'a> {
    restore: Option<Value<'a>>,
    roll_back: Option<Value<'a>>,
    pause_after: Option<Value<'a>>,
    approval_before: Option<Value<'a>>,
}

impl<'a> Rules<'a> {
    pub(super) fn take(table: &mut Table<'a>) -> Self {
        Self {
            restore: table.optional("restoreFailedInstances", "true"),
            roll_back: table.optional("rollbackOnPolicyBreach", "false"),
            pause_after: table.optional("pauseAfterPhase", "[0]"),
            approval_before: table.optional("approvalBeforePhase", "[1, \"last\"]"),
        }
    }

    /// `rollback_failed` is Azure's `rollbackFailedInstancesOnPolicyBreach`.
    pub(super) fn read(self, rollback_failed: Option<&Value<'_>>) -> Option<(FailureRules, Checkpoints)> {
        let flag = |value: Option<&Value<'_>>, default| value.map_or(Some(default), Value::boolean);
        let restore = flag(self.restore.as_ref(), true);
        let roll_back = flag(self.roll_back.as_ref(), false);
        let rollback_failed = flag(rollback_failed, false);
        let pause_after = phases(self.pause_after.as_ref());
        let approval_before = phases(self.approval_before.as_ref());
        let instance = if restore? { OnInstanceFailure::Restore } else { OnInstanceFailure::Leave };
        let breach = match (roll_back?, rollback_failed?) {
            (true, _) => OnBreach::RollBack,
            (false, true) => OnBreach::RestoreFailed,
            (false, false) => OnBreach::Stop,
        };
        let checkpoints = Checkpoints { pause_after: pause_after?, approval_before: approval_before? };
        Some((FailureRules { instance, breach }, checkpoints))
    }
}

fn phases(value: Option<&Value<'_>>) -> Option<BTreeSet<PhaseName>> {
    let Some(value) = value else { return Some(BTreeSet::new()) };
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

/// Reads `retryAfter` and `retryLimit`.
pub(super) fn retry(after: Option<&Value<'_>>, limit: Option<&Value<'_>>) -> Option<Option<RetryRule>> {
    let read_limit = limit.map_or(Some(RETRY_LIMIT_DEFAULT), |value| value.integer(1, 100));
    let Some(value) = after else {
        let limit = limit.filter(|_| read_limit.is_some());
        if let Some(limit) = limit {
            limit.conflict(
                "is set although retryAfter is not: nothing would be tried again",
                "add for example retryAfter = \"P3D\", or leave retryLimit out",
            );
        }
        return (limit.is_none() && read_limit.is_some()).then_some(None);
    };
    let after = value.iso_duration()?;
    if after < RETRY_AFTER_MIN {
        value.problem(format!("is \"{}\"", value.string()?), "at least \"PT1M\"".to_owned());
        return None;
    }
    Some(Some(RetryRule { after, limit: read_limit? }))
}

/// Reads `batches = [1, 5, "20%"]`.
pub(super) fn batches(value: Option<&Value<'_>>) -> Option<Vec<BatchSize>> {
    let Some(value) = value else { return Some(Vec::new()) };
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
