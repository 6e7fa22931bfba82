//! The demonstration: a replicated database of real processes on this machine.

pub mod database;
pub mod lag;
pub mod ports;
