//! Where a scale set stands in the estate: subscription, resource group and region, and what of it is moved by
//! releases.
//!
//! Says nothing about when: that is a release's strategy.

use serde::{Deserialize, Serialize};

use super::component::Component;
use super::extension_type::ExtensionType;
use super::ids::{Location, ResourceGroup, ScaleSetName, Subscription};
use super::release_version::HandlerVersion;

/// The subscription of sets that name none.
pub const NIL_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// The resource group of sets that name none.
pub const DEFAULT_GROUP: &str = "default";
/// The region of sets that name none.
pub const LOCAL: &str = "local";

/// Where a set stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estate {
    /// What is enrolled together.
    pub subscription: Subscription,
    /// Its resource group.
    pub resource_group: ResourceGroup,
    /// Its region.
    pub location: Location,
    /// What kind of set it is.
    pub kind: SetKind,
    /// What of it has a publisher and a type.
    pub enrolments: Vec<Enrolment>,
    /// Sets that a release goes to before this one.
    pub after: Vec<ScaleSetName>,
}

impl Estate {
    /// How a component of it is enrolled, by its type.
    #[must_use]
    pub fn enrolment(&self, subject: &ExtensionType) -> Option<&Enrolment> {
        self.enrolments.iter().find(|enrolment| enrolment.subject == *subject)
    }
}

/// One nil subscription, group `default`, location `local`; nothing enrolled.
impl Default for Estate {
    fn default() -> Self {
        Self {
            subscription: Subscription::preset(NIL_SUBSCRIPTION),
            resource_group: ResourceGroup::preset(DEFAULT_GROUP),
            location: Location::preset(LOCAL),
            kind: SetKind::Uniform,
            enrolments: Vec::new(),
            after: Vec::new(),
        }
    }
}

/// What kind of set it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SetKind {
    /// Instances that are alike.
    #[default]
    Uniform,
    /// Machines that share update domains: one of these at a time, and in it the share of a batch.
    AvailabilitySet,
    /// Stand-alone machines: those of one subscription in one location are a group, and the share of a batch is one of
    /// that group.
    VirtualMachines,
    /// A Service Fabric set, which brings its extensions up by itself: it can enrol nothing.
    ServiceFabric,
}

/// A component of a set that has a publisher and a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolment {
    /// What is published.
    pub subject: ExtensionType,
    /// What of an instance that is.
    pub component: Component,
    /// `enableAutomaticUpgrade`: a release moves it to any newer version of the same major.
    pub automatic: bool,
    /// `autoUpgradeMinorVersion`: at creation and at a change of its definition it gets the newest minor.
    pub minor: bool,
    /// `typeHandlerVersion`.
    pub handler: HandlerVersion,
    /// The model names no version of its own: the catalogue says what it begins with.
    pub resolves: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_names_nothing_is_in_the_local_region() {
        let estate = Estate::default();
        assert_eq!(Subscription::parse(NIL_SUBSCRIPTION), Ok(estate.subscription));
        assert_eq!(ResourceGroup::parse(DEFAULT_GROUP), Ok(estate.resource_group));
        assert_eq!(Location::parse(LOCAL), Ok(estate.location));
    }
}
