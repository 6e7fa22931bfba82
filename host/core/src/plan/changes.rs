//! What is different between a plan that was shown and the plan of now.

use std::collections::BTreeMap;

use crate::domain::{InstanceId, PhaseName};

use super::Plan;

/// Differences shown by name; a list of a thousand is not read.
const SHOWN_MAX: usize = 10;

/// One line of what changed, instance by instance; empty when only limits did.
#[must_use]
pub fn changes(before: &Plan, after: &Plan) -> String {
    let (old, new) = (places(before), places(after));
    let ids: std::collections::BTreeSet<&InstanceId> = old.keys().chain(new.keys()).copied().collect();
    let gone = "is no longer there".to_owned();
    let line = |id: &InstanceId| {
        let (was, is) = (old.get(id), new.get(id));
        (was != is).then(|| {
            let was = was.map_or("was not there", String::as_str);
            format!("{id}: {was} -> {}", is.unwrap_or(&gone))
        })
    };
    let lines: Vec<String> = ids.into_iter().filter_map(line).collect();
    let shown = lines.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
    match lines.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        Some(more) => format!("{shown}; and {more} more"),
        None => shown,
    }
}

/// Where each instance stands in a plan.
fn places(plan: &Plan) -> BTreeMap<&InstanceId, String> {
    let mut places = BTreeMap::new();
    for (index, batch) in plan.batches.iter().enumerate() {
        let phase = match PhaseName::from(batch.phase) {
            PhaseName::Number(phase) => format!("phase {}", phase.get()),
            PhaseName::Last => "the last phase".to_owned(),
        };
        for id in &batch.instances {
            places.insert(id, format!("batch {} ({phase})", index + 1));
        }
    }
    places.extend(plan.holds.iter().map(|hold| (&hold.instance, hold.reason.code().to_owned())));
    places.extend(plan.already.iter().map(|id| (id, "already there".to_owned())));
    places
}
