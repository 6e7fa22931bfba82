//! The invented fleet: what each instance really is and does, whatever a host believes.

use std::collections::BTreeMap;

use crate::domain::{
    Address, Change, Claim, Component, DEFER_PROGRESS, Decision, Digest, DriverPace, DriverWord, Fence,
    Generation, InstanceId, OperationId, Participation, Phase, PluginName, PluginStamp, ScaleSetName,
    Timestamp,
};

use super::versions::Versions;

/// One instance of one scale set.
pub(super) type Key = (ScaleSetName, InstanceId);

/// What the application of an instance says of itself. Phase and participation change in fickle worlds.
#[derive(Debug, Clone)]
pub(super) struct Says {
    pub(super) phase: Option<Phase>,
    pub(super) participation: Participation,
}

/// An instance as it is.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) zone: Option<String>,
    pub(super) says: Says,
    /// Never healthy with this version of this part.
    pub(super) bad_version: Option<Change>,
    pub(super) address: Address,
    pub(super) running: Versions,
    /// Answers from then on.
    pub(super) up_at: Timestamp,
    /// The call that the driver works on for each part; an older one no longer counts.
    pub(super) calls: BTreeMap<Component, usize>,
    /// The highest fence that it has seen.
    pub(super) fence: Fence,
}

impl Node {
    /// What a probe finds at this time; none when nothing answers.
    pub(super) fn claim(&self, now: Timestamp) -> Option<Claim> {
        if self.running.application.is_none() || now < self.up_at {
            return None;
        }
        let has = |change: &Change| self.running.of(&change.component) == Some(&change.to);
        let bad = self.bad_version.as_ref().is_some_and(has);
        Some(if bad { Claim::Unhealthy } else { Claim::Healthy })
    }
}

/// A driver says that what it asks is busy.
pub(super) fn busy((scale_set, instance): &Key, operation: &OperationId) -> DriverWord {
    let (scale_set, instance, operation) = (scale_set.clone(), instance.clone(), operation.clone());
    DriverWord { scale_set, instance, operation, pace: DriverPace::Busy, text: "locked".to_owned() }
}

/// The decision of the invented plugin.
pub(super) fn decision(says: &Says, claim: Option<Claim>, memory: Option<Vec<u8>>) -> Decision {
    let (phase, participation) = match claim {
        Some(_) => (says.phase, says.participation),
        None => (None, Participation::Proceed),
    };
    Decision {
        claim: claim.unwrap_or(Claim::Unknown),
        phase,
        participation,
        reason: None,
        memory,
        // One that never comes nearer: it is said, and changes nothing else.
        attributes: match participation {
            Participation::Defer => vec![(DEFER_PROGRESS.to_owned(), "7".to_owned())],
            Participation::Proceed | Participation::Skip => Vec::new(),
        },
    }
}

/// Which code judges: each generation is another component.
pub(super) fn stamp(name: &PluginName, generation: Generation) -> PluginStamp {
    PluginStamp { name: name.clone(), digest: digest(generation), generation }
}

fn digest(generation: Generation) -> Digest {
    Digest([u8::try_from(generation.0 % 256).unwrap(); 32])
}
