//! What the hands are to do for a plugin. Each is done after what it follows from is durable, so none of
//! them is asked back for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::Ticket;
use crate::domain::{Digest, Gate, Generation, Isolation, PluginLimits};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Bring the bytes. Answered by `Fetched`.
    Fetch(Ticket, From),
    /// Check, compile and link what was fetched under the ticket. Answered by `Compiled`.
    Compile(Ticket),
    /// Make a first instance with these settings. Answered by `Configured`.
    Configure(Ticket, Setting),
    /// Run the cases that are beside what was fetched. Answered by `SelfTested`.
    SelfTest(Ticket, PluginLimits),
    /// Let it judge the last observation of each instance, without effect. Answered by `Rehearsed`.
    Rehearse {
        /// The job.
        ticket: Ticket,
        /// What is counted as forbidden.
        gate: Option<Gate>,
        /// Only observations that this generation has judged.
        only: Option<Generation>,
    },
    /// Put its bytes on the disk to stay, before a record names them. Answered by `Kept`.
    Keep(Ticket),
    /// Let a component judge what the active one judges, without effect. Answered by `ShadowBegan`, then by
    /// `Compared` whenever there is more to say.
    BeginShadow(Ticket, Box<ShadowOrder>),
    /// End what judges beside the active component under this ticket. Its comparison is kept.
    EndShadow(Ticket),
    /// Let the component of this ticket decide from now on; it is configured. Ends the shadow of the ticket.
    Activate {
        /// The job or the shadow.
        ticket: Ticket,
        /// The number of its decisions.
        generation: Generation,
    },
    /// Forget the job; nothing of it is waited for.
    Cancel(Ticket),
    /// Forget the comparison of this ticket; another one is shown.
    DropComparison(Ticket),
    /// Of this plugin only these bytes are needed.
    Retain(BTreeSet<Digest>),
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Where the configuration in force says.
    Configured,
    /// Where the configuration says that is being read.
    Proposed,
    /// The hands hold them.
    Held(Digest),
    /// Where a person says.
    Reference(String),
    /// On the disk, under their digest.
    Kept(Digest),
}

/// How a component is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// JSON object that it gets.
    pub settings: Arc<str>,
    /// What one call may use.
    pub limits: PluginLimits,
    /// What survives from one call to the next.
    pub isolation: Isolation,
}

/// A component that is to judge beside the active one.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowOrder {
    /// Which; its bytes are kept.
    pub digest: Digest,
    /// How it is run.
    pub setting: Setting,
    /// Which of the two it is.
    pub role: Role,
    /// Whose decisions it is compared with; those of others are passed over.
    pub live: Generation,
    /// What is counted as forbidden.
    pub gate: Option<Gate>,
}

/// Which of two components judges without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The new one: it may take over. A second instance of it is made ready for that.
    Candidate,
    /// The old one: it may come back.
    Former,
}
