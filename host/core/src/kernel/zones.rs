//! One zone of a region at a time: over all scale sets, over releases and over upgrades that people start, unless they
//! say `--bypass`.
//!
//! A batch is admitted only while nothing of another zone of the region is in flight, and nobody waits for another
//! zone longer. So the zone that may act changes hands between batches, in the order in which sets came to wait.
//! What goes back, and what people do to instances that they name, waits for nobody, and the others wait for it.
//!
//! Nothing of it is recorded: it follows from the upgrades, and is made anew at a start.

use std::collections::{BTreeMap, BTreeSet};

use imbl::{OrdMap, OrdSet};

use super::look;
use super::memory::Memories;
use super::out::Out;
use super::state::{Fleet, SetState};
use crate::domain::{
    Component, Estate, InstanceId, Location, Now, ScaleSetName, SetKind, Subscription, Timestamp,
};
use crate::rollout::{Brought, Machines, Member, MemberState, Purpose, Stage, Upgrade};

/// A zone; instances without one are a zone of their own.
pub(in crate::kernel) type Zone = Option<String>;

/// Which zones are in flight, region by region.
#[derive(Debug, Clone, Default)]
pub(in crate::kernel) struct Regions {
    by_location: OrdMap<Location, Region>,
    tickets: u64,
    /// Sets of stand-alone machines, by location and subscription.
    machines: OrdMap<(Location, Subscription), OrdSet<ScaleSetName>>,
    /// Sets whose turn may have come.
    woken: OrdSet<ScaleSetName>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Region {
    flying: OrdMap<ScaleSetName, OrdSet<Zone>>,
    /// How many sets are in flight in each zone.
    counts: OrdMap<Zone, usize>,
    /// Who waits, in the order in which they came.
    waiting: OrdMap<u64, (ScaleSetName, OrdSet<Zone>)>,
    tickets: OrdMap<ScaleSetName, u64>,
}

/// What is in flight beside a set, and what comes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::kernel) struct Neighbours {
    zones: BTreeSet<Zone>,
    /// Stand-alone machines that are counted together with these.
    pub(in crate::kernel) machines: Option<Machines>,
}

impl Neighbours {
    /// Whether a batch in a zone has to wait.
    pub(in crate::kernel) fn is_taken(&self, zone: Option<&str>) -> bool {
        self.zones.iter().any(|other| other.as_deref() != zone)
    }

    /// Whether a batch in these zones has to wait.
    pub(in crate::kernel) fn are_taken(&self, zones: &BTreeSet<Zone>) -> bool {
        match zones.len() {
            0 | 1 => self.zones.iter().any(|other| !zones.contains(other)),
            _ => !self.zones.is_empty(),
        }
    }

    /// Their names, for people.
    pub(in crate::kernel) fn zones(&self) -> impl Iterator<Item = String> {
        self.zones.iter().map(|zone| zone.clone().unwrap_or_else(|| "none".to_owned()))
    }
}

impl Regions {
    /// Takes note of what a set has in flight, without waking anybody: for a start.
    pub(in crate::kernel) fn note(&mut self, set: &SetState) {
        let (location, name) = (set.spec.estate.location.clone(), set.spec.name.clone());
        if set.spec.estate.kind == SetKind::VirtualMachines {
            let group = (location.clone(), set.spec.estate.subscription.clone());
            self.machines.entry(group).or_default().insert(name.clone());
        }
        let flying = flying(set);
        if !flying.is_empty() {
            self.by_location.entry(location).or_default().fly(&name, flying);
        }
    }

