//! What the API asks of the host about one decision of an upgrade.

use phasegate_core::domain::{InstanceId, ScaleSetName, UpgradeId};
use phasegate_core::kernel::effect::Used;
use phasegate_core::record::audit::{Entry, What};
use phasegate_core::record::{ReadTrail, StoreError, TrailPage, TrailQuery};

use super::{Host, no_upgrade};
use crate::api::behind::Kept;
use crate::shell::{CommandError, CommandErrorKind};

/// Lines about an instance of an upgrade that are looked through for a decision, the latest.
const LINES_MAX: u32 = 10_000;

/// So many of them are read first: the decision is nearly always among them.
const LINES_FIRST: u32 = 100;

/// The latest decision of an upgrade about an instance, as the trail has it.
pub(in crate::api) struct Decided {
    pub(in crate::api) upgrade: UpgradeId,
    /// None when the upgrade has decided nothing about the instance.
    pub(in crate::api) entry: Option<Entry>,
}

/// Whether a line of the trail is a decision about its instance.
fn decides(what: &What) -> bool {
    matches!(
        what,
        What::Decision { .. }
            | What::MindChanged { .. }
            | What::Admitted(_)
            | What::Hold { .. }
            | What::Leaves { .. }
    )
}

/// The latest decision among the lines that are asked for, and among those before them.
fn latest_decision(trail: &dyn ReadTrail, mut query: TrailQuery) -> Result<Option<Entry>, StoreError> {
    let mut left = LINES_MAX;
    loop {
        let TrailPage { mut entries, more } = trail.trail(&query)?;
        if let Some(index) = entries.iter().rposition(|entry| decides(&entry.what)) {
            return Ok(Some(entries.swap_remove(index)));
        }
        left -= query.limit;
        let Some(oldest) = entries.first().filter(|_| more && left > 0) else { return Ok(None) };
        query.before = Some(oldest.seq);
        query.limit = left;
    }
}

impl Host {
    /// The latest decision that an upgrade of a scale set took about an instance: the latest upgrade, unless another
    /// one is named.
    pub(in crate::api) async fn decided(
        &self,
        set: &ScaleSetName,
        instance: &InstanceId,
        named: Option<UpgradeId>,
    ) -> Result<Decided, CommandError> {
        let latest = self.door.view().set(set)?.upgrade.as_ref().map(|upgrade| upgrade.id.clone());
        let upgrade = named.or(latest).ok_or_else(|| no_upgrade(set))?;
        let query = TrailQuery {
            instance: Some(instance.clone()),
            upgrade: Some(upgrade.clone()),
            ..TrailQuery::latest(set.clone(), LINES_FIRST)
        };
        let entry = self.record(move |trail| latest_decision(trail, query)).await?;
        if entry.is_none() {
            self.must_tell_of(set, &upgrade).await?;
        }
        Ok(Decided { upgrade, entry })
    }

    /// Whether a scale set has an instance now.
    pub(in crate::api) fn has(&self, set: &ScaleSetName, instance: &InstanceId) -> bool {
        self.door.view().set(set).is_ok_and(|set| set.instance(instance).is_some())
    }

    /// Looks a decision up in the recording and judges it again; none when nothing is recorded. Takes as long as
    /// the component does.
    pub(in crate::api) async fn judged_again(&self, used: Used) -> Result<Option<Kept>, CommandError> {
        let Some(recording) = self.recording.clone() else { return Ok(None) };
        let work = tokio::task::spawn_blocking(move || recording.judge_again(&used));
        work.await.map(Some).map_err(|error| {
            let message = format!("the decision could not be judged again: {error}");
            CommandError::new(CommandErrorKind::Unavailable, message)
        })
    }
}
