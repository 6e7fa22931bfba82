//! Which bytes of a component are of which line of its author's source: what a compiler writes for debuggers, kept for
//! the author's own files alone, as a custom section of a few kilobytes.
//!
//! Deliberately keeps nothing of the standard library, of generated glue or of other packages: who asks what somebody's
//! cases are worth asks about that somebody's code. The section means nothing to a host.

mod debug;

use wasmparser::{Parser, Payload};

use super::cases::section;

/// Name of the custom section.
const SECTION: &str = "phasegate:lines";
/// Files that are kept at most.
const FILES_MAX: usize = 256;
/// The layout of the section.
const LAYOUT: usize = 1;

/// A source file that is its author's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnFile {
    /// As it is shown.
    pub name: String,
    /// Lines that are not the author's all the same: where code is generated.
    pub left_out: std::collections::BTreeSet<u32>,
}

/// Says of a file that debug information names, by the folder of its compiler and its path, whether it is the
/// author's own.
pub type Own<'a> = &'a dyn Fn(&str, &str) -> Option<OwnFile>;

/// Some bytes of the code, from the beginning of its section, and the line that they are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) file: usize,
    pub(crate) line: u32,
}

/// The author's lines of a component, in the order of its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) files: Vec<String>,
    pub(crate) spans: Vec<Span>,
}

impl Lines {
    /// The author's lines of a core module with debug information; none where it has none of its author's.
    pub(crate) fn of_module(core: &[u8], own: Own<'_>) -> Option<Self> {
        let lines = debug::lines(core, own)?;
        (!lines.spans.is_empty() && lines.files.len() <= FILES_MAX).then_some(lines)
    }

    /// Those that a component carries.
    pub(crate) fn of_component(component: &[u8]) -> Option<Self> {
        let found = section::all(component, SECTION).ok()?;
        let [.., section] = found.as_slice() else { return None };
        read(section.data)
    }

    /// A component with them.
    pub(crate) fn put(&self, component: &[u8]) -> Result<Vec<u8>, wasmparser::BinaryReaderError> {
        section::replaced(component, SECTION, &self.written())
    }

    /// The line of a byte, counted from the beginning of the code.
    pub(crate) fn at(&self, offset: usize) -> Option<(&str, u32)> {
        let after = self.spans.partition_point(|span| span.begin <= offset);
        let span = after.checked_sub(1).and_then(|at| self.spans.get(at))?;
        let name = self.files.get(span.file)?;
        (offset < span.end).then_some((name, span.line))
    }

    /// Layout, files, and for each span: bytes since the end of the one before, its length, its file and its line.
    fn written(&self) -> Vec<u8> {
        let Self { files, spans } = self;
        let mut bytes = Vec::new();
        let mut number = |value: usize, text: &str| {
            section::leb128(value, &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
        };
        number(LAYOUT, "");
        number(files.len(), "");
        files.iter().for_each(|name| number(name.len(), name));
        let mut from = 0;
        for Span { begin, end, file, line } in spans {
            for value in [begin - from, end - begin, *file, usize::try_from(*line).unwrap_or_default()] {
                number(value, "");
            }
            from = *end;
        }
        bytes
    }
}

/// Nothing of a section that is not as it is written here: it comes from anywhere.
fn read(data: &[u8]) -> Option<Lines> {
    let mut reader = wasmparser::BinaryReader::new(data, 0);
    let mut number = || reader.read_var_u32().ok().and_then(|value| usize::try_from(value).ok());
    if number()? != LAYOUT {
        return None;
    }
    let count = number().filter(|count| *count <= FILES_MAX)?;
    let mut lines = Lines::default();
    for _ in 0..count {
        lines.files.push(reader.read_string().ok()?.to_owned());
    }
    let mut from = 0_usize;
    while !reader.eof() {
        let mut number = || reader.read_var_u32().ok();
        let (gap, length, file, line) = (number()?, number()?, number()?, number()?);
        let begin = from.checked_add(usize::try_from(gap).ok()?)?;
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        lines.spans.push(Span { begin, end, file: usize::try_from(file).ok()?, line });
        from = end;
    }
    Some(lines)
}

/// Where the code of the first module is that has some: the byte at which its section begins, as debug information
/// counts.
pub(crate) fn code_of_first_module(component: &[u8]) -> Option<std::ops::Range<usize>> {
    Parser::new(0).parse_all(component).find_map(|payload| match payload {
        Ok(Payload::CodeSectionStart { range, .. }) => Some(range),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    fn span(begin: usize, end: usize, file: usize, line: u32) -> Span {
        Span { begin, end, file, line }
    }

    #[test]
    fn what_is_written_is_read_and_found() {
        let files = vec!["src/lib.rs".to_owned(), "src/settings.rs".to_owned()];
        let lines =
            Lines { files, spans: vec![span(7, 9, 0, 300), span(9, 200, 1, 2), span(1_000, 1_001, 0, 1)] };
        assert_eq!(read(&lines.written()).as_ref(), Some(&lines));
        for (at, expected) in [
            (6, None),
            (7, Some(("src/lib.rs", 300))),
            (8, Some(("src/lib.rs", 300))),
            (9, Some(("src/settings.rs", 2))),
            (200, None),
            (1_000, Some(("src/lib.rs", 1))),
            (1_001, None),
        ] {
            assert_eq!(lines.at(at), expected, "{at}");
        }
        let component = lines.put(builtin::AZURE_HEALTH).unwrap();
        assert_eq!(Lines::of_component(&component), Some(lines.clone()));
        assert_eq!(lines.put(&component).unwrap(), component, "in place of those that it had");
    }

    #[test]
    fn what_is_no_lines_says_nothing() {
        let good = Lines { files: vec!["a".to_owned()], spans: vec![span(1, 2, 0, 3)] }.written();
        for cut in 1..good.len() - 4 {
            assert_ne!(read(&good[..cut]).map(|lines| lines.spans.len()), Some(1), "{cut}");
        }
        for wrong in [&[][..], &[2], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f], &[1, 1, 1, 0xff]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert_eq!(read(&[1, 1, 1, b'a', 1, 1, 9, 9]).unwrap().at(1), None, "a file that is none");
    }
}