    /// A set is in another region from now on; what it has in flight there is noted anew.
    pub(in crate::kernel) fn leave(&mut self, name: &ScaleSetName, location: &Location) {
        let of: Vec<(Location, Subscription)> = self
            .machines
            .iter()
            .filter(|(_, sets)| sets.contains(name))
            .map(|(key, _)| key.clone())
            .collect();
        for key in of {
            if let Some(sets) = self.machines.get_mut(&key) {
                sets.remove(name);
            }
        }
        let Some(region) = self.by_location.get_mut(location) else { return };
        region.fly(name, OrdSet::new());
        if let Some(ticket) = region.tickets.remove(name) {
            region.waiting.remove(&ticket);
        }
        let next = region.next();
        self.woken.extend(next);
    }

    fn neighbours(&self, location: &Location, name: &ScaleSetName) -> Neighbours {
        let Some(region) = self.by_location.get(location) else { return Neighbours::default() };
        let mine = region.flying.get(name);
        let counts = region.counts.iter();
        let others =
            counts.filter(|(zone, count)| **count > usize::from(mine.is_some_and(|m| m.contains(*zone))));
        let mut zones: BTreeSet<Zone> = others.map(|(zone, _)| zone.clone()).collect();
        let ticket = region.tickets.get(name).copied().unwrap_or(u64::MAX);
        let before = region.waiting.iter().take_while(|(other, _)| **other < ticket);
        zones.extend(
            before.filter(|(_, (who, _))| who != name).flat_map(|(_, (_, zones))| zones.iter().cloned()),
        );
        Neighbours { zones, machines: None }
    }
}

impl Region {
    fn fly(&mut self, name: &ScaleSetName, zones: OrdSet<Zone>) {
        for zone in self.flying.remove(name).into_iter().flatten() {
            let left = self.counts.get(&zone).copied().unwrap_or(0).saturating_sub(1);
            if left == 0 {
                self.counts.remove(&zone);
            } else {
                self.counts.insert(zone, left);
            }
        }
        if zones.is_empty() {
            return;
        }
        for zone in &zones {
            *self.counts.entry(zone.clone()).or_default() += 1;
        }
        self.flying.insert(name.clone(), zones);
    }

    /// Those whose turn may have come: the first who waits, and whoever waits for the same.
    fn next(&self) -> Vec<ScaleSetName> {
        let Some((_, (_, first))) = self.waiting.get_min() else { return Vec::new() };
        let same = self.waiting.values().filter(|(_, zones)| zones == first);
        same.map(|(name, _)| name.clone()).collect()
    }
}

/// The stand-alone machines that are counted together with those of a set; none for any other set.
pub(in crate::kernel) fn machines(fleet: &Fleet, set: &SetState) -> Option<Machines> {
    let Estate { kind, location, subscription, .. } = &set.spec.estate;
    if *kind != SetKind::VirtualMachines {
        return None;
    }
    let mut all = Machines::default();
    let names = fleet.regions.machines.get(&(location.clone(), subscription.clone()));
    for one in names.into_iter().flatten().filter_map(|name| fleet.sets.get(name)) {
        all.total += one.census().total();
        all.unhealthy += one.census().unhealthy().len();
        if one.spec.name != set.spec.name {
            all.flying += in_flight(one);
            count_brought(&mut all.others, set, one);
        }
    }
    Some(all)
}

/// Adds what the releases of the upgrade of a stand-alone machine have come to on another one of its group. Whoever a
/// driver or the health gate has in hand has come to nothing yet.
fn count_brought(others: &mut BTreeMap<Component, Brought>, set: &SetState, one: &SetState) {
    let Some(mine) = set.active().filter(|mine| mine.is_forward() && !mine.releases.is_empty()) else {
        return;
    };
    let theirs = one.upgrade.as_ref();
    let shared = theirs.filter(|it| it.is_forward() && !it.releases.is_disjoint(&mine.releases));
    let unhealthy = one.census().unhealthy();
    for instance in one.members() {
        let id = &instance.spec.id;
        let member = theirs.and_then(|it| it.members.get(id));
        let in_hand =
            member.is_some_and(|it| !matches!(it.state, MemberState::Pending) && !it.state.is_terminal());
        for change in mine.goal.changes() {
            let part =
                |it: &Upgrade| it.members.get(id).is_some_and(|it| it.has_failed_of(&change.component));
            let has_failed = shared.is_some_and(|it| part(it));
            let has_it = !in_hand && instance.runs_of(&change.component).version() == Some(&change.to);
            if has_failed || has_it {
                let all = others.entry(change.component.clone()).or_default();
                all.upgraded += 1;
                all.bad += usize::from(has_failed || unhealthy.contains(id));
            }
        }
    }
}

