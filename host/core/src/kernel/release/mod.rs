//! Releases in the kernel: the catalogue, what people want of releases, and what each turn makes of them.
//!
//! What a release decides is `crate::release`; what runs in a scale set is an ordinary upgrade of it.

mod commands;
mod estate;
mod turn;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::domain::{
    Component, ExtensionType, ReleaseId, ScaleSet, ScaleSetName, Subscription, Timestamp, Version,
};
use crate::record::{OptOut, Registered, Stored};
use crate::release::{Published, Release, Strategy, resolve};

pub(super) use commands::grant;
pub(super) use turn::{look, taken_up};
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
        Self {
            rules: Arc::new(rules),
            catalogue: published.map(|(subject, it)| (subject.clone(), Arc::new(it.clone()))).collect(),
            all: stored.releases.iter().map(|(number, it)| (*number, Arc::new(it.clone()))).collect(),
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

    /// Those that have not ended, oldest first.
    pub fn active(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.all.values().filter(|release| release.is_active())
    }
}

/// The version that a component of a set begins with, where its model names none: what the catalogue has for it.
pub(super) fn resolved(set: &ScaleSet, component: &Component, stored: &Stored) -> Option<Version> {
    let mut enrolments = set.estate.enrolments.iter();
    let enrolment = enrolments.find(|enrolment| enrolment.component == *component && enrolment.resolves)?;
    let published = stored.published.get(&enrolment.subject)?;
    resolve(published, enrolment).map(|version| version.version().clone())
}
