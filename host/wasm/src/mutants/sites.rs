//! Places of a component that can be changed without moving a byte, and what stands there then.
//!
//! Chooses what changes the meaning wherever it is looked at: comparisons, sums of numbers that are no addresses,
//! constants that are compared or stored as a byte, conditional branches. Leaves out the rest, most of which reckons
//! with addresses.

use wasmparser::{Operator, OperatorsReader, Parser, Payload};

use super::go;
use super::whose::{Scope, Whose};
use crate::error::LoadPluginError;
use crate::text;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It says the contrary.
    Comparison,
    /// It reckons otherwise.
    Operator,
    /// It is another number.
    Constant,
    /// It is never taken.
    BranchNever,
    /// It is always taken.
    BranchAlways,
}

impl What {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Comparison => "a comparison says the contrary",
            Self::Operator => "an operator is another one",
            Self::Constant => "a constant is another one",
            Self::BranchNever => "a branch is never taken",
            Self::BranchAlways => "a branch is always taken",
        }
    }
}

/// One place, and what comes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Its first byte.
    pub(super) at: usize,
    pub(super) function: u32,
    /// Its name, where it is known.
    pub(super) name: Option<String>,
    /// File and line of the source, where they are known.
    pub(super) line: Option<(String, u32)>,
    pub(super) what: What,
    /// The mutant.
    pub(super) with: Vec<u8>,
    /// What shows that somebody comes here.
    pub(super) trap: Vec<u8>,
    /// Whether the compiler of Go would have written it by itself.
    pub(super) is_like_go: bool,
}

const UNREACHABLE: u8 = 0x00;
const NOP: u8 = 0x01;
const BR: u8 = 0x0c;
const DROP: u8 = 0x1a;
const EQZ: u8 = 0x45;
const EQZ_64: u8 = 0x50;
const WRAP: u8 = 0xa7;

impl Site {
    /// Puts bytes there; gives those that were.
    pub(super) fn put(&self, component: &mut [u8], bytes: &[u8]) -> Vec<u8> {
        let Some(place) = component.get_mut(self.at..self.at + bytes.len()) else { return Vec::new() };
        let before = place.to_vec();
        place.copy_from_slice(bytes);
        before
    }
}

/// All places of the author's code.
#[derive(Debug)]
pub(super) struct Places {
    /// In their order.
    pub(super) sites: Vec<Site>,
    /// How it is known whose code is whose.
    pub(super) scope: Scope,
    /// Places in the rest of the code.
    pub(super) not_tried: usize,
}

/// Finds them.
///
/// # Errors
/// When the bytes are no component.
pub(super) fn places(component: &[u8]) -> Result<Places, LoadPluginError> {
    let damaged = |error: wasmparser::BinaryReaderError| LoadPluginError::Damaged {
        message: text::one_line(error.message(), 256),
        offset: error.offset(),
    };
    let whose = Whose::of(component).map_err(damaged)?;
    let mut all = Vec::new();
    let mut function = 0;
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(damaged)? {
            let operators = body.get_operators_reader().map_err(damaged)?;
            of_function(component, operators, function, &mut all).map_err(damaged)?;
            function += 1;
        }
    }
    let every = all.len();
    all.retain_mut(|site| whose.is_authors(site));
    Ok(Places { not_tried: every - all.len(), sites: all, scope: whose.scope })
}

