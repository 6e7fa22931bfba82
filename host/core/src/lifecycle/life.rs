//! The life of one plugin as a value.
//!
//! ```text
//!            ┌────────── load: fetch > digest > … > rehearse ──────────┐
//!  candidate ┤                                          ┌─> shadow ─┐  │
//!            └──────────────────────────────────────────┴───────────┴─> promote ─> watch ─┬─> stays
//!                       back: an earlier generation ────────────────────^                 └─> back
//! ```
//!
//! Two loads at most are under way: one of a candidate, and one of an earlier generation, which goes past it.

use std::sync::Arc;

use super::compare::Summary;
use super::effect::From;
use super::event::{Facts, Ticket};
use super::job::{Candidate, Job, Load, Wanted};
use super::reason::{Failing, Named};
use super::refusal::Refusal;
use super::said::Said;
use super::stage::Stage;
use super::trial::{Shadowed, Trial, TrialKind};
use crate::domain::{Digest, Generation, PluginName, PluginSpec, RequestId, Timestamp};
use crate::record::{StoredGeneration, StoredPlugin, StoredRefusal, StoredShadow, StoredWatch};

/// One plugin. Clones share what is large.
#[derive(Debug, Clone)]
pub struct PluginLife {
    pub(super) spec: Arc<PluginSpec>,
    pub(super) standing: Standing,
    pub(super) active: Option<Active>,
    /// Oldest first; the last one is active.
    pub(super) history: Arc<Vec<StoredGeneration>>,
    pub(super) refused: Option<StoredRefusal>,
    /// The component that the configuration named when it was looked at last.
    pub(super) considered: Option<Digest>,
    /// A candidate on its way.
    pub(super) load: Option<Job>,
    /// An earlier generation on its way back.
    pub(super) back: Option<Job>,
    /// What a reload has prepared.
    pub(super) ready: Option<Box<super::reload::Ready>>,
    /// What waits until no candidate is on its way.
    pub(super) wishes: Wishes,
    /// A second component at work.
    pub(super) trial: Option<Trial>,
    /// The latest comparison that has ended.
    pub(super) diff: Option<Diff>,
    pub(super) circuit: Circuit,
    /// The latest load that has ended.
    pub(super) last: Option<Load>,
    pub(super) last_error: Option<Arc<Said>>,
    pub(super) counters: Counters,
    pub(super) tickets: u64,
    /// As the store has it.
    pub(super) recorded: Option<Arc<StoredPlugin>>,
    /// What is known of a start that has not come to its end.
    pub(super) start: Option<super::startup::Starting>,
}

/// How far a plugin has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its first component is being loaded.
    Starting,
    /// A generation decides.
    Running,
    /// It cannot run, because of this: a host does not begin with less than it was told to.
    Failed(Box<Refusal>),
}

/// The component that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Where it came from.
    pub source: String,
    /// What it is.
    pub digest: Digest,
    /// Its number.
    pub generation: Generation,
    /// Its settings, as JSON.
    pub settings: Arc<str>,
    /// Digest of what the configuration names: component and settings.
    pub configured: Digest,
    /// What was found out about it.
    pub facts: Facts,
    /// Size in bytes.
    pub size: usize,
    /// When it took over, by the wall clock.
    pub loaded_at: Timestamp,
}

/// What waits until no other candidate is on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    /// What the configuration says since the host was off.
    pub pending: Option<Candidate>,
    /// What a changed configuration wants.
    pub reload: Option<(RequestId, Arc<PluginSpec>, Wanted)>,
    /// The file of the configuration holds these bytes.
    pub file: Option<Digest>,
    /// Nothing of it begins before.
    pub not_before: Option<Timestamp>,
}

/// A comparison, and what was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Under which ticket the hands have its pairs.
    pub ticket: Ticket,
    /// Where it was made.
    pub stage: Stage,
    /// The component that was there before.
    pub from: Digest,
    /// The new one.
    pub to: Digest,
    /// What was seen.
    pub seen: Summary,
    /// Why the new one is not let through, as far as that can be said.
    pub refusal: Option<super::reason::Unfit>,
}

/// What is known of a generation in trouble.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Circuit {
    /// Which one was in trouble last.
    pub generation: Option<Generation>,
    /// How many instances it fails for.
    pub failing: Option<Failing>,
    /// When the former generations may be asked again.
    pub again_at: Option<Timestamp>,
}

