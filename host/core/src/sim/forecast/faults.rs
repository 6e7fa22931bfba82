//! What goes wrong with instances and zones by itself. Each kind has numbers of its own, so that
//! turning one off leaves the others as they are.

use std::time::Duration;

use super::chance::{Hourly, Trials};
use super::engine::{Engine, Happening};
use super::setup::Rates;
use super::world::NEVER;

/// Times that an instance says in a row that it does not work.
const FLAPS: u8 = 3;

/// The sources of trouble of one run.
pub(super) struct Faults {
    crashes: Option<Hourly>,
    flaps: Option<Hourly>,
    zone_losses: Option<Hourly>,
    lost: Option<Trials>,
}

impl Faults {
    pub(super) fn new(seed: u64, rates: &Rates, instances: usize, zones: usize) -> Self {
        Self {
            crashes: Hourly::new(seed ^ 0x11, rates.crash, instances),
            flaps: Hourly::new(seed ^ 0x12, rates.flap, instances),
            zone_losses: Hourly::new(seed ^ 0x13, rates.zone_loss, zones),
            lost: Trials::new(seed ^ 0x14, rates.lost_probe).filter(|_| instances > 0),
        }
    }
}

impl Engine<'_> {
    /// Puts the first of each kind on the clock.
    pub(super) fn begin_faults(&mut self) {
        self.next_crash();
        self.next_flap();
        self.next_zone_loss();
        if self.faults.lost.is_some() {
            self.at(self.world.setup.begin, Happening::Round(0));
        }
    }

    fn next(&mut self, source: fn(&mut Faults) -> &mut Option<Hourly>, what: fn(u32) -> Happening) {
        let Some(hourly) = source(&mut self.faults) else { return };
        let at = self.world.setup.begin + Duration::from_millis(hourly.next_ms());
        let whom = u32::try_from(hourly.whom()).unwrap_or(u32::MAX);
        let at = self.world.on_tick(at);
        self.at(at, what(whom));
    }

    fn next_crash(&mut self) {
        self.next(|faults| &mut faults.crashes, Happening::Crash);
    }

    fn next_flap(&mut self) {
        self.next(|faults| &mut faults.flaps, |whom| Happening::Flap(whom, FLAPS));
    }

    fn next_zone_loss(&mut self) {
        self.next(|faults| &mut faults.zone_losses, Happening::ZoneLoss);
    }

    fn span(source: &mut Option<Hourly>, low: u64, high: u64) -> Duration {
        Duration::from_millis(source.as_mut().map_or(low, |source| source.between(low, high)))
    }

    pub(super) fn crash(&mut self, whom: u32) {
        let down = Self::span(&mut self.faults.crashes, 30_000, 120_000);
        let until = self.world.after(down);
        let text = || format!("goes down for {} s", down.as_secs());
        self.timeline.note_instance(self.world.now, "crash", whom, self.world.crowd, text);
        self.change(index(whom), |node| node.up_at = node.up_at.max(until));
        self.next_crash();
    }

    pub(super) fn flap(&mut self, whom: u32, left: u8) {
        let ill = Self::span(&mut self.faults.flaps, 10_000, 30_000);
        let until = self.world.after(ill);
        if left == FLAPS {
            let text = || "begins to flap".to_owned();
            self.timeline.note_instance(self.world.now, "flap", whom, self.world.crowd, text);
            self.next_flap();
        }
        self.change(index(whom), |node| node.ill_until = node.ill_until.max(until));
        if left > 1 {
            let again = self.world.after(ill * 2);
            self.at(again, Happening::Flap(whom, left - 1));
        }
    }

    pub(super) fn lose_zone(&mut self, zone: u32) {
        let down = Self::span(&mut self.faults.zone_losses, 60_000, 300_000);
        let until = self.world.after(down);
        let here = u16::try_from(zone).ok();
        let crowd = self.world.crowd;
        let name = crowd.zones.get(index(zone)).map_or("", String::as_str);
        self.timeline
            .note(self.world.now, "zone-loss", || format!("zone {name} goes down for {} s", down.as_secs()));
        for (index, _) in crowd.facts.iter().enumerate().filter(|(_, facts)| facts.zone == here) {
            self.change(index, |node| node.up_at = node.up_at.max(until));
        }
        self.next_zone_loss();
    }

    /// Draws which probes of a round get no answer.
    pub(super) fn round(&mut self, number: u64) {
        let many = u64::try_from(self.world.nodes.len()).unwrap_or(u64::MAX);
        let start = self.world.round(number);
        let end = (number + 1).saturating_mul(many);
        while let Some(found) = self.faults.lost.as_mut().and_then(|lost| lost.next_before(end)) {
            let whom = u32::try_from(found % many).unwrap_or(u32::MAX);
            let at = start + self.world.offset(index(whom));
            self.at(at, Happening::Lost(whom));
        }
        if start < NEVER {
            self.at(self.world.round(number + 1), Happening::Round(number + 1));
        }
    }
}

pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
