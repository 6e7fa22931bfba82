//! Whose code a place is in: the author's, or that of a language, a library or generated glue.
//!
//! By the lines of the source where the component has them, else by the names of its functions, else not at all.

use std::collections::BTreeMap;

use wasmparser::{BinaryReaderError, KnownCustom, Name, Parser, Payload, TypeRef};

use super::sites::Site;
use crate::lines::{Lines, code_of_first_module};

/// How it is known whose code is whose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each place by its line of the source.
    Lines,
    /// Each function by its name.
    Names,
    /// It is not: all code is taken for the author's.
    #[default]
    Unknown,
}

impl Scope {
    /// In one word, for a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Names => "names",
            Self::Unknown => "unknown",
        }
    }
}

/// The author's code of one component.
pub(super) struct Whose {
    pub(super) scope: Scope,
    lines: Lines,
    /// The first byte that lines count from.
    code: usize,
    /// By the number of a function through all modules.
    names: BTreeMap<u32, String>,
    language: Language,
}

/// Whose names are known by what they are, not by what they are not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Go,
    Other,
}

impl Whose {
    pub(super) fn of(component: &[u8]) -> Result<Self, BinaryReaderError> {
        let names = names(component)?;
        let language = match names.values().any(|name| name == "runtime.mallocgc") {
            true => Language::Go,
            false => Language::Other,
        };
        let lines = Lines::of_component(component);
        let code = code_of_first_module(component).map(|range| range.start);
        let (scope, lines, code) = match (lines, code) {
            (Some(lines), Some(code)) => (Scope::Lines, lines, code),
            _ if names.values().any(|name| !is_authors(name, language)) => {
                (Scope::Names, Lines::default(), 0)
            }
            _ => (Scope::Unknown, Lines::default(), 0),
        };
        Ok(Self { scope, lines, code, names, language })
    }

    /// Whether a place is in the author's code; says in it what is known of it.
    pub(super) fn is_authors(&self, site: &mut Site) -> bool {
        let name = self.names.get(&site.function);
        site.name = name.cloned();
        match self.scope {
            Scope::Lines => {
                let line = site.at.checked_sub(self.code).and_then(|at| self.lines.at(at));
                site.line = line.map(|(file, line)| (file.to_owned(), line));
                line.is_some()
            }
            Scope::Names => {
                let is_compilers = self.language == Language::Go && site.is_like_go;
                !is_compilers && name.is_some_and(|name| is_authors(name, self.language))
            }
            Scope::Unknown => true,
        }
    }
}

/// Beginnings of names that languages give to what is theirs.
const THEIRS: [&str; 33] = [
    // Rust, mangled and not, and what it is linked with.
    "_ZN4core",
    "_ZN5alloc",
    "_ZN3std",
    "_RNvNtC",
    "_ZN10wit_bindgen",
    "_ZN10serde_core",
    "_ZN10serde_json",
    "_ZN5serde",
    "_ZN13phasegate_sdk",
    "_ZN8dlmalloc",
    "core::",
    "alloc::",
    "std::",
    "<core",
    "<alloc",
    "<std",
    "__rust",
    "__rdl_",
    "rust_",
    "cabi_",
    // C.
    "printf",
    "vfprintf",
    "__",
    "dlmalloc",
    "_start",
    // Zig and AssemblyScript.
    "zig_",
    "debug.",
    "fmt.",
    "mem.",
    "Io.",
    "~lib/",
    "builtin.",
    "posix.",
];

/// The library of C, by whole names: an author may well have a function that begins like one of these.
const LIBC: [&str; 25] = [
    "abort", "calloc", "free", "malloc", "memchr", "memcmp", "memcpy", "memmove", "memset", "realloc",
    "strchr", "strcmp", "strcpy", "strdup", "strlen", "strncmp", "strncpy", "strrchr", "strstr", "strtod",
    "strtol", "strtoll", "strtoul", "strtoull", "strnlen",
];

fn is_authors(name: &str, language: Language) -> bool {
    match language {
        Language::Go => name.starts_with("main.") && !name.starts_with("main.init"),
        Language::Other => !LIBC.contains(&name) && !THEIRS.iter().any(|theirs| name.starts_with(theirs)),
    }
}

/// The names of all functions, by their number through all modules.
fn names(component: &[u8]) -> Result<BTreeMap<u32, String>, BinaryReaderError> {
    let mut names = BTreeMap::new();
    // Of the module that is read: where its functions begin, how many it imports and how many it has.
    let (mut first, mut imported, mut own) = (0_u32, 0_u32, 0_u32);
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } => (first, imported, own) = (first + own, 0, 0),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionStart { count, .. } => own = count,
            Payload::CustomSection(section) => {
                let KnownCustom::Name(subsections) = section.as_known() else { continue };
                for subsection in subsections {
                    // What cannot be read of names is not known.
                    let Ok(Name::Function(map)) = subsection else { continue };
                    for naming in map.into_iter().flatten() {
                        if let Some(at) = naming.index.checked_sub(imported) {
                            names.insert(first + at, naming.name.to_owned());
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_an_author_from_a_language() {
        for (name, go, other) in [
            ("main.judge", true, true),
            ("main.init.0", false, true),
            ("runtime.mallocgc", false, true),
            ("strings.Index", false, true),
            ("judge", false, true),
            ("memcpy", false, false),
            ("memory_is_low", false, true),
            ("~lib/rt/stub/__alloc", false, false),
            ("_ZN4core3fmt5write17h0E", false, false),
        ] {
            assert_eq!(is_authors(name, Language::Go), go, "{name}");
            assert_eq!(is_authors(name, Language::Other), other, "{name}");
        }
    }
}
