//! What a step may know of the fleet, and what may hold everything in it. Asked, never changed.

use std::collections::BTreeMap;

use crate::domain::{
    BatchOf, Component, ExtensionName, FreshIds, Health, InstanceId, Timestamp, Unheard, UpgradeId,
};
use crate::plan::{Candidate, Standing};

/// What a step may know of the fleet. A trait, so that the loop, the simulator and the tests give
/// their own without copying the fleet for each event.
pub trait FleetView {
    /// All instances, protected and skipped ones included. The only question that may cost what
    /// exists: it is asked once for a plan, and before each batch by upgrades that ask again.
    fn candidates(&self) -> Vec<Candidate>;
    /// One of them; none when it is not there.
    fn candidate(&self, instance: &InstanceId) -> Option<Candidate>;
    /// Committed health of one instance; Unknown when it is not there.
    fn health(&self, instance: &InstanceId) -> Health;
    /// Number of instances. Asked at every event, so the owner keeps it at hand.
    fn total(&self) -> usize;
    /// How many count as unhealthy. Asked at every event.
    fn unhealthy_count(&self) -> usize;
    /// How many are Initializing: neither healthy nor unhealthy, so everything waits for them. Asked at
    /// every event.
    fn initializing_count(&self) -> usize;
    /// Instances that count as unhealthy, by id; costs no more than those.
    fn unhealthy(&self) -> Vec<InstanceId>;
    /// Instances that are Initializing, by id; costs no more than those.
    fn initializing(&self) -> Vec<InstanceId>;
    /// How many are being looked at: what they run is about to be known. Asked at every event.
    fn looking_count(&self) -> usize {
        0
    }
    /// Whether the generation of the plugin that is in force has not judged an instance yet.
    fn any_undecided(&self) -> bool {
        self.candidates().iter().any(|candidate| matches!(candidate.standing, Standing::Undecided))
    }
    /// Whether an id is, or was ever, that of an instance.
    fn is_used(&self, id: &InstanceId) -> bool {
        self.candidate(id).is_some()
    }
    /// Gives ids that no instance of the set has or ever had. Asked once for a batch with new instances.
    fn fresh_ids(&self) -> FreshIds {
        FreshIds::new(self.candidates().iter().map(|candidate| &candidate.id))
    }
    /// How long one of them could not be asked in its present life, because the host was short of something.
    fn unheard(&self, _: &InstanceId) -> Unheard {
        Unheard::default()
    }
    /// Whether all of them have been asked in a probe that began at this time or later. Asked at every event.
    fn evidence(&self, _from: Timestamp) -> Evidence {
        Evidence::Complete
    }
    /// Those that count as Healthy, and of which something worse is known or, where the time for it is over,
    /// nothing at all; costs no more than those.
    fn doubted(&self, _from: Timestamp) -> Vec<InstanceId> {
        Vec::new()
    }
    /// Whether one of them has answered a probe that began at this time or later, and is not silent since.
    fn has_answered(&self, _: &InstanceId, _from: Timestamp) -> bool {
        true
    }
    /// Whether nothing ran on one of them when it was last looked at, and nobody has looked since this moment: that
    /// somebody has begun it by hand meanwhile nobody would know.
    fn is_unlooked(&self, _: &InstanceId, _from: Timestamp) -> bool {
        false
    }
    /// Whether one of them has not answered its latest probe.
    fn is_silent(&self, _: &InstanceId) -> bool {
        false
    }
    /// Until when silence may be the host's own: some that nothing has touched went silent within one interval, and
    /// more may. Nobody fails for it meanwhile.
    fn silence_goes_round(&self) -> Option<Timestamp> {
        None
    }

    /// Who has ended by itself since the bake of an upgrade began, and how.
    fn ended_by_themselves(&self, _upgrade: &UpgradeId) -> BTreeMap<InstanceId, String> {
        BTreeMap::new()
    }
    /// What one of them that is waited for says of when it will be ready, in words.
    fn deferral(&self, _: &InstanceId) -> Option<String> {
        None
    }
    /// What its driver has said of one of them since its latest effect, for example that its process ended.
    fn trouble(&self, _: &InstanceId) -> Option<String> {
        None
    }
    /// The names of extensions in the order in which a new instance gets them.
    fn provision_order(&self) -> Vec<ExtensionName> {
        Vec::new()
    }
    /// Why nothing new may start anywhere, or in this scale set, at this moment.
    fn stop(&self) -> Option<Stop> {
        None
    }
    /// All the reasons of that kind: a person may let one of them not count.
    fn stops(&self) -> Vec<Stop> {
        self.stop().into_iter().collect()
    }
    /// Whether a batch in one zone has to wait, because another zone of the region is in flight or comes first.
    fn is_zone_taken(&self, _zone: Option<&str>) -> bool {
        false
    }
    /// The same of a batch of these instances, which may be in several zones.
    fn are_zones_taken(&self, _members: &mut dyn Iterator<Item = &InstanceId>) -> bool {
        false
    }
    /// What the share of a batch in an update domain is a share of. Asked before a batch.
    fn whole_of(&self, of: BatchOf, domain: Option<u32>) -> usize {
        match of {
            BatchOf::Set => self.total(),
            BatchOf::UpdateDomain => {
                self.candidates().iter().filter(|candidate| candidate.update_domain == domain).count()
            }
        }
    }
    /// Of stand-alone machines, those that are counted with them; none for any other set.
    fn machines(&self) -> Option<Machines> {
        None
    }
    /// The moment on the fleet's own time at which the wall clock, as it goes now, shows a date.
    fn moment(&self, date: Timestamp) -> Timestamp {
        date
    }
}

/// The stand-alone machines of one subscription in one location, which are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machines {
    /// All of them.
    pub total: usize,
    /// Those that count as unhealthy.
    pub unhealthy: usize,
    /// Those that upgrades of others have in flight.
    pub flying: usize,
    /// What the releases that an upgrade is part of have come to on the others, for each component of its goal.
    pub others: BTreeMap<Component, Brought>,
}

/// Instances that have been brought to a version, or were to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Brought {
    /// All of them.
    pub upgraded: usize,
    /// Those that failed, or are unhealthy by now.
    pub bad: usize,
}

/// Whether everybody has been asked since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Each has answered, or has been asked as often as silence takes to count.
    Complete,
    /// Some have not been asked.
    Awaited {
        /// Until when they are waited for.
        until: Timestamp,
    },
    /// Some have not been asked, and the time for it is over.
    Overdue,
}

/// Why nothing new may start, whatever the instances say. A person may bypass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A person stopped the line.
    Line {
        /// When.
        since: Timestamp,
    },
    /// A freeze window is open, or none in which something may begin.
    Freeze {
        /// The date on which the latest of what holds now began to hold.
        since: Timestamp,
        /// Its end.
        until: Timestamp,
    },
    /// What is known of instances is old: the host could not ask them. Holds what goes forward only.
    NotAsked,
    /// The host doubts itself: most of those that nothing has touched went silent at once. Holds what goes forward
    /// only.
    Suspicion,
    /// The release that it belongs to holds it. Holds what goes forward only.
    Release,
}
