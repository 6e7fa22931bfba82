//! `phasegate reload`: the running host reads its configuration file again.

use crate::api::wire;
use crate::cli::args::ReloadArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target;

/// Asks the host to reload.
///
/// # Errors
/// When the host cannot be reached, or refuses; then it goes by what it went by before.
pub fn run(args: &ReloadArgs) -> anyhow::Result<Exit> {
    let reload: wire::Reload = target::client(&args.server)?.reload()?;
    for warning in &reload.warnings {
        output::talk(&format!("warning: {warning}\n"));
    }
    if args.output.json {
        output::json(&reload)?;
    } else if reload.changed.is_empty() {
        output::data("nothing changed\n")?;
    } else {
        output::data(&format!("changed: {}\n", reload.changed.join(", ")))?;
    }
    Ok(Exit::Done)
}
