//! Why things happen to a plugin, as types; their words are made when they are shown.

use std::fmt;

use super::gate::GateReason;
use super::stage::Stage;
use crate::domain::{Digest, Generation};

/// A generation and its component, as people are shown them: `generation 3 (0123456789ab)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub generation: Generation,
    /// Its component.
    pub digest: Digest,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} ({})", self.generation.0, self.digest.short())
    }
}

/// What a hand could not do. What it was told by the world is kept as one line of text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// The component cannot be fetched at the moment, which says nothing against it.
    #[error("{0}")]
    Away(String),
    /// Its place holds nothing that can be read.
    #[error("{0}")]
    Unreadable(String),
    /// Its place holds other bytes than it says.
    #[error("{0}")]
    OtherBytes(String),
    /// Kept bytes are gone or damaged; the file where they should be.
    #[error("is missing from the data directory or damaged")]
    Missing(String),
    /// It does not load, or takes its settings badly.
    #[error("{0}")]
    Unfit(String),
    /// It does not take its settings.
    #[error("{0}")]
    SettingsRefused(String),
    /// The machine has no room for it.
    #[error("cannot be kept in the data directory: {0}")]
    NotKept(String),
    /// The machine has no thread for it, or the hand itself is broken.
    #[error("could not be loaded: {0}")]
    Broken(String),
}

/// Why a component does not take over. Displays as a fragment that follows the component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A hand could not do its part.
    #[error(transparent)]
    Hand(HandError),
    /// It is another one than the configuration asks for.
    #[error("has the digest {seen}, and the configuration asks for {wanted}")]
    NotPinned {
        /// What it is.
        seen: Digest,
        /// What is asked for.
        wanted: Digest,
    },
    /// Its gate holds against it.
    #[error("{0}")]
    Gate(GateReason),
    /// Its gate cannot be held against it yet, and it cannot wait for that.
    #[error("{0}; reload again when `phasegate fleet` shows a decision of each")]
    Unproved(Unproved),
    /// A person does not want it any more.
    #[error("was discarded by hand")]
    Discarded,
    /// It was let in before.
    #[error("was loaded when the configuration asked something else of components; swap it in again")]
    OtherAsks,
    /// A newer one came while its compiler ran.
    #[error("was given up while it was compiled, because a newer one came")]
    Superseded,
    /// A hand was given up on.
    #[error("was given up after {minutes} min without an answer of stage {}", stage.name())]
    NoAnswer {
        /// The stage whose answer was waited for.
        stage: Stage,
        /// For how long.
        minutes: u64,
    },
    /// The store does not take its record.
    #[error("cannot be recorded: {0}")]
    NotRecorded(String),
    /// Another generation took over while it was loaded.
    #[error("was loaded beside generation {}, and {active} took over meanwhile and stays active; try again", before.0)]
    Overtaken {
        /// What was active when it began.
        before: Generation,
        /// What is active now.
        active: Named,
    },
    /// It judged beside the active one when the host stopped.
    #[error(
        "was judging beside the active one when the host stopped; swap it in, or write another one there"
    )]
    WasBeside,
}

impl Unfit {
    /// Whether something was found against the component itself.
    #[must_use]
    pub fn is_about_it(&self) -> bool {
        match self {
            Self::NotRecorded(_) | Self::Overtaken { .. } => false,
            Self::Hand(_)
            | Self::NotPinned { .. }
            | Self::Gate(_)
            | Self::Unproved(_)
            | Self::Discarded
            | Self::OtherAsks
            | Self::Superseded
            | Self::NoAnswer { .. }
            | Self::WasBeside => true,
        }
    }

    /// Why it cannot come back as an earlier generation; a fragment that follows the generation.
    pub(super) fn of_return(&self) -> String {
        match self {
            Self::Hand(HandError::Missing(file)) => {
                format!("`{file}` is missing or does not hold its component any more")
            }
            other => format!("its component {other}"),
        }
    }
}

/// Why a gate cannot decide yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unproved {
    /// Instances that were judged so far.
    pub judged: usize,
    /// Instances in all.
    pub instances: usize,
}

impl fmt::Display for Unproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { judged, instances } = self;
        write!(f, "cannot be held against its gate yet: {judged} of {instances} instances were judged so far")
    }
}

/// Why a generation was left for another one, and by itself is not gone back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It did not pass its watch.
    Watch(GateReason),
    /// It failed for most of its instances.
    Failing(Failing),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch(reason) => reason.fmt(f),
            Self::Failing(Failing { failed, instances, cause }) => {
                write!(f, "failed for {failed} of {instances} instances: {cause}")
            }
        }
    }
}

/// How many instances the active component gives no decision for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Instances without a decision.
    pub failed: usize,
    /// Instances that were judged.
    pub instances: usize,
    /// The failure of one of them.
    pub cause: String,
}

impl Failing {
    /// Whether it is most of them.
    #[must_use]
    pub fn is_most(&self) -> bool {
        self.failed.saturating_mul(2) > self.instances
    }
}

/// Why a generation took over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The host started.
    Start,
    /// The host started, and the recorded generation cannot go on.
    StartInstead {
        /// Which one.
        before: Generation,
        /// Why not.
        unfit: Unfit,
    },
    /// It was swapped in.
    Swap,
    /// It was swapped in whatever it shows; nothing takes it back by itself.
    Forced,
    /// Its file changed.
    FileChanged,
    /// What is configured changed while the host was off.
    WhileOff,
    /// Its gate let the shadow pass.
    Gate,
    /// A person promoted the shadow.
    ByHand,
    /// A person went back to it.
    Rollback,
    /// The configuration was read again.
    Reload,
    /// Another generation was worse.
    Better {
        /// Which one.
        than: Generation,
        /// Why.
        left: Left,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start of the host"),
            Self::StartInstead { before, unfit } => {
                write!(f, "start of the host: generation {} cannot go on, its component {unfit}", before.0)
            }
            Self::Swap => f.write_str("swap"),
            Self::Forced => f.write_str("swap --force"),
            Self::FileChanged => f.write_str("its file changed"),
            Self::WhileOff => f.write_str("it changed while the host was off"),
            Self::Gate => f.write_str("its gate let it pass"),
            Self::ByHand => f.write_str("promoted by hand"),
            Self::Rollback => f.write_str("rollback"),
            Self::Reload => f.write_str("reload"),
            Self::Better { than, left } => write!(f, "generation {} {left}", than.0),
        }
    }
}

/// Why what judges beside the active component ended, where that is not its own doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedFor {
    /// Another generation took over.
    TookOver(Named, Why),
    /// Another component judges beside the active one now.
    Replaced(String),
    /// The configuration names what is active already.
    NamesActive,
}

impl fmt::Display for EndedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TookOver(named, why) => write!(f, "{named} took over ({why})"),
            Self::Replaced(source) => write!(f, "{source} judges beside the active one now"),
            Self::NamesActive => f.write_str("the configuration names what is active already"),
        }
    }
}
