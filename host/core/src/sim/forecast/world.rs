//! The fleet of a run: what each instance does, and what the host has found out about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{
    Claim, Decision, Health, InstanceId, Outcome, Participation, Runs, Timestamp, freshness,
};
use crate::health::{HealthFold, Settled};
use crate::plan::{Candidate, StandingInput, is_answered, standing};
use crate::rollout::{Evidence, FleetView, Stop};

use super::chance::draw;
use super::decider::{Decider, Sight};
use super::setup::{Condition, Crowd, Facts, Probes, Setup};

/// Later than everything.
pub(super) const NEVER: Timestamp = Timestamp(i64::MAX);

/// What the last probe found; an instance is asked again only when it would find something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Answer(Option<Claim>),
}

/// One instance as it is now, and as the host knows it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Index of the version that it runs.
    pub(super) running: Option<u16>,
    /// Index of the version that the host believes it to run.
    pub(super) known: Option<u16>,
    /// Answers from then on.
    pub(super) up_at: Timestamp,
    /// Says until then that it does not work.
    pub(super) ill_until: Timestamp,
    /// Calls of the driver so far.
    pub(super) call: u32,
    /// Never healthy at the wanted version.
    pub(super) bad: bool,
    /// The next probe that is looked at.
    pub(super) probe_at: Timestamp,
    /// Probes that are not looked at find what the last one found.
    quiet: bool,
    found: Found,
    fold: HealthFold,
    /// Number of the latest outcome, and of the latest one that rests on an answer.
    latest: Option<u32>,
    answered: Option<(u32, Timestamp)>,
}

