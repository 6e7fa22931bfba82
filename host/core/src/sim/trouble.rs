//! Notices that a generation fails for most of its instances, as the workers of a host do, and says so.

use crate::domain::{Generation, PluginName, Verdict};
use crate::kernel::Event;
use crate::kernel::event::PluginTrouble;
use crate::lifecycle::{self, Failing};

use super::world::World;

/// So many bad rounds in a row are trouble.
const BAD_ROUNDS: u32 = 3;

/// How the active generation does.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    judged: usize,
    failed: usize,
    bad_rounds: u32,
    /// Whether it is in trouble, and what was said of it last.
    said: Option<Option<Failing>>,
}

impl World {
    /// Counts one judged round.
    pub(super) fn count_failures(&mut self, name: &PluginName, result: &Verdict) {
        let instances = self.judged_by(name).max(1);
        let failing = self.failing(name);
        let Some(plugin) = self.plugins.get_mut(name) else { return };
        let Some((generation, code)) = plugin.hands.judges.clone() else { return };
        let circuit = &mut plugin.hands.circuit;
        if let Some(said) = &mut circuit.said {
            if *said != failing {
                said.clone_from(&failing);
                let event = lifecycle::Event::Failing(generation, failing);
                self.inbox.push(Event::Plugin(name.clone(), event));
            }
            return;
        }
        circuit.judged += 1;
        circuit.failed += usize::from(result.is_err());
        if circuit.judged < instances {
            return;
        }
        let (judged, failed) = (std::mem::take(&mut circuit.judged), std::mem::take(&mut circuit.failed));
        circuit.bad_rounds = if failed * 2 > judged { circuit.bad_rounds + 1 } else { 0 };
        if circuit.bad_rounds < BAD_ROUNDS {
            return;
        }
        let rounds = circuit.bad_rounds;
        let cause = "unreachable".to_owned();
        let seen = failing.unwrap_or_else(|| Failing { failed, instances: judged, cause: cause.clone() });
        circuit.said = Some(Some(seen.clone()));
        let (plugin, digest) = (name.clone(), code.digest);
        let trouble = PluginTrouble { plugin, digest, generation, failed, judged, rounds, cause };
        self.inbox.push(Event::PluginTrouble(trouble));
        self.inbox.push(Event::Plugin(name.clone(), lifecycle::Event::Trouble(generation, seen)));
    }

    /// Of how many instances the latest round has failed.
    fn failing(&self, name: &PluginName) -> Option<Failing> {
        let mut instances = 0;
        let mut failed = 0;
        for round in self.rounds.values().filter(|round| round.decided.outcome.stamp.name == *name) {
            instances += 1;
            failed += usize::from(round.decided.outcome.result.is_err());
        }
        let failing = Failing { failed, instances, cause: "unreachable".to_owned() };
        (failed > 0).then_some(failing)
    }

    /// The generation that judges.
    pub(super) fn judging(&self, name: &PluginName) -> Option<Generation> {
        self.plugins.get(name)?.hands.judges.as_ref().map(|(generation, _)| *generation)
    }
}
