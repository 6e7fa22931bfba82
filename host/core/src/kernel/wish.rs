//! What a person tells an upgrade that runs, or one that has ended.

use super::memory::Memories;
use super::out::{About, Out};
use super::refusal::Refusal;
use super::state::Fleet;
use super::{look, retry, rollback, start};
use crate::domain::{By, Now, ScaleSetName};
use crate::record::audit::{RetryNote, What};
use crate::rollout::{Event, Purpose, Wish, refusal};

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
    if wish == Wish::RollBack && !upgrade.is_forward() && upgrade.purpose != Purpose::Manual {
        return Err(start::still_running(upgrade));
    }
    if let Some(why) = refusal(upgrade, &set.view(now), now.at, wish) {
        return Err(Refusal::Wish { scale_set: name.clone(), why });
    }
    out.audit(About::upgrade(upgrade, None), by.clone(), What::Wish { wish }, now);
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
        Wish::RollBack => {
            let ended = rollback::subject(set);
            let ended = ended.ok_or_else(|| Refusal::NoRunningUpgrade(name.clone()))?;
            rollback::roll_back(fleet, memories, &ended, by, now, out)?;
            if let Some(set) = fleet.change(name) {
                retry::drop_planned(set, RetryNote::RolledBack, by, now, out);
            }
            Ok(())
        }
        Wish::Cancel if set.retry.is_some() => {
            retry::drop_planned(set, RetryNote::Cancelled, by, now, out);
            Ok(())
        }
        Wish::Cancel => Err(Refusal::NothingToCancel),
        Wish::Pause | Wish::Resume | Wish::Approve | Wish::Bypass => {
            Err(Refusal::NoRunningUpgrade(name.clone()))
        }
    }
}
