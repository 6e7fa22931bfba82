//! The HTTP API: routes and wire types. It owns no state; it asks the control loop and the plugin
//! registry.

pub mod guard;
mod plugins;
mod requests;
pub mod routes;
pub mod server;
pub mod wire;
