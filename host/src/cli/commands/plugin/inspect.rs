//! `plugin inspect`: what a file is, without running it.

use serde::Serialize;

use super::subject::Subject;
use crate::cli::args::OutputArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use phasegate_wasm::{Import, ImportVerdict, Inspection, Kind, inspect};

/// The report of `plugin inspect --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    kind: &'static str,
    world: Option<String>,
    version: Option<String>,
    imports: Vec<ImportReport>,
    exports: Vec<String>,
    pure: bool,
    /// Pure for as long as it uses neither WASI's clocks nor its random numbers.
    may_be_pure: bool,
    size: u64,
    digest: String,
    fits: bool,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct ImportReport {
    name: String,
    allowed: bool,
    reason: &'static str,
}

/// Inspects a file and prints the report.
pub(super) fn run(subject: &Subject, format: OutputArgs) -> anyhow::Result<Exit> {
    let report = report(subject.name.clone(), inspect(&subject.bytes));
    if format.json {
        output::json(&report)?;
    } else {
        output::data(&render(&report))?;
    }
    Ok(if report.fits { Exit::Done } else { Exit::No })
}

fn report(file: String, inspection: Inspection) -> Report {
    let Inspection { kind, size, digest, world, imports, exports, pure, may_be_pure, fits } = inspection;
    let import = |import: Import| {
        let (allowed, reason) = match import.verdict {
            _ if kind == Kind::CoreModule => (false, "of a core module; a component has interfaces"),
            ImportVerdict::Allowed(why) => (true, why),
            ImportVerdict::Refused(why) => (false, why),
        };
        ImportReport { name: import.name, allowed, reason }
    };
    Report {
        file,
        kind: kind.name(),
        version: world
            .as_ref()
            .and_then(|world| world.split_once('@'))
            .map(|(_, version)| version.to_owned()),
        world,
        imports: imports.into_iter().map(import).collect(),
        exports,
        pure,
        may_be_pure,
        size,
        digest: digest.to_string(),
        fits: fits.is_ok(),
        reason: fits.err().map(|error| error.to_string()),
    }
}

fn render(report: &Report) -> String {
    let exports = if report.exports.is_empty() { "nothing".to_owned() } else { report.exports.join(", ") };
    let verdict = report.reason.as_ref().map_or_else(|| "yes".to_owned(), |why| format!("no: it {why}"));
    let pure = match report.pure {
        true => "yes, by its imports; `plugin test` looks for state that it keeps",
        false if report.kind != Kind::Component.name() => "not known of what is no component",
        false if report.may_be_pure => {
            "while it uses neither clocks nor random numbers, which its language imports in any case"
        }
        false => "no: its answers may depend on more than the input",
    };
    let mut rows = vec![
        ("file", report.file.clone()),
        ("kind", report.kind.to_owned()),
        ("world", report.world.clone().unwrap_or_else(|| "not a policy".to_owned())),
        ("exports", exports),
        ("pure", pure.to_owned()),
        ("size", format!("{} bytes", report.size)),
        ("digest", report.digest.clone()),
        ("fits", verdict),
    ];
    if report.imports.is_empty() {
        rows.push(("imports", "nothing".to_owned()));
    }
    let core = report.kind == Kind::CoreModule.name();
    for (place, import) in report.imports.iter().enumerate() {
        let verdict = match import.allowed {
            _ if core => String::new(),
            true => format!(": {}", import.reason),
            false => format!(" REFUSED: {}", import.reason),
        };
        rows.push((if place == 0 { "imports" } else { "" }, format!("{}{verdict}", import.name)));
    }
    rows.iter().map(|(name, value)| format!("{name:<8} {value}\n")).collect()
}
