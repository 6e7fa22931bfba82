//! The simulator: the kernel of the host in an invented world, on one thread and a virtual clock.
//!
//! ```text
//!  what happens ──> world ──> events ──> Kernel::turn ──> commit ──> effects, replies
//!       ^             │ faults                  │ refused, lost, crash here, here and here
//!       └─────────────┴─────────────────────────┴───────────────────────────────────┘
//! ```
//!
//! Everything that decides is what the host runs, its start included. Invented are the record (which
//! applies the same writes), the driver, the instances, the probes, the plugins and the people. Every step of
//! an upgrade is looked at by [`crate::rollout::invariants`], every turn by `rules` and `generations`.
//!
//! Pure: the same seed and the same scenario give the same outcome, byte for byte. The worlds are for tests;
//! the forecast is what `phasegate simulate` runs.

pub mod forecast;
pub mod released;
mod rng;

pub use rng::Rng;

#[cfg(test)]
mod awake;
#[cfg(test)]
mod churn;
#[cfg(test)]
mod code;
#[cfg(test)]
mod drivers;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod hands;
#[cfg(test)]
mod invent;
#[cfg(test)]
mod making;
#[cfg(test)]
mod people;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod releasing;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod same;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod shrink;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod wants;
#[cfg(test)]
mod why;
#[cfg(test)]
mod world;

#[cfg(test)]
use scenario::{Application, BadCommit, Crash, CrashAt, Fate, Faults, Keeper, ReleasePeople, Scenario};
#[cfg(test)]
use versions::Versions;
#[cfg(test)]
use world::{Outcome, run};

#[cfg(test)]
mod tests;
