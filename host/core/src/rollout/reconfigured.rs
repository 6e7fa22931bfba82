//! What a changed configuration does to a running upgrade: instances that are gone, protected or somewhere else now.
//!
//! Who is gone is named and counts for no limit: an instance that nobody has any more is no failure of the version.
//! Who stands in another zone or update domain now goes with a batch of its own, so that no batch reaches over a
//! border that it was cut at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::{BatchProgress, BatchState};
use super::member::{Member, MemberState, Stay};
use super::state::{Purpose, Upgrade};
use super::step::Step;
use super::trip::Trip;
use crate::domain::{Instance, InstanceId, Timestamp};
use crate::plan::{Hold, HoldReason};

/// Zone and update domain of an instance.
type Borders = (Option<String>, Option<u32>);

impl Upgrade {
    /// After a change of the configuration: what it no longer has can never settle. Planned instances that are gone or
    /// protected now leave the plan; so does one in flight that is gone. Gives those that changed.
    pub fn reconfigured(
        &mut self,
        is_there: impl Fn(&InstanceId) -> bool,
        is_protected: impl Fn(&InstanceId) -> bool,
        now: Timestamp,
    ) -> Vec<InstanceId> {
        if !self.is_active() {
            return Vec::new();
        }
        let protected = self.leave_out_protected(is_protected);
        let gone = self.take_out_gone(is_there, now);
        // One whose place was being taken stays, as one that has failed.
        let left = gone.iter().filter(|id| self.members.get(id).is_none());
        let left: Vec<Hold> = left.map(|id| Hold::of_host(id.clone(), HoldReason::Vanished)).collect();
        self.holds.extend(left);
        self.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
        gone.into_iter().chain(protected).collect()
    }

    /// Remembers who leaves when what is in hand for it is over, and of all others that they stay. Gives those of whom that
    /// is news.
    pub fn leaving(&mut self, leaves: impl Fn(&InstanceId) -> bool) -> Vec<InstanceId> {
        let stay = |id: &InstanceId| if leaves(id) { Stay::Leaves } else { Stay::Yes };
        let in_flight = self.members.in_flight().filter(|id| {
            self.members.get(id).is_some_and(|member| member.is_in_hand() && member.stay != stay(id))
        });
        let news: Vec<InstanceId> = in_flight.cloned().collect();
        for id in &news {
            self.members.update(id, |member| member.stay = stay(id));
        }
        news
    }

