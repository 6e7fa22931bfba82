//! Who is asked, and what is answered.

use std::sync::Arc;

use super::world::{Key, World};
use crate::domain::{
    Claim, Decided, Decision, Digest, Evaluation, Generation, Health, Heard, Outcome, Participation,
    PluginName, PluginStamp, ScaleSetName, Timestamp,
};
use crate::kernel::Event;
use crate::release::Release;

/// What an instance is like at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Well,
    /// It answers that it is not well, and will do so until an effect changes it.
    Bad,
    /// It is not well yet, or no longer, and comes up by itself.
    ComesUp(Claim),
}

impl World<'_> {
    /// Whether there is anybody to be asked.
    pub(super) fn asks_somebody(&self) -> bool {
        !self.active.is_empty() || !self.restless.is_empty()
    }

    /// Nothing is under way in a set any more: those of it are asked on who have not come to rest.
    pub(super) fn stay_with(&mut self, name: &ScaleSetName) {
        let Ok(set) = self.kernel.fleet().set(name) else { return };
        let release = self.release();
        let all = set.members().map(|one| (name.clone(), one.spec.id.clone()));
        let restless: Vec<Key> = all.filter(|key| !self.rests(release.as_deref(), key)).collect();
        self.restless.extend(restless);
    }

    /// One round of everybody in the sets with an upgrade under way, and of whoever else has not come to rest.
    pub(super) fn probe(&mut self) {
        self.probe_at = self.now.at + self.interval;
        let release = self.release();
        let rest = std::mem::take(&mut self.restless);
        self.restless = rest.into_iter().filter(|key| !self.rests(release.as_deref(), key)).collect();
        let mut asked: Vec<(Key, u64, PluginName)> = Vec::new();
        for set in self.active.iter().filter_map(|name| self.kernel.fleet().set(name).ok()) {
            for instance in set.members().filter(|instance| instance.busy.is_empty()) {
                let key = (set.spec.name.clone(), instance.spec.id.clone());
                asked.push((key, instance.epoch, set.spec.plugin.clone()));
            }
        }
        for key in self.restless.iter().filter(|(name, _)| !self.active.contains(name)) {
            let Ok(set) = self.kernel.fleet().set(&key.0) else { continue };
            let Some(instance) = set.instance(&key.1).filter(|instance| instance.busy.is_empty()) else {
                continue;
            };
            asked.push((key.clone(), instance.epoch, set.spec.plugin.clone()));
        }
        let mut batch = Vec::with_capacity(asked.len());
        for (key, epoch, plugin) in asked {
            let is_lost = self.trouble.loses_a_probe();
            let claim = match self.condition(release.as_deref(), &key) {
                _ if is_lost => Claim::Unknown,
                Condition::Well => Claim::Healthy,
                Condition::Bad => Claim::Unhealthy,
                Condition::ComesUp(claim) => claim,
            };
            batch.push(judged(key, epoch, &plugin, claim, self.now.at));
        }
        self.judged += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.inbox.push(Event::Judged(batch));
    }

    fn condition(&self, release: Option<&Release>, key: &Key) -> Condition {
        let now = self.now.at;
        if self.trouble.is_down(key, now) {
            return Condition::ComesUp(Claim::Unknown);
        }
        if self.trouble.is_ill(key, now) {
            return Condition::ComesUp(Claim::Unhealthy);
        }
        match self.has.get(key) {
            Some((_, from)) if *from > now => Condition::ComesUp(Claim::Unhealthy),
            Some((version, _)) if version == self.setup.version.version() => {
                let is_bad = self.trouble.is_bad(key) || self.is_bad(release, &key.0);
                if is_bad { Condition::Bad } else { Condition::Well }
            }
            Some(_) | None => Condition::Well,
        }
    }

    /// Whether the kernel knows what an instance is like, and that stays so.
    fn rests(&self, release: Option<&Release>, key: &Key) -> bool {
        let set = self.kernel.fleet().set(&key.0).ok();
        let Some(instance) = set.and_then(|set| set.instance(&key.1)) else { return true };
        let health = instance.fold.health();
        match self.condition(release, key) {
            Condition::Well => health == Health::Healthy && !instance.word.is_silent(),
            Condition::Bad => health.is_unhealthy(),
            Condition::ComesUp(_) => false,
        }
    }

    fn is_bad(&self, release: Option<&Release>, set: &ScaleSetName) -> bool {
        let Some(from) = self.setup.bad_from else { return false };
        let part = release.and_then(|release| release.parts.get(set));
        part.is_some_and(|part| part.phase + 1 >= from)
    }
}

fn judged(
    (scale_set, instance): Key,
    epoch: u64,
    plugin: &PluginName,
    claim: Claim,
    now: Timestamp,
) -> Decided {
    let decision = Decision {
        claim,
        phase: None,
        participation: Participation::Proceed,
        reason: None,
        memory: None,
        attributes: Vec::new(),
    };
    let stamp = PluginStamp { name: plugin.clone(), digest: Digest([0; 32]), generation: Generation(1) };
    let evaluation = Evaluation { at: now, ..Evaluation::default() };
    Decided {
        scale_set,
        instance,
        epoch,
        started_at: now,
        finished_at: now,
        again: false,
        heard: if claim == Claim::Unknown { Heard::Silence } else { Heard::Answer },
        outcome: Arc::new(Outcome { stamp, evaluation, result: Ok(Arc::new(decision)) }),
    }
}
