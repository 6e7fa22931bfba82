//! Custom sections of a component: finding those of a name, and putting another one in their place.

use wasmparser::{BinaryReaderError, Parser, Payload};

/// Id of a custom section.
const CUSTOM: u8 = 0;

/// A section, and where it is with its head.
pub(crate) struct Section<'a> {
    pub(crate) data: &'a [u8],
    begin: usize,
    end: usize,
}

/// Those of the component itself, not of what is nested in it.
pub(crate) fn all<'a>(component: &'a [u8], name: &str) -> Result<Vec<Section<'a>>, BinaryReaderError> {
    let (mut depth, mut found) = (0_usize, Vec::new());
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == name => {
                let range = section.range();
                // In front of the content: the id, and its length.
                let begin = range.start.saturating_sub(1 + leb128_len(range.len()));
                found.push(Section { data: section.data(), begin, end: range.end });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The component with such a section at its end, in place of those that it had.
pub(crate) fn replaced(component: &[u8], name: &str, data: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut kept = Vec::with_capacity(component.len() + data.len() + 64);
    let mut from = 0;
    for section in all(component, name)? {
        kept.extend_from_slice(component.get(from..section.begin).unwrap_or_default());
        from = section.end;
    }
    kept.extend_from_slice(component.get(from..).unwrap_or_default());
    let mut body = Vec::new();
    leb128(name.len(), &mut body);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    kept.push(CUSTOM);
    leb128(body.len(), &mut kept);
    kept.extend_from_slice(&body);
    Ok(kept)
}

/// An unsigned number, seven bits a byte.
pub(crate) fn leb128(mut value: usize, to: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}

fn leb128_len(value: usize) -> usize {
    let mut bytes = Vec::new();
    leb128(value, &mut bytes);
    bytes.len()
}
