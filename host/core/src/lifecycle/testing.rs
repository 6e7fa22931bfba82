//! Verdicts and comparisons for the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use super::compare::{Comparison, Summary};
use crate::domain::{
    Claim, Decision, Forbidden, Gate, InstanceId, Participation, Phase, PluginFailure, ScaleSetName, Verdict,
};

pub(super) fn said(claim: Claim, phase: Option<u32>, participation: Participation) -> Verdict {
    let phase = phase.and_then(Phase::new);
    let (reason, memory, attributes) = (None, None, Vec::new());
    Ok(Arc::new(Decision { claim, phase, participation, reason, memory, attributes }))
}

pub(super) fn good(phase: u32) -> Verdict {
    said(Claim::Healthy, Some(phase), Participation::Proceed)
}

pub(super) fn failed() -> Verdict {
    Err(PluginFailure::Trapped("unreachable".to_owned()))
}

pub(super) fn gate(changed_max: Option<u32>, forbid: &[Forbidden]) -> Gate {
    Gate { changed_max, forbid: forbid.to_vec(), observations_min: 1, time_min: Duration::ZERO }
}

pub(super) fn comparison(pairs: &[(Verdict, Verdict)], gate: &Gate) -> Comparison {
    let mut comparison = Comparison::default();
    for (index, (old, new)) in pairs.iter().enumerate() {
        let key = (ScaleSetName::parse("orders").unwrap(), InstanceId::parse(&index.to_string()).unwrap());
        comparison.add(key, old.clone(), new.clone(), Some(gate));
    }
    comparison
}

pub(super) fn compared(pairs: &[(Verdict, Verdict)], gate: &Gate, instances: usize) -> Summary {
    comparison(pairs, gate).summary(instances, pairs.len().min(instances), 0)
}
