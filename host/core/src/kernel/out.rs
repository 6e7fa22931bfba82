//! What a turn collects on its way: writes, effects and what has changed. Numbers are given out here, so
//! that no two lines, upgrades or operations are ever given the same one.

use std::collections::BTreeSet;

use super::effect::Effect;
use super::refusal::Refusal;
use super::watched::{Stepped, Watching};
use crate::domain::{By, Fence, Health, InstanceId, Now, OperationId, PluginName, ScaleSetName, UpgradeId};
use crate::lifecycle::Said;
use crate::record::Write;
use crate::record::audit::{Entry, Stamp, What};
use crate::rollout::Upgrade;

/// Numbers that only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// Which host speaks.
    pub(super) fence: Fence,
    /// The latest line of the trail.
    pub(super) audit: u64,
    /// The latest upgrade.
    pub(super) upgrade: u64,
    /// The latest operation that belongs to no upgrade, of this host.
    pub(super) operation: u64,
}

/// Whether the host doubts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfDoubt {
    /// Most of those that nothing has touched went silent within one interval.
    Began {
        /// So many are silent.
        silent: usize,
        /// Of so many that nothing has touched.
        of: usize,
    },
    /// They answer again, or a person says that the host is well.
    Ended,
}

/// What a watcher of the fleet should look at again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Sets of which anything changed.
    pub sets: BTreeSet<ScaleSetName>,
    /// Instances whose committed health changed: before and after.
    pub health: Vec<(ScaleSetName, InstanceId, Health, Health)>,
    /// Plugins of which anything changed.
    pub plugins: BTreeSet<PluginName>,
    /// What plugins have to say, for the log.
    pub said: Vec<Said>,
    /// Sets of which the host doubts what it sees, or does so no longer.
    pub doubts: Vec<(ScaleSetName, SelfDoubt)>,
    /// Whether it doubts what it sees of all sets together, or does so no longer.
    pub doubt_of_all: Option<SelfDoubt>,
    /// Drivers' complaints about instances.
    pub troubles: Vec<(ScaleSetName, InstanceId, String)>,
}

/// What a turn collects.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) numbers: Numbers,
    pub(super) writes: Vec<Write>,
    pub(super) effects: Vec<Effect>,
    pub(super) changes: Changes,
    watching: Watching,
    pub(super) stepped: Vec<Stepped>,
}

/// What a line of the trail is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) scale_set: &'a ScaleSetName,
    pub(super) upgrade: Option<&'a UpgradeId>,
    pub(super) instance: Option<&'a InstanceId>,
}

impl<'a> About<'a> {
    /// A scale set as a whole.
    pub(super) fn set(scale_set: &'a ScaleSetName) -> Self {
        Self { scale_set, upgrade: None, instance: None }
    }

    /// An upgrade, or one of its instances.
    pub(super) fn upgrade(upgrade: &'a Upgrade, instance: Option<&'a InstanceId>) -> Self {
        Self { scale_set: &upgrade.scale_set, upgrade: Some(&upgrade.id), instance }
    }
}

impl Out {
    pub(super) fn new(numbers: Numbers, watching: Watching) -> Self {
        Self { numbers, watching, ..Self::default() }
    }

    /// Whether steps are kept for whatever watches.
    pub(super) fn keeps_steps(&self) -> bool {
        self.watching == Watching::Steps
    }

    /// Adds a line to the trail.
    pub(super) fn audit(&mut self, about: About<'_>, by: By, what: What, now: Now) {
        self.audit_stamped(about, by, None, what, now);
    }

    /// As [`Self::audit`], with the code that judged the instance.
    pub(super) fn audit_stamped(
        &mut self,
        about: About<'_>,
        by: By,
        stamp: Option<Stamp>,
        what: What,
        now: Now,
    ) {
        self.numbers.audit += 1;
        self.writes.push(Write::Audit(Box::new(Entry {
            seq: self.numbers.audit,
            at: now.wall,
            scale_set: about.scale_set.clone(),
            upgrade: about.upgrade.cloned(),
            instance: about.instance.cloned(),
            by,
            stamp,
            what,
        })));
    }

    /// An operation that belongs to no upgrade: `start/3/orders/0/17`.
    pub(super) fn operation(&mut self, kind: &str, set: &ScaleSetName, id: &InstanceId) -> OperationId {
        self.numbers.operation += 1;
        let Numbers { fence, operation, .. } = self.numbers;
        OperationId(format!("{kind}/{fence}/{set}/{id}/{operation}"))
    }

    /// The next upgrade: its number and its id, which are used up by [`Self::begun`]: what is refused takes none.
    ///
    /// # Errors
    /// When the name of the set is too long for an id.
    pub(super) fn upgrade(&self, set: &ScaleSetName) -> Result<(u64, UpgradeId), Refusal> {
        let number = self.numbers.upgrade + 1;
        let id = format!("{set}-{number}");
        let parsed = UpgradeId::parse(&id);
        let id = parsed.map_err(|error| Refusal::UpgradeId { id, why: error.to_string() })?;
        Ok((number, id))
    }

    /// An upgrade of this number has begun.
    pub(super) fn begun(&mut self, number: u64) {
        self.numbers.upgrade = self.numbers.upgrade.max(number);
    }
}
