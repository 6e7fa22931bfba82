//! Notices that a plugin fails for most of its instances, round after round.
//!
//! Counts only. What is done about it, such as going back to the generation before, is the
//! business of whoever is told.

pub use phasegate_core::kernel::event::PluginTrouble;

/// A round is bad when more than this share of the instances failed in it.
const FAILING_PERCENT_MAX: usize = 50;
/// So many bad rounds in a row are trouble.
const BAD_ROUNDS: u32 = 3;

/// How the active generation does.
#[derive(Debug)]
pub(super) struct Circuit {
    judged: usize,
    failed: usize,
    bad_rounds: u32,
    said: Said,
}

/// Whether this generation has been complained about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Everything,
}

/// A round that made it trouble.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) failed: usize,
    pub(super) judged: usize,
    pub(super) rounds: u32,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self { judged: 0, failed: 0, bad_rounds: 0, said: Said::Nothing }
    }

    /// Counts judged observations. A round is over when as many were judged as there are instances.
    pub(super) fn count(&mut self, judged: usize, failed: usize, instances: usize) -> Option<Broken> {
        self.judged = self.judged.saturating_add(judged);
        self.failed = self.failed.saturating_add(failed);
        if self.judged < instances.max(1) {
            return None;
        }
        let (judged, failed) = (std::mem::take(&mut self.judged), std::mem::take(&mut self.failed));
        let bad = failed.saturating_mul(100) > judged.saturating_mul(FAILING_PERCENT_MAX);
        self.bad_rounds = if bad { self.bad_rounds.saturating_add(1) } else { 0 };
        if self.bad_rounds < BAD_ROUNDS || self.said == Said::Everything {
            return None;
        }
        self.said = Said::Everything;
        Some(Broken { failed, judged, rounds: self.bad_rounds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bad_rounds_in_a_row_are_said_once() {
        let mut circuit = Circuit::new();
        // Ten instances, in batches of five; six of ten fail.
        let mut round = |failed: usize| {
            assert_eq!(circuit.count(5, failed / 2, 10), None);
            circuit.count(5, failed - failed / 2, 10)
        };
        let broken = |rounds| Some(Broken { failed: 6, judged: 10, rounds });
        let said: Vec<_> = [6, 6, 5, 6, 6, 6, 6].into_iter().map(&mut round).collect();
        assert_eq!(said, [None, None, None, None, None, broken(3), None]);
    }
}
