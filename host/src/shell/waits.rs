//! Looks what each running upgrade waits for, in published views, and tells the loop when it is something else: what
//! a large batch waits for takes a while to find out, and the loop has no time for that.
//!
//! What lasts shorter than from one look to the next is not told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use phasegate_core::domain::{Now, ReadClock, ScaleSetName, UpgradeId};
use phasegate_core::kernel::event::Waits;
use phasegate_core::kernel::{Event, SetState, report};
use phasegate_core::record::ReadTrail;
use phasegate_core::record::audit::{Wait, What};
use tokio::time::MissedTickBehavior;

use super::{Door, View};
use crate::clock::Clock;

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was told of the upgrade of a set: which, for what, and in which batch.
type Told = BTreeMap<ScaleSetName, (UpgradeId, Wait, Option<usize>)>;

/// Looks and tells until the loop has ended.
pub async fn tell_waits(door: Door, trail: Arc<dyn ReadTrail>, clock: Clock) {
    let mut views = door.views();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::new();
    while views.changed().await.is_ok() {
        looks.tick().await;
        let (view, now) = (Arc::clone(&views.borrow_and_update()), ReadClock::now(&clock));
        if !view.sets().any(|set| set.active().is_some()) {
            told.clear();
            continue;
        }
        let (trail, before) = (Arc::clone(&trail), told);
        let look = tokio::task::spawn_blocking(move || look(&view, before, &*trail, now));
        let Ok((news, after)) = look.await else { return };
        told = after;
        for waits in news {
            door.send(Event::Waits(Box::new(waits))).await;
        }
    }
}

/// What is new, and what was told then.
fn look(view: &View, mut told: Told, trail: &dyn ReadTrail, now: Now) -> (Vec<Waits>, Told) {
    let mut news = Vec::new();
    told.retain(|name, _| view.set(name).is_ok_and(|set| set.active().is_some()));
    for set in view.sets() {
        let Some(upgrade) = set.active() else { continue };
        let Some(waiting) = report::waiting(view, set, now) else { continue };
        // Nothing of it could be recorded.
        if waiting.wait() == Wait::Record {
            continue;
        }
        let name = &set.spec.name;
        let before = told.get(name).cloned().or_else(|| recorded(set, &upgrade.id, trail));
        let (on, batch) = (waiting.wait(), upgrade.current);
        let same = before
            .is_some_and(|(id, was, of)| id == upgrade.id && was == on && of.is_none_or(|of| of == batch));
        told.insert(name.clone(), (upgrade.id.clone(), on, Some(batch)));
        if !same {
            let few = waiting.few();
            news.push(Waits {
                scale_set: name.clone(),
                upgrade: upgrade.id.clone(),
                on,
                instances: few.first.into_iter().cloned().collect(),
                count: few.count,
                until: waiting.until(),
                says: waiting.says().map(str::to_owned),
            });
        }
    }
    (news, told)
}

/// What the host before this one has told of an upgrade.
fn recorded(
    set: &SetState,
    id: &UpgradeId,
    trail: &dyn ReadTrail,
) -> Option<(UpgradeId, Wait, Option<usize>)> {
    let line = trail.latest_of(id, "waiting").ok()??;
    let What::Waits { on, .. } = line.what else { return None };
    (line.scale_set == set.spec.name).then(|| (id.clone(), on, None))
}