/// How many instances a set has in flight.
fn in_flight(set: &SetState) -> usize {
    let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| is_flying(upgrade)) else { return 0 };
    if upgrade.purpose == Purpose::Manual {
        return upgrade.members.in_flight().count();
    }
    let batch = || upgrade.batches.get(upgrade.current).map(|batch| upgrade.members.of_batch(batch.number));
    match upgrade.stage {
        // What is brought back is of batches that have ended.
        Stage::Undoing => upgrade.members.in_flight().count(),
        Stage::Preparing { .. }
        | Stage::Between { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Baking { .. }
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => batch().map_or(0, Iterator::count),
    }
}

/// Whether anything of an upgrade is in flight.
fn is_flying(upgrade: &Upgrade) -> bool {
    match upgrade.stage {
        Stage::InBatch | Stage::Hooking { .. } | Stage::Undoing | Stage::Stopping { .. } => {
            upgrade.is_active()
        }
        Stage::Preparing { .. } | Stage::Between { .. } | Stage::Baking { .. } | Stage::Ended { .. } => false,
    }
}

/// The zones that a set has in flight.
fn flying(set: &SetState) -> OrdSet<Zone> {
    let Some(upgrade) = set.upgrade.as_ref().filter(|upgrade| is_flying(upgrade)) else {
        return OrdSet::new();
    };
    let zone = |id: &InstanceId| set.instance(id).and_then(|instance| instance.spec.zone.clone());
    let crosses = upgrade.policy.rolling.enable_cross_zone_upgrade || upgrade.purpose == Purpose::Manual;
    // What is brought back is of batches that have ended, in whichever zone.
    if crosses || upgrade.stage == Stage::Undoing {
        // Of those in flight alone: what is only planned keeps nobody waiting.
        return upgrade.members.in_flight().map(zone).collect();
    }
    upgrade.batches.get(upgrade.current).map(|batch| batch.zone.clone()).into_iter().collect()
}

/// The zones of those that were brought back and are not well again yet, and when the first of them is waited for no
/// longer: as long as a gate would wait. They are as down as what is in flight.
fn coming_back(set: &SetState, now: Timestamp) -> (OrdSet<Zone>, Option<Timestamp>) {
    let (mut zones, mut until) = (OrdSet::new(), None::<Timestamp>);
    let Some(upgrade) = &set.upgrade else { return (zones, until) };
    let census = set.census();
    for id in census.unhealthy().iter().chain(census.initializing()) {
        let was_restored = upgrade.members.get(id).is_some_and(Member::was_brought_back);
        let Some(instance) = set.instance(id).filter(|_| was_restored) else { continue };
        let deadline = instance.applied_at + upgrade.policy.gate.deadline;
        if deadline > now {
            zones.insert(instance.spec.zone.clone());
            until = Some(until.map_or(deadline, |before| before.min(deadline)));
        }
    }
    (zones, until)
}

/// Looks whether those of a set that were brought back are well again, or have had their time.
pub(in crate::kernel) fn settle(fleet: &mut Fleet, name: &ScaleSetName, now: Timestamp) {
    let Ok(set) = fleet.set(name) else { return };
    let Some(until) = set.zone_until else { return };
    if set.active().is_none() {
        return note(fleet, name, Waits::No, now);
    }
    if until <= now
        && let Some(set) = fleet.change(name)
    {
        set.dirty = true;
    }
}

