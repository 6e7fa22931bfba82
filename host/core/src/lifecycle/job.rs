//! One load under way: a component on its way through the stages, and what it is for.
//!
//! A job waits for exactly one answer at a time, that of the stage it is at, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use super::compare::Summary;
use super::effect::{From, Setting};
use super::event::{Facts, Place, SwapOptions, Ticket};
use super::reason::{Left, Unfit, Unproved};
use super::stage::{Stage, Trace};
use crate::domain::{Digest, Generation, PluginSpec, RequestId, Strategy, Timestamp};
use crate::record::StoredGeneration;

/// Time that a hand has for one stage. Longer than the longest fetch (4 min), the slowest compilation and a
/// rehearsal on a large fleet take; after it the hand is given up.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60 * 60);

/// A component on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where its bytes are.
    pub from: From,
    /// As people are shown it.
    pub source: String,
    /// What it is given, as JSON.
    pub settings: Arc<str>,
}

/// How one load is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Names it; later loads have higher ones.
    pub ticket: Ticket,
    /// Where the component came from.
    pub source: String,
    /// What it must pass.
    pub strategy: Strategy,
    /// Its stages so far.
    pub trace: Trace,
}

/// A load under way.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// What it is for.
    pub purpose: Purpose,
    /// What is loaded.
    pub candidate: Candidate,
    /// How it is shown.
    pub load: Load,
    /// With what limits and rules.
    pub spec: Arc<PluginSpec>,
    /// What was active when it began; none at a start.
    pub before: Option<Generation>,
    /// The stage whose answer is waited for.
    pub at: Stage,
    /// When the hand is given up.
    pub until: Timestamp,
    /// Its bytes, as far as they are here.
    pub bytes: Option<(Digest, usize)>,
    /// What was found out about it.
    pub facts: Facts,
    /// What the rehearsal showed.
    pub seen: Option<Summary>,
    /// Why its gate cannot be held against that yet.
    pub unproved: Option<Unproved>,
    /// Whether its bytes are kept and only an earlier generation is in its way.
    pub kept: Kept,
}

/// Whether the bytes of a component are on the disk to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// They are.
    Yes,
    /// As far as this load knows they are not.
    No,
}

/// What a load is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    /// The first load of the host.
    Start(Start),
    /// A person swaps it in.
    Swap(RequestId, SwapOptions),
    /// The file that the configuration names changed.
    FileChanged,
    /// What the configuration says changed while the host was off.
    WhileOff,
    /// The configuration is read again.
    Reload(RequestId, Wanted),
    /// An earlier generation is to come back.
    Return(Return),
}

/// Which of the two loads of a start.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Start {
    /// What the configuration names is fetched, to see what it is.
    Look,
    /// What the configuration names runs.
    Named(Instead),
    /// The recorded generation runs.
    Recorded,
}

/// Why the configured component is the first one to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing is recorded, or it is what is recorded.
    Nothing,
    /// The recorded generation cannot go on.
    Of(Generation, Unfit),
}

/// What a changed configuration wants of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// Whether the configuration says something else about the plugin.
    pub part: Part,
    /// Whether it names another component, or asks for another digest.
    pub names: Names,
    /// Whether something else is asked of a component.
    pub asks: Asks,
    /// Whether the place may hold other bytes.
    pub place: Place,
    /// What runs, as it is to run from now on; none where nothing of that changes.
    pub kept: Option<Candidate>,
    /// Whether what is configured was refused under other settings or limits and has never run: these may be
    /// what it was refused for.
    pub again: Again,
    /// What was found in the place.
    pub found: Option<Digest>,
    /// Why what is configured could not be looked at.
    pub unread: Option<Unfit>,
}

/// Whether the configuration says something else about a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It does.
    Changed,
    /// It does not.
    Same,
}

/// Whether the configuration asks something else of a component than it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// It does.
    Another,
    /// It does not.
    TheSame,
}

/// Whether the configuration names another component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// It does, or asks for another digest.
    Another,
    /// It does not.
    TheSame,
}

/// Whether what was refused is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It is.
    Tried,
    /// It is not.
    Left,
}

/// An earlier generation on its way back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Return {
    /// Why.
    pub why: ReturnWhy,
    /// The generation that is tried.
    pub to: StoredGeneration,
    /// Those that are tried after it, first one first.
    pub others: Vec<StoredGeneration>,
    /// Those that were tried and cannot run.
    pub unfit: Vec<(Generation, Unfit)>,
}

/// Why an earlier generation comes back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReturnWhy {
    /// A person wants it; the generation that was named, if one was.
    Rollback(RequestId, Option<Generation>),
    /// The active one did not pass its watch.
    Watch(Left),
    /// The active one fails for most of its instances, if the earlier one does better.
    Circuit(super::reason::Failing),
}

impl Return {
    /// Whether it comes back because another one did not pass its watch.
    pub(super) fn is_of_watch(&self) -> bool {
        matches!(self.why, ReturnWhy::Watch(_))
    }
}

impl Job {
    /// Whether the configuration names it, for good: so that a refusal is remembered.
    pub(super) fn is_configured(&self) -> bool {
        let dry = matches!(&self.purpose, Purpose::Swap(_, options) if options.mode == super::event::SwapMode::DryRun);
        matches!(self.candidate.from, From::Configured | From::Proposed) && !dry
    }

    /// Whether it may be ended before its end. A reload is all or nothing, and a start goes to its end.
    pub(super) fn is_replaceable(&self) -> bool {
        match self.purpose {
            Purpose::Swap(..) | Purpose::FileChanged | Purpose::WhileOff => true,
            Purpose::Reload(..) | Purpose::Start(_) | Purpose::Return(_) => false,
        }
    }

    /// How it is run.
    pub(super) fn setting(&self) -> Setting {
        setting(&self.spec, &self.candidate.settings)
    }

    /// Its digest, as far as it is known.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.bytes.map(|(digest, _)| digest)
    }

    /// Whether it is shown while it runs: an earlier generation that is only asked is not.
    pub(super) fn is_shown(&self) -> bool {
        match &self.purpose {
            Purpose::Start(_)
            | Purpose::Swap(..)
            | Purpose::FileChanged
            | Purpose::WhileOff
            | Purpose::Reload(..) => true,
            Purpose::Return(Return { why, .. }) => matches!(why, ReturnWhy::Rollback(..)),
        }
    }

    /// Goes on to a stage whose answer is waited for.
    pub(super) fn go_to(&mut self, stage: Stage, now: Timestamp) {
        self.at = stage;
        self.until = now + ANSWER_WITHIN;
        self.load.trace.begin(stage, now);
    }
}

/// How a component is run under these rules with these settings.
pub(super) fn setting(spec: &PluginSpec, settings: &Arc<str>) -> Setting {
    Setting { settings: Arc::clone(settings), limits: spec.limits, isolation: spec.isolation }
}
