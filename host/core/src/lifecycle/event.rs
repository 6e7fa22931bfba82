//! What happens to a plugin: what people and the configuration want of it, and what the hands answer.

use std::sync::Arc;

use super::compare::Summary;
use super::reason::{Failing, HandError};
use super::stage::{Stage, StepState};
use crate::domain::{Digest, Generation, PluginSpec, RequestId, Strategy};
use crate::record::StoredPlugin;

/// Names one job of the hands. Each is given out once in the life of a host; what comes under an old one
/// changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The host starts; what is recorded of the plugin, if anything is.
    Booted(Option<Arc<StoredPlugin>>),
    /// A person or the configuration wants something.
    Wanted(RequestId, Command),
    /// A hand has something to say about its job.
    Hand(Ticket, Answer),
    /// The file that the configuration names was written and holds these bytes now.
    FileSeen(Digest),
    /// The generation fails for most of its instances, round after round.
    Trouble(Generation, Failing),
    /// How many instances the generation fails for now; none where it fails for none. Told of a generation
    /// that was in trouble, whenever it changes.
    Failing(Generation, Option<Failing>),
    /// The time that the latest step asked to be woken at has come.
    Tick,
}

/// What is wanted of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Another component, as far as its strategy lets it.
    Swap(Offer, SwapOptions),
    /// An earlier generation, by default the latest one that differs and was not left for being worse.
    Rollback(Option<Generation>),
    /// What judges beside the active component.
    Promote,
    /// Not the load that is under way, else not what judges beside the active component.
    Discard,
    /// What a changed configuration says, as far as nothing has an effect yet.
    Prepare(Arc<PluginSpec>, Place),
    /// What was prepared under this request, from now on.
    TakeUp,
    /// Not what was prepared under this request.
    Abandon,
}

/// A component that is to be swapped in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Bytes that the hands hold already.
    Held {
        /// Their digest.
        digest: Digest,
        /// What they are called: `upload of db.wasm`.
        source: String,
    },
    /// One that the hands fetch: `oci://…` or `https://…`.
    Reference(String),
}

/// How a component is swapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwapOptions {
    /// What it must pass; by default what the configuration says.
    pub strategy: Option<Strategy>,
    /// How far it goes.
    pub mode: SwapMode,
}

/// How far a swap goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SwapMode {
    /// As its strategy and its gate let it.
    #[default]
    Heed,
    /// Whatever it shows, as long as it loads; nothing brings the former one back by itself.
    Force,
    /// It only shows what it would change.
    DryRun,
}

impl SwapOptions {
    /// What a component must pass where the configuration says `configured`. One that is to take over
    /// whatever it changes does not wait as a shadow.
    #[must_use]
    pub fn strategy(self, configured: Strategy) -> Strategy {
        match (self.strategy, self.mode, configured) {
            (Some(strategy), _, _) => strategy,
            (None, SwapMode::Force, Strategy::Shadow) => Strategy::Rehearse,
            (None, _, configured) => configured,
        }
    }
}

/// Whether the place that the configuration names may hold other bytes than when it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is a tag or a URL that nothing pins.
    MayMove,
    /// It is part of the host, a file that is watched, or pinned.
    Fixed,
}

/// What a hand says of its job.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A stage began, or ended well; a note to show.
    Progress(Stage, StepState, Option<String>),
    /// The bytes are here.
    Fetched {
        /// What they are.
        digest: Digest,
        /// How many.
        size: usize,
    },
    /// It fits the contract and is compiled and linked.
    Compiled(Facts),
    /// A first instance has taken its settings.
    Configured,
    /// The cases beside it passed; none where there are no cases.
    SelfTested(Option<usize>),
    /// It has judged the latest observations.
    Rehearsed(Box<Summary>),
    /// Its bytes are on the disk to stay.
    Kept,
    /// It judges beside the active component.
    ShadowBegan {
        /// How many bytes it has.
        size: usize,
        /// What is known of it: one that goes on after a restart has not been loaded by the pipeline.
        facts: Facts,
    },
    /// What the two components that judge side by side have shown.
    Compared(Box<Summary>),
    /// The job cannot go on.
    Failed(HandError),
}

/// What the hands know of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The world that it was built for.
    pub world: Option<String>,
    /// Same input, same answer.
    pub purity: Purity,
}

/// Whether the same input brings the same answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purity {
    /// It can ask for nothing else.
    Pure,
    /// It may ask for the time or for random numbers.
    #[default]
    Impure,
}