/// The zones of the batch that a set waits to begin.
fn wanted(set: &SetState) -> OrdSet<Zone> {
    let Some(upgrade) = &set.upgrade else { return OrdSet::new() };
    let Some(batch) = upgrade.batches.get(upgrade.current) else { return OrdSet::new() };
    if upgrade.policy.rolling.enable_cross_zone_upgrade {
        let zone = |id: &InstanceId| set.instance(id).and_then(|instance| instance.spec.zone.clone());
        return upgrade.members.of_batch(batch.number).map(zone).collect();
    }
    [batch.zone.clone()].into_iter().collect()
}

/// Tells a set what is in flight beside it, before it looks.
pub(in crate::kernel) fn look_beside(fleet: &mut Fleet, name: &ScaleSetName, now: Timestamp) {
    let Ok(set) = fleet.set(name) else { return };
    let mut neighbours = fleet.regions.neighbours(&set.spec.estate.location, name);
    // Its own that are coming back are as down as those of others.
    neighbours.zones.extend(coming_back(set, now).0);
    let neighbours = Neighbours { machines: machines(fleet, set), ..neighbours };
    if set.neighbours != neighbours
        && let Some(set) = fleet.change(name)
    {
        set.neighbours = neighbours;
    }
}

/// Whether the next batch of a set waits for nothing but its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernel) enum Waits {
    ForItsZone,
    No,
}

/// Takes note of what a set has in flight, and of whether it waits for its zone, after it has looked.
pub(in crate::kernel) fn note(fleet: &mut Fleet, name: &ScaleSetName, waits: Waits, now: Timestamp) {
    let Ok(set) = fleet.set(name) else { return };
    let location = set.spec.estate.location.clone();
    let (coming_back, until) = coming_back(set, now);
    let flying = flying(set).union(coming_back);
    if set.zone_until != until
        && let Some(set) = fleet.change(name)
    {
        set.zone_until = until;
    }
    let Ok(set) = fleet.set(name) else { return };
    let wants = match waits {
        Waits::ForItsZone => wanted(set),
        Waits::No => OrdSet::new(),
    };
    let regions = &mut fleet.regions;
    let before = regions.by_location.get(&location);
    let flew = before.and_then(|region| region.flying.get(name)).cloned().unwrap_or_default();
    let ticket = before.and_then(|region| region.tickets.get(name)).copied();
    if flew == flying && ticket.is_none() && waits == Waits::No {
        return;
    }
    let region = regions.by_location.entry(location).or_default();
    let has_left = flew.iter().any(|zone| !flying.contains(zone));
    region.fly(name, flying);
    let mut has_moved = has_left;
    match (ticket, waits) {
        (None, Waits::ForItsZone) => {
            regions.tickets += 1;
            region.tickets.insert(name.clone(), regions.tickets);
            region.waiting.insert(regions.tickets, (name.clone(), wants));
        }
        (Some(ticket), Waits::ForItsZone) => {
            region.waiting.insert(ticket, (name.clone(), wants));
        }
        (Some(ticket), Waits::No) => {
            region.tickets.remove(name);
            region.waiting.remove(&ticket);
            has_moved = true;
        }
        (None, Waits::No) => {}
    }
    if has_moved {
        let next = region.next();
        regions.woken.extend(next);
    }
}

/// Lets those look whose turn has come, until nobody's has; gives whether anybody did.
pub(in crate::kernel) fn hand_on(
    fleet: &mut Fleet,
    memories: &mut Memories,
    now: Now,
    out: &mut Out,
) -> bool {
    let mut has_looked = false;
    while let Some(name) = fleet.regions.woken.get_min().cloned() {
        fleet.regions.woken.remove(&name);
        if fleet.set(&name).is_ok_and(|set| set.active().is_some()) {
            look::look(fleet, memories, &name, &[], now, out);
            has_looked = true;
        }
    }
    has_looked
}
