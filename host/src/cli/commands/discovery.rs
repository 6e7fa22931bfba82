//! `phasegate discovery`: where instances are found, and those that stay although they are named no longer.

use crate::cli::args::{DiscoveryArgs, DiscoveryVerb};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target;
use phasegate_core::domain::ScaleSetName;
use phasegate_wire as wire;

/// Runs one verb.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &DiscoveryArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        DiscoveryVerb::List { name: Some(name), output: format } => {
            let one: wire::Discovery = client.get(&path(name)?)?;
            if format.json { output::json(&one)? } else { output::data(&lines(&one))? }
        }
        DiscoveryVerb::List { name: None, output: format } => {
            let fleet: wire::Fleet = client.get("/v1/fleet")?;
            let all: Vec<wire::Discovery> =
                fleet.scale_sets.into_iter().filter_map(|set| set.discovery).collect();
            if format.json {
                output::json(&all)?;
            } else if all.is_empty() {
                output::data("no scale set has a source of instances\n")?;
            } else {
                output::data(&all.iter().map(lines).collect::<String>())?;
            }
        }
        DiscoveryVerb::Accept { name, reason, output: format } => {
            let request = wire::ReasonRequest { reason: reason.clone() };
            let now: wire::Discovery = client.post(&format!("{}/accept", path(name)?), &request)?;
            if format.json { output::json(&now)? } else { output::data(&lines(&now))? }
        }
    }
    Ok(Exit::Done)
}

fn path(name: &str) -> anyhow::Result<String> {
    let name =
        ScaleSetName::parse(name).map_err(|error| anyhow::anyhow!("scale set name `{name}` {error}"))?;
    Ok(format!("/v1/scale-sets/{name}/discovery"))
}

fn lines(one: &wire::Discovery) -> String {
    format!("{}: {}", one.scale_set, standing(one))
}

/// How it stands with a source, a line for each thing to know.
pub(super) fn standing(one: &wire::Discovery) -> String {
    let wire::Discovery { scale_set: _, source, instances, refreshed_at, failing, held, refused, problems } =
        one;
    let read = refreshed_at.as_ref().map_or_else(|| "not read yet".to_owned(), |at| format!("read at {at}"));
    let mut text = format!("{source}, {read}: {instances} instances found\n");
    if let Some(wire::DiscoveryFailing { since, reason }) = failing {
        text.push_str(&format!("  fails since {since}: it {reason}; its instances stay\n"));
    }
    if let Some(wire::DiscoveryHeld { since, reason, .. }) = held {
        text.push_str(&format!("  held since {since}: {reason}\n"));
    }
    for problem in problems {
        text.push_str(&format!("  refused: {problem}\n"));
    }
    if *refused > problems.len() {
        text.push_str(&format!("  and {} more entries are refused\n", refused - problems.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_thing_to_know() {
        let held = wire::DiscoveryHeld {
            since: "2026-01-02T03:04:05Z".to_owned(),
            removed: 3,
            of: 10,
            instances: vec!["a".to_owned()],
            reason: "3 of 10 instances are named no longer".to_owned(),
        };
        let one = wire::Discovery {
            scale_set: "orders".to_owned(),
            source: "file targets.json".to_owned(),
            instances: 10,
            refreshed_at: None,
            failing: Some(wire::DiscoveryFailing {
                since: "2026-01-02T03:04:05Z".to_owned(),
                reason: "cannot be read: no such file or directory".to_owned(),
            }),
            held: Some(held),
            refused: 12,
            problems: vec!["target \"x\" has no port".to_owned()],
        };
        insta::assert_snapshot!(lines(&one), @r#"
        orders: file targets.json, not read yet: 10 instances found
          fails since 2026-01-02T03:04:05Z: it cannot be read: no such file or directory; its instances stay
          held since 2026-01-02T03:04:05Z: 3 of 10 instances are named no longer
          refused: target "x" has no port
          and 11 more entries are refused
        "#);
    }
}
