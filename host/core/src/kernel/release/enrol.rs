//! Who takes part: what persons keep as it is, and subscriptions that register the feature.

use super::commands;
use crate::domain::{By, ExtensionType, Now, ScaleSetName, Subscription};
use crate::kernel::command::Enrol;
use crate::kernel::out::Out;
use crate::kernel::refusal::ReleaseRefusal;
use crate::kernel::state::Fleet;
use crate::record::{OptOut, Registered, Write};

/// Keeps a set as it is, also in the middle of a release, or lets it take part again.
pub(super) fn opt(
    fleet: &mut Fleet,
    (name, subject): (&ScaleSetName, &ExtensionType),
    enrol: Enrol,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), ReleaseRefusal> {
    let has = fleet.sets.get(name).map(|set| set.spec.estate.enrolments.clone()).unwrap_or_default();
    if !has.iter().any(|one| one.subject == *subject) {
        let known = has.into_iter().map(|one| one.subject).collect();
        return Err(ReleaseRefusal::NotInModel { scale_set: name.clone(), subject: subject.clone(), known });
    }
    let key = (name.clone(), subject.clone());
    let said = match enrol {
        Enrol::Out => Some(OptOut { at: now.wall.date(), by: by.actor.clone(), reason: by.reason.clone() }),
        Enrol::In => None,
    };
    match said.clone() {
        Some(said) => _ = fleet.releases.opted_out.insert(key, said),
        None => _ = fleet.releases.opted_out.remove(&key),
    }
    out.writes.push(Write::OptOut(name.clone(), subject.clone(), said));
    let _ = fleet.change(name);
    if enrol == Enrol::In {
        commands::begin_by_itself(fleet, by, now, out);
    }
    Ok(())
}

/// Lets a subscription take part where the feature is asked for, or not any more.
pub(super) fn register(
    fleet: &mut Fleet,
    subscription: &Subscription,
    enrol: Enrol,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    let said = match enrol {
        Enrol::In => Some(Registered { at: now.wall.date(), by: by.actor.clone() }),
        Enrol::Out => None,
    };
    match said.clone() {
        Some(said) => _ = fleet.releases.registered.insert(subscription.clone(), said),
        None => _ = fleet.releases.registered.remove(subscription),
    }
    out.writes.push(Write::Feature(subscription.clone(), said));
    if enrol == Enrol::In {
        commands::begin_by_itself(fleet, by, now, out);
    }
}
