//! The life of a plugin: which component decides, which ones are on their way, judge beside it or come back.
//! Events in, effects out; see [`step`].
//!
//! Reading order: `life` (what is known of one plugin), `event` and `effect` (what comes in and goes out),
//! `step` (who handles what), `prepare` (from a candidate to a component that could take over) and `unfit` (where
//! it cannot), `promote` and `takeover` (what becomes of it), `trial`, `shadow`, `watch` and `gate` (what judges
//! beside the active one), `rollback` and `circuit` (what comes back), `startup` and `reload`.
//!
//! Fetches, compiles, runs and writes nothing: the hands do, and answer under the ticket of their job. A job
//! that is over has no ticket, so an answer that comes late changes nothing.

mod circuit;
mod compare;
mod discard;
mod effect;
mod event;
mod file;
mod gate;
mod history;
mod job;
mod life;
mod prepare;
mod promote;
mod reason;
mod refusal;
mod reload;
mod report;
mod rollback;
mod said;
mod shadow;
mod stage;
mod startup;
mod step;
mod swap;
mod takeover;
mod trial;
mod unfit;
mod watch;
mod wishes;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use circuit::ASK_AGAIN;
pub use compare::{Banned, Comparison, Example, Key, Pair, Summary, health};
pub use effect::{Effect, From, Role, Setting, ShadowOrder};
pub use event::{Answer, Command, Event, Facts, Offer, Place, Purity, SwapMode, SwapOptions, Ticket};
pub use gate::{GateReason, Other};
pub use job::{ANSWER_WITHIN, Candidate, Load, Part};
pub use life::{Active, Counters, Diff, PluginLife, Standing};
pub use prepare::configured;
pub use reason::{EndedFor, Failing, HandError, Left, Named, Unfit, Unproved, Why};
pub use refusal::{Refusal, RefusalKind, RefusalReason};
pub use reload::{TakenUp, left_alone, not_in_force};
pub use report::Report;
pub use said::{BytesOf, Fact, Loudness, Said, WhyLost, WhyStays};
pub use stage::{Stage, StageRun, StepState, Trace};
pub use step::{Reply, Step, step, step_unrecorded};
