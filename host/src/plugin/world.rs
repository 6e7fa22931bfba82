//! Whether the imports and exports of a component fit the contract, by name.
//!
//! Types are not compared here: the linker does that, exactly.

use super::error::LoadPluginError;

const PACKAGE: &str = "phasegate:policy/";
const MAJOR: &str = "1";
/// The interfaces that this host offers to plugins.
const OFFERED: [&str; 3] = ["types", "log", "clock"];

/// One import of a plugin and whether it gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Name, for example `phasegate:policy/log@1.0.0`.
    pub name: String,
    /// Whether the host offers it.
    pub verdict: ImportVerdict,
}

/// Whether the host offers an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportVerdict {
    /// It does.
    Allowed,
    /// It does not; one line that says why.
    Refused(String),
}

/// Judges an import by its name.
pub(super) fn judge_import(name: &str) -> Import {
    let verdict = match interface(name) {
        Some((interface, version)) if OFFERED.contains(&interface) => {
            if supported(version) {
                ImportVerdict::Allowed
            } else {
                ImportVerdict::Refused("this host offers version 1.x of it".to_owned())
            }
        }
        Some(_) => ImportVerdict::Refused("wit/v1 has no such interface".to_owned()),
        None if name.starts_with("wasi:") => ImportVerdict::Refused("plugins get no WASI".to_owned()),
        None => ImportVerdict::Refused(
            "a plugin may import `phasegate:policy/log` and `phasegate:policy/clock` only".to_owned(),
        ),
    };
    Import { name: name.to_owned(), verdict }
}

/// Whether names fit the contract: the evaluator is exported and every import is offered.
pub(super) fn check(imports: &[Import], exports: &[String]) -> Result<(), LoadPluginError> {
    evaluator(exports)?;
    let refused: Vec<Import> =
        imports.iter().filter(|import| import.verdict != ImportVerdict::Allowed).cloned().collect();
    if refused.is_empty() { Ok(()) } else { Err(LoadPluginError::RefusedImports(refused)) }
}

/// The world that a component was most likely built for.
pub(super) fn guess(imports: &[Import], exports: &[String]) -> Option<String> {
    let name = exports.iter().find(|name| is_interface(name, "evaluator"))?;
    let (_, version) = interface(name)?;
    let world = if imports_clock(imports) { "timed-policy" } else { "policy" };
    Some(if version.is_empty() { format!("{PACKAGE}{world}") } else { format!("{PACKAGE}{world}@{version}") })
}

/// Whether equal input always brings an equal answer: no clock and nothing unknown.
pub(super) fn is_pure(imports: &[Import]) -> bool {
    !imports_clock(imports) && imports.iter().all(|import| import.verdict == ImportVerdict::Allowed)
}

fn imports_clock(imports: &[Import]) -> bool {
    imports.iter().any(|import| is_interface(&import.name, "clock"))
}

fn evaluator(exports: &[String]) -> Result<(), LoadPluginError> {
    let mut other = None;
    for name in exports.iter().filter(|name| is_interface(name, "evaluator")) {
        match interface(name) {
            Some((_, version)) if supported(version) => return Ok(()),
            _ => other = Some(name.clone()),
        }
    }
    Err(match other {
        Some(seen) => LoadPluginError::OtherVersion { seen },
        None => LoadPluginError::OtherWorld { exports: exports.to_vec() },
    })
}

fn is_interface(name: &str, wanted: &str) -> bool {
    interface(name).is_some_and(|(interface, _)| interface == wanted)
}

/// Interface and version of a name of our package; the version is empty when there is none.
fn interface(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

/// `1.x.y` without pre-release or build.
fn supported(version: &str) -> bool {
    let parts: Vec<&str> = version.split('.').collect();
    parts.len() == 3
        && parts.first() == Some(&MAJOR)
        && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_judged_by_name() {
        for (name, allowed) in [
            ("phasegate:policy/types@1.0.0", true),
            ("phasegate:policy/log@1.7.3", true),
            ("phasegate:policy/clock@1.0.0", true),
            ("phasegate:policy/clock@2.0.0", false),
            ("phasegate:policy/clock@1.0.0-rc.1", false),
            ("phasegate:policy/clock", false),
            ("phasegate:policy/files@1.0.0", false),
            ("phasegate:policy2/log@1.0.0", false),
            ("wasi:cli/environment@0.2.6", false),
            ("log", false),
            ("", false),
        ] {
            let import = judge_import(name);
            assert_eq!(import.verdict == ImportVerdict::Allowed, allowed, "{name}");
        }
    }

    #[test]
    fn worlds_are_guessed() {
        let guess = |imports: &[&str], export: &str| {
            let imports: Vec<Import> = imports.iter().map(|name| judge_import(name)).collect();
            super::guess(&imports, &[export.to_owned()])
        };
        let evaluator = "phasegate:policy/evaluator@1.0.0";
        assert_eq!(guess(&[], evaluator).unwrap(), "phasegate:policy/policy@1.0.0");
        assert_eq!(
            guess(&["phasegate:policy/clock@1.0.0"], evaluator).unwrap(),
            "phasegate:policy/timed-policy@1.0.0"
        );
        assert_eq!(guess(&[], "phasegate:policy/evaluator").unwrap(), "phasegate:policy/policy");
        assert_eq!(guess(&[], "wasi:http/incoming-handler@0.2.0"), None);
    }
}
