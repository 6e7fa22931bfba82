//! Why things happen to a plugin, as types; their words are made when they are shown.

use std::fmt;

use super::gate::GateReason;
use super::stage::Stage;
use crate::domain::{Digest, Generation, PluginName};

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

/// How a refusal is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// There is no such thing.
    NotFound,
    /// It is against a rule.
    Refused,
    /// Something else is under way; it may do later.
    Conflict,
    /// The store does not take it now.
    Unavailable,
}

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of which plugin.
    pub plugin: PluginName,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a request about a plugin was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalReason {
    /// The host has not come so far.
    Starting,
    /// Another load is under way.
    Busy {
        /// From where, and at which stage, as far as that is shown.
        load: Option<(String, Stage)>,
    },
    /// The component did not pass.
    Unfit {
        /// Where it ended.
        stage: Option<Stage>,
        /// Where the component came from.
        source: String,
        /// Why.
        unfit: Unfit,
        /// What stays active; none at a start.
        active: Option<Named>,
    },
    /// Nothing judges beside the active component.
    NoShadow,
    /// A generation that is not kept.
    NoGeneration {
        /// The one that was named.
        wanted: Generation,
        /// Those that are kept.
        known: Vec<Generation>,
    },
    /// No generation can be gone back to.
    NoWayBack {
        /// The one that was named.
        named: Option<Generation>,
        /// Those that cannot run, and why.
        unfit: Vec<(Generation, Unfit)>,
        /// What stays active.
        active: Named,
        /// Those that are kept.
        known: Vec<Generation>,
    },
    /// Nothing was prepared under this request, or it was given up.
    NothingPrepared,
}

impl Refusal {
    /// How it is answered.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match &self.reason {
            RefusalReason::Starting
            | RefusalReason::Busy { .. }
            | RefusalReason::NoShadow
            | RefusalReason::NothingPrepared
            | RefusalReason::Unfit { unfit: Unfit::Overtaken { .. }, .. } => RefusalKind::Conflict,
            RefusalReason::Unfit { unfit: Unfit::NotRecorded(_), .. } => RefusalKind::Unavailable,
            RefusalReason::Unfit { .. } => RefusalKind::Refused,
            RefusalReason::NoGeneration { .. } => RefusalKind::NotFound,
            RefusalReason::NoWayBack { unfit, .. } if unfit.is_empty() => RefusalKind::NotFound,
            RefusalReason::NoWayBack { .. } => RefusalKind::Refused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin: name, reason } = self;
        match reason {
            RefusalReason::Starting => {
                write!(f, "plugin `{name}` is not running yet; try again when the host has started")
            }
            RefusalReason::Busy { load } => {
                write!(f, "plugin `{name}` is being loaded already")?;
                if let Some((source, stage)) = load {
                    write!(f, " from {source} (stage {})", stage.name())?;
                }
                f.write_str("; try again when `phasegate plugin list` shows that this has ended")
            }
            RefusalReason::Unfit { stage, source, unfit, active } => {
                write!(f, "plugin `{name}`")?;
                if let Some(stage) = stage {
                    write!(f, ", stage {}", stage.name())?;
                }
                write!(f, ": {source} {unfit}")?;
                match (unfit, active) {
                    (Unfit::Overtaken { .. }, _) | (_, None) => Ok(()),
                    (_, Some(active)) => write!(f, "; {active} stays active"),
                }
            }
            RefusalReason::NoShadow => write!(
                f,
                "plugin `{name}` has no shadow; begin one with `phasegate plugin swap {name} FILE --strategy shadow`"
            ),
            RefusalReason::NoGeneration { wanted, known } => write!(
                f,
                "plugin `{name}` has no generation {} to go back to; it keeps {}",
                wanted.0,
                numbers(known)
            ),
            RefusalReason::NoWayBack { named, unfit, active, known } => {
                no_way_back(f, name, (*named, unfit), *active, known)
            }
            RefusalReason::NothingPrepared => write!(
                f,
                "plugin `{name}` has nothing prepared to take over; read the configuration again with `phasegate reload`"
            ),
        }
    }
}

fn no_way_back(
    f: &mut fmt::Formatter<'_>,
    name: &PluginName,
    (named, unfit): (Option<Generation>, &[(Generation, Unfit)]),
    active: Named,
    known: &[Generation],
) -> fmt::Result {
    write!(f, "plugin `{name}`")?;
    if unfit.is_empty() {
        f.write_str(
            " has no former generation that differs from the active one and was not left for being worse",
        )?;
    } else {
        let each = |(generation, unfit): &(Generation, Unfit)| {
            format!("generation {} cannot come back: {}", generation.0, unfit.of_return())
        };
        write!(f, ": {}", unfit.iter().map(each).collect::<Vec<_>>().join("; "))?;
    }
    let one = if named.is_some() { "another one" } else { "one" };
    write!(
        f,
        "; {active} stays active; it keeps {}: see `phasegate plugin history {name}`, and name {one} with `phasegate plugin rollback {name} --to N`, or bring a file in with `phasegate plugin swap {name} FILE`",
        numbers(known)
    )
}

fn numbers(generations: &[Generation]) -> String {
    generations.iter().map(|one| one.0.to_string()).collect::<Vec<_>>().join(", ")
}

impl std::error::Error for Refusal {}
