//! Exports under plain names, as languages write them in which a name is a word: `evaluate` is what the contract calls
//! `phasegate:policy/evaluator@1.0.0#evaluate`.
//!
//! Deliberately renames nothing where a module knows the long names.

use wasmparser::{Parser, Payload};

use crate::cases::section::leb128;

/// What stands before a function of the contract.
const EVALUATOR: &str = "phasegate:policy/evaluator@1.0.0#";
/// Id of the section of exports.
const EXPORTS: u8 = 7;

/// The long name of a plain one.
fn long(name: &str) -> Option<String> {
    let (front, function) = match name {
        "configure" | "evaluate" => ("", name),
        "cabi_post_configure" => ("cabi_post_", "configure"),
        "cabi_post_evaluate" => ("cabi_post_", "evaluate"),
        _ => return None,
    };
    Some(format!("{front}{EVALUATOR}{function}"))
}

/// A module with the long names of the contract in place of plain ones; as it is where it has long ones.
pub(super) fn renamed(core: &[u8]) -> Result<Vec<u8>, wasmparser::BinaryReaderError> {
    let mut kept = Vec::with_capacity(core.len() + 256);
    let mut from = 0;
    for payload in Parser::new(0).parse_all(core) {
        let Payload::ExportSection(exports) = payload? else { continue };
        let range = exports.range();
        let exports = exports.into_iter().collect::<Result<Vec<_>, _>>()?;
        if exports.iter().any(|export| export.name.starts_with(EVALUATOR)) {
            return Ok(core.to_vec());
        }
        let mut body = Vec::new();
        leb128(exports.len(), &mut body);
        for export in &exports {
            let name = long(export.name).unwrap_or_else(|| export.name.to_owned());
            leb128(name.len(), &mut body);
            body.extend_from_slice(name.as_bytes());
            body.push(kind(export.kind));
            leb128(usize::try_from(export.index).unwrap_or(usize::MAX), &mut body);
        }
        // In front of the content: the id, and its length.
        let head = 1 + length_bytes(core, range.start);
        kept.extend_from_slice(core.get(from..range.start.saturating_sub(head)).unwrap_or_default());
        kept.push(EXPORTS);
        leb128(body.len(), &mut kept);
        kept.extend_from_slice(&body);
        from = range.end;
    }
    kept.extend_from_slice(core.get(from..).unwrap_or_default());
    Ok(kept)
}

/// How many bytes the length of a section takes that begins here: linkers write it with room to spare.
fn length_bytes(core: &[u8], at: usize) -> usize {
    // All but the last of them say that more follow.
    let mut bytes = 1;
    while core.get(at.saturating_sub(bytes + 1)).is_some_and(|byte| byte & 0x80 != 0) && bytes < 5 {
        bytes += 1;
    }
    bytes
}

fn kind(kind: wasmparser::ExternalKind) -> u8 {
    match kind {
        wasmparser::ExternalKind::Func | wasmparser::ExternalKind::FuncExact => 0,
        wasmparser::ExternalKind::Table => 1,
        wasmparser::ExternalKind::Memory => 2,
        wasmparser::ExternalKind::Global => 3,
        wasmparser::ExternalKind::Tag => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(core: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(core) {
            if let Payload::ExportSection(section) = payload.unwrap() {
                names.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        names
    }

    #[test]
    fn plain_names_become_those_of_the_contract() {
        let plain = r#"(module (memory (export "memory") 1) (func (export "evaluate") (param i32 i32) (result i32) i32.const 0)
            (func (export "cabi_post_evaluate") (param i32)) (func (export "other")))"#;
        let core = wat::parse_str(plain).unwrap();
        let long = renamed(&core).unwrap();
        wasmparser::Validator::new().validate_all(&long).unwrap();
        assert_eq!(
            exports(&long),
            [
                "memory",
                "phasegate:policy/evaluator@1.0.0#evaluate",
                "cabi_post_phasegate:policy/evaluator@1.0.0#evaluate",
                "other"
            ]
        );
        assert_eq!(renamed(&long).unwrap(), long, "nothing is renamed twice");
        let none = wat::parse_str("(module)").unwrap();
        assert_eq!(renamed(&none).unwrap(), none);
    }

    #[test]
    fn a_length_with_room_to_spare_is_replaced_whole() {
        // One export, `configure`, in a section whose length takes five bytes.
        let mut core = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0".to_vec();
        core.extend([7, 0x8d, 0x80, 0x80, 0x80, 0, 1, 9]);
        core.extend(b"configure\0\0\x0a\x04\x01\x02\0\x0b");
        wasmparser::Validator::new().validate_all(&core).unwrap();
        let long = renamed(&core).unwrap();
        wasmparser::Validator::new().validate_all(&long).unwrap();
        assert_eq!(exports(&long), ["phasegate:policy/evaluator@1.0.0#configure"]);
    }
}
