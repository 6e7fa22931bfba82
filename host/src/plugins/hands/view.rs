//! What lists show of a plugin besides its life: what it has judged, and where two components differ.

use super::{Hands, Lost, lock};
use crate::plugins::Counts;
use phasegate_core::domain::{Digest, PluginName};
use phasegate_core::lifecycle::{Failing, Key, Pair, Ticket};

/// What the hands know of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandsView {
    /// What it has judged since the host started.
    pub counts: Counts,
    /// For how many instances it fails at the moment; none when for none.
    pub failing: Option<Failing>,
    /// Observations that second components have missed because they did not keep up.
    pub missed: u64,
    /// The component that was looked at last by what is asked for, and why it would not be taken up today.
    pub lost: Option<(Digest, Lost)>,
}

impl Hands {
    /// What is known of a plugin.
    #[must_use]
    pub fn view(&self, name: &PluginName) -> HandsView {
        let Some(plugin) = self.shared.plugins.get(name) else { return HandsView::default() };
        let counts = lock(&plugin.running).worker.as_ref().map(|worker| worker.counts());
        HandsView {
            counts: counts.unwrap_or_default(),
            failing: plugin.tap.failing(),
            missed: plugin.tap.missed(),
            lost: lock(&plugin.lost).clone(),
        }
    }

    /// The instances that differ in the comparison of this ticket, with both answers. Empty when it is not
    /// shown any more.
    #[must_use]
    pub fn changes(&self, name: &PluginName, ticket: Ticket) -> Vec<(Key, Pair)> {
        let plugin = self.shared.plugins.get(name);
        let comparison = plugin.and_then(|plugin| lock(&plugin.comparisons).get(&ticket).cloned());
        let Some(comparison) = comparison else { return Vec::new() };
        let comparison = lock(&comparison);
        let differs = comparison.pairs().iter().filter(|(_, pair)| pair.differs());
        differs.map(|(key, pair)| (key.clone(), pair.clone())).collect()
    }
}
