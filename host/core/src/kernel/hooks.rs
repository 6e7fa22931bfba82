//! Hooks: what is to be run for an upgrade, what they say meanwhile, and how they end. Also what drivers say
//! meanwhile.
//!
//! Knows no time limit: whoever runs a hook answers once, well or badly. What a hook says meanwhile is shown and not
//! recorded; a repeat after a restart says it again.

use super::effect::{Effect, HookCall, HookRound};
use super::event::{HookSays, Hooked};
use super::out::{About, Out};
use super::state::{Fleet, Said, SetState};
use crate::domain::shown::visible;
use crate::domain::{By, DriverWord, Instance, Located, Now, ScaleSetName};
use crate::record::audit::{HookEnd, What};
use crate::rollout::{Event as RolloutEvent, HookAbout, HookAction};

/// More of what a driver says helps no reader.
const WORD_CHARS_MAX: usize = 300;

/// Has a hook run.
pub(super) fn run(fleet: &mut Fleet, name: &ScaleSetName, action: HookAction, out: &mut Out) {
    let HookAction { hook, direction, about, operation } = action;
    let Some(set) = fleet.change(name) else { return };
    let Some(goal) = set.upgrade.as_ref().map(|upgrade| upgrade.goal.clone()) else { return };
    let round = match about {
        HookAbout::Batch { number, instances } => HookRound::Batch { number, instances },
        HookAbout::Instance { instance, replaces, version } => {
            // Before it is created nothing is known of it but whose place it takes.
            let known = set.instance(&instance).or_else(|| set.instance(replaces.as_ref()?));
            let Some(known) = known else {
                let result = Err("the configuration lists the instance no longer".to_owned());
                set.dirty = true;
                set.answers.push(RolloutEvent::HookDone { operation, instance: Some(instance), result });
                return;
            };
            let located = if known.spec.id == instance { known.located } else { Located::Never };
            HookRound::Instance {
                instance: Box::new(Instance { id: instance, ..(*known.spec).clone() }),
                located,
                version,
            }
        }
    };
    let scale_set = name.clone();
    let fence = out.numbers.fence;
    let call = HookCall { scale_set, hook, direction, round, goal, operation, fence };
    out.effects.push(Effect::Hook(Box::new(call)));
}

/// Takes in that a hook is over. One that nobody waits for changes nothing.
pub(super) fn hooked(fleet: &mut Fleet, hooked: Hooked, now: Now, out: &mut Out) {
    let Hooked { scale_set, hook, instance, operation, answer } = hooked;
    let Some(set) = fleet.change(&scale_set) else { return };
    set.hooks_say.remove(&operation);
    // It may be an answer to an upgrade that has ended, or come a second time.
    if !is_awaited(set, &operation) {
        return;
    }
    let Some(upgrade) = set.active().cloned() else { return };
    set.dirty = true;
    if let Err(why) = &answer {
        let member = instance.as_ref().and_then(|id| upgrade.members.behind(id)).map(|(id, _)| id.clone());
        let what = What::HookEnded { hook, end: HookEnd::Failed { why: why.clone() } };
        out.audit(About::upgrade(&upgrade, member.as_ref()), By::host(), what, now);
    }
    set.answers.push(RolloutEvent::HookDone { operation, instance, result: answer });
}

/// Takes in what a hook says that is not over.
pub(super) fn says(fleet: &mut Fleet, says: HookSays) {
    let HookSays { scale_set, operation, text } = says;
    let Some(set) = fleet.change(&scale_set) else { return };
    if is_awaited(set, &operation) {
        set.hooks_say.insert(operation, text);
    }
}

/// Takes in what a driver says of something that it has in hand for an upgrade. Shown and not recorded, as with hooks.
pub(super) fn driver_says(fleet: &mut Fleet, word: DriverWord, now: Now) {
    let DriverWord { scale_set, instance, operation, pace, text } = word;
    let Some(set) = fleet.change(&scale_set) else { return };
    let is_ours = set.active().is_some();
    let busy = set.instance(&instance).map(|instance| &instance.busy);
    if is_ours && busy.is_some_and(|busy| busy.values().any(|busy| busy.operation == operation)) {
        let text: String = visible(&text).chars().take(WORD_CHARS_MAX).collect();
        set.drivers_say.insert(operation, Said { pace, text, at: now.at });
    }
}

fn is_awaited(set: &SetState, operation: &crate::domain::OperationId) -> bool {
    set.active().is_some_and(|upgrade| upgrade.hooks_in_hand().any(|(_, hook)| hook == *operation))
}
