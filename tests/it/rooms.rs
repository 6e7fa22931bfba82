//! Rooms and arrows: which module may know which. An arrow against the table fails; so does a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::all_sources;

/// The crates below `host/`, and the crates of ours that each may depend on.
const CRATES: [(&str, &[&str]); 4] = [
    ("host/core", &[]),
    ("host/wire", &[]),
    ("host/wasm", &["phasegate-core"]),
    ("host", &["phasegate-core", "phasegate-wasm", "phasegate-wire"]),
];

/// The rooms of a crate, and the rooms of the same crate that each may know.
type Arrows = &'static [(&'static str, &'static [&'static str])];

const CORE: Arrows = &[
    ("domain", &[]),
    ("health", &["domain"]),
    ("plan", &["domain"]),
    ("rollout", &["domain", "plan"]),
    ("release", &["domain"]),
    ("record", &["domain", "plan", "release", "rollout"]),
    ("lifecycle", &["domain", "record"]),
    ("kernel", &["domain", "health", "lifecycle", "plan", "record", "release", "rollout"]),
    ("sim", &["domain", "health", "kernel", "lifecycle", "plan", "record", "release", "rollout"]),
];

const HOST: Arrows = &[
    // Machinery that decides nothing and knows no room.
    ("children", &[]),
    ("clock", &[]),
    ("keys", &[]),
    ("log", &[]),
    ("measure", &[]),
    ("net", &[]),
    ("program", &["children"]),
    ("store", &[]),
    ("words", &[]),
    // Hands.
    ("probe", &["clock", "measure", "net", "program"]),
    ("recording", &["clock"]),
    ("discovery", &["clock", "keys", "net"]),
    ("drivers", &["children", "clock", "keys", "net"]),
    ("plugins", &["children", "clock", "net", "recording"]),
    ("catalogue", &["clock", "net", "plugins", "program"]),
    // From a file to the hands' own types.
    ("access", &["net"]),
    ("config", &["access", "catalogue", "discovery", "drivers", "keys", "net", "plugins", "recording"]),
    ("shell", &["clock", "drivers", "measure", "plugins"]),
    // Doors.
    ("reload", &["access", "catalogue", "config", "discovery", "plugins", "shell", "words"]),
    ("api", &["access", "clock", "log", "measure", "net", "shell", "words"]),
    ("author", &["clock", "net", "probe"]),
    ("demo", &["clock", "config"]),
    (
        "host",
        &[
            "access",
            "api",
            "catalogue",
            "children",
            "clock",
            "config",
            "discovery",
            "drivers",
            "measure",
            "net",
            "plugins",
            "probe",
            "program",
            "recording",
            "reload",
            "shell",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "access",
            "author",
            "clock",
            "config",
            "demo",
            "discovery",
            "drivers",
            "host",
            "log",
            "net",
            "plugins",
            "recording",
            "store",
            "words",
        ],
    ),
];

/// What a source says of the rooms of its own crate; tests are not looked at.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        found.insert(name);
        if let Some(list) = rest.strip_prefix('{') {
            // Each name that begins an entry of the outermost list.
            let mut depth = 0;
            let mut entry = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(entry.trim().split("::").next().unwrap().to_owned());
                        entry.clear();
                    }
                    c if depth == 0 => entry.push(c),
                    _ => {}
                }
            }
            found.insert(entry.trim().split("::").next().unwrap().to_owned());
        }
    }
    found
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs") || path.ends_with("testing.rs")
}

fn arrows(sources: &str, table: Arrows) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = table.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in all_sources() {
        let Some(inside) = path.strip_prefix(sources).filter(|_| !is_test(&path)) else { continue };
        let room = inside.split('/').next().unwrap().trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        let Some(may) = allowed.get(room) else {
            wrong.push(format!("{path}: the room `{room}` is not in the table"));
            continue;
        };
        for named in rooms_named(&text) {
            if allowed.contains_key(named.as_str()) && named != room && !may.contains(&named.as_str()) {
                wrong.push(format!("{path}: `{room}` must not know `{named}`"));
            }
        }
    }
    wrong
}

#[test]
fn no_arrow_goes_against_the_table() {
    let wrong = [arrows("host/core/src/", CORE), arrows("host/src/", HOST)].concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_circle() {
    for table in [CORE, HOST] {
        let mut left: BTreeMap<&str, BTreeSet<&str>> =
            table.iter().map(|(room, may)| (*room, may.iter().copied().collect())).collect();
        while let Some(room) = left.iter().find(|(_, may)| may.is_empty()).map(|(room, _)| *room) {
            left.remove(room);
            for may in left.values_mut() {
                may.remove(room);
            }
        }
        assert!(left.is_empty(), "these know each other in a circle: {left:?}");
    }
}

#[test]
fn crates_depend_on_what_the_table_says() {
    for (folder, may) in CRATES {
        let path = crate::support::repository().join(folder).join("Cargo.toml");
        let manifest = std::fs::read_to_string(path).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap();
        for line in dependencies.lines().filter(|line| line.starts_with("phasegate-")) {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
            assert!(may.contains(&name.as_str()), "{folder}: depends on `{name}`");
        }
    }
}

#[test]
fn names_are_found_in_every_kind_of_import() {
    let text = "use crate::{a::X, b::{c, d}, e};\nfn f(x: crate::g::Y) {} // crate::h\nuse crate::i;";
    let found: Vec<String> = rooms_named(text).into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(found, ["a", "b", "e", "g", "i"]);
}
