//! What goes wrong by itself in an estate, as often as in the forecast of one set: the same kinds, at the same rates.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Setup;
use super::world::{Key, World};
use crate::domain::{Location, Timestamp};
use crate::kernel::Fleet;
use crate::sim::Rng;
use crate::sim::forecast::{Hourly, MILLION, Rates};

/// Times that an instance says in a row that it does not work.
const FLAPS: u8 = 3;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Crash(usize),
    Flap(usize, u8),
    ZoneLoss(usize),
}

/// What becomes of an effect.
pub(super) struct Luck {
    pub(super) is_done: bool,
    /// How much longer the start takes.
    pub(super) slow: Duration,
}

/// The sources of trouble of one run. Each kind has numbers of its own.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    rates: Rates,
    instances: Vec<Key>,
    /// Zones of regions, and who is there.
    zones: Vec<Vec<usize>>,
    from: Timestamp,
    crashes: Option<Hourly>,
    flaps: Option<Hourly>,
    zone_losses: Option<Hourly>,
    effects: Option<Rng>,
    probes: Option<Rng>,
    /// With which the version never becomes healthy.
    bad: std::collections::BTreeSet<Key>,
    ahead: BTreeMap<(Timestamp, u64), Happens>,
    sequence: u64,
    /// Until when they answer nothing, and until when they say that they do not work.
    down: BTreeMap<Key, Timestamp>,
    ill: BTreeMap<Key, Timestamp>,
}

impl Trouble {
    /// That of an estate from now on.
    pub(super) fn of(setup: &Setup, fleet: &Fleet, now: Timestamp) -> Self {
        let (rates, seed) = (setup.rates, setup.seed);
        let mut zones: BTreeMap<(Location, String), Vec<usize>> = BTreeMap::new();
        let mut instances = Vec::new();
        for set in fleet.sets() {
            for one in set.members() {
                if let Some(zone) = &one.spec.zone {
                    let zone = (set.spec.estate.location.clone(), zone.clone());
                    zones.entry(zone).or_default().push(instances.len());
                }
                instances.push((set.spec.name.clone(), one.spec.id.clone()));
            }
        }
        let mut draws = Rng::new(seed ^ 0x25);
        let bad = instances.iter().filter(|_| comes_off(&mut draws, rates.bad_version)).cloned().collect();
        let mut trouble = Self {
            rates,
            from: now,
            crashes: Hourly::new(seed ^ 0x21, rates.crash, instances.len()),
            flaps: Hourly::new(seed ^ 0x22, rates.flap, instances.len()),
            zone_losses: Hourly::new(seed ^ 0x23, rates.zone_loss, zones.len()),
            effects: Some(Rng::new(seed ^ 0x24)),
            probes: Some(Rng::new(seed ^ 0x26)),
            bad,
            instances,
            zones: zones.into_values().collect(),
            ..Self::default()
        };
        trouble.next_of(|it| &mut it.crashes, Happens::Crash);
        trouble.next_of(|it| &mut it.flaps, |whom| Happens::Flap(whom, FLAPS));
        trouble.next_of(|it| &mut it.zone_losses, Happens::ZoneLoss);
        trouble
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.ahead.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn of_an_effect(&mut self) -> Luck {
        let Rates { slow, driver, .. } = self.rates;
        let Some(rng) = &mut self.effects else { return Luck { is_done: true, slow: Duration::ZERO } };
        let is_done = !comes_off(rng, driver);
        let longer = if comes_off(rng, slow) { rng.between(30_000, 180_000) } else { 0 };
        Luck { is_done, slow: Duration::from_millis(longer) }
    }

    pub(super) fn loses_a_probe(&mut self) -> bool {
        let chance = self.rates.lost_probe;
        self.probes.as_mut().is_some_and(|rng| comes_off(rng, chance))
    }

    pub(super) fn is_down(&self, key: &Key, now: Timestamp) -> bool {
        self.down.get(key).is_some_and(|until| *until > now)
    }

    pub(super) fn is_ill(&self, key: &Key, now: Timestamp) -> bool {
        self.ill.get(key).is_some_and(|until| *until > now)
    }

    pub(super) fn is_bad(&self, key: &Key) -> bool {
        self.bad.contains(key)
    }

    fn at(&mut self, at: Timestamp, what: Happens) {
        self.sequence += 1;
        self.ahead.insert((at, self.sequence), what);
    }

    fn next_of(&mut self, source: fn(&mut Self) -> &mut Option<Hourly>, what: fn(usize) -> Happens) {
        let Some(hourly) = source(self) else { return };
        let (after, whom) = (Duration::from_millis(hourly.next_ms()), hourly.whom());
        let at = self.from + after;
        self.at(at, what(whom));
    }

    /// Takes the next thing that has happened by now.
    fn take(&mut self, now: Timestamp) -> Option<Happens> {
        let first = self.ahead.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    fn span(source: &mut Option<Hourly>, low: u64, high: u64) -> Duration {
        Duration::from_millis(source.as_mut().map_or(low, |source| source.between(low, high)))
    }

    /// Lets one thing happen, and gives to whom.
    fn happen(&mut self, what: Happens, now: Timestamp) -> Vec<Key> {
        let of = |all: &[Key], whom: usize| all.get(whom).cloned().into_iter().collect::<Vec<_>>();
        match what {
            Happens::Crash(whom) => {
                let until = now + Self::span(&mut self.crashes, 30_000, 120_000);
                self.next_of(|it| &mut it.crashes, Happens::Crash);
                let whom = of(&self.instances, whom);
                self.down.extend(whom.iter().map(|key| (key.clone(), until)));
                whom
            }
            Happens::Flap(whom, left) => {
                let ill = Self::span(&mut self.flaps, 10_000, 30_000);
                if left == FLAPS {
                    self.next_of(|it| &mut it.flaps, |whom| Happens::Flap(whom, FLAPS));
                }
                if left > 1 {
                    self.at(now + ill * 2, Happens::Flap(whom, left - 1));
                }
                let whom = of(&self.instances, whom);
                self.ill.extend(whom.iter().map(|key| (key.clone(), now + ill)));
                whom
            }
            Happens::ZoneLoss(zone) => {
                let until = now + Self::span(&mut self.zone_losses, 60_000, 300_000);
                self.next_of(|it| &mut it.zone_losses, Happens::ZoneLoss);
                let there = self.zones.get(zone).into_iter().flatten();
                let whom: Vec<Key> = there.filter_map(|index| self.instances.get(*index)).cloned().collect();
                self.down.extend(whom.iter().map(|key| (key.clone(), until)));
                whom
            }
        }
    }
}

/// So many millionths.
fn comes_off(rng: &mut Rng, chance: u32) -> bool {
    chance > 0 && rng.between(0, u64::from(MILLION) - 1) < u64::from(chance)
}

impl World<'_> {
    /// What goes wrong by now; whom it befalls is asked until that is over.
    pub(super) fn misfortunes(&mut self) {
        while let Some(what) = self.trouble.take(self.now.at) {
            let befallen = self.trouble.happen(what, self.now.at);
            if !self.asks_somebody() && !befallen.is_empty() {
                self.probe_at = self.now.at + self.interval;
            }
            self.restless.extend(befallen);
        }
    }
}
