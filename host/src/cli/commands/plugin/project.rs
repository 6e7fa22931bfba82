//! `plugin new`, `build` and `wit`.

use std::path::Path;

use anyhow::Context as _;

use crate::author::Language;
use crate::author::build::{self, BuildError, Built, Within};
use crate::author::project::{self, Project};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output;
use crate::cli::progress::Progress;
use phasegate_wasm::CONTRACT;
use phasegate_wasm::inspect;

/// Longest part of a tool's output that is shown.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// Writes a project and says what to do next.
pub(super) fn new(name: &str, language: Language) -> anyhow::Result<Exit> {
    let project = project::create(Path::new(""), name, language)?;
    let first = project::first_file(language);
    output::data(&format!(
        "wrote `{name}`; the policy is in `{name}/{first}`\nnext: phasegate plugin build {name} && phasegate plugin test {name}\n"
    ))?;
    debug_assert_eq!(project.name, name);
    Ok(Exit::Done)
}

/// Builds a project.
pub(super) fn build(folder: &Path, within: Within) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    let progress = Progress::new(&format!("building {}", project.name));
    let built = progress.during(|step| build::build(&project, within, &|what| step.say(what)));
    let Built { path, warnings } = match built {
        Ok(built) => built,
        Err(BuildError::Failed { command, output: said }) => {
            output::talk(&format!("{}\n", tail(said.trim_end())));
            return Err(Refused(format!("`{command}` failed")).into());
        }
        Err(error @ (BuildError::Componentize(_) | BuildError::Refused(_))) => {
            return Err(Refused(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    let warnings = warnings.trim_end();
    if !warnings.is_empty() {
        output::talk(&format!("{}\n", tail(warnings)));
    }
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let report = inspect(&bytes);
    let world = report.world.unwrap_or_default();
    let pure = match (report.pure, report.may_be_pure) {
        (true, _) => "pure",
        (false, true) => "pure while it uses no clock",
        (false, false) => "not pure",
    };
    output::data(&format!("wrote {}: {world}, {} bytes, {pure}\n", path.display(), report.size))?;
    Ok(Exit::Done)
}

/// The end of a long text: compilers say last what matters most.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(OUTPUT_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or(text)
}

/// Prints the contract or writes it.
pub(super) fn wit(out: Option<&Path>) -> anyhow::Result<Exit> {
    let Some(folder) = out else {
        output::data(CONTRACT)?;
        return Ok(Exit::Done);
    };
    let path = folder.join("policy.wit");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, CONTRACT))
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    output::data(&format!("wrote {}\n", path.display()))?;
    Ok(Exit::Done)
}
