//! The forecast: how an upgrade would go, as `phasegate simulate` shows it.
//!
//! ```text
//!  setup ──> crowd ──> engine: instant by instant ──> run: how it ended ──┐
//!                        │ probes, faults, driver        timeline         ├──> summary
//!                        └─> health fold ─> rollout::step ─> watch    … ──┘
//! ```
//!
//! Plan, health and rollout are those of the host. Unlike the test world beside it, nothing here
//! crashes or is written down; instead it is fast enough for a million instances: everything that
//! falls on one instant is one step, and a probe that cannot change anything is not looked at.
//!
//! Pure: the same seed and setup give the same run, byte for byte.

mod chance;
mod crowd;
mod decider;
mod engine;
mod faults;
mod run;
mod setup;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;
mod watch;
mod world;

pub(super) use chance::{Hourly, MILLION};
pub use decider::{AtTheirWord, Decider, Sight};
pub use run::{End, RegionRun, Run, Tell, plan_of, run};
pub use setup::{Condition, Crowd, Facts, Fleet, Invented, Pace, Probes, Rates, Setup, Span, Watch};
pub use summary::{Broken, Ending, RegionSummary, Spread, Summary, Worst, summary};
pub use timeline::{Entry, Timeline, span as span_text};
