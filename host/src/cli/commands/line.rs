//! `phasegate line`: one switch that holds every upgrade of every scale set.

use crate::cli::args::{LineArgs, LineVerb, OutputArgs};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target;
use phasegate_wire as wire;

/// Runs one verb. `status` ends with 1 while the line is stopped.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &LineArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        LineVerb::Status { output } => {
            let line: wire::Line = client.get("/v1/line")?;
            show(&line, *output)?;
            Ok(if line.stopped { Exit::No } else { Exit::Done })
        }
        LineVerb::Stop { reason, output } => {
            let request = wire::ReasonRequest { reason: Some(reason.clone()) };
            show(&client.post("/v1/line/stop", &request)?, *output)?;
            Ok(Exit::Done)
        }
        LineVerb::Start { reason, output } => {
            let request = wire::ReasonRequest { reason: reason.clone() };
            show(&client.post("/v1/line/start", &request)?, *output)?;
            Ok(Exit::Done)
        }
    }
}

fn show(line: &wire::Line, format: OutputArgs) -> anyhow::Result<()> {
    if format.json {
        return output::json(line);
    }
    let text = match (&line.since, &line.reason) {
        (Some(since), Some(reason)) if line.stopped => {
            let by = line.actor.as_ref().map_or_else(String::new, |actor| format!(" by {actor}"));
            format!(
                "the line is stopped since {since}{by}: {reason}\nno upgrade admits anything until `phasegate line start`\n"
            )
        }
        _ => "the line goes on\n".to_owned(),
    };
    Ok(output::data(&text)?)
}
