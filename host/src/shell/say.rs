//! The host's log: what was recorded and what has changed, in words. Only for people; nothing reads it.

use phasegate_core::kernel::Changes;
use phasegate_core::lifecycle::Loudness;
use phasegate_core::record::Write;
use phasegate_core::record::audit::{Entry, What};

/// Says what was recorded; the small steps of single instances only to who asks.
pub(super) fn recorded(write: &Write) {
    let Write::Audit(entry) = write else { return };
    let Entry { scale_set, upgrade, instance, what, .. } = &**entry;
    let (upgrade, instance) =
        (upgrade.as_ref().map(ToString::to_string), instance.as_ref().map(ToString::to_string));
    let code = what.code();
    match what {
        What::Decision { .. }
        | What::MindChanged { .. }
        | What::Apply { .. }
        | What::Applied { .. }
        | What::ApplyBeside { .. }
        | What::AppliedBeside { .. }
        | What::Create { .. }
        | What::Ready { .. }
        | What::Succeeded { .. }
        | What::Replaced { .. } => tracing::debug!(%scale_set, upgrade, instance, "{code}: {entry}"),
        What::Failed { .. }
        | What::Restore { .. }
        | What::Remove { .. }
        | What::Line { .. }
        | What::Record { .. } => {
            tracing::warn!(%scale_set, upgrade, instance, "{code}: {entry}");
        }
        What::PluginTrouble { .. } => tracing::error!(%scale_set, "{code}: {entry}"),
        // Said when it came.
        What::Process { .. } => {}
        What::Start { .. }
        | What::Plan { .. }
        | What::Hold { .. }
        | What::Leaves { .. }
        | What::Replace { .. }
        | What::Batch { .. }
        | What::End { .. }
        | What::Retry { .. }
        | What::Wish { .. }
        | What::StaysDeleted { .. }
        | What::PluginReverted { .. } => tracing::info!(%scale_set, upgrade, instance, "{code}: {entry}"),
    }
}

/// Says which instances changed their health, and what drivers complain about.
pub(super) fn changed(changes: &Changes) {
    for (scale_set, instance, before, after) in &changes.health {
        tracing::info!(%scale_set, %instance, "health {} -> {}", before.name(), after.name());
    }
    for said in &changes.said {
        match said.loudness() {
            Loudness::Info => tracing::info!("{said}"),
            Loudness::Warning => tracing::warn!("{said}"),
            Loudness::Error => tracing::error!("{said}"),
        }
    }
    for (scale_set, instance, text) in &changes.troubles {
        tracing::warn!(%scale_set, %instance, "driver: {text}");
    }
}