    /// Remembers what those of these are that are in hand, and of no other. Gives those of whom that is news.
    pub fn remember_listed<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a InstanceId>,
        listed: impl Fn(&InstanceId) -> Option<Arc<Instance>>,
    ) -> Vec<InstanceId> {
        let mut news = Vec::new();
        for id in ids {
            let Some(member) = self.members.get(id) else { continue };
            let now = listed(id).filter(|_| self.is_active() && member.is_in_hand());
            // Of one that nobody lists the record alone knows what it is.
            let is_known =
                now.as_deref() == member.listed_as.as_deref() || (now.is_none() && member.is_in_hand());
            if !is_known {
                let now = now.map(|instance| Box::new((*instance).clone()));
                self.members.update(id, |member| member.listed_as = now);
                news.push(id.clone());
            }
        }
        news
    }

    /// Nothing is in hand any more for one that nobody lists.
    pub(super) fn let_leave(&mut self, id: &InstanceId, out: &mut Step) {
        self.members.remove(id);
        self.lost_one = true;
        self.holds.push_back(Hold::of_host(id.clone(), HoldReason::Vanished));
        self.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
        out.changed.insert(id.clone());
        out.head_changed = true;
        out.left_out_changed = true;
    }

    /// What was upgraded of these is gone, for another machine has their id and their place: they count no more, and are
    /// named. One that a driver or a hook is at work for goes on. Gives those who leave.
    pub fn replaced(&mut self, ids: &[InstanceId]) -> Vec<InstanceId> {
        let is_gone = |id: &&InstanceId| {
            self.members.get(id).is_some_and(|it| it.attempt > 0 && !it.is_in_hand() && !it.is_surge())
        };
        let gone: Vec<InstanceId> = ids.iter().filter(is_gone).cloned().collect();
        for id in &gone {
            self.members.remove(id);
            self.holds.push_back(Hold::of_host(id.clone(), HoldReason::Replaced));
        }
        self.lost_one |= !gone.is_empty();
        self.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
        gone
    }

    /// Leaves what is gone out of a way back that begins: it stays as it is, wherever that is.
    pub fn forget_gone(&mut self, is_there: impl Fn(&InstanceId) -> bool, now: Timestamp) {
        self.take_out_gone(is_there, now);
    }

    /// Who takes the place of another one goes on to: that it is deleted is an end of its own.
    fn take_out_gone(&mut self, is_there: impl Fn(&InstanceId) -> bool, now: Timestamp) -> Vec<InstanceId> {
        self.deferred.retain(|id, _| is_there(id));
        self.unheard.retain(|id| is_there(id));
        let open = |(id, member): &(&InstanceId, &Member)| !is_there(id) && !member.state.is_terminal();
        let gone: Vec<InstanceId> = self.members.iter().filter(open).map(|(id, _)| id.clone()).collect();
        let of_place = |member: &Member| member.is_surge() && member.state != MemberState::Pending;
        let (surging, gone): (Vec<InstanceId>, Vec<InstanceId>) =
            gone.into_iter().partition(|id| self.members.get(id).is_some_and(of_place));
        for id in &surging {
            self.members.update(id, |member| {
                member.trip = Trip::None;
                member.open_have_failed("was removed from the configuration");
                member.state = MemberState::Failed { at: now };
            });
        }
        for id in &gone {
            self.members.remove(id);
        }
        self.lost_one |= !gone.is_empty();
        gone.into_iter().chain(surging).collect()
    }

    /// A way back and a person who names instances touch only what was touched or named.
    fn leave_out_protected(&mut self, is_protected: impl Fn(&InstanceId) -> bool) -> Vec<InstanceId> {
        if !self.is_forward() {
            return Vec::new();
        }
        let waits =
            |(id, member): &(&InstanceId, &Member)| member.state == MemberState::Pending && is_protected(id);
        let protected: Vec<InstanceId> =
            self.members.iter().filter(waits).map(|(id, _)| id.clone()).collect();
        for id in &protected {
            self.members.remove(id);
            self.holds.push_back(Hold::of_host(id.clone(), HoldReason::Protected));
        }
        protected
    }

    /// Those whose turn has not come and who stand somewhere else than their batch says go with batches of their own,
    /// at the end of their phase, or on a way back right behind it. Gives who moved, and the numbers of batches that came and went.
    pub fn moved(
        &mut self,
        borders: impl Fn(&InstanceId) -> Option<Borders>,
        batch_max: impl Fn(Option<u32>) -> usize,
    ) -> (Vec<InstanceId>, Vec<u32>) {
        // A person who names instances has no borders.
        if !self.is_active() || self.purpose == Purpose::Manual {
            return (Vec::new(), Vec::new());
        }
        let crosses = self.policy.rolling.enable_cross_zone_upgrade;
        let mut apart: BTreeMap<(usize, Borders), Vec<InstanceId>> = BTreeMap::new();
        for (index, batch) in self.batches.iter().enumerate().skip(self.current) {
            if batch.state != BatchState::Pending {
                continue;
            }
            let phase_ends = self.batches.iter().skip(index).take_while(|other| other.phase == batch.phase);
            // A way back goes newest first, whatever the phase.
            let behind = if self.is_forward() { index + phase_ends.count() } else { index + 1 };
            for id in self.members.of_batch(batch.number) {
                let Some((zone, update_domain)) = borders(id) else { continue };
                let here = (if crosses { None } else { zone }, update_domain);
                if here != (batch.zone.clone(), batch.update_domain) {
                    apart.entry((behind, here)).or_default().push(id.clone());
                }
            }
        }
        let (mut moved, mut numbers) = (Vec::new(), Vec::new());
        // The last ones first, so that the places before stay what they are.
        for ((behind, (zone, update_domain)), ids) in apart.into_iter().rev() {
            let Some(phase) = self.batches.get(behind.saturating_sub(1)).map(|batch| batch.phase) else {
                continue;
            };
            for some in ids.chunks(batch_max(update_domain).max(1)) {
                let number = self.new_number();
                for (position, id) in some.iter().enumerate() {
                    self.members.place(id, number, position);
                }
                let batch = BatchProgress {
                    number,
                    phase,
                    zone: zone.clone(),
                    update_domain,
                    state: BatchState::Pending,
                    started_at: None,
                    ended_at: None,
                    set_aside_at: None,
                };
                self.batches.insert(behind, batch);
                numbers.push(number);
                moved.extend(some.iter().cloned());
            }
        }
        let members = &self.members;
        let is_left = |batch: &BatchProgress| {
            batch.state == BatchState::Pending
                && !numbers.contains(&batch.number)
                && members.count_of(batch.number) == 0
        };
        let left: Vec<u32> = if moved.is_empty() {
            Vec::new()
        } else {
            self.batches.iter().filter(|batch| is_left(batch)).map(|batch| batch.number).collect()
        };
        self.batches.retain(|batch| !left.contains(&batch.number));
        numbers.extend(left);
        (moved, numbers)
    }
}
