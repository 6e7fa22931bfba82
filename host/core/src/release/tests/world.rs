//! An estate whose upgrades are one value per set: they run until the test says how they ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::*;
use crate::domain::{
    Actor, Component, Digest, Enrolment, ExtensionName, ExtensionType, HandlerVersion, InstanceId, Location,
    ReleaseId, ReleaseVersion, ScaleSetName, Timestamp, UpgradeId, Version,
};

pub(super) const BAKE: Duration = Duration::from_secs(60);

pub(super) fn region(text: &str) -> Location {
    Location::parse(text).unwrap()
}

pub(super) fn set(text: &str) -> ScaleSetName {
    ScaleSetName::parse(text).unwrap()
}

pub(super) fn version(text: &str) -> ReleaseVersion {
    ReleaseVersion::parse(text).unwrap()
}

pub(super) fn agent() -> ExtensionType {
    ExtensionType::parse("contoso/agent").unwrap()
}

/// An enrolment in version 1.x.
pub(super) fn enrolment() -> Enrolment {
    Enrolment {
        subject: agent(),
        component: Component::Extension(ExtensionName::parse("agent").unwrap()),
        automatic: true,
        minor: true,
        handler: HandlerVersion { major: 1, minor: 0 },
        resolves: true,
    }
}

/// One set as it is in truth.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) location: Location,
    pub(super) enrolment: Enrolment,
    pub(super) has: Version,
    pub(super) opted_out: bool,
    pub(super) well: Well,
    pub(super) held_unhealthy: bool,
    /// All of its instances say skip.
    pub(super) empty: bool,
    pub(super) busy: bool,
    /// An instance has come, or come back, with what there was before.
    pub(super) behind: bool,
    pub(super) child: Option<Child>,
    pub(super) after: Vec<ScaleSetName>,
    /// What it had when it was begun, for the way back.
    before: Option<Version>,
}

/// The estate and one release in it.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) sets: BTreeMap<ScaleSetName, Set>,
    pub(super) elsewhere: BTreeSet<Location>,
    pub(super) release: Release,
    pub(super) now: Timestamp,
    pub(super) said: Vec<&'static str>,
    pub(super) quarantined: bool,
    pub(super) wake_at: Option<Timestamp>,
    number: u64,
}

impl EstateView for World {
    fn facts(&self, set: &ScaleSetName, part: &Part) -> Option<Facts> {
        let set = self.sets.get(set)?;
        let to = &self.release.version;
        let mut standing = may_move(&set.enrolment, &set.has, to);
        if set.opted_out {
            standing = Err(Left::OptedOut);
        } else if set.held_unhealthy && part.run != Run::Runs {
            standing = Err(Left::HeldUnhealthy);
        }
        let complete = set.has == *to.version() && !set.behind;
        let well = if complete { set.well } else { Well::No };
        Some(Facts {
            standing,
            child: set.child.clone().filter(|child| part.upgrade.as_ref() == Some(&child.id)),
            busy: set.busy.then(|| UpgradeId::parse("theirs-1").unwrap()),
            initializing: 0,
            unhealthy: BTreeSet::<InstanceId>::new(),
            well,
            complete,
            shown: complete && !set.empty,
            remains: false,
            only_touched: false,
            lacks: usize::from(!complete),
            behind: set.behind,
            completed_since: false,
            retry: None,
        })
    }

    fn is_in_flight_elsewhere(&self, region: &Location) -> bool {
        self.elsewhere.contains(region)
    }
}

/// canary, then westeurope and eastus, then northeurope, which is westeurope's pair.
pub(super) fn strategy() -> Strategy {
    Strategy {
        region_phases: vec![vec![region("canary")], vec![region("westeurope"), region("eastus")]],
        geo_pairs: vec![(region("northeurope"), region("westeurope"))],
        bake: BAKE,
        ..Strategy::default()
    }
}

impl World {
    /// A set in each region, called after it, from 1.0 to 1.1.
    pub(super) fn new(strategy: Strategy) -> Self {
        Self::of(strategy, &["canary", "westeurope", "eastus", "northeurope"].map(|name| (name, name)))
    }

    pub(super) fn of(strategy: Strategy, sets: &[(&str, &str)]) -> Self {
        let one = |location: &str| Set {
            location: region(location),
            enrolment: enrolment(),
            has: Version::parse("1.0").unwrap(),
            opted_out: false,
            well: Well::Yes,
            held_unhealthy: false,
            empty: false,
            busy: false,
            behind: false,
            child: None,
            after: Vec::new(),
            before: None,
        };
        let sets: BTreeMap<ScaleSetName, Set> =
            sets.iter().map(|(name, location)| (set(name), one(location))).collect();
        let regions = sets.values().map(|set| set.location.clone()).collect();
        let mut release = Release {
            id: ReleaseId::parse("agent-1.1-1").unwrap(),
            number: 1,
            subject: agent(),
            version: version("1.1"),
            phases: strategy.phases(&regions),
            allowed: usize::try_from(strategy.max_failed_sets).unwrap(),
            strategy,
            digest: Digest([0; 32]),
            by: Actor::default(),
            reason: None,
            started_at: Timestamp(0),
            started_on: Timestamp(0),
            state: ReleaseState::Running,
            paused: false,
            excused: std::collections::BTreeMap::new(),
            forced: false,
            by_itself: false,
            log: imbl::Vector::new(),
            parts: imbl::OrdMap::new(),
            looked: None,
        };
        for (name, set) in &sets {
            let part = part(&mut release, set);
            release.parts.insert(name.clone(), part);
        }
        let mut world = Self {
            sets,
            elsewhere: BTreeSet::new(),
            release,
            now: Timestamp(1_000),
            said: Vec::new(),
            quarantined: false,
            wake_at: None,
            number: 0,
        };
        world.look();
        world
    }

