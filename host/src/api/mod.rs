//! The HTTP API: routes. It owns no state; it asks the control loop and the plugin
//! registry.

pub mod explain;
pub mod guard;
mod metrics;
pub mod plugin_view;
mod plugins;
mod requests;
pub mod routes;
pub mod server;
