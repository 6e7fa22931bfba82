//! The HTTP API.
//!
//! How to read this module: `listener` and `server` take connections, `connections` says who may have how many,
//! `guard` who may call, `roles` what and `begun` since when, `v1` has the routes, one file per resource; `path`, `query`, `key` and `body` read requests, `answer` writes refusals, `events` tells all who follow. `host` is
//! the only file that knows who answers, and `behind` says what it asks for besides the loop. It owns no state.

mod answer;
mod begun;
mod behind;
mod body;
mod connections;
mod denials;
mod events;
mod fleet_json;
mod guard;
mod held_body;
mod host;
mod key;
mod listener;
mod path;
mod patient;
pub mod plugin_view;
mod query;
mod readers;
mod roles;
mod rules;
pub mod server;
mod shown;
mod spare;
mod strict;
mod uploads;
mod v1;

use std::sync::Arc;

pub use begun::{Begins, Begun};
pub use behind::{
    Accepting, Again, Catalogue, Cause, Checking, Configuration, Held, JudgedAgain, Kept, Lacks, Plugins,
    Recording, Reloading, Source, Sources, Work,
};
pub use denials::Denials;
pub use events::Events;
pub use guard::Guard;
pub use host::Host;
pub use listener::{ListenError, Listener, SocketFile, SocketRights};
pub use readers::Readers;
pub use shown::Shown;
pub use uploads::Uploads;

/// The whole API of a host.
pub fn router(host: Arc<Host>, guard: Guard) -> axum::Router {
    v1::router(host, guard)
}
