//! What a person tells an upgrade that runs, or one that has ended.

use std::sync::Arc;

use super::memory::Memories;
use super::out::{About, Out};
use super::refusal::Refusal;
use super::state::Fleet;
use super::{doubts, look, retry, rollback, start};
use crate::domain::{By, Now, ScaleSetName};
use crate::record::audit::{RetryNote, What};
use crate::rollout::{Brake, Event, Purpose, Wish, refusal};

/// Tells the latest upgrade of a set something.
pub(super) fn wish(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, wish): (&ScaleSetName, Wish),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    let Some(upgrade) = set.active() else { return to_ended(fleet, memories, (name, wish), by, now, out) };
    let goes_back = matches!(wish, Wish::RollBack | Wish::RollBackOn);
    if goes_back && matches!(upgrade.purpose, Purpose::Rollback { .. }) {
        return Err(start::still_running(upgrade));
    }
    if let Some(why) = refusal(upgrade, &set.view(now), now.at, wish) {
        return Err(Refusal::Wish { scale_set: name.clone(), why });
    }
    out.audit(About::upgrade(upgrade, None), by.clone(), What::Wish { wish }, now);
    if wish == Wish::Bypass {
        doubts::says_go(fleet, name, now, out);
    }
    if goes_back && let Some(set) = fleet.change(name) {
        // What was to begin by itself behind it, is not wanted by whoever takes it back.
        retry::drop_planned(set, RetryNote::RolledBack, by, now, out);
        if let Some(upgrade) = set.upgrade.as_mut() {
            Arc::make_mut(upgrade).asked_back = Some(by.clone());
        }
    }
    look::look(fleet, memories, name, &[Event::Wish(wish)], now, out);
    Ok(())
}

fn to_ended(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, wish): (&ScaleSetName, Wish),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let Some(set) = fleet.change(name) else { return Ok(()) };
    match wish {
        Wish::RollBack | Wish::RollBackOn => {
            let brake = if wish == Wish::RollBackOn { Brake::Off } else { Brake::On };
            rollback::latest(fleet, memories, (name, brake), by, now, out)?;
            if let Some(set) = fleet.change(name) {
                retry::drop_planned(set, RetryNote::RolledBack, by, now, out);
            }
            Ok(())
        }
        Wish::Cancel | Wish::CancelNow if set.retry_at().is_some() => {
            retry::drop_planned(set, RetryNote::Cancelled, by, now, out);
            Ok(())
        }
        Wish::Cancel | Wish::CancelNow => Err(Refusal::NothingToCancel),
        Wish::Retry => start::again(fleet, memories, name, by, now, out),
        Wish::Pause | Wish::Resume | Wish::Approve | Wish::Bypass | Wish::Promote => {
            Err(Refusal::NoRunningUpgrade(name.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
