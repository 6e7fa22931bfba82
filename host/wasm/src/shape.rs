//! What some bytes are: told from their first bytes, then by a full validation.
//!
//! Nothing is compiled or run, and no input makes it panic.

use wasmparser::types::Types;
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

use super::error::{COMPONENT_BYTES_MAX, LoadPluginError};
use super::text;

const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// Valid WebAssembly and the names at its surface.
pub(super) struct Shape {
    /// What the validation found, for a look at the types behind the names.
    pub(super) types: Types,
    pub(super) is_component: bool,
    /// A core module's are written `module.name`.
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    /// A core module that carries the component type that bindings generators leave in it.
    pub(super) has_component_type: bool,
}

/// The WebAssembly features that plugins may use: wasmtime's defaults without garbage collection,
/// exceptions, threads and async, which this build of the engine does not have.
pub(super) fn features() -> WasmFeatures {
    let absent = WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS | WasmFeatures::THREADS;
    (WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL) & !absent
}

/// Finds out what the bytes are.
pub(super) fn examine(bytes: &[u8]) -> Result<Shape, LoadPluginError> {
    examine_with(bytes, |validator| validator.validate_all(bytes))
}

/// The same for bytes that were compiled before. Does not look into the bodies of functions, which are
/// most of a component: the compiler did, and would again.
pub(super) fn examine_compiled(bytes: &[u8]) -> Result<Shape, LoadPluginError> {
    examine_with(bytes, |validator| {
        let mut types = None;
        for payload in Parser::new(0).parse_all(bytes) {
            // The last end is that of the whole.
            if let ValidPayload::End(of) = validator.payload(&payload?)? {
                types = Some(of);
            }
        }
        types.map_or_else(|| validator.validate_all(bytes), Ok)
    })
}

fn examine_with(
    bytes: &[u8],
    validate: impl FnOnce(&mut Validator) -> Result<Types, wasmparser::Error>,
) -> Result<Shape, LoadPluginError> {
    recognise(bytes)?;
    let damaged = |error: wasmparser::Error| LoadPluginError::Damaged {
        message: text::one_line(error.message(), 256),
        offset: error.offset(),
    };
    let types = validate(&mut Validator::new_with_features(features()));
    let types = types.map_err(|error| proposal(bytes, &error).unwrap_or_else(|| damaged(error)))?;
    read_names(bytes, types).map_err(damaged)
}

/// What of WebAssembly is known and not turned on, by the name of its proposal.
const PROPOSALS: [(&str, WasmFeatures); 7] = [
    ("garbage collection", WasmFeatures::GC_TYPES.union(WasmFeatures::GC)),
    ("exception handling", WasmFeatures::EXCEPTIONS.union(WasmFeatures::GC_TYPES)),
    ("legacy exception handling", WasmFeatures::LEGACY_EXCEPTIONS.union(WasmFeatures::EXCEPTIONS)),
    ("threads", WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS)),
    ("stack switching", WasmFeatures::STACK_SWITCHING),
    ("async components", ASYNC),
    ("values in components", WasmFeatures::CM_VALUES.union(WasmFeatures::CM_GC)),
];

/// Tasks, streams and futures of components.
const ASYNC: WasmFeatures = WasmFeatures::CM_ASYNC
    .union(WasmFeatures::CM_ASYNC_STACKFUL)
    .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
    .union(WasmFeatures::CM_ERROR_CONTEXT)
    .union(WasmFeatures::CM_THREADING);

/// Names the proposal of which these bytes make use, if that alone is why they are not valid here.
fn proposal(bytes: &[u8], error: &wasmparser::Error) -> Option<LoadPluginError> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    let uses = |name: String| LoadPluginError::Proposal {
        name,
        message: text::one_line(error.message(), 256),
        offset: error.offset(),
    };
    if !is_valid(WasmFeatures::all()) {
        return None;
    }
    let one = PROPOSALS.iter().find(|(_, proposal)| is_valid(features() | *proposal));
    Some(uses(one.map_or_else(|| "several proposals".to_owned(), |(name, _)| (*name).to_owned())))
}

