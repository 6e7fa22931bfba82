//! The rollout: walks through a plan, batch by batch, behind the health gate.
//!
//! ```text
//!              every instance judged, or time up           no batch left
//!  Preparing ───────────────────────────────────> Rolling ───────────────> Ended(Completed)
//!      │                                           │  ▲ │
//!      │ cancel                      admit a batch │  │ │ cancel after the batch: Ended(Cancelled)
//!      ▼                                           ▼  │ │ a limit is passed:      Ended(Faulted)
//!  Ended(Cancelled)                              in batch
//!
//!  member:  Pending ─> Applying ─> Settling ─> Succeeded
//!                          │           │
//!                          └───────────┴─────> Failed
//! ```
//!
//! Pure: [`step()`] takes the state, a view of the fleet, one event and the time, and gives back
//! actions. It performs nothing and reads no clock; `control` does both.

mod admission;
mod deferred;
pub mod error;
mod gate;
pub mod invariants;
pub mod member;
mod rollback;
pub mod state;
pub mod step;

pub use admission::{Waiting, waiting_for};
pub use error::{UpgradeError, UpgradeErrorCode};
pub use member::{Member, MemberState, Restored};
pub use rollback::rollback_of;
pub use state::{BatchProgress, BatchState, Progress, Purpose, Stage, StartUpgrade, Upgrade, UpgradeState};
pub use step::{Action, Event, FleetView, Step, Wish, step};

#[cfg(test)]
mod tests;
