//! Reads the line tables that compilers write for debuggers (DWARF).
//!
//! Addresses there count from the beginning of the code section. What cannot be read is left out: nothing is decided by
//! it but where a mutant is put.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian, SectionId, Unit};
use wasmparser::{Parser, Payload};

use super::{Lines, Own, OwnFile, Span};

type Reader<'a> = EndianSlice<'a, LittleEndian>;

/// The spans of the author's own lines.
pub(super) fn lines(core: &[u8], own: Own<'_>) -> Option<Lines> {
    let mut sections = BTreeMap::new();
    for payload in Parser::new(0).parse_all(core) {
        if let Payload::CustomSection(section) = payload.ok()? {
            sections.insert(section.name(), section.data());
        }
    }
    let of = |id: SectionId| sections.get(id.name()).copied().unwrap_or_default();
    let dwarf = Dwarf::load(|id| Ok::<_, gimli::Error>(EndianSlice::new(of(id), LittleEndian))).ok()?;
    let mut found = Found { own, known: BTreeMap::new(), lines: Lines::default() };
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        if let Ok(unit) = dwarf.unit(header) {
            // The rest of a table that cannot be read says nothing; what came before it does.
            let _ = found.unit(&dwarf, &unit);
        }
    }
    Some(found.finish())
}

struct Found<'a> {
    own: Own<'a>,
    /// By folder and path: the file, where it is the author's own.
    known: BTreeMap<(String, String), Option<(usize, OwnFile)>>,
    lines: Lines,
}

impl Found<'_> {
    fn unit(&mut self, dwarf: &Dwarf<Reader<'_>>, unit: &Unit<Reader<'_>>) -> gimli::Result<()> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let folder = unit.comp_dir.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
        let mut rows = program.rows();
        // The row that the next one ends.
        let mut open: Option<(u64, Option<usize>, u32)> = None;
        let mut files: BTreeMap<u64, Option<(usize, OwnFile)>> = BTreeMap::new();
        while let Some((header, row)) = rows.next_row()? {
            if let Some((begin, Some(file), line)) = open.take() {
                self.span(begin, row.address(), file, line);
            }
            if row.end_sequence() {
                continue;
            }
            let index = row.file_index();
            if let std::collections::btree_map::Entry::Vacant(vacant) = files.entry(index) {
                let path = row.file(header).map(|file| path(dwarf, unit, header, file)).transpose()?;
                vacant.insert(path.and_then(|path| self.file(&folder, path)));
            }
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0);
            let file = files.get(&index).and_then(Option::as_ref);
            let file = file.filter(|(_, own)| line > 0 && !own.left_out.contains(&line)).map(|(at, _)| *at);
            open = Some((row.address(), file, line));
        }
        Ok(())
    }

    fn file(&mut self, folder: &str, path: String) -> Option<(usize, OwnFile)> {
        let key = (folder.to_owned(), path);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = (self.own)(&key.0, &key.1).map(|own| {
            let at = self.lines.files.iter().position(|name| *name == own.name).unwrap_or_else(|| {
                self.lines.files.push(own.name.clone());
                self.lines.files.len() - 1
            });
            (at, own)
        });
        self.known.insert(key, found.clone());
        found
    }

    fn span(&mut self, begin: u64, end: u64, file: usize, line: u32) {
        // What a linker took out stands at an address at the end of all or at none.
        let (Ok(begin), Ok(end)) = (u32::try_from(begin), u32::try_from(end)) else { return };
        if begin == 0 || begin >= end || end >= u32::MAX - 1 {
            return;
        }
        let (Ok(begin), Ok(end)) = (usize::try_from(begin), usize::try_from(end)) else { return };
        self.lines.spans.push(Span { begin, end, file, line });
    }

    /// In order, without overlaps, neighbours of one line as one.
    fn finish(self) -> Lines {
        let Lines { files, mut spans } = self.lines;
        spans.sort_unstable();
        let mut kept: Vec<Span> = Vec::new();
        for span in spans {
            match kept.last_mut() {
                Some(last) if span.begin < last.end => {}
                Some(last) if (span.begin, span.file, span.line) == (last.end, last.file, last.line) => {
                    last.end = span.end;
                }
                _ => kept.push(span),
            }
        }
        Lines { files, spans: kept }
    }
}

/// The path of a file, below the folder of its compiler or absolute.
fn path(
    dwarf: &Dwarf<Reader<'_>>,
    unit: &Unit<Reader<'_>>,
    header: &gimli::LineProgramHeader<Reader<'_>>,
    file: &gimli::FileEntry<Reader<'_>>,
) -> gimli::Result<String> {
    let text = |value: AttributeValue<Reader<'_>>| -> gimli::Result<String> {
        Ok(match dwarf.attr_string(unit, value)?.to_string_lossy() {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => text,
        })
    };
    let name = text(file.path_name())?;
    // Folder 0 is that of the compiler, which is known.
    let folder = match file.directory_index() {
        0 => None,
        _ => file.directory(header).map(text).transpose()?,
    };
    Ok(match folder {
        Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
        _ => name,
    })
}
