//! What the hands do: their part, nothing, something else, or the same once more.

use super::*;

impl World {
    /// What a hand says that does its part.
    pub(super) fn good(&mut self, effect: &Effect) -> Option<Event> {
        let (ticket, answer) = match effect {
            Effect::Fetch(ticket, from) => {
                let digest = match from {
                    From::Configured | From::Proposed => component(self.place),
                    From::Held(digest) => *digest,
                    From::Kept(digest) if !self.disk.contains(digest) => {
                        let gone = HandError::Missing("a file".to_owned());
                        return Some(Event::Hand(*ticket, Answer::Failed(gone)));
                    }
                    From::Kept(digest) => *digest,
                    From::Reference(_) => component(b'r'),
                };
                self.hands.holds.insert(*ticket, digest);
                (*ticket, Answer::Fetched { digest, size: 10 })
            }
            Effect::Compile(ticket) => (*ticket, Answer::Compiled(Facts::default())),
            Effect::Configure(ticket, _) => (*ticket, Answer::Configured),
            Effect::SelfTest(ticket, _) => (*ticket, Answer::SelfTested(None)),
            Effect::Rehearse { ticket, .. } => (*ticket, Answer::Rehearsed(Box::new(self.summary()))),
            Effect::Keep(ticket) => {
                let digest = self.hands.holds.get(ticket).copied()?;
                // A job that is over keeps nothing that another one would miss.
                if !self.hands.over.contains(ticket) {
                    self.disk.insert(digest);
                }
                (*ticket, Answer::Kept)
            }
            Effect::BeginShadow(ticket, order) if !self.disk.contains(&order.digest) => {
                let gone = HandError::Missing("a file".to_owned());
                (*ticket, Answer::Failed(gone))
            }
            Effect::BeginShadow(ticket, _) => {
                (*ticket, Answer::ShadowBegan { size: 1, facts: Facts::default() })
            }
            Effect::EndShadow(_)
            | Effect::Activate { .. }
            | Effect::Cancel(_)
            | Effect::DropComparison(_)
            | Effect::Retain(_) => return None,
        };
        Some(Event::Hand(ticket, answer))
    }

    /// Four instances, on which anything may have been seen.
    pub(super) fn summary(&mut self) -> Summary {
        let failed = |rng: &mut Rng| if rng.one_in(4) { rng.below(4) } else { 0 };
        let (failed_new, failed_old) = (failed(&mut self.rng), failed(&mut self.rng));
        let judged = if self.rng.one_in(6) { self.rng.below(4) as usize } else { 4 };
        let instance = (ScaleSetName::parse("orders").unwrap(), InstanceId::parse("0").unwrap());
        let failure = Example { instance, failure: PluginFailure::Overloaded };
        Summary {
            instances: 4,
            judged,
            compared: judged,
            observations: self.rng.below(10),
            changed: if self.rng.one_in(3) { self.rng.below(5) as usize } else { 0 },
            failed_new,
            failed_old,
            failure: (failed_new > 0).then_some(failure),
            ..Summary::default()
        }
    }

    pub(super) fn a_hand_answers(&mut self) {
        if self.hands.waiting.is_empty() {
            return;
        }
        let at = self.rng.below(self.hands.waiting.len() as u64) as usize;
        let effect = self.hands.waiting.swap_remove(at);
        // Some never answer.
        if self.rng.one_in(50) {
            return;
        }
        let Some(mut event) = self.good(&effect) else { return };
        if self.rng.one_in(20)
            && let Event::Hand(ticket, _) = event
        {
            let errors = [
                HandError::Away("it is away".to_owned()),
                HandError::Unfit("is no good".to_owned()),
                HandError::Broken("the thread died".to_owned()),
            ];
            let error = errors[self.rng.below(3) as usize].clone();
            event = Event::Hand(ticket, Answer::Failed(error));
        }
        if self.rng.one_in(5) {
            self.hands.said.push(event.clone());
        }
        self.happens(event);
    }

    /// Twice, late, or after a discard.
    pub(super) fn a_hand_repeats_itself(&mut self) {
        if self.hands.said.is_empty() {
            return;
        }
        let at = self.rng.below(self.hands.said.len() as u64) as usize;
        let event = self.hands.said.swap_remove(at);
        self.happens(event);
    }

    pub(super) fn a_comparison_goes_on(&mut self) {
        let Some(ticket) = self.hands.beside.first().copied() else { return };
        let seen = self.summary();
        self.happens(Event::Hand(ticket, Answer::Compared(Box::new(seen))));
    }

    pub(super) fn a_generation_fails(&mut self) {
        let Some(active) = self.life.in_force() else { return };
        let failing = Failing { failed: self.rng.below(5) as usize, instances: 4, cause: "x".to_owned() };
        let generation = if self.rng.one_in(4) { Generation(active.0.saturating_sub(1)) } else { active };
        let event = if self.rng.one_in(2) {
            Event::Trouble(generation, failing)
        } else {
            Event::Failing(generation, (!self.rng.one_in(3)).then_some(failing))
        };
        self.happens(event);
    }
}