/// Everything that the core may look at.
pub(super) struct World<'a> {
    pub(super) setup: &'a Setup,
    pub(super) crowd: &'a Crowd,
    pub(super) nodes: Vec<Node>,
    pub(super) now: Timestamp,
    seed: u64,
    tick: i64,
    interval: i64,
    /// Different outcomes so far.
    outcomes: Vec<Outcome>,
    by_key: BTreeMap<String, u32>,
    healthy: usize,
    unhealthy: usize,
    initializing: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(setup: &'a Setup, crowd: &'a Crowd, seed: u64) -> Self {
        let tick = millis(setup.tick(crowd.facts.len()));
        let node = |(index, facts): (usize, &Facts)| Node {
            running: facts.version,
            known: facts.version,
            up_at: setup.begin,
            ill_until: setup.begin,
            call: 0,
            bad: chance(seed, 2, index, setup.rates.bad_version),
            probe_at: NEVER,
            quiet: false,
            found: Found::Nothing,
            fold: HealthFold::new(setup.health, setup.begin),
            latest: None,
            answered: None,
        };
        Self {
            setup,
            crowd,
            nodes: crowd.facts.iter().enumerate().map(node).collect(),
            now: setup.begin,
            seed,
            tick,
            // Whole ticks, so that probes of many instances fall together.
            interval: (millis(setup.interval) / tick * tick).max(tick),
            outcomes: Vec::new(),
            by_key: BTreeMap::new(),
            healthy: 0,
            unhealthy: 0,
            initializing: crowd.facts.len(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.now.since(self.setup.begin) > self.setup.limit
    }

    /// The end of a span that begins now, on a tick and not at once.
    pub(super) fn after(&self, span: Duration) -> Timestamp {
        self.on_tick(self.now + span).max(Timestamp(self.now.0 + self.tick))
    }

    /// The tick that comes with or after a time.
    pub(super) fn on_tick(&self, at: Timestamp) -> Timestamp {
        let since = at.0.saturating_sub(self.setup.begin.0);
        Timestamp(
            self.setup.begin.0.saturating_add(since.saturating_add(self.tick - 1) / self.tick * self.tick),
        )
    }

    /// Start of the probe round with a number.
    pub(super) fn round(&self, number: u64) -> Timestamp {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        Timestamp(self.setup.begin.0.saturating_add(number.saturating_mul(self.interval)))
    }

    /// When an instance is probed within each round.
    pub(super) fn offset(&self, index: usize) -> Duration {
        let slots = u64::try_from(self.interval / self.tick).unwrap_or(1).max(1);
        let number = u64::try_from(index).unwrap_or(u64::MAX);
        let slot = draw(self.seed, 3, number).between(0, slots - 1);
        Duration::from_millis(slot.saturating_mul(u64::try_from(self.tick).unwrap_or(1)))
    }

    /// The first probe at or after a time.
    fn probe_from(&self, index: usize, at: Timestamp) -> Timestamp {
        let first = self.setup.begin + self.offset(index);
        let rounds = (at.0 - first.0).max(0);
        let rounds = rounds / self.interval + i64::from(rounds % self.interval != 0);
        Timestamp(first.0 + rounds * self.interval)
    }

    fn facts(&self, index: usize) -> Option<&'a Facts> {
        self.crowd.facts.get(index)
    }

    /// What a probe finds at a time, unless it is lost.
    pub(super) fn answer(&self, index: usize, at: Timestamp) -> Option<Claim> {
        let (node, facts) = (self.nodes.get(index)?, self.facts(index)?);
        let running = node.running?;
        let as_found = facts.version == Some(running) && node.call == 0;
        if at < node.up_at || (as_found && facts.condition == Condition::Silent) {
            return None;
        }
        let ill = at < node.ill_until
            || (node.bad && running == 0)
            || (as_found && facts.condition == Condition::Ill);
        Some(if ill { Claim::Unhealthy } else { Claim::Healthy })
    }

    /// Before anything changes from outside: when the last probe was that is not looked at.
    pub(super) fn catch_up(&mut self, index: usize) {
        let (now, interval) = (self.now, self.interval);
        let next = self.probe_from(index, now);
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.quiet) else { return };
        node.quiet = false;
        if let (Some((number, at)), Some(latest)) = (&mut node.answered, node.latest)
            && *number == latest
        {
            *at = (*at).max(Timestamp(next.0 - interval));
        }
    }

    /// Changes an instance from outside and gives when it is looked at next; `first` is the first
    /// moment at which that may be.
    pub(super) fn change(
        &mut self,
        index: usize,
        first: Timestamp,
        change: impl FnOnce(&mut Node),
    ) -> Option<Timestamp> {
        self.catch_up(index);
        change(self.nodes.get_mut(index)?);
        self.schedule(index, first)
    }

    /// A new life begins: what was found before counts no more.
    pub(super) fn begin_life(&mut self, index: usize) {
        let fold = HealthFold::new(self.setup.health, self.now);
        self.set_fold(index, fold);
    }

    fn set_fold(&mut self, index: usize, fold: HealthFold) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let (before, after) = (node.fold.health(), fold.health());
        node.fold = fold;
        if before != after {
            *self.count(before) -= 1;
            *self.count(after) += 1;
        }
    }

    fn count(&mut self, health: Health) -> &mut usize {
        match health {
            Health::Healthy => &mut self.healthy,
            Health::Unhealthy | Health::Unknown => &mut self.unhealthy,
            Health::Initializing => &mut self.initializing,
        }
    }

    /// Takes in one judged probe; gives whether an upgrade should look.
    pub(super) fn judged(&mut self, index: usize, answer: Option<Claim>, outcome: Outcome) -> bool {
        let now = self.now;
        let number = self.number(outcome);
        let claim = self.claim(number);
        let answered = self.decision(number).is_some_and(is_answered);
        let Some(node) = self.nodes.get_mut(index) else { return false };
        node.found = Found::Answer(answer);
        let first = node.latest.is_none();
        node.latest = Some(number);
        if answered {
            node.answered = Some((number, now));
        }
        let before = node.fold.health();
        let mut fold = node.fold.clone();
        if fold.observed().is_none() {
            fold = HealthFold::new(fold.settings(), now);
        }
        let after = fold.observe(claim, now);
        self.set_fold(index, fold);
        first || before != after
    }

    /// Asks everybody once, at this moment.
    pub(super) fn ask_all(&mut self, decider: &mut dyn Decider) {
        for (index, facts) in self.crowd.facts.iter().enumerate() {
            let answer = self.answer(index, self.now);
            let version = facts.version.and_then(|version| self.crowd.versions.get(usize::from(version)));
            let seen = Sight { crowd: self.crowd, facts, version, answer, now: self.now };
            if let Some(outcome) = decider.decide(&seen) {
                self.judged(index, answer, outcome);
            }
        }
    }

    fn decision(&self, number: u32) -> Option<&Decision> {
        self.outcome(number)?.result.as_deref().ok()
    }

    /// A plugin that failed has found nothing out.
    fn claim(&self, number: u32) -> Claim {
        self.decision(number).map_or(Claim::Unknown, |decision| decision.claim)
    }

    fn outcome(&self, number: u32) -> Option<&Outcome> {
        self.outcomes.get(usize::try_from(number).ok()?)
    }

    /// Equal outcomes have one number.
    fn number(&mut self, outcome: Outcome) -> u32 {
        let mut recent = self.outcomes.iter().take(64);
        if let Some(found) = recent.position(|known| *known == outcome) {
            return u32::try_from(found).unwrap_or(0);
        }
        let next = u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX);
        let number = *self.by_key.entry(format!("{outcome:?}")).or_insert(next);
        if number == next {
            self.outcomes.push(outcome);
        }
        number
    }

    /// Notes when an instance is looked at next, at `first` at the earliest. Probes in between
    /// find what the last one found, and that changes nothing.
    pub(super) fn schedule(&mut self, index: usize, first: Timestamp) -> Option<Timestamp> {
        let next = self.probe_from(index, first);
        let same = self.nodes.get(index)?.found == Found::Answer(self.answer(index, next));
        let node = self.nodes.get(index)?;
        let latest = node.latest.map(|number| self.claim(number));
        let settled = match (self.setup.probes, latest) {
            (Probes::Telling, Some(claim)) if same => node.fold.settled(claim),
            (Probes::Telling | Probes::All, _) => Settled::No,
        };
        let later = |at: Timestamp| if next < at { at } else { NEVER };
        let changes_at = later(node.up_at).min(later(node.ill_until));
        let until = match settled {
            Settled::No => next,
            Settled::Until(at) => at.min(changes_at),
            Settled::Forever => changes_at,
        };
        let at = if until == NEVER { NEVER } else { self.probe_from(index, until.max(next)) };
        let node = self.nodes.get_mut(index)?;
        node.quiet = at != next;
        node.probe_at = at;
        (at != NEVER).then_some(at)
    }

    pub(super) fn healthy(&self) -> usize {
        self.healthy
    }

    /// Whether an instance's latest word permits an upgrade.
    pub(super) fn consents(&self, facts: &Facts) -> bool {
        let node = self.crowd.index(&facts.id).and_then(|index| self.nodes.get(index));
        let said = node.and_then(|node| node.answered).and_then(|(number, _)| self.decision(number));
        let silent = self.setup.rules.rolling.prioritize_unhealthy_instances;
        let consents = said.map_or(silent, |decision| decision.participation == Participation::Proceed);
        consents && !facts.protection.from_scale_set_actions
    }

    /// Who has never said anything, by place in the fleet.
    pub(super) fn silent(&self) -> BTreeSet<usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(_, node)| node.answered.is_none()).map(|(index, _)| index).collect()
    }

    fn candidate_of(&self, facts: &Facts, node: &Node) -> Candidate {
        let Crowd { zones, versions, .. } = self.crowd;
        let freshness = freshness(self.setup.interval);
        // The time matters only after a probe without answer, which is looked at.
        let answered = node.answered.and_then(|(number, at)| Some((self.decision(number)?, at)));
        let health = node.fold.health();
        Candidate {
            held: None,
            id: facts.id.clone(),
            zone: facts.zone.and_then(|zone| zones.get(usize::from(zone)).cloned()),
            update_domain: facts.update_domain,
            fault_domain: facts.fault_domain,
            protection: facts.protection,
            runs: node
                .known
                .and_then(|version| versions.get(usize::from(version)).cloned())
                .map_or(Runs::UNKNOWN, Runs::at),
            extensions: BTreeMap::new(),
            health,
            standing: standing(&StandingInput {
                on_failure: crate::domain::OnFailure::Hold,
                latest: node.latest.and_then(|number| self.outcome(number)),
                answered,
                answered_by: None,
                in_force: None,
                health,
                prioritize_unhealthy: self.setup.rules.rolling.prioritize_unhealthy_instances,
                unasked: None,
                freshness,
                now: self.now,
            }),
        }
    }
}

