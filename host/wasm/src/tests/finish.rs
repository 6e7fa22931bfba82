//! Core modules that compilers of C, Zig and Go leave, made components.

use super::{LIMITS, batch};
use crate::{ComponentizeError, Isolation, World, inspect};

fn finish(core: &[u8], world: World) -> Result<Vec<u8>, ComponentizeError> {
    crate::componentize(core, world, &|_, _| None)
}

fn text(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/guests/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    read(&format!("{name}.wat")).replace("  ;; @include abi.wat\n", &read("abi.wat"))
}

#[test]
fn a_module_without_its_type_becomes_a_component() {
    let component = finish(&wat::parse_str(text("good")).unwrap(), World::Policy).unwrap();
    let mut plugin = super::runtime().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    super::one(&mut plugin).unwrap();
    let timed = finish(&wat::parse_str(text("clock")).unwrap(), World::Policy).unwrap();
    assert_eq!(inspect(&timed).world.as_deref(), Some("phasegate:policy/timed-policy@1.0.0"));
    assert_eq!(finish(&component, World::Policy).unwrap_err(), ComponentizeError::AlreadyComponent);
    let bare = finish(&wat::parse_str("(module)").unwrap(), World::Policy).unwrap_err().to_string();
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
    let component = finish(&wat::parse_str(text).unwrap(), World::Policy).unwrap();
    let report = inspect(&component);
    assert_eq!((report.fits, report.pure), (Ok(()), true));
    let mut plugin = super::runtime().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    assert!(plugin.evaluate(&batch(&["a", "b"]), 0).iter().all(Result::is_ok));
}

#[test]
fn a_trap_is_told_with_the_last_words_of_its_call() {
    let import =
        "(module\n  (import \"phasegate:policy/log@1.0.0\" \"write\" (func $log (param i32 i32 i32)))\n";
    let lines = "TypeError: no such thing\\n    at decide (policy.js:7)";
    let data = format!("  (data (i32.const 512) \"{lines}\")\n  (func $deep");
    let text = text("trap-evaluate").replacen("(module\n", import, 1).replacen("  (func $deep", &data, 1);
    // Three is an error; the stack below it comes as a line of its own, and what was only info is not told.
    let calls = "(func $middle (call $log (i32.const 3) (i32.const 512) (i32.const 24))\n    \
        (call $log (i32.const 3) (i32.const 525) (i32.const 27)) (call $log (i32.const 1) (i32.const 512) (i32.const 4))\n";
    let text = text.replacen("(func $middle", calls, 1);
    let component = finish(&wat::parse_str(text).unwrap(), World::Policy).unwrap();
    let mut plugin = super::runtime().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    let said = super::one(&mut plugin).unwrap_err().to_string();
    assert!(said.ends_with("deep < middle < evaluate; it said: TypeError: no such thing"), "{said}");
}

#[test]
fn debug_sections_go_and_names_stay() {
    let mut core = wat::parse_str(text("trap-evaluate")).unwrap();
    let section = b"\x0b.debug_info-----------";
    core.extend([0, u8::try_from(section.len()).unwrap()]);
    core.extend(section);
    let component = finish(&core, World::Policy).unwrap();
    assert!(!component.windows(11).any(|part| part == b".debug_info"));
    let mut plugin = super::runtime().load(&component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    let said = super::one(&mut plugin).unwrap_err().to_string();
    assert!(said.contains("deep < middle < evaluate"), "{said}");
}

/// A guest that asks WASI preview 1 for the time of day.
fn asks_for_the_time() -> Vec<u8> {
    let import = "(module\n  (import \"wasi_snapshot_preview1\" \"clock_time_get\" (func $clock (param i32 i64 i32) (result i32)))\n";
    // Its phase is the time in milliseconds.
    let use_it = "(drop (call $results (local.get $count)))
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 512)))
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 512)))
    (i32.store8 offset=8 (i32.load (i32.const 16)) (i32.const 1))
    (i32.store offset=12 (i32.load (i32.const 16))
      (i32.wrap_i64 (i64.div_u (i64.load (i32.const 512)) (i64.const 1000000))))
    (i32.const 16)";
    let text = text("good").replacen("(module\n", import, 1);
    wat::parse_str(text.replacen("(call $results (local.get $count))", use_it, 1)).unwrap()
}

#[test]
fn the_time_of_day_is_that_of_the_evaluation_or_a_trap() {
    let load =
        |component: &[u8]| super::runtime().load(component, "{}", LIMITS, Isolation::PerBatch).unwrap();
    let timed = finish(&asks_for_the_time(), World::TimedPolicy).unwrap();
    assert_eq!(inspect(&timed).world.as_deref(), Some("phasegate:policy/timed-policy@1.0.0"));
    let decision = load(&timed).evaluate(&batch(&[""]), 1_234_567).pop().unwrap().unwrap();
    assert_eq!(decision.phase.map(|phase| phase.get()), Some(1_234_567));
    let untimed = finish(&asks_for_the_time(), World::Policy).unwrap();
    assert!(inspect(&untimed).pure);
    let said = super::one(&mut load(&untimed)).unwrap_err().to_string();
    assert!(said.contains("world = \"timed-policy\""), "{said}");
}

/// The adapters are committed as bytes, because the program carries no assembler.
#[test]
fn the_adapters_are_made_from_their_text() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/adapter"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for (name, time) in [("preview1", "without-time.wat"), ("preview1-timed", "with-time.wat")] {
        let text = read("preview1.wat").replace("  ;; @include time of day\n", &read(time));
        let (path, made) = (folder.join(format!("{name}.wasm")), wat::parse_str(text).unwrap());
        if std::env::var_os("ASSEMBLE").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        assert!(
            made == std::fs::read(path).unwrap(),
            "assemble {name}.wasm anew: run this test with ASSEMBLE=1"
        );
    }
}
