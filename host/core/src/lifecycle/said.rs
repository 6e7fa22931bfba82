//! What a plugin's life has to say: for the trail, the log and the list. Typed; the words are made when it is
//! shown.

mod text;

use super::reason::{EndedFor, Failing, Left, Named, Unfit, Why};
use super::refusal::Refusal;
use super::stage::Stage;
use crate::domain::{Digest, Generation, PluginName};

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Of which plugin.
    pub plugin: PluginName,
    /// What.
    pub fact: Fact,
}

/// How loud it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loudness {
    /// Good to know.
    Info,
    /// A person may want to act.
    Warning,
    /// A person has to act.
    Error,
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A load came as far as it was to.
    Loaded {
        /// From where.
        source: String,
    },
    /// A generation took over.
    TookOver {
        /// Where its component came from.
        source: String,
        /// Which one.
        named: Named,
        /// Why.
        why: Why,
    },
    /// A component was refused.
    Refused(Refusal),
    /// A load was discarded.
    Discarded,
    /// What judged beside the active component has ended: something else is asked of components.
    OtherAsks,
    /// What judged beside the active component ended.
    TrialEnded {
        /// The component, or the generation that was watched.
        what: String,
        /// Whether it was a shadow or a watch.
        stage: Stage,
        /// Why.
        why: EndedFor,
    },
    /// A watch ended well.
    Stays {
        /// Which generation.
        named: Named,
        /// After how many observations.
        observations: u64,
    },
    /// A generation was worse, and another one came back.
    WentBack {
        /// Which one.
        bad: Named,
        /// Why.
        left: Left,
        /// What came back.
        to: Named,
    },
    /// A generation was worse and stays, because the one before cannot come back.
    StaysThough {
        /// Which one.
        bad: Named,
        /// Why it was to be left.
        left: Left,
        /// What cannot come back.
        former: Named,
        /// Why not.
        unfit: Unfit,
    },
    /// A generation cannot come back, and an earlier one is tried.
    PassedOver {
        /// Which one.
        generation: Generation,
        /// Why not.
        unfit: Unfit,
    },
    /// A generation fails for most of its instances and stays.
    NothingBetter {
        /// Which one.
        named: Named,
        /// For how many.
        failing: Failing,
        /// Why nothing comes back.
        because: WhyStays,
    },
    /// What is configured was not what runs when the host started.
    NotAtStart {
        /// The stage where its load ended.
        stage: Option<Stage>,
        /// What is configured.
        source: String,
        /// Why it does not run.
        unfit: Unfit,
        /// What runs.
        active: Named,
        /// Whether those are the bytes of its own last load.
        bytes: BytesOf,
    },
    /// The recorded generation could not go on when the host started.
    StartedInstead {
        /// The recorded one.
        before: Named,
        /// Why it cannot.
        unfit: Unfit,
        /// What decides in its place.
        source: String,
    },
    /// What is configured was refused before; in the words of that time.
    RefusedBefore(String),
    /// A component does not judge on that did so when the host stopped.
    ShadowLost {
        /// From where.
        source: String,
        /// Why not.
        because: WhyLost,
    },
    /// It judges beside the active component again.
    ShadowAgain {
        /// From where.
        source: String,
    },
    /// A watch cannot go on that ran when the host stopped.
    WatchLost {
        /// The generation that watched.
        former: Generation,
        /// Why not.
        because: WhyLost,
        /// What is not watched.
        active: Named,
    },
    /// A watch begins anew.
    WatchAgain {
        /// What is watched.
        named: Named,
    },
    /// A file was written again with bytes that were looked at before and do not run.
    NothingNew {
        /// Which file.
        file: String,
        /// What stays.
        active: Named,
    },
    /// Something of the configuration could not be looked at, and what runs stays.
    NotLookedAt {
        /// Where it is.
        source: String,
        /// Why not.
        unfit: Unfit,
        /// What stays.
        active: Named,
    },
    /// A component of the configuration is not taken up by a reload.
    Left {
        /// What runs.
        runs: Digest,
        /// Where the other one is.
        source: String,
        /// What that is.
        has: Digest,
    },
}

/// Why a generation in trouble stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyStays {
    /// A person insisted on it.
    Forced,
    /// No former generation does better; those that could not be asked.
    NoneBetter(Vec<(Generation, Unfit)>),
}

/// Whose bytes decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BytesOf {
    /// Those of the last load of what cannot be fetched now.
    ItsLastLoad,
    /// Others.
    Another,
}

/// Why what ran beside the active component at a stop does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyLost {
    /// Another generation is active.
    OtherGeneration,
    /// Its component cannot be used.
    Unfit(Unfit),
    /// The one that watched is not kept any more.
    NotKept,
}

impl Said {
    /// The code under which it goes into the audit trail; none where it is for the log only.
    #[must_use]
    pub fn audit_kind(&self) -> Option<&'static str> {
        matches!(self.fact, Fact::WentBack { .. }).then_some("plugin-reverted")
    }

    /// How loud it is said.
    #[must_use]
    pub fn loudness(&self) -> Loudness {
        match &self.fact {
            Fact::Loaded { .. }
            | Fact::TookOver { .. }
            | Fact::Discarded
            | Fact::OtherAsks
            | Fact::TrialEnded { .. }
            | Fact::Stays { .. }
            | Fact::ShadowAgain { .. }
            | Fact::WatchAgain { .. }
            | Fact::NothingNew { .. }
            | Fact::Left { .. } => Loudness::Info,
            Fact::Refused(_)
            | Fact::PassedOver { .. }
            | Fact::WentBack { .. }
            | Fact::RefusedBefore(_)
            | Fact::ShadowLost { .. }
            | Fact::WatchLost { .. }
            | Fact::NotLookedAt { .. }
            | Fact::NotAtStart { bytes: BytesOf::ItsLastLoad, .. } => Loudness::Warning,
            Fact::StaysThough { .. }
            | Fact::NothingBetter { .. }
            | Fact::NotAtStart { bytes: BytesOf::Another, .. }
            | Fact::StartedInstead { .. } => Loudness::Error,
        }
    }
}
