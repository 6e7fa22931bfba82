//! What one instance has, part by part.

use std::collections::BTreeMap;

use crate::domain::{Component, ExtensionName, Version};

/// Versions of the application and of the extensions; what is not there is not installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Versions {
    /// What runs; none when nothing does.
    pub(super) application: Option<Version>,
    /// What is installed beside it.
    pub(super) extensions: BTreeMap<ExtensionName, Version>,
}

impl Versions {
    /// The version of a component.
    #[must_use]
    pub(super) fn of(&self, component: &Component) -> Option<&Version> {
        match component {
            Component::Application => self.application.as_ref(),
            Component::Extension(name) => self.extensions.get(name),
        }
    }

    /// Notes what a component is at; gives whether it was something else before.
    pub(super) fn set(&mut self, component: &Component, version: Option<Version>) -> bool {
        let changed = self.of(component) != version.as_ref();
        match (component, version) {
            (Component::Application, version) => self.application = version,
            (Component::Extension(name), Some(version)) => {
                drop(self.extensions.insert(name.clone(), version));
            }
            (Component::Extension(name), None) => drop(self.extensions.remove(name)),
        }
        changed
    }
}
