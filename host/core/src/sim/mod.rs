//! The simulator: the real core in an invented world, on one thread and a virtual clock.
//!
//! ```text
//!  event heap ──> world ──> probes ──> health fold ──> rollout::step ──> disk ──> driver
//!     ^             │ faults                              │ crash here, here and here │
//!     └─────────────┴─────────────────────────────────────┴───────────────────────────┘
//! ```
//!
//! Plan, health and rollout are the ones that the host runs. Invented are the instances, the
//! probe, the driver, the disk, the people and the crashes; the loop (`host`) follows `control`
//! step by step. Every step is looked at by [`crate::rollout::invariants`].
//!
//! Pure: the same seed and the same scenario give the same outcome, byte for byte.

mod disk;
pub mod explore;
mod faults;
mod fleet;
pub mod forecast;
mod host;
mod invent;
mod making;
mod rng;
mod scenario;
mod versions;
mod world;

pub use rng::Rng;
pub use scenario::{Crash, CrashAt, Faults, Kind, Place, Scenario};
pub use versions::Versions;
pub use world::{Outcome, run};

#[cfg(test)]
mod tests;
