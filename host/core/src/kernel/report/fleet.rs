//! One instance as a reader sees it.

use crate::domain::{Component, Now, PersonsWord, Version};
use crate::kernel::state::{InstanceState, SetState, StandIn};
use crate::plan::{HoldReason, Standing, withheld};

/// One instance, and how it stands with its plugin.
#[derive(Debug, Clone)]
pub struct InstanceReport<'a> {
    /// What is known of it.
    pub state: &'a InstanceState,
    /// How it stands.
    pub standing: Standing,
    /// Why the host leaves it alone, if it does: that may be something else than what its plugin says.
    pub held: Option<HoldReason>,
    /// The older decision that is used, if the plugin fails now.
    pub stand_in: Option<StandIn<'a>>,
    /// Version of the application that the model wants.
    pub desired: Option<&'a Version>,
    /// What a person has said about it.
    pub word: Option<&'a PersonsWord>,
}

/// Looks at one instance of a set.
#[must_use]
pub fn instance<'a>(set: &'a SetState, state: &'a InstanceState, now: Now) -> InstanceReport<'a> {
    InstanceReport {
        state,
        standing: set.standing(state, now.at),
        held: withheld(&set.view(now).candidate_of(state)).err(),
        stand_in: set.stand_in(state, now.at),
        desired: set.model.of(&Component::Application),
        word: set.words.get(&state.spec.id),
    }
}