    /// Changes a set, and lets the release look.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Set)) {
        change(self.sets.get_mut(&set(name)).unwrap());
        self.look();
    }

    /// Lets the release look at everything.
    pub(super) fn look(&mut self) {
        let all: BTreeSet<ScaleSetName> =
            self.sets.keys().chain(self.release.parts.keys()).cloned().collect();
        // What a step starts is seen by the next one, as in a host.
        for _ in 0..20 {
            let mut release = self.release.clone();
            // The tests change it behind its back.
            release.looked = None;
            let step = step(&mut release, self, &all, self.now);
            self.release = release;
            self.wake_at = step.wake_at;
            let is_still = step.actions.is_empty();
            for action in step.actions {
                self.perform(action);
            }
            if is_still {
                return;
            }
        }
        panic!("it never rests: {:?}", self.release);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(name) => {
                self.number += 1;
                let id = UpgradeId::parse(&format!("{name}-{}", self.number)).unwrap();
                let set = self.sets.get_mut(&name).unwrap();
                assert!(!set.busy && !set.opted_out, "{name} must not be begun");
                set.before = set.before.take().or_else(|| Some(set.has.clone()));
                set.child = Some(Child { id: id.clone(), end: ChildEnd::Running });
                let part = self.release.parts.get_mut(&name).unwrap();
                (part.run, part.upgrade) = (Run::Runs, Some(id));
                part.tries += 1;
            }
            Action::Cancel(name) => {
                let set = self.sets.get_mut(&name).unwrap();
                if let Some(child) = set.child.as_mut() {
                    child.end = ChildEnd::Cancelled("the release wants it".to_owned());
                }
            }
            Action::RollBack(name) => {
                self.number += 1;
                let id = UpgradeId::parse(&format!("{name}-{}", self.number)).unwrap();
                let set = self.sets.get_mut(&name).unwrap();
                set.child = Some(Child { id: id.clone(), end: ChildEnd::Running });
                self.release.parts.get_mut(&name).unwrap().upgrade = Some(id);
            }
            Action::Quarantine(_) => self.quarantined = true,
            Action::LiftQuarantine => self.quarantined = false,
            Action::Say(code, _) => self.said.push(code),
        }
    }

    /// The upgrade of a set comes to its end.
    pub(super) fn done(&mut self, name: &str) {
        let goes_back = self.run(name) == Run::GoesBack;
        let to = self.release.version.version().clone();
        self.change(name, |set| {
            set.has = if goes_back { set.before.clone().unwrap() } else { to };
            set.child.as_mut().unwrap().end = ChildEnd::Completed;
            set.behind = false;
        });
    }

    /// The upgrade of a set ends Faulted.
    pub(super) fn faults(&mut self, name: &str) {
        let end = ChildEnd::Faulted("3 of 5 upgraded instances are unhealthy".to_owned());
        self.change(name, |set| set.child.as_mut().unwrap().end = end);
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.look();
    }

    pub(super) fn run(&self, name: &str) -> Run {
        self.release.parts.get(&set(name)).unwrap().run.clone()
    }

    /// Sets whose upgrade is under way.
    pub(super) fn running(&self) -> Vec<&str> {
        let all = self.release.parts.iter().filter(|(_, part)| part.is_in_flight());
        all.map(|(name, _)| name.as_str()).collect()
    }

    /// Sets whose upgrade the release holds.
    pub(super) fn held(&self) -> Vec<&str> {
        let held = held(&self.release, self.now);
        self.release.parts.keys().filter(|name| held.contains(name)).map(ScaleSetName::as_str).collect()
    }

    /// Why a set has not begun.
    pub(super) fn code(&self, name: &str) -> &'static str {
        let (release, name) = (&self.release, set(name));
        let facts = self.facts(&name, release.parts.get(&name).unwrap());
        why_not_begun(release, (&name, facts.as_ref()), self, self.now).code()
    }

    /// Everything that runs is done and stays well for the bake.
    pub(super) fn through(&mut self) {
        for name in self.running().iter().map(|name| (*name).to_owned()).collect::<Vec<_>>() {
            self.done(&name);
        }
        self.pass(BAKE);
    }
}

/// The row of a set that is new to a release.
pub(super) fn part(release: &mut Release, set: &Set) -> Part {
    let phase = release.phase_of(&set.location);
    Part {
        from: Some(set.has.clone()),
        after: set.after.clone(),
        ..Part::waiting(set.location.clone(), phase, set.enrolment.component.clone())
    }
}
