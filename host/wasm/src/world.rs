//! Whether the imports and exports of a component fit the contract, by name.
//!
//! Types are not compared here: the linker does that, exactly.

use super::error::LoadPluginError;
use super::wasi::{self, Language};

const PACKAGE: &str = "phasegate:policy/";
const MAJOR: &str = "1";
/// The interfaces of the contract that this host offers to plugins, and what they are.
const OFFERED: [(&str, &str); 3] =
    [("types", "the types of the contract"), ("log", "lines for the host's log"), ("clock", CLOCK)];
const CLOCK: &str = "the time of the evaluation";
/// Why Python may import sockets: its C library does so in every program.
const DENIED_SOCKETS: &str = "Python imports it always; every use is denied";

/// One import of a plugin and whether it gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Name, for example `phasegate:policy/log@1.0.0`.
    pub name: String,
    /// Whether the host offers it.
    pub verdict: ImportVerdict,
}

/// Whether the host offers an import; one line that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportVerdict {
    /// It does.
    Allowed(&'static str),
    /// It does not.
    Refused(&'static str),
}

impl Import {
    /// Whether the host offers it.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, ImportVerdict::Allowed(_))
    }
}

/// Judges all imports of a component. `language` is asked only where it matters.
pub(super) fn judge(names: &[String], language: impl Fn() -> Language) -> Vec<Import> {
    let has_sockets = names.iter().any(|name| wasi::is_socket(name));
    let sockets_are_a_stub = has_sockets && language() == Language::Python;
    let judge = |name: &String| match judge_import(name) {
        import if sockets_are_a_stub && wasi::is_socket(name) => {
            Import { verdict: ImportVerdict::Allowed(DENIED_SOCKETS), ..import }
        }
        import => import,
    };
    names.iter().map(judge).collect()
}

/// Judges an import by its name alone.
pub(super) fn judge_import(name: &str) -> Import {
    let offered = |interface: &str| OFFERED.iter().find(|(known, _)| *known == interface);
    let verdict = match interface(name) {
        Some((interface, version)) => match offered(interface) {
            Some((_, what)) if supported(version) => ImportVerdict::Allowed(what),
            Some(_) => ImportVerdict::Refused("this host offers version 1.x of it"),
            None => ImportVerdict::Refused("wit/v1 has no such interface"),
        },
        None => judge_wasi(name),
    };
    Import { name: name.to_owned(), verdict }
}

fn judge_wasi(name: &str) -> ImportVerdict {
    if let Some(offer) = wasi::offer(name) {
        return ImportVerdict::Allowed(offer.what);
    }
    ImportVerdict::Refused(match name {
        _ if wasi::is_socket(name) => "a plugin gets no sockets: the host asks the instances",
        _ if name.starts_with("wasi:http/") => "a plugin gets no HTTP: the host asks the instances",
        _ if name.starts_with("wasi:") => "it is no interface of WASI 0.2 that this host has a stub for",
        _ => "a plugin may import `phasegate:policy/log` and `phasegate:policy/clock` only",
    })
}

/// Whether names fit the contract: the evaluator is exported and every import is offered.
pub(super) fn check(
    imports: &[Import],
    exports: &[String],
    language: impl Fn() -> Language,
) -> Result<(), LoadPluginError> {
    evaluator(exports)?;
    let refused: Vec<Import> = imports.iter().filter(|import| !import.is_allowed()).cloned().collect();
    if refused.is_empty() {
        return Ok(());
    }
    let wasi = refused.iter().any(|import| import.name.starts_with("wasi:"));
    Err(LoadPluginError::RefusedImports { imports: refused, recipe: wasi.then(|| language().recipe()) })
}

/// The world that a component was most likely built for.
pub(super) fn guess(imports: &[Import], exports: &[String]) -> Option<String> {
    let name = exports.iter().find(|name| is_interface(name, "evaluator"))?;
    let (_, version) = interface(name)?;
    let world = if imports_clock(imports) { "timed-policy" } else { "policy" };
    Some(if version.is_empty() { format!("{PACKAGE}{world}") } else { format!("{PACKAGE}{world}@{version}") })
}

/// Whether equal input always brings an equal answer: no clock, no randomness and nothing unknown.
pub(super) fn is_pure(imports: &[Import]) -> bool {
    let varies = |import: &Import| wasi::offer(&import.name).is_some_and(|offer| offer.varies);
    !imports_clock(imports) && imports.iter().all(|import| import.is_allowed() && !varies(import))
}

/// Whether an equal observation need not be judged again, unless WASI's time or random numbers were used:
/// a language imports those whatever a policy does.
pub(super) fn is_repeatable(imports: &[Import]) -> bool {
    !imports_clock(imports) && imports.iter().all(Import::is_allowed)
}

/// Whether it may ask for random numbers.
pub(super) fn imports_random(imports: &[Import]) -> bool {
    imports.iter().any(|import| wasi::is_random(&import.name))
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

/// Whether an export is the evaluator, of any version.
pub(super) fn is_evaluator(name: &str) -> bool {
    is_interface(name, "evaluator")
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
            ("wasi:cli/environment@0.2.6", true),
            ("wasi:clocks/wall-clock@0.2.0", true),
            ("wasi:sockets/tcp@0.2.6", false),
            ("wasi:http/types@0.2.6", false),
            ("wasi:keyvalue/store@0.2.0", false),
            ("wasi:cli/environment@0.3.0", false),
            ("log", false),
            ("", false),
        ] {
            let import = judge_import(name);
            assert_eq!(import.is_allowed(), allowed, "{name}");
        }
    }

    #[test]
    fn only_python_may_name_sockets() {
        let names = ["wasi:sockets/tcp@0.2.9".to_owned(), "wasi:http/types@0.2.9".to_owned()];
        let allowed = |language: Language| {
            let imports = judge(&names, || language);
            imports.iter().map(Import::is_allowed).collect::<Vec<_>>()
        };
        assert_eq!(allowed(Language::Python), [true, false]);
        assert_eq!(allowed(Language::QuickJs), [false, false]);
        assert_eq!(allowed(Language::Other), [false, false]);
    }

    #[test]
    fn stubs_are_pure_and_clocks_are_not() {
        for (name, pure) in [
            ("wasi:cli/stdout@0.2.9", true),
            ("wasi:filesystem/types@0.2.9", true),
            ("wasi:clocks/monotonic-clock@0.2.9", false),
            ("wasi:random/random@0.2.9", false),
            ("phasegate:policy/log@1.0.0", true),
            ("phasegate:policy/clock@1.0.0", false),
            ("wasi:http/types@0.2.9", false),
        ] {
            assert_eq!(is_pure(&[judge_import(name)]), pure, "{name}");
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
