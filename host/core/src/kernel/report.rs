//! What a reader of the fleet asks, answered from a published [`Fleet`](super::Fleet): typed values, no
//! sentences. Nothing here is ever asked by a turn.

mod doubt;
mod driver;
mod fleet;
mod plan;
mod status;
mod tally;
#[cfg(test)]
mod tests;
mod waiting;

pub use driver::{DriverGoes, DriverWork};
pub use fleet::{InstanceReport, instance};
pub use plan::{PlanReport, Unseen, plan};
pub use status::{Expected, StatusReport, past, status, waiting};
pub use tally::{SetTally, Tally, tally};
pub use waiting::{Few, Then, WaitsFor};
