//! End-to-end tests: one binary that starts the real `phasegate` program.
//!
//! Tests wait for conditions, never for time to pass, and each leaves no process behind; the
//! harness in `support` checks the latter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::fn_params_excessive_bools,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::allow_attributes,
    reason = "a failing test is a panic; tests read clocks, wait and print"
)]

#[path = "../support/mod.rs"]
mod support;

mod author;
mod bad_input;
mod cases;
mod catalogue;
mod check;
mod compile;
mod control;
mod crash;
mod data;
mod data_killed;
mod deferral;
mod demo;
mod discovery;
mod doors;
mod drivers;
mod ends;
mod estate;
mod events;
mod evidence;
mod examples;
mod followed;
mod grace;
mod hooks;
mod hostile_instances;
mod hostile_plugins;
mod http;
mod init;
mod joins;
mod kinds;
mod last_words;
mod live;
mod log;
mod measures;
mod members;
mod mutants;
mod names;
mod neighbours;
mod observed;
mod outlive;
mod pipeline;
mod provision;
mod pushed;
mod recipes;
mod release_killed;
mod release_odds;
mod releases;
mod reload;
mod replay;
mod rooms;
mod round_trip;
mod seed;
mod shadow;
mod signed;
mod silenced;
mod simulate;
mod sources;
mod start;
mod stops;
mod surge;
mod swap;
mod systems;
mod taken_back;
mod tidy;
mod times;
mod tries;
mod trust;
mod upgrade;
mod views;
mod ways_back;
mod wires;
mod wishes;
