//! Turns a core module into a component, as a compiler of whatever language left it: adds the type of the component
//! where the module carries none, and stands in for WASI preview 1 where it asks for that.

mod plain;

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::call::{PanicError, guarded};
use super::error::LoadPluginError;
use super::{shape, text};
use crate::contract::{CONTRACT, World};
use crate::lines::{Lines, Own};

/// Why a core module cannot become a component. Each message follows the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentizeError {
    /// It already is one.
    #[error("is a component already; use it as it is")]
    AlreadyComponent,
    /// Not a valid core module.
    #[error("{0}")]
    Unreadable(LoadPluginError),
    /// The encoder does not take it.
    #[error("cannot become a component: {0}")]
    Encode(#[from] EncoderError),
    /// The encoder broke.
    #[error("cannot become a component: {0}")]
    Panicked(#[from] PanicError),
}

/// What the encoder says, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncoderError(String);

/// Stand in for WASI preview 1; made from `adapter/preview1.wat`.
const PREVIEW1: &[u8] = include_bytes!("../adapter/preview1.wasm");
const PREVIEW1_TIMED: &[u8] = include_bytes!("../adapter/preview1-timed.wasm");
/// The worlds of these adapters.
const ADAPTER_WORLDS: &str = "package phasegate:adapter;
world preview1 { import phasegate:policy/log@1.0.0; }
world preview1-timed { include preview1; import phasegate:policy/clock@1.0.0; }
";

/// Makes a component of a core module that a compiler left as it is: adds its component type where
/// there is none, and stubs where it imports WASI preview 1. A module that asks the host for the time
/// is of the timed world in any case. Functions of the contract may have plain names (`evaluate`). Keeps which code is of which of the author's own lines, where there is
/// debug information, and nothing else of that.
///
/// # Errors
/// When the bytes are no core module, or it does not export what the contract asks for.
pub fn componentize(core: &[u8], world: World, own: Own<'_>) -> Result<Vec<u8>, ComponentizeError> {
    let shape = shape::examine(core).map_err(ComponentizeError::Unreadable)?;
    if shape.is_component {
        return Err(ComponentizeError::AlreadyComponent);
    }
    let imports = |prefix: &str| shape.imports.iter().any(|name| name.starts_with(prefix));
    let world = if imports("phasegate:policy/clock@") { World::TimedPolicy } else { world };
    let (adapter, stubs) = match world {
        World::TimedPolicy => (PREVIEW1_TIMED, "preview1-timed"),
        World::Policy => (PREVIEW1, "preview1"),
    };
    let original = core;
    let make = || {
        let core = without_debug(core).map_err(|error| words(&error))?;
        let mut core = plain::renamed(&core).map_err(|error| words(&error))?;
        if !shape.has_component_type {
            embed(&mut core, None, world.name())?;
        }
        let mut encoder = ComponentEncoder::default();
        encoder.validate(true).module(&core).map_err(|error| words(&error))?;
        if imports("wasi_snapshot_preview1.") {
            let mut adapter = adapter.to_vec();
            embed(&mut adapter, Some(ADAPTER_WORLDS), stubs)?;
            encoder.adapter("wasi_snapshot_preview1", &adapter).map_err(|error| words(&error))?;
        }
        let component = encoder.encode().map_err(|error| words(&error))?;
        let lines = Lines::of_module(original, own);
        lines.map_or(Ok(component.clone()), |lines| lines.put(&component)).map_err(|error| words(&error))
    };
    Ok(guarded("the component encoder", make)??)
}

/// A module without the sections for debuggers, which are many times larger than the rest. The names
/// of functions stay: traps are reported with them.
fn without_debug(core: &[u8]) -> Result<Vec<u8>, wasmparser::Error> {
    let mut kept = core.get(..8).unwrap_or_default().to_vec();
    let mut from = kept.len();
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload?;
        let Some((_, range)) = payload.as_section() else { continue };
        let debug =
            matches!(&payload, Payload::CustomSection(section) if section.name().starts_with(".debug_"));
        if !debug {
            kept.extend_from_slice(core.get(from..range.end).unwrap_or_default());
        }
        from = range.end;
    }
    Ok(kept)
}

/// Adds to a module the type of the component that it is for.
fn embed(module: &mut Vec<u8>, more: Option<&str>, world: &str) -> Result<(), EncoderError> {
    let mut resolve = Resolve::default();
    let mut package = resolve.push_str("policy.wit", CONTRACT).map_err(|error| words(&error))?;
    if let Some(more) = more {
        package = resolve.push_str("more.wit", more).map_err(|error| words(&error))?;
    }
    let world = resolve.select_world(&[package], Some(world)).map_err(|error| words(&error))?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8, false)
        .map_err(|error| words(&error))
}

/// All levels of an encoder's error in one line.
fn words(error: &(impl std::fmt::Display + ?Sized)) -> EncoderError {
    EncoderError(text::one_line(&format!("{error:#}"), 1024))
}
