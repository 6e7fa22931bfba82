//! Releases in the kernel: the catalogue, what people want of releases, and what each turn makes of them.
//!
//! What a release decides is `crate::release`; what runs in a scale set is an ordinary upgrade of it.

mod commands;
mod enrol;
mod estate;
mod turn;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet};

use super::out::Out;
use super::state::Fleet;
use crate::domain::{
    By, Component, Enrolment, Estate, ExtensionType, Now, ReleaseId, ScaleSet, ScaleSetName, Subscription,
    Timestamp, Version,
};
use crate::record::{OptOut, Registered, Stored};
use crate::release::{Published, Release, Strategy, resolve};

pub(super) use commands::grant;
pub(super) use turn::{look, taken_up, try_again};
pub use view::{Planned, released};

/// What releases go by: the part of the configuration that is about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseRules {
    /// How a release that starts now goes through regions.
    pub strategy: Strategy,
    /// What may be published.
    pub types: BTreeMap<ExtensionType, TypeRules>,
    /// Whether subscriptions have to register the feature.
    pub require_feature: bool,
}

/// What the configuration says of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeRules {
    /// Most versions that are kept.
    pub versions_max: usize,
}

/// The catalogue and all releases.
#[derive(Debug, Clone, Default)]
pub struct Releases {
    /// From the configuration.
    pub rules: Arc<ReleaseRules>,
    /// What was published.
    pub catalogue: OrdMap<ExtensionType, Arc<Published>>,
    /// By number, oldest first.
    pub all: OrdMap<u64, Arc<Release>>,
    /// What persons keep as it is.
    pub opted_out: OrdMap<(ScaleSetName, ExtensionType), OptOut>,
    /// Subscriptions that have registered the feature.
    pub registered: OrdMap<Subscription, Registered>,
    /// When a release wants to look again.
    pub(super) wake_at: Option<Timestamp>,
    /// Releases look at all of their sets in this turn.
    pub(super) dirty: bool,
    /// Sets whose upgrade a release holds.
    holding: OrdSet<ScaleSetName>,
}

impl Releases {
    pub(super) fn new(rules: ReleaseRules, stored: &Stored) -> Self {
        let published = stored.published.iter();
        let written_at = stored.anchor.as_ref().map_or(Timestamp(0), |anchor| anchor.at);
        let resumed = |(number, release): (&u64, &Release)| {
            let mut release = release.clone();
            release.resume(written_at);
            (*number, Arc::new(release))
        };
        Self {
            rules: Arc::new(rules),
            catalogue: published.map(|(subject, it)| (subject.clone(), Arc::new(it.clone()))).collect(),
            all: stored.releases.iter().map(resumed).collect(),
            opted_out: stored.opted_out.iter().map(|(key, it)| (key.clone(), it.clone())).collect(),
            registered: stored.registered.iter().map(|(key, it)| (key.clone(), it.clone())).collect(),
            wake_at: None,
            dirty: true,
            holding: OrdSet::new(),
        }
    }

    /// The release with an id; of one that is named by its type and version the latest.
    #[must_use]
    pub fn release(&self, id: &ReleaseId) -> Option<&Arc<Release>> {
        self.all.values().rev().find(|release| release.id == *id)
    }

    /// The host stood still for so long, and nobody looked.
    pub(super) fn stood_still(&mut self, length: Duration, now: Timestamp) {
        let active: Vec<u64> = self.active().map(|release| release.number).collect();
        for number in active {
            if let Some(release) = self.all.get_mut(&number) {
                Arc::make_mut(release).stood_still(length, now);
            }
        }
        self.dirty = true;
    }

    /// Those that have not ended, oldest first.
    pub fn active(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.all.values().filter(|release| release.is_active())
    }
}

/// Goes by where a set stands from now on.
pub(super) fn go_by(fleet: &mut Fleet, name: &ScaleSetName, next: Estate) {
    let Ok(set) = fleet.set(name) else { return };
    let before = set.spec.estate.clone();
    if before == next {
        return;
    }
    let place = |it: &Estate| (it.location.clone(), it.subscription.clone(), it.kind);
    if place(&before) != place(&next) {
        fleet.regions.leave(name, &before.location);
    }
    let Some(set) = fleet.change(name) else { return };
    Arc::make_mut(&mut set.spec).estate = next;
    let spec = Arc::clone(&set.spec);
    let kept_back = kept_back_of(&spec, &fleet.releases);
    if let Some(set) = fleet.change(name) {
        set.kept_back = kept_back;
    }
    if let Some(set) = fleet.sets.get(name).cloned() {
        fleet.regions.note(&set);
    }
}

/// What the catalogue has for those components of a set whose definition changes and names no version.
pub(super) fn resolved_anew(
    fleet: &Fleet,
    name: &ScaleSetName,
    next: &Estate,
) -> BTreeMap<Component, Version> {
    let Ok(set) = fleet.set(name) else { return BTreeMap::new() };
    let before = &set.spec.estate;
    let said = |one: &Enrolment| (one.handler, one.minor, one.resolves, one.component.clone());
    let differs = |one: &&Enrolment| {
        one.resolves && before.enrolment(&one.subject).is_none_or(|was| said(was) != said(one))
    };
    let resolved = next.enrolments.iter().filter(differs).filter_map(|one| {
        let version = resolve(fleet.releases.catalogue.get(&one.subject)?, one)?;
        Some((one.component.clone(), version.version().clone()))
    });
    resolved.collect()
}

/// What was published of those components of a set of which a version was withdrawn or is in quarantine.
pub(super) fn kept_back_of(set: &ScaleSet, releases: &Releases) -> BTreeMap<Component, Arc<Published>> {
    let of = |one: &Enrolment| {
        let published = releases.catalogue.get(&one.subject).filter(|it| it.keeps_back())?;
        Some((one.component.clone(), Arc::clone(published)))
    };
    set.estate.enrolments.iter().filter_map(of).collect()
}

/// Goes by other rules from now on, and lets what is enrolled now join. A release that runs keeps its strategy.
pub(super) fn go_on_by(fleet: &mut Fleet, rules: Option<ReleaseRules>, by: &By, now: Now, out: &mut Out) {
    if let Some(rules) = rules {
        fleet.releases.rules = Arc::new(rules);
    }
    fleet.releases.dirty = true;
    if fleet.held.is_none() {
        commands::begin_by_itself(fleet, by, now, out);
    }
}

/// What the file says of a component, as it is recorded: where its version comes of the catalogue, also which of the
/// versions of its major it may be, so that a change of that is noticed across a start.
pub(super) fn defined(spec: &ScaleSet, component: &Component, configured: &Version) -> Version {
    let mut enrolments = spec.estate.enrolments.iter();
    let resolves = enrolments.find(|one| one.component == *component && one.resolves);
    let Some(one) = resolves else { return configured.clone() };
    let which = if one.minor { "any-minor" } else { "this-minor" };
    Version::parse(&format!("{configured}+{which}")).unwrap_or_else(|_| configured.clone())
}

/// The version that a component of a set begins with, where its model names none: what the catalogue has for it.
pub(super) fn resolved(set: &ScaleSet, component: &Component, stored: &Stored) -> Option<Version> {
    let mut enrolments = set.estate.enrolments.iter();
    let enrolment = enrolments.find(|enrolment| enrolment.component == *component && enrolment.resolves)?;
    let published = stored.published.get(&enrolment.subject)?;
    resolve(published, enrolment).map(|version| version.version().clone())
}
