//! The HTTP API.
//!
//! How to read this module: `server` takes connections, `guard` says who may call, `v1` has the routes,
//! one file per resource; `path`, `query`, `key` and `body` read requests, `answer` writes refusals. `host` is
//! the only file that knows who answers, and `behind` says what it asks for besides the loop. It owns no state.

mod answer;
mod behind;
mod body;
mod guard;
mod host;
mod key;
mod path;
pub mod plugin_view;
mod query;
pub mod server;
mod shown;
mod spare;
mod v1;

use std::sync::Arc;

pub use behind::{Again, Cause, Configuration, Held, JudgedAgain, Kept, Plugins, Recording, Reloading, Work};
pub use guard::Guard;
pub use host::Host;
pub use shown::Shown;

/// The whole API of a host.
pub fn router(host: Arc<Host>, guard: Guard) -> axum::Router {
    v1::router(host, guard)
}
