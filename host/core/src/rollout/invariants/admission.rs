//! What must hold when a batch is admitted: invariants 1, 3, 4, 6, 10 and 13.

use std::collections::BTreeSet;

use super::{Check, Rule, Seen};
use crate::domain::{InstanceId, Participation, PhaseName};
use crate::plan::{Candidate, HoldReason, Standing};
use crate::rollout::{Event, Machines, MemberState, Purpose, Stop, Upgrade, Wish};

impl Check<'_> {
    pub(super) fn admission(&mut self) {
        self.stopped();
        self.alone();
        if self.seen.after.purpose == Purpose::Manual {
            return;
        }
        if self.is_forward() {
            self.budget();
            self.upgraded_limit();
            self.phases();
            self.consent();
        } else {
            self.upgraded_limit();
            self.newest_first();
        }
    }

    fn stopped(&mut self) {
        let after = self.seen.after;
        let promised = (self.history.paused || self.history.cancelled) && !self.is_resume();
        if promised || after.paused || after.cancel_requested {
            let detail =
                format!("{:?} was admitted after pause or cancel was acknowledged", names(self.admitted));
            self.report(Rule::Stopped, detail);
        }
        for stop in self.seen.fleet.stops() {
            if self.holds(stop) {
                let detail = format!("{:?} was admitted in spite of {stop:?}", names(self.admitted));
                self.report(Rule::Stopped, detail);
            }
        }
        if after.purpose != Purpose::Forward {
            return;
        }
        let current = after.current;
        let phase_of = |index: usize| after.batches.get(index).map(|batch| PhaseName::from(batch.phase));
        let before = current.checked_sub(1).and_then(phase_of);
        let Some(next) = phase_of(current).filter(|next| before != Some(*next)) else { return };
        let approved = self.history.approved.contains(&next) || after.approved.contains(&next);
        if after.policy.checkpoints.approval_before.contains(&next) && !approved {
            self.report(Rule::Stopped, format!("{next:?} began without approval"));
        }
        let Some(before) = before else { return };
        let resumed = self.history.resumed.contains(&before) || after.resumed.contains(&before);
        if after.policy.checkpoints.pause_after.contains(&before) && !resumed {
            self.report(Rule::Stopped, format!("{next:?} began without resume"));
        }
    }

    /// Only a person lets an upgrade go on in spite of what holds it.
    pub(super) fn bypass(&mut self) {
        let (before, after) = (self.seen.before.bypass, self.seen.after.bypass);
        let wished = self.seen.events.contains(&Event::Wish(Wish::Bypass)) && after == Some(self.seen.now);
        if before != after && !wished {
            self.report(Rule::Stopped, format!("a bypass of {after:?} that was not wanted"));
        }
    }

    /// Whether a stop holds this upgrade: a bypass is good for what was stopped when it was given.
    fn holds(&self, stop: Stop) -> bool {
        match (stop, self.seen.after.bypass) {
            (Stop::Line { since }, Some(bypass)) => since > bypass,
            (Stop::Line { .. }, None) => !self.history.bypassed,
            // Whoever names instances while the host doubts itself has said go.
            (Stop::Suspicion | Stop::Release, _) => self.seen.after.purpose == Purpose::Forward,
            (Stop::Freeze { since, .. }, _) => {
                self.is_forward() && self.seen.after.bypassed_freeze.is_none_or(|bypassed| since > bypassed)
            }
            (Stop::NotAsked, bypass) => self.is_forward() && bypass.is_none() && !self.history.bypassed,
        }
    }

    /// A resume in this very step takes a pause back.
    fn is_resume(&self) -> bool {
        let goes_on = |wish| self.seen.events.contains(&Event::Wish(wish));
        (goes_on(Wish::Resume) || goes_on(Wish::Promote)) && !self.history.cancelled
    }

    /// No other member is in flight, and no batch is larger than the policy allows.
    fn alone(&mut self) {
        let members = &self.seen.after.members;
        let others = members.iter().filter(|(id, m)| m.state.is_in_flight() && !self.admitted.contains(*id));
        let others: Vec<InstanceId> = others.map(|(id, _)| id.clone()).collect();
        if !others.is_empty() {
            self.report(Rule::Budget, format!("admitted while {others:?} is in flight"));
        }
        // However many there were when it was planned. A way back goes by the batches of the way there.
        let limit = match self.former {
            None => self.batch_max(),
            Some(former) => former.widest,
        };
        if self.admitted.len() > limit && !self.is_by_hand() {
            self.report(Rule::Budget, format!("a batch of {} (limit {limit})", self.admitted.len()));
        }
    }

    /// Largest batch of those that are there: of the set, or of the update domain.
    fn batch_max(&self) -> usize {
        let rolling = &self.seen.after.policy.rolling;
        let candidate = self.admitted.first().and_then(|id| self.seen.fleet.candidate(id));
        let domain = candidate.and_then(|candidate| candidate.update_domain);
        rolling.batch_max(self.seen.fleet.whole_of(rolling.batch_of, domain))
    }

    fn budget(&mut self) {
        let fleet = self.seen.fleet;
        let (total, down) = (fleet.total(), fleet.unhealthy());
        let share = self.seen.after.policy.rolling.max_unhealthy_instance_percent;
        if let Some(Machines { total, unhealthy, flying, .. }) = fleet.machines() {
            if share.is_exceeded_by(unhealthy, total) {
                self.report(
                    Rule::Budget,
                    format!("admitted with {unhealthy} of a group of {total} unavailable"),
                );
            }
            let most = self.seen.after.policy.rolling.batch_max(total).min(total.max(2) - 1);
            if self.seen.after.bypass.is_none() && self.is_forward() && self.admitted.len() + flying > most {
                let batch = self.admitted.len();
                self.report(
                    Rule::Budget,
                    format!("{batch} of a group admitted beside {flying} (limit {most})"),
                );
            }
        } else if share.is_exceeded_by(down.len(), total) {
            self.report(Rule::Budget, format!("admitted with {} of {total} unavailable", down.len()));
        }
        let elsewhere = down.iter().filter(|id| !self.admitted.contains(*id)).count();
        let limit = share.of(total).max(down.len() + 1);
        // Who is replaced serves until another one is healthy in its place.
        let stays =
            |id: &&InstanceId| self.seen.after.members.get(id).is_some_and(crate::rollout::Member::is_surge);
        let taken = self.admitted.iter().filter(|id| !stays(id)).count() + elsewhere;
        if taken > limit {
            let batch = self.admitted.len();
            self.report(
                Rule::Budget,
                format!("{batch} admitted with {elsewhere} down elsewhere (limit {limit})"),
            );
        }
        if fleet.initializing_count() > 0 {
            self.report(Rule::Health, "admitted while an instance is Initializing".to_owned());
        }
    }

    fn upgraded_limit(&mut self) {
        let after = self.seen.after;
        let (upgraded, bad) = self.upgraded(after);
        // A release has brought them there before.
        let upgraded = upgraded + if after.releases.is_empty() { 0 } else { after.already };
        let limit = self.seen.after.policy.rolling.max_unhealthy_upgraded_instance_percent;
        // Stand-alone machines of a group are one set for it.
        let group = self.seen.fleet.machines().filter(|_| !after.releases.is_empty());
        let counts_alone = group.is_none();
        for (component, others) in group.into_iter().flat_map(|group| group.others) {
            let is_open = after.ended.iter().all(|ended| ended.change.component != component);
            if is_open && limit.is_exceeded_by(bad + others.bad, upgraded + others.upgraded) {
                let (bad, all) = (bad + others.bad, upgraded + others.upgraded);
                self.report(
                    Rule::UpgradedLimit,
                    format!("admitted with {bad} of {all} of a group unhealthy"),
                );
                return;
            }
        }
        if counts_alone && limit.is_exceeded_by(bad, upgraded) {
            self.report(Rule::UpgradedLimit, format!("admitted with {bad} of {upgraded} upgraded unhealthy"));
        }
    }

    /// How many were upgraded so far, and how many of them failed or are down.
    fn upgraded(&self, upgrade: &Upgrade) -> (usize, usize) {
        let mut counts = (0, 0);
        let down: BTreeSet<InstanceId> = self.seen.fleet.unhealthy().into_iter().collect();
        for (id, member) in upgrade.members.iter() {
            let bad = match member.state {
                MemberState::Succeeded { .. } => down.contains(member.occupant(id)),
                // What has ended for itself counts for itself.
                MemberState::Failed { .. } => member.parts.iter().any(|part| {
                    let failed = matches!(part.state, crate::rollout::PartState::Failed { .. });
                    failed && !upgrade.ended.iter().any(|ended| ended.change.component == part.component)
                }),
                MemberState::Pending
                | MemberState::Hooking { .. }
                | MemberState::Applying { .. }
                | MemberState::Settling { .. }
                | MemberState::Creating { .. }
                | MemberState::Ready { .. }
                | MemberState::Deleting { .. }
                | MemberState::Removing { .. }
                | MemberState::Restoring { .. } => continue,
            };
            counts.0 += 1;
            counts.1 += usize::from(bad);
        }
        counts
    }

    fn phases(&mut self) {
        let phases = self.admitted.iter().filter_map(|id| self.fact(id)).map(|fact| fact.phase);
        let Some(first) = phases.min() else { return };
        let open = self.seen.after.members.iter().find(|(id, member)| {
            let earlier = self.fact(id).is_some_and(|fact| fact.phase < first);
            earlier && !member.state.is_terminal()
        });
        if let Some((id, _)) = open {
            let detail = format!("{first:?} was admitted while `{id}` of an earlier phase is open");
            self.report(Rule::Phases, detail);
        }
    }

    fn consent(&mut self) {
        for id in self.admitted {
            let refused = match self.fact(id).map(|fact| fact.consent) {
                Some(Ok(())) => continue,
                Some(Err(why)) => why,
                None => "was not in the snapshot",
            };
            self.report(Rule::Consent, format!("`{id}` was admitted and {refused}"));
        }
    }

    /// Who says "not now" is asked again until the time for asking is over.
    pub(super) fn asked_again(&mut self) {
        let Seen { before, after, fleet, now, .. } = *self.seen;
        let left = |id: &InstanceId| before.deferred.contains_key(id) && !after.deferred.contains_key(id);
        if now >= after.defer_until(now) || !before.deferred.keys().any(left) {
            return;
        }
        // What is protected now is not asked any more, and the report says so; nor is what is there already.
        let is_over = |candidate: &Candidate| {
            let hold = after.holds.iter().find(|hold| hold.instance == candidate.id);
            match hold.map(|hold| &hold.reason) {
                Some(HoldReason::Protected) => candidate.protection.from_scale_set_actions,
                None => candidate.is_at(&after.open_goal()),
                Some(HoldReason::PersonSkip(_) | HoldReason::PersonHold(_)) => candidate.held.is_some(),
                Some(
                    HoldReason::Skip(_)
                    | HoldReason::Defer(_)
                    | HoldReason::Undecided
                    | HoldReason::Vanished
                    | HoldReason::Replaced
                    | HoldReason::NoWayBack(_)
                    | HoldReason::PluginFailed(_)
                    | HoldReason::Unknown(_),
                ) => false,
            }
        };
        let is_asked = |candidate: &&Candidate| left(&candidate.id) && !is_over(candidate);
        for candidate in fleet.candidates().iter().filter(is_asked) {
            if matches!(candidate.standing, Standing::Decided { participation: Participation::Defer, .. }) {
                self.report(Rule::Consent, format!("`{}` says not now and is forgotten", candidate.id));
            }
        }
    }

    fn newest_first(&mut self) {
        let Some(former) = self.former else { return };
        let turn = |id: &InstanceId| former.turn.get(former.first(id)).copied();
        let here = self.admitted.iter().filter_map(turn).max();
        let newer = self
            .seen
            .after
            .members
            .iter()
            .find(|(id, member)| member.state == MemberState::Pending && turn(id) > here);
        if let Some((id, _)) = newer {
            self.report(Rule::WayBack, format!("`{id}` was upgraded later and is still waiting"));
        }
    }
}

fn names<'a>(ids: impl IntoIterator<Item = &'a InstanceId>) -> Vec<&'a str> {
    ids.into_iter().map(InstanceId::as_str).collect()
}
