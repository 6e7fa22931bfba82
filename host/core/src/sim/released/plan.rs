//! How long a release would take: the kernel goes through the plan of a fleet as it is now, as long as somebody waits.

use std::time::Duration;

use super::{Setup, settled, site};
use crate::domain::{Component, HookKinds, Now, OnFailure, ScaleSet, UpgradeMode};
use crate::kernel::{Fleet, Planned, ReleaseRules, SetConfig, SetState};
use crate::plan::{HoldReason, withheld};
use crate::rollout::FleetView as _;
use crate::sim::forecast::Rates;

/// Instances of the sets that would move, at most: more take longer than anybody waits for a plan.
const INSTANCES_MAX: usize = 5_000;

/// Virtual time after which it is given up.
const LIMIT: Duration = Duration::from_secs(90 * 86_400);

/// What a driver takes for an instance, from and to, and how long that takes until it answers: what `simulate` takes for
/// them where it is told nothing.
const APPLY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
const START: Duration = Duration::from_secs(10);

/// From the begin of a planned release to its end where nothing fails, its freeze windows included. None where nothing
/// moves, where it is too large, has `maxSurge`, does not end within 90 days, or `goes_on` says no meanwhile.
#[must_use]
pub fn expected(
    fleet: &Fleet,
    planned: &Planned,
    now: Now,
    goes_on: &mut dyn FnMut() -> bool,
) -> Option<Duration> {
    let moved = planned.plan.phases.iter().flat_map(|phase| &phase.sets).filter(|set| set.has_to_move());
    let moved: Vec<&SetState> =
        moved.filter_map(|set| fleet.set(&set.name).ok().map(AsRef::as_ref)).collect();
    let instances: usize = moved.iter().map(|set| set.census().total()).sum();
    let has_surge = moved.iter().any(|set| set.spec.policy.rolling.max_surge);
    if instances == 0 || instances > INSTANCES_MAX || has_surge {
        return None;
    }
    let setup = Setup {
        sets: moved.iter().map(|set| as_it_is(set, now)).collect(),
        rules: ReleaseRules { require_feature: false, ..ReleaseRules::clone(&fleet.releases.rules) },
        subject: planned.plan.subject.clone(),
        version: planned.plan.version.clone(),
        bad_from: None,
        rates: Rates::default(),
        apply: APPLY,
        start: START,
        begin: now.wall.date(),
        seed: 0,
        limit: LIMIT,
    };
    let course = settled(&setup).run_while(goes_on)?;
    (course.state == Some("Completed")).then_some(course.duration)
}

/// A set that begins with what is wanted there now. Who says that it takes no part is protected.
fn as_it_is(set: &SetState, now: Now) -> SetConfig {
    let mut spec: ScaleSet = (*set.spec).clone();
    if let Some(version) = set.model.of(&Component::Application) {
        spec.model.version = version.clone();
    }
    for (name, version) in &mut spec.model.extensions {
        if let Some(wanted) = set.model.of(&Component::Extension(name.clone())) {
            *version = wanted.clone();
        }
    }
    for candidate in set.view(now).candidates().iter().filter(|one| is_left_out(withheld(one).err())) {
        if let Some(instance) = spec.instances.get_mut(&candidate.id) {
            std::sync::Arc::make_mut(instance).protection.from_scale_set_actions = true;
        }
    }
    spec.policy.hooks = HookKinds::default();
    spec.mode = UpgradeMode::Manual;
    SetConfig { spec, driver: site(), on_failure: OnFailure::Hold }
}

fn is_left_out(reason: Option<HoldReason>) -> bool {
    matches!(reason, Some(HoldReason::Skip(_) | HoldReason::PersonSkip(_) | HoldReason::PersonHold(_)))
}
