//! Why a request about a plugin was not granted, and what to do next; the words are made when it is shown.

use std::fmt;

use super::reason::{Named, Unfit};
use super::stage::Stage;
use crate::domain::{Generation, PluginName};

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
