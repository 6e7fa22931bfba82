//! Those for whom a driver or a hook is at work while a host ends, and whom nobody lists when the next one starts.
//!
//! What was with a driver is repeated, and what a hook before has taken away is given back, before they leave: as for
//! those that go while a host runs. Where they stand the record alone knows by then.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Members;
use crate::domain::{By, Instance, InstanceId};
use crate::kernel::look;
use crate::kernel::out::Out;
use crate::kernel::state::SetState;
use crate::rollout::{Member, Upgrade};

/// Takes those among the listed who are in hand and not listed, as the record has them, and gives them. Who has a row of
/// their own goes by that.
pub(in crate::kernel) fn take_in(
    listed: &mut Members,
    upgrade: Option<&Upgrade>,
    with_row: &BTreeSet<&InstanceId>,
) -> Vec<InstanceId> {
    let Some(upgrade) = upgrade.filter(|upgrade| upgrade.is_active()) else { return Vec::new() };
    let stays_away = |id: &&InstanceId| listed.contains_key(*id) || with_row.contains(*id);
    let unlisted = upgrade.members.in_flight().filter(|id| !stays_away(id));
    let members = unlisted.filter_map(|id| upgrade.members.get(id)).filter(|member| member.is_in_hand());
    let unlisted: Vec<Arc<Instance>> =
        members.filter_map(|member| member.listed_as.as_deref().cloned().map(Arc::new)).collect();
    let ids = unlisted.iter().map(|instance| instance.id.clone()).collect();
    listed.extend(unlisted.into_iter().map(|instance| (instance.id.clone(), instance)));
    ids
}

/// Lets those leave when what is in hand for them is over, and remembers of all others that they stay.
pub(in crate::kernel) fn leave_later(set: &mut SetState, unlisted: &[InstanceId], out: &mut Out) {
    let Some(mut upgrade) = set.upgrade.take() else { return };
    if upgrade.is_active() {
        let next = Arc::make_mut(&mut upgrade);
        let in_flight: Vec<InstanceId> = next.members.in_flight().cloned().collect();
        let mut news: BTreeSet<InstanceId> = next.leaving(|id| unlisted.contains(id)).into_iter().collect();
        news.extend(remember(set, next, &in_flight));
        out.writes.extend(news.iter().map(|id| look::member_write(next, id)));
        set.put_off = unlisted.iter().map(|id| (id.clone(), By::host())).collect();
    }
    set.upgrade = Some(upgrade);
}

/// Remembers of these what they are, as long as they are in hand. Gives those of whom that is news.
pub(in crate::kernel) fn remember<'a>(
    set: &SetState,
    upgrade: &mut Upgrade,
    ids: impl IntoIterator<Item = &'a InstanceId>,
) -> Vec<InstanceId> {
    upgrade.remember_listed(ids, |id| set.instance(id).map(|instance| Arc::clone(&instance.spec)))
}

/// Of those that stand otherwise now what they are is recorded anew, where they are in hand.
pub(super) fn changed(set: &mut SetState, ids: &[InstanceId], out: &mut Out) {
    let Some(mut upgrade) = set.upgrade.take() else { return };
    let in_hand = |id: &&InstanceId| upgrade.members.get(id).is_some_and(Member::is_in_hand);
    let ids: Vec<InstanceId> = ids.iter().filter(in_hand).cloned().collect();
    if !ids.is_empty() {
        let next = Arc::make_mut(&mut upgrade);
        for id in remember(set, next, &ids) {
            out.writes.push(look::member_write(next, &id));
        }
    }
    set.upgrade = Some(upgrade);
}
