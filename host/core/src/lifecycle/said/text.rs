//! What a plugin's life has to say, in words: made when it is shown.

use std::fmt;

use super::super::reason::{Failing, Left, Unfit};
use super::super::stage::Stage;
use super::{BytesOf, Fact, Said, WhyLost, WhyStays};
use crate::domain::{Generation, PluginName};

const OTHER_ASKS: &str = "what judged beside the active component has ended, because the configuration asks something else \
                          of components; swap it in again";

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin: name, fact } = self;
        match fact {
            Fact::Loaded { source } => write!(f, "plugin `{name}`: {source} was loaded"),
            Fact::TookOver { source, named, why } => {
                write!(f, "plugin `{name}`: {source}: {named} is active ({why})")
            }
            Fact::Refused(refusal) => refusal.fmt(f),
            Fact::OtherAsks => write!(f, "plugin `{name}`: {OTHER_ASKS}"),
            Fact::Discarded => write!(f, "plugin `{name}`: the load that is under way was discarded by hand"),
            Fact::TrialEnded { what, stage, why } => {
                write!(f, "plugin `{name}`: the {} of {what} ended: {why}", stage.name())
            }
            Fact::Stays { named, observations } => {
                write!(
                    f,
                    "plugin `{name}`: {named} stays: its watch ended well after {observations} observations"
                )
            }
            Fact::WentBack { bad, left: left @ Left::Watch(_), to } => {
                write!(f, "plugin `{name}`, stage watch: {bad} {left}; going back to {to}")
            }
            Fact::WentBack { bad, left: left @ Left::Failing(_), to } => {
                write!(f, "plugin `{name}`: {bad} {left}; going back to generation {}", to.generation.0)
            }
            Fact::StaysThough { bad, left, former, unfit } => write!(
                f,
                "plugin `{name}`, stage watch: {bad} {left}, and stays active: {former} cannot come back, because its component {unfit}; swap another one in with `phasegate plugin swap {name} FILE`"
            ),
            Fact::PassedOver { generation, unfit } => {
                write!(
                    f,
                    "plugin `{name}`: generation {} cannot come back: its component {unfit}",
                    generation.0
                )
            }
            Fact::NothingBetter { named, failing: Failing { failed, instances, cause }, because } => write!(
                f,
                "plugin `{name}`: {named} fails for {failed} of {instances} instances, and {because}: {cause}; swap another component in"
            ),
            Fact::NotAtStart { .. } | Fact::StartedInstead { .. } => at_start(f, name, fact),
            Fact::RefusedBefore(message) => f.write_str(message),
            Fact::ShadowLost { source, because } => write!(
                f,
                "plugin `{name}`: {source} judged beside the active one when the host stopped and does not any more: {because}; begin anew with `phasegate plugin swap {name} FILE --strategy shadow`"
            ),
            Fact::ShadowAgain { source } => {
                write!(f, "plugin `{name}`: {source} judges beside the active one again")
            }
            Fact::WatchLost { former, because, active } => write!(
                f,
                "plugin `{name}`: the watch by generation {} cannot go on after a restart of the host: {because}; {active} stays active",
                former.0
            ),
            Fact::WatchAgain { named } => {
                write!(f, "plugin `{name}`: {named} is watched anew after a restart of the host")
            }
            Fact::NothingNew { file, active } => write!(
                f,
                "plugin `{name}`: `{file}` was written again with the same bytes, which changes nothing: {active} stays active; `phasegate plugin swap {name} {file}` takes it up"
            ),
            Fact::NotLookedAt { source, unfit, active } => {
                write!(f, "plugin `{name}`, stage fetch: {source} {unfit}; {active} stays active")
            }
            Fact::Left { runs, source, has } => write!(
                f,
                "plugin `{name}`: component {} stays; `{source}` has {}, as when it was looked at last: `phasegate plugin swap {name} {source}` takes it up",
                runs.short(),
                has.short()
            ),
        }
    }
}

fn at_start(f: &mut fmt::Formatter<'_>, name: &PluginName, fact: &Fact) -> fmt::Result {
    match fact {
        Fact::NotAtStart { stage, source, unfit, active, bytes } => {
            let stage = stage.map_or("load", Stage::name);
            write!(f, "plugin `{name}`: component `{source}` cannot be used (stage {stage}): it {unfit}")?;
            match bytes {
                BytesOf::ItsLastLoad => write!(f, "; the bytes of its last load, {active}, are used"),
                BytesOf::Another => write!(f, "; generation {} stays active", active.generation.0),
            }
        }
        Fact::StartedInstead { before, unfit, source } => write!(
            f,
            "plugin `{name}`: {before} cannot go on, because its component {unfit}; {source} decides in its place, as the configuration names it"
        ),
        Fact::Loaded { .. }
        | Fact::TookOver { .. }
        | Fact::Refused(_)
        | Fact::Discarded
        | Fact::OtherAsks
        | Fact::TrialEnded { .. }
        | Fact::Stays { .. }
        | Fact::WentBack { .. }
        | Fact::StaysThough { .. }
        | Fact::PassedOver { .. }
        | Fact::NothingBetter { .. }
        | Fact::RefusedBefore(_)
        | Fact::ShadowLost { .. }
        | Fact::ShadowAgain { .. }
        | Fact::WatchLost { .. }
        | Fact::WatchAgain { .. }
        | Fact::NothingNew { .. }
        | Fact::NotLookedAt { .. }
        | Fact::Left { .. } => Ok(()),
    }
}

impl fmt::Display for WhyStays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("it was swapped in with --force, so nothing takes it back by itself"),
            Self::NoneBetter(unfit) => {
                f.write_str("no former generation that it could go back to does better")?;
                if unfit.is_empty() {
                    return Ok(());
                }
                let each = |(generation, unfit): &(Generation, Unfit)| {
                    format!("generation {} {unfit}", generation.0)
                };
                write!(f, " ({})", unfit.iter().map(each).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

impl fmt::Display for WhyLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherGeneration => f.write_str("another generation is active now"),
            Self::Unfit(unfit) => write!(f, "its component {unfit}"),
            Self::NotKept => f.write_str("it is not among the kept generations"),
        }
    }
}
