//! Builds the guests of `tests/guests` into components, as a plugin author's tools would.
//!
//! The guests are core modules in text form that follow the canonical ABI by hand, so that the
//! tests need no Wasm target. `good` means `tests/guests/good.wat`.

use std::path::PathBuf;

use anyhow::Context as _;

/// A folder of the repository.
pub(crate) fn folder(name: &str) -> PathBuf {
    // The tests of several packages use this file.
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("tests/guests").is_dir());
    root.unwrap_or(&package).join(name)
}

/// A guest as a core module that carries its component type: what a compiler leaves behind.
pub(crate) fn core_module(name: &str) -> anyhow::Result<Vec<u8>> {
    let guests = folder("tests/guests");
    let path = guests.join(format!("{name}.wat"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let shared = std::fs::read_to_string(guests.join("abi.wat"))?;
    embed(&text.replace("  ;; @include abi.wat\n", &shared), None)
}

/// A guest as a component.
pub(crate) fn component(name: &str) -> anyhow::Result<Vec<u8>> {
    encode(&core_module(name)?)
}

/// A core module with its component type, of `wit/v1` or of another contract.
pub(crate) fn embed(text: &str, contract: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut module = wat::parse_str(text)?;
    let mut resolve = wit_parser::Resolve::default();
    let package = match contract {
        Some(contract) => resolve.push_str("contract.wit", contract)?,
        None => resolve.push_dir(folder("wit/v1"))?.0,
    };
    let world = if text.contains("phasegate:policy/clock@") { "timed-policy" } else { "policy" };
    let world = if text.contains("(import \"wasi:") {
        let package = resolve.push_file(folder("tests/guests/wasi.wit"))?;
        resolve.select_world(&[package], Some("wasi"))?
    } else {
        resolve.select_world(&[package], Some(world))?
    };
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding, false)?;
    Ok(module)
}

/// A core module as a component.
pub(crate) fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    wit_component::ComponentEncoder::default().validate(true).module(module)?.encode()
}
