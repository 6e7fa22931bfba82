//! Makes up a fleet.

use crate::domain::{InstanceId, Participation, Phase, Protection, Version};

use super::chance::{MILLION, draw};
use super::setup::{Condition, Crowd, Facts, Invented, Setup};

/// Versions of a made-up fleet by index; the wanted one is the first.
const FORMER: u16 = 1;

impl Crowd {
    /// The part of one region in a made-up fleet. Zones and update domains go round; phases, skips
    /// and protection are drawn.
    pub(super) fn invent(setup: &Setup, invented: &Invented, region: u32, seed: u64) -> Self {
        let regions = usize::try_from(setup.regions.max(1)).unwrap_or(1);
        let place = usize::try_from(region).unwrap_or(0);
        let count = invented.instances / regions + usize::from(place < invented.instances % regions);
        let former = ["before", "former"].into_iter().find(|name| *name != setup.to.as_str());
        let former = former.and_then(|name| Version::parse(name).ok());
        Self {
            zones: (1..=invented.zones).map(|zone| zone.to_string()).collect(),
            versions: std::iter::once(setup.to.clone()).chain(former).collect(),
            facts: (0..count).filter_map(|index| facts(invented, index, seed)).collect(),
        }
    }

    /// Place of an instance.
    pub(super) fn index(&self, id: &InstanceId) -> Option<usize> {
        let number = id.number().and_then(|number| usize::try_from(number).ok());
        let direct = number.filter(|index| self.facts.get(*index).is_some_and(|facts| facts.id == *id));
        direct.or_else(|| self.facts.binary_search_by(|facts| facts.id.cmp(id)).ok())
    }
}

fn facts(invented: &Invented, index: usize, seed: u64) -> Option<Facts> {
    let number = u64::try_from(index).ok()?;
    let mut rng = draw(seed, 1, number);
    let mut drawn = || u32::try_from(rng.between(0, u64::from(MILLION) - 1)).unwrap_or(0);
    let zone = number.checked_rem(u64::from(invented.zones)).and_then(|zone| u16::try_from(zone).ok());
    let row = number / u64::from(invented.zones.max(1));
    let domain = row.checked_rem(u64::from(invented.update_domains));
    let phase = phase(&invented.phases, drawn());
    let skips = drawn() < invented.skip;
    let protected = drawn() < invented.protected;
    Some(Facts {
        id: InstanceId::parse(&number.to_string()).ok()?,
        zone,
        update_domain: domain.and_then(|domain| u32::try_from(domain).ok()),
        fault_domain: None,
        protection: Protection { from_scale_set_actions: protected, from_scale_in: false },
        phase,
        participation: if skips { Participation::Skip } else { Participation::Proceed },
        version: Some(FORMER),
        condition: Condition::Well,
    })
}

fn phase(shares: &[u32], drawn: u32) -> Option<Phase> {
    let mut below = 0;
    for (number, share) in shares.iter().enumerate() {
        below += share;
        if drawn < below {
            return u32::try_from(number).ok().and_then(Phase::new);
        }
    }
    None
}
