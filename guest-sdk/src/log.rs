//! Lines for the host's log: bounded to 1,024 bytes each and rate limited there.
//!
//! Outside a component (in unit tests) a line goes nowhere. Nothing here is needed to explain a
//! decision: that is what [`crate::Reason`] is for. A component that never logs does not import
//! the host's log for it; only the panic hook of the SDK does.

/// For the author of the plugin.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// For an operator who looks closely.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// Something is odd.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

/// Something is wrong.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

#[cfg(target_arch = "wasm32")]
use crate::component::bindings::phasegate::policy::log::{Level, write};

#[cfg(not(target_arch = "wasm32"))]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[cfg(not(target_arch = "wasm32"))]
fn write(_level: Level, _message: &str) {}
