//! Core modules that compilers of C, Zig and Go leave, made components.

use super::{LIMITS, batch};
use crate::plugin::{ComponentizeError, Isolation, Runtime, finish, inspect};

const ADAPTER: &[u8] = include_bytes!("../../author/adapter/preview1.wasm");

fn text(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guests/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    read(&format!("{name}.wat")).replace("  ;; @include abi.wat\n", &read("abi.wat"))
}

#[test]
fn a_module_without_its_type_becomes_a_component() {
    let component = finish(&wat::parse_str(text("good")).unwrap()).unwrap();
    let mut plugin = Runtime::new().unwrap().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    super::one(&mut plugin).unwrap();
    let timed = finish(&wat::parse_str(text("clock")).unwrap()).unwrap();
    assert_eq!(inspect(&timed).world.as_deref(), Some("phasegate:policy/timed-policy@1.0.0"));
    assert_eq!(finish(&component).unwrap_err(), ComponentizeError::AlreadyComponent);
    let bare = finish(&wat::parse_str("(module)").unwrap()).unwrap_err().to_string();
    assert!(bare.contains("cannot become a component"), "{bare}");
}

#[test]
fn wasi_preview_1_becomes_stubs_and_the_component_stays_pure() {
    let imports = "(module\n  (import \"wasi_snapshot_preview1\" \"random_get\" (func $random (param i32 i32) (result i32)))\n  \
        (import \"wasi_snapshot_preview1\" \"fd_write\" (func $print (param i32 i32 i32 i32) (result i32)))\n";
    let uses = "(drop (call $random (i32.const 512) (i32.const 8)))\n    \
        (i32.store (i32.const 520) (i32.const 512)) (i32.store (i32.const 524) (i32.const 4))\n    \
        (drop (call $print (i32.const 1) (i32.const 520) (i32.const 1) (i32.const 528)))\n    \
        (call $results (local.get $count))";
    let text = text("good").replacen("(module\n", imports, 1).replacen(
        "(call $results (local.get $count))",
        uses,
        1,
    );
    let component = finish(&wat::parse_str(text).unwrap()).unwrap();
    let report = inspect(&component);
    assert_eq!((report.fits, report.pure), (Ok(()), true));
    let mut plugin = Runtime::new().unwrap().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    assert!(plugin.evaluate(&batch(&["a", "b"]), 0).iter().all(Result::is_ok));
}

#[test]
fn debug_sections_go_and_names_stay() {
    let mut core = wat::parse_str(text("trap-evaluate")).unwrap();
    let section = b"\x0b.debug_info-----------";
    core.extend([0, u8::try_from(section.len()).unwrap()]);
    core.extend(section);
    let component = finish(&core).unwrap();
    assert!(!component.windows(11).any(|part| part == b".debug_info"));
    let mut plugin = Runtime::new().unwrap().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    let said = super::one(&mut plugin).unwrap_err().to_string();
    assert!(said.contains("deep < middle < evaluate"), "{said}");
}

/// The adapter is committed as bytes, because the program carries no assembler.
#[test]
fn the_adapter_is_made_from_its_text() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/src/author/adapter/preview1.wat");
    assert!(wat::parse_file(text).unwrap() == ADAPTER, "assemble preview1.wat anew, with its names");
}
