//! `phasegate check`: every problem of a configuration at once, and what its policies amount to.

use crate::api::wire;
use crate::cli::args::CheckArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::clock::Clock;
use crate::config::{self, Config, LoadConfigError, Problem, Problems};
use crate::control;
use crate::plan::{FeasibilityInput, feasibility};

/// Checks the file and what it names on this machine.
///
/// # Errors
/// When the file cannot be read.
pub fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let (problems, config) = match config::load(&args.config.config) {
        Ok(config) => (crate::host::problems(&config), Some(config)),
        Err(LoadConfigError::Invalid(problems)) => (problems, None),
        Err(error @ LoadConfigError::Unreadable { .. }) => return Err(error.into()),
    };
    let checked = checked(&problems, config.as_ref());
    if args.output.json {
        output::json(&checked)?;
    } else {
        show(&checked, &problems)?;
    }
    Ok(if checked.ok { Exit::Done } else { Exit::No })
}

fn show(checked: &wire::Check, problems: &Problems) -> anyhow::Result<()> {
    for warning in &checked.warnings {
        output::talk(&format!("warning: scale set \"{}\": {}\n", warning.scale_set, warning.message));
    }
    if checked.ok {
        output::talk(&format!("{}: ok\n", problems.path.display()));
        return Ok(());
    }
    output::data(&format!("{problems}\n"))?;
    let count = problems.list.len();
    output::talk(&format!("{count} problem{}\n", if count == 1 { "" } else { "s" }));
    Ok(())
}

fn checked(problems: &Problems, config: Option<&Config>) -> wire::Check {
    let now = Clock::start().now();
    let mut warnings = Vec::new();
    let mut scale_sets = Vec::new();
    for set in config.map(|config| config.scale_sets.as_slice()).unwrap_or_default() {
        let found = feasibility(&FeasibilityInput::of(set, now));
        warnings.extend(found.findings.iter().map(|finding| wire::CheckWarning {
            scale_set: set.name.to_string(),
            code: finding.code().to_owned(),
            message: finding.to_string(),
        }));
        let limits = control::limits(&set.policy, &found.resolved);
        scale_sets.push(wire::CheckScaleSet { name: set.name.to_string(), limits });
    }
    let file = problems.path.display().to_string();
    let problem = |Problem { place, key, message, hint }: &Problem| wire::CheckProblem {
        file: file.clone(),
        line: place.line,
        column: place.column,
        key: key.clone(),
        message: message.clone(),
        hint: hint.clone(),
    };
    let problems: Vec<wire::CheckProblem> = problems.list.iter().map(problem).collect();
    wire::Check { ok: problems.is_empty(), problems, warnings, scale_sets }
}
