//! Since when an upgrade waits for what it waits for, and who has paused it: what only the trail knows.

use phasegate_core::domain::UpgradeId;
use phasegate_core::record::audit::What;
use phasegate_core::record::{ReadTrail, StoreError};
use phasegate_wire as wire;

use crate::words;

/// Adds what the trail has to say. Where it cannot be read now, nothing is added.
pub(in crate::api) fn add(trail: &dyn ReadTrail, upgrade: &str, waiting: Option<&mut wire::Waiting>) {
    let (Some(waiting), Ok(upgrade)) = (waiting, UpgradeId::parse(upgrade)) else { return };
    if let Err(error) = look(trail, &upgrade, waiting) {
        tracing::debug!("since when `{upgrade}` waits is not known: {error}");
    }
}

fn look(trail: &dyn ReadTrail, upgrade: &UpgradeId, waiting: &mut wire::Waiting) -> Result<(), StoreError> {
    // At a checkpoint it waits after its phase, and no person has paused it.
    if waiting.code == wire::WaitingCode::Paused
        && waiting.detail.is_none()
        && let Some(pause) = trail.latest_of(upgrade, "pause")?
    {
        waiting.since = Some(pause.at.to_string());
        waiting.actor = Some(pause.by.actor.to_string());
        waiting.detail = pause.by.reason;
        return Ok(());
    }
    // The line says itself since when; of all else the moment of the latest look stands there, until it is recorded.
    if waiting.code != wire::WaitingCode::Line
        && let Some(line) = trail.latest_of(upgrade, "waiting")?
        && matches!(line.what, What::Waits { on, .. } if words::wait_code(on) == waiting.code)
    {
        waiting.since = Some(line.at.to_string());
    }
    Ok(())
}
