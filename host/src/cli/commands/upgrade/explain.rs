//! `upgrade explain`: why an upgrade took an instance or left it alone.

use crate::cli::args::ExplainArgs;
use crate::cli::client::Client;
use crate::cli::commands::instance::received;
use crate::cli::exit::Exit;
use crate::cli::output;
use phasegate_wire as wire;

/// Asks the host and prints the answer; 1 when it was not judged again, or comes out differently.
pub(super) fn run(client: &Client, args: &ExplainArgs) -> anyhow::Result<Exit> {
    let instance = super::instance_id(&args.instance)?;
    let mut path = format!("{}/explain/{instance}", super::scale_set_path(&args.name)?);
    if let Some(upgrade) = &args.upgrade {
        path.push_str(&format!("?upgrade={}", super::upgrade_id(upgrade)?));
    }
    let answer: wire::Explanation = client.get(&path)?;
    if args.output.json {
        output::json(&answer)?;
    } else {
        output::data(&render(&answer)?)?;
    }
    let proved = !answer.again.is_null() && answer.same != Some(false);
    Ok(if proved { Exit::Done } else { Exit::No })
}

fn render(answer: &wire::Explanation) -> anyhow::Result<String> {
    let mut text = format!(
        "{} instance {}, upgrade {}\n{} at {}\n",
        answer.scale_set, answer.instance, answer.upgrade, answer.verdict, answer.at
    );
    if let Some(plugin) = &answer.plugin {
        let (name, digest, generation) = (&plugin.name, &plugin.digest, plugin.generation);
        text.push_str(&format!("plugin {name} {digest} generation {generation}\n"));
    }
    if let Some(metrics) = &answer.custom_metrics {
        text.push_str(&format!("custom metrics {}\n", received(metrics)));
    }
    let parts =
        [("observation", &answer.observation), ("said", &answer.outcome), ("says now", &answer.again)];
    for (what, value) in parts {
        // The same once more would only be something else to read.
        let repeats = what == "says now" && answer.again == answer.outcome;
        if !value.is_null() && !repeats {
            text.push_str(&format!("\n{what}\n{}\n", output::pretty_json(value)?));
        }
    }
    let same = match answer.same {
        _ if answer.again.is_null() => "NOT judged again",
        Some(true) => "judged again: the same, to the byte",
        Some(false) => "judged again: NOT the same",
        None => "judged again: not proved",
    };
    text.push_str(&format!("\n{same}"));
    if let Some(fuel) = answer.fuel {
        text.push_str(&format!(", {fuel} fuel"));
    }
    if let Some(note) = &answer.note {
        text.push_str(&format!("; {note}"));
    }
    text.push('\n');
    Ok(text)
}
