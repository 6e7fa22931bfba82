//! The host's log: what was recorded and what has changed, in words. Only for people; nothing reads it.
//!
//! What a driver has said is said once: the lines that follow from it point back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Direction, Step};
use phasegate_core::domain::ScaleSetName;
use phasegate_core::kernel::{Changes, SelfDoubt};
use phasegate_core::lifecycle::Loudness;
use phasegate_core::record::Write;
use phasegate_core::record::audit::{Entry, ProvisionNote, What};

/// Words of drivers that later lines may quote.
const QUOTED_MAX: usize = 64;

/// What stands in place of words that were said before.
const SAID_BEFORE: &str = "as said above";

/// What was said last of what drivers say.
#[derive(Debug, Default)]
pub(super) struct Said(VecDeque<(ScaleSetName, String)>);

impl Said {
    fn remember(&mut self, scale_set: &ScaleSetName, text: &str) {
        if self.0.len() >= QUOTED_MAX {
            self.0.pop_front();
        }
        self.0.push_back((scale_set.clone(), text.to_owned()));
    }

    /// An entry in words, without those that were said before.
    fn in_words(&self, entry: &Entry) -> String {
        let line = entry.to_string();
        let of_set = self.0.iter().rev().filter(|(set, text)| *set == entry.scale_set && !text.is_empty());
        let quoted = of_set.map(|(_, text)| text).find(|text| line.contains(text.as_str()));
        quoted.map_or_else(|| line.clone(), |text| line.replace(text.as_str(), SAID_BEFORE))
    }
}

/// Says that nobody was looked at for a while.
pub(super) fn stood_still(length: Duration) {
    tracing::warn!(
        "this host stood still for {:.1} s: it was stopped, its machine slept, or it got no CPU; nobody is judged by that \
         time",
        length.as_secs_f64(),
    );
}

/// Says that somebody has set the date.
pub(super) fn clock_step(step: Step) {
    let Step { by, forward } = step;
    let whither = if forward == Direction::Forward { "forward" } else { "back" };
    tracing::warn!(
        "the machine's clock was set {whither} by {:.1} s: freeze windows, the trail and plugins see the new date; no \
         order, no id and no duration changes by it",
        by.as_secs_f64(),
    );
}

/// Says what was recorded; the small steps of single instances only to who asks.
pub(super) fn recorded(said: &Said, write: &Write) {
    let Write::Audit(entry) = write else { return };
    let line = said.in_words(entry);
    let Entry { scale_set, upgrade, instance, what, .. } = &**entry;
    let (upgrade, instance) =
        (upgrade.as_ref().map(ToString::to_string), instance.as_ref().map(ToString::to_string));
    let (code, entry) = (what.code(), line);
    match what {
        What::Decision { .. }
        | What::MindChanged { .. }
        | What::Admitted(_)
        | What::Apply { .. }
        | What::Applied { .. }
        | What::ApplyBeside { .. }
        | What::AppliedBeside { .. }
        | What::Create { .. }
        | What::Ready { .. }
        | What::Succeeded { .. }
        | What::Replaced { .. }
        | What::Waits { .. } => tracing::debug!(%scale_set, upgrade, instance, "{code}: {entry}"),
        What::Failed { .. }
        | What::Restore { .. }
        | What::Remove { .. }
        | What::Seen { .. }
        | What::Quarantine { .. }
        | What::Stalls(_)
        | What::Line { .. }
        | What::Record { .. } => {
            tracing::warn!(%scale_set, upgrade, instance, "{code}: {entry}");
        }
        What::PluginTrouble { .. } => tracing::error!(%scale_set, "{code}: {entry}"),
        What::Provision { note: ProvisionNote::Failed { .. } | ProvisionNote::LeftOut { .. } } => {
            tracing::warn!(%scale_set, instance, "{code}: {entry}");
        }
        What::Provision { note: ProvisionNote::Begins { .. } | ProvisionNote::Ends { .. } } => {
            tracing::info!(%scale_set, instance, "{code}: {entry}");
        }
        // Said when it came.
        What::Process { .. } | What::SelfDoubt { .. } => {}
        What::Start { .. }
        | What::Plan { .. }
        | What::Hold { .. }
        | What::Leaves { .. }
        | What::Replace { .. }
        | What::Hook { .. }
        | What::HookEnded { .. }
        | What::Batch { .. }
        | What::End { .. }
        | What::ExtensionEnds { .. }
        | What::Retry { .. }
        | What::Wish { .. }
        | What::Word { .. }
        | What::StaysDeleted { .. }
        | What::PluginAsked { .. }
        | What::Reloaded { .. }
        | What::Members { .. }
        | What::PluginReverted { .. } => tracing::info!(%scale_set, upgrade, instance, "{code}: {entry}"),
    }
}

/// Says what plugins have to say: once it is recorded, because a takeover that is not recorded is none.
pub(super) fn plugins(changes: &Changes) {
    for said in &changes.said {
        match said.loudness() {
            Loudness::Info => tracing::info!("{said}"),
            Loudness::Warning => tracing::warn!("{said}"),
            Loudness::Error => tracing::error!("{said}"),
        }
    }
}

/// Says which instances changed their health, and what drivers complain about.
pub(super) fn changed(remembered: &mut Said, changes: &Changes) {
    for (scale_set, instance, before, after) in &changes.health {
        tracing::info!(%scale_set, %instance, "health {} -> {}", before.name(), after.name());
    }
    for (scale_set, doubt) in &changes.doubts {
        match doubt {
            SelfDoubt::Began { silent, of } => tracing::warn!(
                %scale_set,
                "{silent} of {of} instances that nothing has touched went silent at once: this host doubts what it sees, \
                 admits nothing, and fails and restores nobody for silence until they answer or a person bypasses it; see \
                 its network, resolver and descriptors",
            ),
            SelfDoubt::Ended => tracing::info!(%scale_set, "this host trusts what it sees again"),
        }
    }
    match changes.doubt_of_all {
        Some(SelfDoubt::Began { silent, of }) => tracing::warn!(
            "{silent} of {of} instances of all scale sets that nothing has touched went silent at once: this host doubts \
             what it sees, admits nothing in sets of which somebody is silent, and fails and restores nobody there for \
             silence until they answer or a person bypasses it; see its network, resolver and descriptors",
        ),
        Some(SelfDoubt::Ended) => tracing::info!("this host trusts what it sees again, over all scale sets"),
        None => {}
    }
    for (scale_set, instance, text) in &changes.troubles {
        tracing::warn!(%scale_set, %instance, "driver: {text}");
        remembered.remember(scale_set, text);
    }
}
