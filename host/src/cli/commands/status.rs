//! `phasegate status`: the latest upgrade of every scale set, or of one.

use crate::cli::args::StatusArgs;
use crate::cli::exit::Exit;
use crate::cli::output::{self, or_dash, table};
use crate::cli::target;
use phasegate_wire as wire;

use super::upgrade;

/// Prints how upgrades stand.
///
/// # Errors
/// When the host cannot be reached, or does not know the scale set or the upgrade.
pub fn run(args: &StatusArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    if let Some(name) = &args.name {
        return upgrade::status(&client, name, args.upgrade.as_ref(), args.output);
    }
    let latest: wire::LatestUpgrades = client.get("/v1/upgrades")?;
    if args.output.json {
        output::json(&latest)?;
    } else {
        output::data(&render(&latest))?;
    }
    Ok(Exit::Done)
}

fn render(latest: &wire::LatestUpgrades) -> String {
    let rows: Vec<Vec<String>> = latest.scale_sets.iter().map(row).collect();
    table(&["SCALE SET", "STATE", "FROM", "TO", "DONE", "FAILED", "QUARANTINE", "WAITING FOR"], &rows)
}

fn row(set: &wire::LatestUpgrade) -> Vec<String> {
    let dash = || "-".to_owned();
    let quarantined: Vec<String> = set.quarantined.iter().map(in_quarantine).collect();
    let quarantined = if quarantined.is_empty() { dash() } else { quarantined.join(",") };
    let Some(upgrade) = &set.upgrade else {
        let name = set.scale_set.clone();
        return vec![name, dash(), dash(), dash(), dash(), dash(), quarantined, dash()];
    };
    let counts = upgrade.progress;
    let total = counts.successful + counts.failed + counts.in_progress + counts.pending;
    let retry = upgrade.retry_at.as_ref().map(|at| format!("its next try at {at}"));
    vec![
        set.scale_set.clone(),
        upgrade.state.to_string(),
        or_dash(upgrade.from.as_ref()),
        upgrade.to.clone(),
        format!("{}/{total}", counts.successful),
        counts.failed.to_string(),
        quarantined,
        upgrade.waiting.clone().or(retry).unwrap_or_else(dash),
    ]
}

fn in_quarantine(one: &wire::QuarantinedVersion) -> String {
    match one.component.as_str() {
        "application" => one.version.clone(),
        extension => format!("{extension}={}", one.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_scale_set() {
        let latest = serde_json::from_value(serde_json::json!({"scaleSets": [
            {"scaleSet": "orders", "quarantined": [], "upgrade": {
                "id": "orders-7", "from": "v1", "to": "v2", "state": "RollingForward", "progress":
                {"successful": 3, "failed": 1, "inProgress": 2, "pending": 4}, "waiting": "health of instance 4",
                "startedAt": "2026-01-05T09:00:00.000Z", "endedAt": null, "retryAt": null}},
            {"scaleSet": "stock", "upgrade": null, "quarantined":
                [{"component": "application", "version": "v3", "reason": "it faulted"},
                 {"component": "agent", "version": "1.2", "reason": "it faulted"}]},
        ]}));
        insta::assert_snapshot!(render(&latest.unwrap()), @r"
        SCALE SET  STATE           FROM  TO  DONE  FAILED  QUARANTINE    WAITING FOR
        orders     RollingForward  v1    v2  3/10  1       -             health of instance 4
        stock      -               -     -   -     -       v3,agent=1.2  -
        ");
    }
}
