//! Committed health: many claims about one instance become one state that others may act on.
//!
//! Deliberately knows neither probes nor plugins, reads no clock and keeps nothing: the caller
//! brings the claims and the time, and stores the value.

mod fold;

pub use fold::{FoldSettings, GraceEnd, HealthFold, Settled};
