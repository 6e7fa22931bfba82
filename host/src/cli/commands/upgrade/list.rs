//! `upgrade list`: the upgrades of a scale set that are kept.

use crate::cli::args::ListArgs;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::{self, or_dash, table};
use phasegate_wire as wire;

/// Upgrades of one request; what the host gives at most.
const PAGE: u32 = 200;

/// Prints the newest upgrades, and says when there are more.
pub(super) fn run(client: &Client, args: &ListArgs) -> anyhow::Result<Exit> {
    let path = format!("{}/upgrades", super::scale_set_path(&args.name)?);
    let page = |limit: u32, before: &str| -> anyhow::Result<wire::PastUpgrades> {
        client.get(&format!("{path}?limit={}{before}", limit.min(PAGE)))
    };
    let mut list = page(args.limit, "")?;
    while let Some(next) = list.next {
        let left = args.limit.saturating_sub(u32::try_from(list.upgrades.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let older = page(left, &format!("&before={next}"))?;
        list.upgrades.extend(older.upgrades);
        (list.truncated, list.next) = (older.truncated, older.next);
    }
    if args.output.json {
        output::json(&list)?;
    } else {
        output::data(&render(&list))?;
    }
    if list.truncated {
        let shown = list.upgrades.len();
        output::talk(&format!(
            "these are the newest {shown}, and there are older ones: --limit N shows more\n"
        ));
    }
    Ok(Exit::Done)
}

fn render(list: &wire::PastUpgrades) -> String {
    let row = |upgrade: &wire::PastUpgrade| {
        let counts = upgrade.progress;
        let total = counts.successful + counts.failed + counts.in_progress + counts.pending;
        vec![
            upgrade.id.clone(),
            or_dash(upgrade.from.as_ref()),
            upgrade.to.clone(),
            upgrade.state.to_string(),
            upgrade.started_at.clone(),
            or_dash(upgrade.ended_at.as_ref()),
            format!("{}/{total}", counts.successful),
            counts.failed.to_string(),
            or_dash(upgrade.actor.as_ref()),
            upgrade.reason.clone().or_else(|| upgrade.why.clone()).unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = list.upgrades.iter().map(row).collect();
    let headings = ["ID", "FROM", "TO", "STATE", "STARTED", "ENDED", "DONE", "FAILED", "BY", "WHY"];
    table(&headings, &rows)
}