/// Whether the first bytes are those of WebAssembly that this host knows.
fn recognise(bytes: &[u8]) -> Result<(), LoadPluginError> {
    if bytes.is_empty() {
        return Err(LoadPluginError::Empty);
    }
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(LoadPluginError::TooLarge { seen: bytes.len(), limit: COMPONENT_BYTES_MAX });
    }
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(LoadPluginError::NotWasm(looks_like(bytes)));
    };
    match rest.first_chunk::<4>() {
        Some(&COMPONENT | &CORE_MODULE) => Ok(()),
        Some(&other) => Err(LoadPluginError::UnknownFormat(other)),
        None => {
            let message = "the file ends within its first eight bytes".to_owned();
            Err(LoadPluginError::Damaged { message, offset: bytes.len() })
        }
    }
}

fn looks_like(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(64)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(start);
    let trimmed = text.trim_start();
    let known = [
        ("<", "it looks like HTML or XML; did the download bring an error page?"),
        ("(module", "it is WebAssembly text; convert it with `wasm-tools parse FILE -o OUT`"),
        ("(component", "it is WebAssembly text; convert it with `wasm-tools parse FILE -o OUT`"),
        ("{", "it looks like JSON; give the `.wasm` file"),
        ("#!", "it is a script; build a component from its source"),
        ("PK\u{3}\u{4}", "it is a zip archive; unpack it first"),
        ("\u{7f}ELF", "it is a native program; build it for the target wasm32-unknown-unknown"),
    ];
    if let Some((_, hint)) = known.iter().find(|(prefix, _)| trimmed.starts_with(prefix)) {
        return (*hint).to_owned();
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        return "it is gzip-compressed; unpack it first".to_owned();
    }
    if start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        return format!(
            "it looks like text, starting with {:?}; give the `.wasm` file",
            text::cut(&text, 32)
        );
    }
    let first: Vec<String> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("it starts with the bytes {} instead of 00 61 73 6d; give the `.wasm` file", first.join(" "))
}

fn read_names(bytes: &[u8], types: Types) -> Result<Shape, wasmparser::Error> {
    let mut shape = Shape {
        types,
        is_component: false,
        imports: Vec::new(),
        exports: Vec::new(),
        has_component_type: false,
    };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match &payload {
            Payload::Version { encoding, .. } => {
                shape.is_component |= depth == 0 && *encoding == Encoding::Component;
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 {
            read_surface(payload, &mut shape)?;
        }
    }
    Ok(shape)
}

fn read_surface(payload: Payload<'_>, shape: &mut Shape) -> Result<(), wasmparser::Error> {
    match payload {
        Payload::ComponentImportSection(section) => {
            for import in section {
                shape.imports.push(import?.name.name.to_owned());
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section {
                shape.exports.push(export?.name.name.to_owned());
            }
        }
        Payload::ImportSection(section) => {
            for import in section.into_imports() {
                let import = import?;
                shape.imports.push(format!("{}.{}", import.module, import.name));
            }
        }
        Payload::ExportSection(section) => {
            for export in section {
                shape.exports.push(export?.name.to_owned());
            }
        }
        Payload::CustomSection(section) if section.name().starts_with("component-type") => {
            shape.has_component_type = true;
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn what_was_compiled_is_seen_alike_without_its_bodies() {
        let names = |shape: Shape| (shape.is_component, shape.imports, shape.exports);
        let whole = examine(builtin::AZURE_HEALTH).unwrap();
        assert_eq!(names(examine_compiled(builtin::AZURE_HEALTH).unwrap()), names(whole));
        // A body that leaves too much on the stack is for the compiler to refuse; a file that is cut is not.
        let wrong = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x06\x01\x04\0\x41\0\x0b";
        assert!(examine(wrong).is_err() && examine_compiled(wrong).is_ok());
        assert!(examine_compiled(&wrong[..wrong.len() - 1]).is_err());
    }
}
