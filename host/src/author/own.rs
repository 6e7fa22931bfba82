//! Which of the files that debug information names are the author's own: those below the folder of the project that
//! neither a template nor a generator wrote.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use phasegate_wasm::OwnFile;

/// What the templates bring and says of itself that it stays as it is, and what tools put into a project.
const GLUE: [&str; 10] = [
    "bindings/",
    "contract/",
    "clock/",
    "src/clock.",
    "src/contract.",
    "build/",
    "target/",
    "node_modules/",
    ".venv/",
    "wit/",
];
/// Largest source file that is looked into, in bytes.
const SOURCE_BYTES_MAX: u64 = 4 << 20;

/// The author's own file of this path below a compiler's folder, if it is one of the project in `folder`.
#[must_use]
pub fn file(folder: &Path, compiled_in: &str, path: &str) -> Option<OwnFile> {
    let folder = folder.canonicalize().ok()?;
    // A build that leaves the names of folders out says where a file is from somewhere above.
    let above = folder.ancestors().map(Path::to_owned);
    let places = std::iter::once(Path::new(compiled_in).to_owned()).chain(above);
    let found = places
        .map(|place| plain(&place.join(path)))
        .find(|file| file.starts_with(&folder) && file.is_file())?;
    let name = found.strip_prefix(&folder).ok()?.to_str()?.to_owned();
    let is_glue = GLUE.iter().any(|glue| name.starts_with(glue));
    let left_out = (!is_glue).then(|| generated(&found))?;
    Some(OwnFile { name, left_out })
}

/// Without `.` and `..`, which compilers leave in.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Lines of a Rust source where a macro writes whole functions: attributes, the items that a `derive` is for, and macros
/// that stand for items. In C and C++ lines that end the program.
fn generated(file: &Path) -> BTreeSet<u32> {
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let is_c = file.extension().is_some_and(|extension| extension == "c" || extension == "cpp");
    let is_small = file.metadata().is_ok_and(|data| data.len() <= SOURCE_BYTES_MAX);
    let text = if (is_rust || is_c) && is_small {
        std::fs::read_to_string(file).unwrap_or_default()
    } else {
        String::new()
    };
    let mut derived: Option<&str> = None;
    let mut lines = BTreeSet::new();
    for (at, line) in (1..).zip(text.lines()) {
        // No case can take the memory away that there is.
        let is_out_of_memory = is_c && line.contains("abort()");
        if derived.is_some() || is_out_of_memory || (is_rust && writes_items(line)) {
            lines.insert(at);
        }
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match derived {
            None if is_rust && rest.starts_with("#[derive(") => derived = Some(indent),
            // The item ends as it began, or in a line of its own.
            Some(begun)
                if indent == begun && (rest == "}" || rest.ends_with(';') || rest.ends_with("{}")) =>
            {
                derived = None;
            }
            Some(_) | None => {}
        }
    }
    lines
}

fn writes_items(line: &str) -> bool {
    let is_path = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    };
    line.trim_start().starts_with("#[") || line.split_once('!').is_some_and(|(before, _)| is_path(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#[derive(Debug)]\nstruct A;\nexport!(A);\n    other!(1);\nfn a() {}\n    #[derive(Debug)]\n    enum B {\n        \
        C,\n        D { e: u8 },\n    }\nfn f() {}\n";

    #[test]
    fn what_the_author_wrote_is_his_own() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("plugins/first");
        for path in ["src/lib.rs", "src/contract.zig", "bindings/policy.c", "target/x.rs"] {
            let file = project.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, TEXT).unwrap();
        }
        std::fs::write(folder.path().join("other.rs"), "").unwrap();
        let inside = project.display().to_string();
        let named = |compiled_in: &str, path: &str| file(&project, compiled_in, path).map(|own| own.name);
        for (compiled_in, path) in [
            (inside.as_str(), "src/lib.rs"),
            (inside.as_str(), "./src/../src/lib.rs"),
            ("/nowhere", &format!("{inside}/src/lib.rs")),
            ("", "plugins/first/src/lib.rs"),
        ] {
            assert_eq!(named(compiled_in, path).as_deref(), Some("src/lib.rs"), "{compiled_in} {path}");
        }
        for path in ["src/contract.zig", "bindings/policy.c", "target/x.rs", "src/none.rs", "../../other.rs"]
        {
            assert_eq!(named(&inside, path), None, "{path}");
        }
        assert_eq!(named("/rustc/1", "library/core/src/lib.rs"), None);
        let own = file(&project, &inside, "src/lib.rs").unwrap();
        assert_eq!(own.left_out.into_iter().collect::<Vec<_>>(), [1, 2, 3, 6, 7, 8, 9, 10]);
    }
}
