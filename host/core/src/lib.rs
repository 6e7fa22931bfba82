//! Everything of Phasegate that decides, as values: in comes what happened and the time, out comes what
//! follows from it.
//!
//! How to read this crate: `domain` holds the words; `health` makes committed health out of claims,
//! `plan` says who is upgraded when, `rollout` walks through a plan, `record` is what must be durable; `sim` runs them in an invented world.
//!
//! Deliberately without files, sockets, clocks, threads, randomness and async: `tests/it/tidy.rs` checks.

pub mod domain;
pub mod health;
pub mod kernel;
pub mod lifecycle;
pub mod plan;
pub mod record;
pub mod release;
pub mod rollout;
pub mod sim;
