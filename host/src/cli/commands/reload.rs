//! `phasegate reload`: the running host reads its configuration file again.

use crate::cli::args::ReloadArgs;
use crate::cli::commands::fleet::file_differs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target;
use phasegate_wire as wire;

/// Asks the host to reload; 1 when something that the file says is not in force.
///
/// # Errors
/// When the host cannot be reached, or refuses; then it goes by what it went by before.
pub fn run(args: &ReloadArgs) -> anyhow::Result<Exit> {
    let reload: wire::Reload = target::client(&args.server)?.reload()?;
    for warning in &reload.warnings {
        output::talk(&format!("warning: {warning}\n"));
    }
    for refused in &reload.not_in_force {
        output::talk(&format!("{refused}\n"));
    }
    output::talk(&file_differs(&reload.file_differs));
    if args.output.json {
        output::json(&reload)?;
    } else if reload.changed.is_empty() {
        output::data("nothing changed\n")?;
    } else {
        output::data(&format!("changed: {}\n", reload.changed.join(", ")))?;
    }
    Ok(if reload.not_in_force.is_empty() { Exit::Done } else { Exit::No })
}
