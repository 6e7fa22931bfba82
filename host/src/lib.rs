//! Phasegate: rolls an upgrade through a fleet in the order that the application says is safe.
//!
//! How to read this crate: everything that decides is in the crate `phasegate-core`, what runs guests in
//! `phasegate-wasm`, the JSON of the API in `phasegate-wire`. `shell` turns the kernel, records each turn and
//! hands its effects to `probe`, `plugins` and `drivers`; `store` keeps the record; `api` is the door. `author`
//! serves those who write a plugin; `config` reads the file and `cli` the command line. See `ARCHITECTURE.md`
//! beside this crate.

pub mod access;
pub mod api;
pub mod author;
pub mod catalogue;
pub mod children;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod drivers;
pub mod host;
pub mod keys;
pub mod log;
pub mod measure;
pub mod net;
pub mod plugins;
pub mod probe;
pub mod program;
pub mod recording;
pub mod reload;
pub mod shell;
pub mod store;
mod words;
