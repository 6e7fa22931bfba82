//! What waits for the load before it: one candidate is on its way at a time.

use std::time::Duration;

use super::effect::From;
use super::job::{Candidate, Purpose};
use super::life::{PluginLife, Standing};
use super::step::Out;
use super::{prepare, reload};
use crate::domain::{Now, Strategy, Timestamp};

/// Time before the host tries again what it could not record.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Begins what waits, if nothing is in the way.
pub(super) fn go_on(life: &mut PluginLife, out: &mut Out<'_>, now: Now) {
    if life.load.is_some() || life.ready.is_some() || life.standing != Standing::Running {
        return;
    }
    if let Some((request, spec, wanted)) = life.wishes.reload.take() {
        return reload::begin(life, out, request, (spec, wanted), now);
    }
    if let Some(candidate) = life.wishes.pending.take() {
        let strategy = life.spec.swap.strategy;
        return prepare::begin(life, out, (Purpose::WhileOff, candidate, strategy), now);
    }
    if life.wishes.not_before.is_some_and(|at| now.at < at) {
        return;
    }
    if life.wishes.file.take().is_some() {
        life.wishes.not_before = None;
        let candidate = Candidate::configured(&life.spec, From::Configured);
        let strategy: Strategy = life.spec.swap.strategy;
        prepare::begin(life, out, (Purpose::FileChanged, candidate, strategy), now);
    }
}

/// When it is time to look again.
pub(super) fn due_at(life: &PluginLife) -> Option<Timestamp> {
    life.wishes
        .not_before
        .filter(|_| life.wishes.file.is_some() && life.load.is_none() && life.ready.is_none())
}
