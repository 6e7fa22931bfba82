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
//! With `maxSurge` a member goes another way, see `surge`.
//!
//! Pure: [`step()`] takes the state, a view of the fleet, one event and the time, and gives back
//! actions. It performs nothing and reads no clock; `control` does both.

mod action;
mod admission;
mod adopt;
mod back_to;
mod bake;
mod batch;
mod deferred;
pub mod error;
mod estimate;
mod evidence;
mod gate;
pub mod hooks;
pub mod invariants;
mod limits;
mod live;
mod manual;
pub mod member;
pub mod members;
mod part;
mod reasked;
mod reasons;
mod reconfigured;
pub mod record;
mod refusal;
mod rollback;
pub mod state;
pub mod step;
mod stopping;
mod surge;
mod timeouts;
pub mod trip;
mod verdict;
mod view;
mod waiting;

pub use action::{Action, HookAbout, HookAction};
pub use adopt::unproven;
pub use back_to::{BackTo, Whom};
pub use batch::{BatchProgress, BatchState};
pub use error::{UpgradeError, UpgradeErrorCode};
pub use estimate::{Estimate, estimate};
pub(crate) use evidence::unlooked;
pub use hooks::{BatchHook, BatchesHooked, Hooked};
pub use manual::manual;
pub use member::{Member, MemberState, Stay};
pub use members::Members;
pub use part::{Part, PartState, Restored};
pub use reasons::{Surging, WhyNot, why_not_yet};
pub use record::{Course, LeftOut};
pub use refusal::{WishRefusal, refusal};
pub use rollback::{Brake, continued, rollback_of};
pub use state::{Extent, Progress, Purpose, Stage, StartUpgrade, Upgrade, UpgradeState};
pub use step::{Event, Step, Wish, step};
pub use surge::Way;
pub use timeouts::{Limit, LimitName, Spent, nearest, nobody_approved};
pub use trip::{Trip, no_round_trip};
pub use verdict::{EndedExtension, Tally};
pub use view::{Brought, Evidence, FleetView, Machines, Stop};
pub use waiting::{Waiting, waiting_for, waiting_now};

#[cfg(test)]
mod tests;
