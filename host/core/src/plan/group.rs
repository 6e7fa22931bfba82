//! Groups of instances: the hard borders of batches, the order of the groups and of their members, and how a
//! group is cut into batches.

use std::cmp::Ordering;

use super::{Batch, Candidate};
use crate::domain::{InstanceId, Phase, natural_cmp};

/// Border of a batch. A batch never holds members of two groups. Ordered in whichever way is
/// quick; see [`GroupKey::turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey<'a> {
    pub(super) phase: PhaseOrder,
    pub(super) healthy_later: bool,
    pub(super) zone: Option<&'a str>,
    pub(super) update_domain: Option<u32>,
}

/// Numeric phases first, instances without one in a phase of their own at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PhaseOrder {
    Number(Phase),
    Last,
}

impl GroupKey<'_> {
    /// Which of two groups is upgraded first. Zones are ordered as people count, which takes longer
    /// than finding a candidate's group may.
    pub(super) fn turn(&self, other: &Self) -> Ordering {
        let Self { phase, healthy_later, zone, update_domain } = self;
        let zones = match (zone, other.zone) {
            (Some(zone), Some(other)) => natural_cmp(zone, other),
            (zone, other) => zone.is_some().cmp(&other.is_some()),
        };
        (phase, healthy_later)
            .cmp(&(&other.phase, &other.healthy_later))
            .then(zones)
            .then(update_domain.cmp(&other.update_domain))
    }
}

/// A member of a group, with what orders it at hand: candidates and the texts of ids lie far apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    fault_domain: Option<u32>,
    /// What is behind a beginning that all ids of the group have in common, where that is a number.
    number: Option<u64>,
    id: &'a InstanceId,
}

impl<'a> From<&'a Candidate> for Target<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        let Candidate { id, fault_domain, .. } = candidate;
        Self { fault_domain: *fault_domain, number: id.number(), id }
    }
}

impl Target<'_> {
    /// By fault domain, then by id.
    fn order(&self, other: &Self) -> Ordering {
        let ids = || match (self.number, other.number) {
            (Some(number), Some(other)) if number != other => number.cmp(&other),
            (Some(_) | None, _) => self.id.cmp(other.id),
        };
        self.fault_domain.cmp(&other.fault_domain).then_with(ids)
    }
}

/// Names such as `web-1` to `web-1000000` are ordered as quickly as their numbers: what they all begin
/// with is left out. Changes no order, only how long it takes.
fn number_behind_prefix(members: &mut [Target<'_>]) {
    let Some(first) = members.first().filter(|_| members.iter().any(|target| target.number.is_none())) else {
        return;
    };
    let first = first.id.as_str();
    let common = members.iter().fold(first.len(), |common, target| {
        let bytes = first.bytes().take(common).zip(target.id.as_str().bytes());
        bytes.take_while(|(ours, theirs)| ours == theirs).count()
    });
    // A number is compared as a whole.
    let prefix = first.get(..common).unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    for target in members {
        target.number = target.id.as_str().get(prefix.len()..).and_then(|rest| rest.parse().ok());
    }
}

/// Cuts one group into batches behind those that are there; `size` gives how large the batch with
/// an index may be.
pub(super) fn cut(
    key: &GroupKey<'_>,
    mut members: Vec<Target<'_>>,
    size: impl Fn(usize) -> usize,
    batches: &mut Vec<Batch>,
) {
    number_behind_prefix(&mut members);
    members.sort_by(Target::order);
    let mut rest = members.as_slice();
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(size(batches.len()).clamp(1, rest.len()));
        rest = behind;
        batches.push(Batch {
            phase: match key.phase {
                PhaseOrder::Number(phase) => Some(phase),
                PhaseOrder::Last => None,
            },
            zone: key.zone.map(str::to_owned),
            update_domain: key.update_domain,
            instances: batch.iter().map(|target| target.id.clone()).collect(),
        });
    }
}
