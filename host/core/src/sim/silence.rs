//! The host loses its network for a while: nobody answers, and no instance is to be failed for that.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::kernel::{SetState, Stepped};
use crate::rollout::invariants::Rule;
use crate::rollout::{Event, Part, PartState, Progress, Wish};

use super::rng::Rng;
use super::scenario::Faults;
use super::world::{BEGIN, World};

/// Fewer prove nothing.
const LEAST: usize = 3;

/// What was seen of the time in which the host is cut off.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// It was looked at while silence spread.
    seen: bool,
    /// Most were not known to have just answered, or somebody said that the host is well.
    is_spoilt: bool,
}

/// When it is lost, and for how long. Drawn aside, so that all worlds without it stay what they are.
pub(super) fn cut_off(rng: &Rng, sets: usize) -> Option<(Duration, Duration)> {
    let mut aside = rng.clone();
    aside.next_u64();
    let is_cut = sets > 1 && aside.chance(400);
    let (after, length) = (aside.between(40, 200), aside.between(150, 400));
    is_cut.then(|| (Duration::from_secs(after), Duration::from_secs(length)))
}

impl World {
    /// Whether no probe is answered now, whatever instances do.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off_since().is_some()
    }

    fn cut_off_since(&self) -> Option<Timestamp> {
        let (after, length) = self.scenario.cut_off.filter(|_| !self.is_quiet())?;
        let from = BEGIN + after;
        (from <= self.now && self.now < from + length).then_some(from)
    }

    /// From one interval on nobody fails for having said nothing.
    pub(super) fn nobody_fails_for_our_silence(&mut self, all: &[Stepped]) {
        let Some(from) = self.cut_off_since() else { return };
        let Faults { late_probe, stalls, .. } = self.scenario.faults;
        // What answers late was asked before; and nobody is silent by time in which nobody looked.
        if late_probe > 0 || stalls > 0 || self.booted_at + self.scenario.interval * 2 > from {
            return;
        }
        let says_go = |stepped: &Stepped| stepped.events.contains(&Event::Wish(Wish::Bypass));
        self.silence.is_spoilt |= all.iter().any(says_go) || !self.are_most_silent(from);
        if self.now <= from + self.scenario.interval + Duration::from_secs(3) {
            self.silence.seen = true;
            return;
        }
        if self.silence.is_spoilt || !self.silence.seen {
            return;
        }
        let mut wrong = Vec::new();
        for Stepped { before, after, .. } in all {
            for (id, member) in after.members.iter() {
                let failed =
                    |parts: &[Part]| parts.iter().filter(|part| has_failed_in_the_gate(part)).count();
                let known = before.members.get(id).map_or(0, |before| failed(&before.parts));
                if failed(&member.parts) > known {
                    wrong.push(format!(
                        "`{id}` of `{}` failed, and nobody is heard since {from:?}",
                        after.scale_set
                    ));
                }
            }
        }
        wrong.into_iter().for_each(|detail| self.violation(Rule::Evidence, detail));
    }

    /// Whether most of those that nothing has touched had just answered when the network was lost.
    fn are_most_silent(&self, from: Timestamp) -> bool {
        let Some(kernel) = &self.kernel else { return false };
        let (mut silent, mut untouched) = (0, 0);
        let asked = Duration::from_secs(1).saturating_add(self.scenario.interval);
        for set in kernel.fleet().sets() {
            let touched = set.active().map_or(0, |upgrade| {
                let Progress { successful, failed, in_progress, pending: _ } = upgrade.progress();
                successful + failed + in_progress
            });
            untouched += set.census().total().saturating_sub(touched);
            for instance in set.members() {
                let heard = self.heard.get(&(set.spec.name.clone(), instance.spec.id.clone()));
                let had_answered = heard.is_some_and(|heard| {
                    let answered = heard.answered();
                    heard.is_of(instance.epoch) && answered < from && from.since(answered) <= asked
                });
                silent += usize::from(had_answered && is_untouched(set, &instance.spec.id));
            }
        }
        silent >= LEAST && silent * 2 > untouched
    }
}

fn is_untouched(set: &SetState, id: &crate::domain::InstanceId) -> bool {
    let is_busy = set.instance(id).is_none_or(|instance| !instance.busy.is_empty());
    let member = set.active().and_then(|upgrade| upgrade.members.behind(id));
    !is_busy && member.is_none_or(|(_, member)| member.attempt == 0)
}

fn has_failed_in_the_gate(part: &Part) -> bool {
    matches!(&part.state, PartState::Failed { reason, .. } if reason.contains("s after its upgrade"))
}
