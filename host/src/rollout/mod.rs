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

pub mod state;
pub mod step;

pub use state::{
    BatchProgress, BatchState, Member, MemberState, Progress, Stage, StartUpgrade, Upgrade, UpgradeError,
    UpgradeErrorCode, UpgradeState,
};
pub use step::{Action, Event, FleetView, Step, step};