fn of_function(
    component: &[u8],
    operators: OperatorsReader<'_>,
    function: u32,
    all: &mut Vec<Site>,
) -> Result<(), wasmparser::BinaryReaderError> {
    let offsets: Vec<(Operator<'_>, usize)> = operators.into_iter_with_offsets().collect::<Result<_, _>>()?;
    for (index, pair) in offsets.windows(2).enumerate() {
        let [(operator, at), (next, end)] = pair else { continue };
        let is_like_go = go::is_theirs(&offsets, index);
        let Some(bytes) = component.get(*at..*end) else { continue };
        let mut site = |what: What, with: Vec<u8>| {
            let mut trap = vec![NOP; bytes.len()];
            if let Some(first) = trap.first_mut() {
                *first = UNREACHABLE;
            }
            if with.len() == bytes.len() && with != bytes {
                all.push(Site { at: *at, function, name: None, line: None, what, with, trap, is_like_go });
            }
        };
        if let ([code], Some((what, with))) = (bytes, bytes.first().and_then(|code| instead(*code))) {
            debug_assert!(*code != with);
            site(what, vec![with]);
        }
        if let Operator::BrIf { .. } = operator {
            let mut never = vec![NOP; bytes.len()];
            let mut always = bytes.to_vec();
            if let (Some(never), Some(always)) = (never.first_mut(), always.first_mut()) {
                (*never, *always) = (DROP, BR);
            }
            site(What::BranchNever, never);
            site(What::BranchAlways, always);
        }
        if let Some(with) = other_constant(operator, next, bytes) {
            site(What::Constant, with);
        }
    }
    Ok(())
}

/// Another instruction of one byte and of the same type.
fn instead(code: u8) -> Option<(What, u8)> {
    // Pairs that say the contrary of each other: eq and ne, lt and ge, gt and le.
    const CONTRARY: [(u8, u8); 16] = [
        (0x46, 0x47),
        (0x48, 0x4e),
        (0x49, 0x4f),
        (0x4a, 0x4c),
        (0x4b, 0x4d),
        (0x51, 0x52),
        (0x53, 0x59),
        (0x54, 0x5a),
        (0x55, 0x57),
        (0x56, 0x58),
        (0x5b, 0x5c),
        (0x5d, 0x60),
        (0x5e, 0x5f),
        (0x61, 0x62),
        (0x63, 0x66),
        (0x64, 0x65),
    ];
    // Sums and differences, products and quotients; 32 bits reckon with addresses.
    const OTHER: [(u8, u8); 6] =
        [(0x7c, 0x7d), (0x7e, 0x7c), (0x92, 0x93), (0x94, 0x95), (0xa0, 0xa1), (0xa2, 0xa3)];
    let contrary = CONTRARY.iter().find_map(|(a, b)| match code {
        code if code == *a => Some(*b),
        code if code == *b => Some(*a),
        _ => None,
    });
    let zero = match code {
        EQZ => Some(NOP),
        EQZ_64 => Some(WRAP),
        _ => None,
    };
    let other =
        || OTHER.iter().find_map(|(a, b)| [(*a, *b), (*b, *a)].into_iter().find(|(of, _)| *of == code));
    contrary
        .or(zero)
        .map(|with| (What::Comparison, with))
        .or_else(|| other().map(|(_, with)| (What::Operator, with)))
}

/// One more, in as many bytes, of a constant that is compared or stored as a byte.
fn other_constant(operator: &Operator<'_>, next: &Operator<'_>, bytes: &[u8]) -> Option<Vec<u8>> {
    let is_looked_at = matches!(
        next,
        Operator::I32Eq
            | Operator::I32Ne
            | Operator::I32LtS
            | Operator::I32LtU
            | Operator::I32GtS
            | Operator::I32GtU
            | Operator::I64Eq
            | Operator::I64Ne
            | Operator::F64Eq
            | Operator::F64Lt
            | Operator::F64Gt
            | Operator::F64Le
            | Operator::F64Ge
            | Operator::I32Store8 { .. }
    );
    let (code, rest) = bytes.split_first().filter(|_| is_looked_at)?;
    let with = match operator {
        Operator::I32Const { value } if is_tag(i64::from(*value), i64::from(i32::MIN)) => return None,
        Operator::I64Const { value } if is_tag(*value, i64::MIN) => return None,
        Operator::I32Const { value } => padded(i64::from(value.wrapping_add(1)), rest.len())?,
        Operator::I64Const { value } => padded(value.wrapping_add(1), rest.len())?,
        Operator::F64Const { value } => (f64::from_bits(value.bits()) + 1.0).to_bits().to_le_bytes().to_vec(),
        _ => return None,
    };
    Some(std::iter::once(*code).chain(with).collect())
}

/// Whether a number is one that a compiler has chosen, from what a length can never be, to tell the variants of an enum
/// apart. Another one means the same: neither is the variant that is asked for.
fn is_tag(value: i64, lowest: i64) -> bool {
    const TAGS: i64 = 256;
    value < lowest + TAGS
}

/// A signed LEB128 of exactly so many bytes; none where the number needs more.
fn padded(value: i64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    let mut rest = value;
    for index in 0..length {
        let low = u8::try_from(rest & 0x7f).ok()?;
        rest >>= 7;
        let last = index + 1 == length;
        if last {
            // What is left must be the sign, which the last byte shows.
            let sign = if low & 0x40 == 0 { 0 } else { -1 };
            return (rest == sign).then(|| {
                bytes.push(low);
                bytes
            });
        }
        bytes.push(low | 0x80);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_the_room_that_there_is() {
        for (value, length, expected) in [
            (0, 1, Some(vec![0])),
            (63, 1, Some(vec![63])),
            (64, 1, None),
            (64, 2, Some(vec![0xc0, 0])),
            (-1, 1, Some(vec![0x7f])),
            (-64, 1, Some(vec![0x40])),
            (-65, 1, None),
            (5, 2, Some(vec![0x85, 0])),
        ] {
            assert_eq!(padded(value, length), expected, "{value} in {length}");
        }
    }

    #[test]
    fn each_instruction_has_one_of_its_own_type_and_back() {
        assert_eq!(instead(0x46), Some((What::Comparison, 0x47)));
        assert_eq!(instead(0x47), Some((What::Comparison, 0x46)));
        assert_eq!(instead(0x45), Some((What::Comparison, NOP)));
        assert_eq!(instead(0xa0), Some((What::Operator, 0xa1)));
        assert_eq!(instead(0x6a), None, "addresses are reckoned so");
    }

    #[test]
    fn what_a_compiler_has_chosen_is_no_constant_of_the_author() {
        let constant = |value: i32| {
            let bytes = [&[0x41][..], &[0x80, 0x80, 0x80, 0x80, 0x78]].concat();
            other_constant(&Operator::I32Const { value }, &Operator::I32Eq, &bytes)
        };
        assert_eq!(constant(i32::MIN + 3), None);
        assert!(constant(i32::MIN + 256).is_some());
    }

    #[test]
    fn places_of_a_module_in_a_component() {
        let text = r#"(component (core module
            (func (param i32) (result i32) (block (br_if 0 (i32.eq (local.get 0) (i32.const 7)))) (i32.const 1))))"#;
        let component = wat::parse_str(text).unwrap();
        let found = places(&component).unwrap().sites;
        let whats: Vec<What> = found.iter().map(|site| site.what).collect();
        assert_eq!(whats, [What::Constant, What::Comparison, What::BranchNever, What::BranchAlways]);
        for site in found {
            let mut changed = component.clone();
            let before = site.put(&mut changed, &site.with);
            wasmparser::Validator::new().validate_all(&changed).unwrap();
            site.put(&mut changed, &site.trap);
            wasmparser::Validator::new().validate_all(&changed).unwrap();
            site.put(&mut changed, &before);
            assert_eq!(changed, component);
        }
    }
}
