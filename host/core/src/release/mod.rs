//! Releases: a version of something that rides on instances, or of the application itself, goes through regions,
//! availability first, so that no failure is ever everywhere.
//!
//! ```text
//!  publish ──> catalogue ──> release: region phase 1 ─bake─> region phase 2 ─bake─> … ──> Completed
//!                               │  a set: Waits ─> Runs ─> Done        (or Left, with a code)
//!                               │                   └─> Ended ─ retry ─> Runs
//!                               ├─ more failed sets than allowed ─> Halted, version in quarantine
//!                               └─ stop, withdraw, a newer version, rollback ─> Ending ─> Ended
//! ```
//!
//! Pure: [`step()`] takes one release, what is known of the estate, and the time, and gives back which upgrades of
//! scale sets to start, to cancel or to take back. What runs in a set is an ordinary upgrade, with the set's own
//! policy; nothing here looks at a batch. Which zone of a region may act is no matter of a release, but of admission.

pub mod catalogue;
mod enrolment;
mod estate;
mod gates;
mod plan;
mod reasons;
mod state;
mod step;
mod strategy;

pub use catalogue::{PublishError, Published, PublishedVersion, Publishing, Withdrawn};
pub use enrolment::{Left, Moves, may_move, resolve};
pub use estate::{Child, ChildEnd, EstateView, Facts, Tally, Well};
pub use gates::{Looked, not_through_before, waits_for_people};
pub use plan::{PlannedPhase, PlannedSet, ReleasePlan, plan};
pub use reasons::{NotBegun, why_not_begun};
pub use state::{End, How, Line, Part, Release, ReleaseState, Run, Unit};
pub use step::{Action, Step, held, step, why_held};
pub use strategy::{Strategy, StrategyProblem, Unlisted};

#[cfg(test)]
mod tests;
mod wind_up;
