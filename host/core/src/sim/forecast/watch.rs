//! Watches a run: the invariants, and how many instances were unavailable at once.
//!
//! The checker of all invariants needs the state before each step, which is a copy of the whole
//! upgrade; for large fleets there is a shorter list that looks at admissions only.

use std::collections::BTreeSet;

use crate::domain::{Decisions, InstanceId, PhaseName, Timestamp, UpgradeId};
use crate::rollout::invariants::{Checker, Rule, Seen, Violation};
use crate::rollout::{Event, FleetView, Stage, Step, Upgrade};

use super::setup::{Facts, Watch};
use super::world::World;

/// Violations that are kept; the others are counted.
const KEPT_MAX: usize = 5;

/// Watches one run.
pub(super) struct Watcher {
    watch: Watch,
    checker: Checker,
    /// Upgrade and number of the batch that was admitted last.
    admitted: Option<(UpgradeId, u32)>,
    phase: Option<PhaseName>,
    /// Who had said nothing when the plan was made, by place in the fleet; none before.
    silent: Option<BTreeSet<usize>>,
    pub(super) violations: Vec<Violation>,
    pub(super) violated: usize,
    /// Most instances that were not Healthy at once, since the plan was made.
    pub(super) unavailable: usize,
    pub(super) unavailable_at: Timestamp,
}

impl Watcher {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            checker: Checker::default(),
            admitted: None,
            phase: None,
            silent: None,
            violations: Vec::new(),
            violated: 0,
            unavailable: 0,
            unavailable_at: Timestamp(0),
        }
    }

    /// A copy of the state before a step, if that is wanted.
    pub(super) fn before(&self, upgrade: &Upgrade) -> Option<Upgrade> {
        (self.watch == Watch::Steps).then(|| upgrade.clone())
    }

    pub(super) fn after(
        &mut self,
        before: Option<Upgrade>,
        after: &Upgrade,
        events: &[Event],
        step: &Step,
        world: &World<'_>,
    ) {
        if let Some(before) = before {
            let seen = Seen { before: &before, after, events, step, fleet: world, now: world.now };
            let found = self.checker.observe(&seen);
            self.checker.committed();
            for event in events {
                if let Event::Wish(wish) = event {
                    self.checker.acknowledged(&before, *wish);
                }
            }
            found.into_iter().for_each(|violation| self.keep(violation));
        }
        if self.silent.is_none() && after.digest.is_some() && self.watch == Watch::Admissions {
            self.silent = Some(world.silent());
        }
        let number = after.batches.get(after.current).map(|batch| batch.number);
        let admitted = number.filter(|_| after.stage == Stage::InBatch && after.is_forward());
        let admitted = admitted.map(|number| (after.id.clone(), number));
        if admitted.is_some() && admitted != self.admitted {
            self.admission(after, world);
            self.admitted = admitted;
        }
    }

    fn keep(&mut self, violation: Violation) {
        self.violated += 1;
        if self.violations.len() < KEPT_MAX {
            self.violations.push(violation);
        }
    }

    /// The shorter list: size and budget, borders, phases, consent.
    fn admission(&mut self, upgrade: &Upgrade, world: &World<'_>) {
        if self.watch == Watch::Steps {
            return;
        }
        let members: BTreeSet<&InstanceId> = upgrade
            .batch_members(upgrade.current)
            .into_iter()
            .filter(|id| upgrade.members.get(id).is_some_and(|member| member.state.is_in_flight()))
            .collect();
        let policy = &upgrade.policy.rolling;
        let total = world.total();
        let now = world.now;
        let phase = upgrade.batches.get(upgrade.current).map(|batch| PhaseName::from(batch.phase));
        let former = std::mem::replace(&mut self.phase, phase);
        let facts: Vec<&Facts> = members
            .iter()
            .filter_map(|id| world.crowd.index(id).and_then(|index| world.crowd.facts.get(index)))
            .collect();
        let refusing: Vec<&Facts> =
            facts.iter().filter(|facts| !self.consents(facts, upgrade, world)).copied().collect();
        let mut report = |rule, detail| self.keep(Violation { rule, at: now, detail });
        let limit = policy.batch_max(total);
        if members.len() > limit {
            report(Rule::Budget, format!("a batch of {} (limit {limit})", members.len()));
        }
        // A member that is down already costs nothing.
        let down = world.unhealthy_count();
        let elsewhere = down - members.iter().filter(|id| world.health(id).is_unhealthy()).count();
        let limit = policy.max_unhealthy_instance_percent.of(total).max(down + 1);
        if members.len() + elsewhere > limit {
            let detail =
                format!("{} admitted with {elsewhere} down elsewhere (limit {limit})", members.len());
            report(Rule::Budget, detail);
        }
        let zones: BTreeSet<_> = facts.iter().map(|facts| facts.zone).collect();
        let domains: BTreeSet<_> = facts.iter().map(|facts| facts.update_domain).collect();
        if (zones.len() > 1 && !policy.enable_cross_zone_upgrade) || domains.len() > 1 {
            report(Rule::Borders, format!("in flight in zones {zones:?}, update domains {domains:?}"));
        }
        for facts in refusing {
            report(Rule::Consent, format!("`{}` was admitted and did not consent", facts.id));
        }
        // Who is asked again may join late.
        if phase < former && upgrade.policy.decisions == Decisions::Snapshot {
            report(Rule::Phases, format!("{phase:?} was admitted after {former:?}"));
        }
    }

    /// A snapshot may take silence for consent, and what is said later does not count then.
    fn consents(&self, facts: &Facts, upgrade: &Upgrade, world: &World<'_>) -> bool {
        let policy = &upgrade.policy;
        let silence_counts =
            policy.decisions == Decisions::Snapshot && policy.rolling.prioritize_unhealthy_instances;
        let was_silent = |index| self.silent.as_ref().is_some_and(|silent| silent.contains(&index));
        let unprotected = !facts.protection.from_scale_set_actions;
        (silence_counts && unprotected && world.crowd.index(&facts.id).is_some_and(was_silent))
            || world.consents(facts)
    }

    /// The end of an instant.
    pub(super) fn instant(&mut self, world: &World<'_>, upgrade: &Upgrade) {
        let unavailable = world.total() - world.healthy();
        if (upgrade.digest.is_some() || !upgrade.is_forward()) && unavailable > self.unavailable {
            self.unavailable = unavailable;
            self.unavailable_at = world.now;
        }
    }
}
