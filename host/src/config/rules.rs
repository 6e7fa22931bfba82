//! Reads what an upgrade does about failures and where it waits: the keys of
//! `[scaleSets.upgradePolicy]` that Azure does not have, and `batches`.

use std::collections::BTreeSet;

use super::table::Table;
use super::value::Value;
use crate::domain::{
    BatchSize, Checkpoints, FailureRules, OnBreach, OnInstanceFailure, Percent, Phase, PhaseName,
};

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
    let phase = |value: &Value<'_>| {
        if value.is_string() {
            return value.choice(&[("last", PhaseName::Last)]);
        }
        value.integer(0, Phase::MAX).and_then(Phase::new).map(PhaseName::Number)
    };
    value.array("phase numbers, or \"last\"")?.iter().map(phase).collect()
}

/// Reads `batches = [1, 5, "20%"]`.
pub(super) fn batches(value: Option<&Value<'_>>) -> Option<Vec<BatchSize>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let sizes = value.array("counts and shares, for example batches = [1, 5, \"20%\"]")?;
    if sizes.is_empty() || sizes.len() > BATCHES_MAX {
        value.problem(format!("has {} entries", sizes.len()), format!("1 to {BATCHES_MAX}"));
        return None;
    }
    let size = |value: &Value<'_>| {
        if !value.is_string() {
            return value.integer(1, 1_000_000).map(BatchSize::Count);
        }
        let text = value.string()?;
        let share = text.strip_suffix('%').and_then(|number| number.parse().ok()).and_then(Percent::new);
        if share.is_none_or(|share| share.get() == 0) {
            value.problem(format!("is {text:?}"), "a share from \"1%\" to \"100%\"".to_owned());
        }
        share.map(BatchSize::Share)
    };
    sizes.iter().map(size).collect()
}
