//! Which version of each component is wanted, and which one a new instance gets: never one that is in quarantine, was
//! withdrawn, or was not admitted yet.
//!
//! Brings nothing anywhere.

use super::{InstanceState, SetState};
use crate::domain::{Change, Component, ReleaseVersion, Version};
use crate::kernel::release::defined;
use crate::record::StoredModel;
use crate::release::Withdrawn;

/// A component of which something else is wanted than the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiffers {
    /// Which.
    pub component: Component,
    /// What the file says.
    pub file: Version,
    /// What was said since, and is wanted.
    pub recorded: Version,
}

/// A component of which a version is wanted that was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedAndWithdrawn {
    /// What is wanted.
    pub change: Change,
    /// Who has withdrawn it.
    pub withdrawn: Withdrawn,
    /// What a new instance gets; none where nothing else is there.
    pub new_ones: Option<Version>,
}

impl SetState {
    /// The version that a starting host brings an instance up at: what it ran last, or else what it was last
    /// asked to run and did not.
    pub(in crate::kernel) fn version_at_start(&self, instance: &InstanceState) -> Version {
        let before = instance.runs.version().or(instance.asked.as_ref());
        let new = || self.version_of_a_new_one(&Component::Application);
        before.cloned().or_else(new).unwrap_or_else(|| self.spec.model.version.clone())
    }

    /// What a new instance starts with: what last Completed, or else what the set began with. Not what is wanted, which
    /// may be in quarantine, cancelled or not yet admitted. Its phase is not known before it runs, so what is wanted
    /// counts from the moment that the last phase of a running upgrade is admitted.
    /// Never one that was withdrawn, or that a halted release has put into quarantine, also where the set has it: in its
    /// place the newest older one of its major, or else any that may be given.
    /// None of what the model does not have, and where there is nothing else than what was withdrawn.
    pub(in crate::kernel) fn version_of_a_new_one(&self, component: &Component) -> Option<Version> {
        let of = |change: &Version| Change { component: component.clone(), to: change.clone() };
        let admitted = self.active().filter(|upgrade| {
            upgrade.is_forward() && !upgrade.cancel_requested && upgrade.is_in_its_last_phase()
        });
        let admitted = admitted.and_then(|upgrade| upgrade.goal.of(component));
        let said = self.spec.model.goal();
        let (good, configured) = (self.good.get(component), said.of(component));
        let given = |version: &&Version| self.withdrawal(component, version).is_none();
        let instead = || self.in_place_of(component, good.or(configured)?);
        let (good, configured) = (good.filter(given), configured.filter(given));
        let all = admitted.filter(given).into_iter().chain(good).chain(instead()).chain(configured);
        let is_sound = |version: &&Version| {
            !self.quarantined.contains_key(&of(version)) && !self.is_in_quarantine(component, version)
        };
        let sound = all.clone().find(is_sound);
        // Where all of them are in quarantine, the one that has worked before is the least evil.
        sound.or(good).or(configured).cloned()
    }

    /// Who has withdrawn a version, and why, if somebody has.
    #[must_use]
    pub fn withdrawal(&self, component: &Component, version: &Version) -> Option<&Withdrawn> {
        self.kept_back.get(component)?.withdrawal(version)
    }

    /// What of the wanted versions was withdrawn, and what a new instance gets in its place.
    #[must_use]
    pub fn wanted_and_withdrawn(&self) -> Vec<WantedAndWithdrawn> {
        let of = |change: &Change| {
            let withdrawn = self.withdrawal(&change.component, &change.to)?.clone();
            let new_ones = self.version_of_a_new_one(&change.component);
            Some(WantedAndWithdrawn { change: change.clone(), withdrawn, new_ones })
        };
        self.model.changes().filter_map(of).collect()
    }

    /// Whether a halted release has put it into quarantine.
    fn is_in_quarantine(&self, component: &Component, version: &Version) -> bool {
        self.kept_back.get(component).is_some_and(|published| published.is_in_quarantine(version))
    }

    /// What a new instance gets in the place of a version that was withdrawn or is in quarantine; nothing for another one.
    fn in_place_of(&self, component: &Component, version: &Version) -> Option<&Version> {
        let published = self.kept_back.get(component)?;
        if published.withdrawal(version).is_none() && !published.is_in_quarantine(version) {
            return None;
        }
        published.in_place_of(version).map(ReleaseVersion::version)
    }

    /// What is recorded of what is wanted of a component.
    pub(in crate::kernel) fn stored_model(&self, component: &Component) -> Option<StoredModel> {
        let configured = defined(&self.spec, component, self.spec.model.goal().of(component)?);
        let version = self.model.of(component)?.clone();
        Some(StoredModel { version, configured, good: self.good.get(component).cloned() })
    }

    /// Where what is wanted is not what the file says: what a door has said since stands until the file says
    /// something else.
    #[must_use]
    pub fn file_differs(&self) -> Vec<FileDiffers> {
        let said = self.spec.model.goal();
        // The file names no version of what the catalogue stands for: any of its major is what it says.
        let stands_for = |component: &Component, wanted: &Version| {
            let mut enrolments = self.spec.estate.enrolments.iter();
            enrolments.find(|one| one.component == *component && one.resolves).is_some_and(|one| {
                ReleaseVersion::parse(wanted.as_str()).is_ok_and(|it| it.major() == one.handler.major)
            })
        };
        let differs = |change: &Change| {
            let recorded = self.model.of(&change.component).filter(|wanted| **wanted != change.to)?;
            if stands_for(&change.component, recorded) {
                return None;
            }
            let (component, file) = (change.component.clone(), change.to.clone());
            Some(FileDiffers { component, file, recorded: recorded.clone() })
        };
        said.changes().filter_map(differs).collect()
    }
}