impl FleetView for World<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        let all = self.crowd.facts.iter().zip(&self.nodes);
        all.map(|(facts, node)| self.candidate_of(facts, node)).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        let index = self.crowd.index(instance)?;
        Some(self.candidate_of(self.crowd.facts.get(index)?, self.nodes.get(index)?))
    }

    fn health(&self, instance: &InstanceId) -> Health {
        let node = self.crowd.index(instance).and_then(|index| self.nodes.get(index));
        node.map_or(Health::Unknown, |node| node.fold.health())
    }

    fn total(&self) -> usize {
        self.nodes.len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        let all = self.crowd.facts.iter().zip(&self.nodes);
        all.filter(|(_, node)| node.fold.health().is_unhealthy()).map(|(facts, _)| facts.id.clone()).collect()
    }

    fn unhealthy_count(&self) -> usize {
        self.unhealthy
    }

    fn initializing(&self) -> Vec<InstanceId> {
        let all = self.crowd.facts.iter().zip(&self.nodes);
        let starting = all.filter(|(_, node)| node.fold.health() == Health::Initializing);
        starting.map(|(facts, _)| facts.id.clone()).collect()
    }

    fn initializing_count(&self) -> usize {
        self.initializing
    }

    fn any_undecided(&self) -> bool {
        self.nodes.iter().any(|node| node.latest.is_none())
    }

    /// Everybody is asked once in an interval; nobody out of turn, so that this is the longest that it takes.
    fn evidence(&self, from: Timestamp) -> Evidence {
        let until = from + self.setup.interval;
        if self.now < until { Evidence::Awaited { until } } else { Evidence::Complete }
    }

    fn has_answered(&self, instance: &InstanceId, _: Timestamp) -> bool {
        let node = self.crowd.index(instance).and_then(|index| self.nodes.get(index));
        node.is_some_and(|node| matches!(node.found, Found::Answer(Some(_))))
    }

    fn stop(&self) -> Option<Stop> {
        self.setup
            .freeze
            .frozen_at(self.now)
            .map(|frozen| Stop::Freeze { since: frozen.since, until: frozen.until })
    }
}

/// Whether something with a chance in millionths is so, for one instance of one run.
pub(super) fn chance(seed: u64, purpose: u64, index: usize, chance: u32) -> bool {
    let number = u64::try_from(index).unwrap_or(u64::MAX);
    let mut rng = draw(seed, purpose, number);
    rng.between(0, u64::from(super::chance::MILLION) - 1) < u64::from(chance)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
