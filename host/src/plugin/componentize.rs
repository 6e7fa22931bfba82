//! Turns a core module that carries its component type into a component.
//!
//! It adapts nothing: a module that imports WASI preview 1 is refused.

use wit_component::ComponentEncoder;

use super::error::LoadPluginError;
use super::{shape, text};

/// Why a core module cannot become a component. Each message follows the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentizeError {
    /// It already is one.
    #[error("is a component already; use it as it is")]
    AlreadyComponent,
    /// Not a valid core module.
    #[error("{0}")]
    Unreadable(LoadPluginError),
    /// Nothing says which world it implements.
    #[error("has no component-type section; build the module with wit-bindgen or phasegate-sdk")]
    NoComponentType,
    /// It was compiled against WASI.
    #[error("imports WASI preview 1; build it for the target wasm32-unknown-unknown")]
    ImportsWasi,
    /// The encoder's own words.
    #[error("cannot become a component: {0}")]
    Encode(String),
}

/// Wraps a core module as a component and validates the result.
///
/// # Errors
/// When the bytes are not a core module, or the module does not say or does not implement its
/// world.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    let shape = shape::examine(core).map_err(ComponentizeError::Unreadable)?;
    if shape.is_component {
        return Err(ComponentizeError::AlreadyComponent);
    }
    if !shape.has_component_type {
        return Err(ComponentizeError::NoComponentType);
    }
    if shape.imports.iter().any(|name| name.starts_with("wasi_snapshot_preview1.")) {
        return Err(ComponentizeError::ImportsWasi);
    }
    super::call::guarded("the component encoder", || {
        ComponentEncoder::default()
            .validate(true)
            .module(core)
            .and_then(|encoder| encoder.encode())
            .map_err(|error| text::one_line(&format!("{error:#}"), 1024))
    })
    .and_then(|result| result)
    .map_err(ComponentizeError::Encode)
}