/// What has happened since the host started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Loads that were begun.
    pub loads: u64,
    /// Loads that were refused at some stage.
    pub refused: u64,
    /// Generations that took over.
    pub promoted: u64,
    /// Generations that were left because they were worse.
    pub reverted: u64,
}

impl PluginLife {
    /// A plugin that has not been started; begins with `Event::Booted`.
    #[must_use]
    pub fn new(spec: Arc<PluginSpec>) -> Self {
        Self {
            spec,
            standing: Standing::Starting,
            active: None,
            history: Arc::default(),
            refused: None,
            considered: None,
            load: None,
            back: None,
            ready: None,
            wishes: Wishes::default(),
            trial: None,
            diff: None,
            circuit: Circuit::default(),
            last: None,
            last_error: None,
            counters: Counters::default(),
            tickets: 0,
            recorded: None,
            start: None,
        }
    }

    /// Which plugin.
    #[must_use]
    pub fn name(&self) -> &PluginName {
        &self.spec.name
    }

    /// As it is wanted now.
    #[must_use]
    pub fn spec(&self) -> &Arc<PluginSpec> {
        &self.spec
    }

    /// How far it has come.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The generation that decides; none before the first one does.
    #[must_use]
    pub fn in_force(&self) -> Option<Generation> {
        self.active.as_ref().map(|active| active.generation)
    }

    /// The record as it stands; none before a generation decides.
    #[must_use]
    pub fn stored(&self) -> Option<StoredPlugin> {
        let active = self.active.as_ref()?;
        Some(StoredPlugin {
            generation: active.generation,
            digest: active.digest,
            configured: active.configured,
            history: self.history.to_vec(),
            refused: self.refused.clone(),
            shadow: self.stored_shadow(),
            considered: self.considered,
            watch: self.stored_watch(),
        })
    }

    /// The record as the store has it, as far as it took the latest step.
    #[must_use]
    pub fn recorded(&self) -> Option<&StoredPlugin> {
        self.recorded.as_deref()
    }

    fn stored_shadow(&self) -> Option<StoredShadow> {
        let TrialKind::Shadow(shadowed) = &self.trial.as_ref()?.kind else { return None };
        let Candidate { source, settings, .. } = &shadowed.candidate;
        Some(StoredShadow {
            digest: shadowed.bytes.0,
            source: source.clone(),
            settings: settings.to_string(),
        })
    }

    fn stored_watch(&self) -> Option<StoredWatch> {
        let TrialKind::Watch(watched) = &self.trial.as_ref()?.kind else { return None };
        Some(StoredWatch { former: watched.former.generation, heeds: watched.heeds })
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets = self.tickets.saturating_add(1);
        Ticket(self.tickets)
    }

    pub(super) fn named(&self) -> Option<Named> {
        self.active.as_ref().map(Active::named)
    }

    /// A number that no generation has had.
    pub(super) fn next_generation(&self) -> Generation {
        let rows = self.history.iter().map(|row| row.generation.0);
        let highest = rows.chain(self.in_force().map(|active| active.0)).max();
        Generation(highest.unwrap_or(0).saturating_add(1))
    }

    /// The shadow, if one judges.
    pub(super) fn shadowed(&self) -> Option<&Shadowed> {
        match &self.trial.as_ref()?.kind {
            TrialKind::Shadow(shadowed) => Some(shadowed),
            TrialKind::Watch(_) => None,
        }
    }

    /// Whether the active generation is watched.
    pub(super) fn is_watched(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| matches!(trial.kind, TrialKind::Watch(_)))
    }

    /// Bytes that a restart or a way back needs.
    pub(super) fn used(&self) -> std::collections::BTreeSet<Digest> {
        let rows = self.history.iter().map(|row| row.digest);
        let active = self.active.as_ref().map(|active| active.digest);
        let beside = self.shadowed().map(|shadowed| shadowed.bytes.0);
        rows.chain(active).chain(beside).collect()
    }
}

impl Active {
    /// Its number and its component.
    #[must_use]
    pub fn named(&self) -> Named {
        Named { generation: self.generation, digest: self.digest }
    }
}

impl Candidate {
    /// What the configuration names.
    #[must_use]
    pub fn configured(spec: &PluginSpec, from: From) -> Self {
        Self { from, source: spec.source.clone(), settings: spec.settings.as_str().into() }
    }

    /// A generation that was active before.
    #[must_use]
    pub fn kept(row: &StoredGeneration) -> Self {
        Self {
            from: From::Kept(row.digest),
            source: row.source.clone(),
            settings: row.settings.as_str().into(),
        }
    }
}
