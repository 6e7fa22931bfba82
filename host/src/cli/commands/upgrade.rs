//! `phasegate upgrade`: plan, start, status, watch, cancel.

use crate::api::wire;
use crate::cli::args::{OutputArgs, RollbackArgs, StartArgs, UpgradeArgs, UpgradeOf, UpgradeTo, UpgradeVerb};
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::{self, or_dash, table};
use crate::cli::target;
use crate::domain::{ScaleSetName, Version};

use super::follow;

/// Runs one verb.
///
/// # Errors
/// When the host cannot be reached, does not know the scale set, or refuses.
pub fn run(args: &UpgradeArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        UpgradeVerb::Plan(args) => plan(&client, args),
        UpgradeVerb::Start(args) => start(&client, args),
        UpgradeVerb::Status(args) => {
            let detail: wire::StatusDetail = client.get(&upgrade_path(&args.name)?)?;
            show(&detail, args.output)?;
            Ok(Exit::Done)
        }
        UpgradeVerb::Watch(args) => watch(&client, args),
        UpgradeVerb::Cancel(args) => wish(&client, args, "cancel"),
        UpgradeVerb::Pause(args) => wish(&client, args, "pause"),
        UpgradeVerb::Resume(args) => wish(&client, args, "resume"),
        UpgradeVerb::Approve(args) => wish(&client, args, "approve"),
        UpgradeVerb::Rollback(args) => rollback(&client, args),
        UpgradeVerb::Log(args) => log(&client, args),
    }
}

fn wish(client: &Client, args: &UpgradeOf, wish: &str) -> anyhow::Result<Exit> {
    let path = format!("{}/{wish}", upgrade_path(&args.name)?);
    let detail: wire::StatusDetail = client.post(&path, &serde_json::json!({}))?;
    show(&detail, args.output)?;
    Ok(Exit::Done)
}

fn rollback(client: &Client, args: &RollbackArgs) -> anyhow::Result<Exit> {
    if !args.wait {
        return wish(client, &args.upgrade, "rollback");
    }
    let path = upgrade_path(&args.upgrade.name)?;
    let asked: wire::StatusDetail = client.post(&format!("{path}/rollback"), &serde_json::json!({}))?;
    let mut ended = follow::to_the_end(asked, || client.get(&path))?;
    // While the upgrade itself was under way it had to end first; the rollback follows it.
    let latest: wire::StatusDetail = client.get(&path)?;
    if latest.status.id != ended.status.id {
        ended = follow::to_the_end(latest, || client.get(&path))?;
    }
    show(&ended, args.upgrade.output)?;
    Ok(verdict(&ended))
}

fn log(client: &Client, args: &UpgradeOf) -> anyhow::Result<Exit> {
    let log: wire::Log = client.get(&format!("{}/log", scale_set_path(&args.name)?))?;
    if args.output.json {
        output::json(&log)?;
        return Ok(Exit::Done);
    }
    let row = |entry: &wire::LogEntry| {
        vec![
            entry.at.clone(),
            or_dash(entry.upgrade.as_ref()),
            or_dash(entry.instance.as_ref()),
            entry.kind.clone(),
            entry.text.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = log.entries.iter().map(row).collect();
    output::data(&table(&["AT", "UPGRADE", "INSTANCE", "WHAT", "WHY"], &rows))?;
    Ok(Exit::Done)
}

fn scale_set_path(name: &str) -> anyhow::Result<String> {
    let name =
        ScaleSetName::parse(name).map_err(|error| anyhow::anyhow!("scale set name `{name}` {error}"))?;
    Ok(format!("/v1/scale-sets/{name}"))
}

fn upgrade_path(name: &str) -> anyhow::Result<String> {
    Ok(format!("{}/upgrade", scale_set_path(name)?))
}

fn version(text: Option<&String>) -> anyhow::Result<Option<Version>> {
    let parse =
        |text: &String| Version::parse(text).map_err(|error| anyhow::anyhow!("version `{text}` {error}"));
    text.map(parse).transpose()
}

fn plan(client: &Client, args: &UpgradeTo) -> anyhow::Result<Exit> {
    let to = version(args.to.as_ref())?;
    let query = to.map_or_else(String::new, |to| format!("?to={}", to.as_str().replace('+', "%2B")));
    let plan: wire::Plan = client.get(&format!("{}/plan{query}", scale_set_path(&args.name)?))?;
    if args.output.json {
        output::json(&plan)?;
    } else {
        output::data(&render_plan(&plan))?;
    }
    Ok(Exit::Done)
}

fn start(client: &Client, args: &StartArgs) -> anyhow::Result<Exit> {
    let to = version(args.upgrade.to.as_ref())?.map(|to| to.to_string());
    let path = upgrade_path(&args.upgrade.name)?;
    let detail: wire::StatusDetail =
        client.post(&path, &wire::StartRequest { to, plan: args.plan.clone(), force: args.force })?;
    if !args.wait {
        show(&detail, args.upgrade.output)?;
        // It may be over already, and badly: refused at the door.
        let faulted = detail.status.state == "Faulted";
        return Ok(if faulted { Exit::No } else { Exit::Done });
    }
    let ended = follow::to_the_end(detail, || client.get(&path))?;
    show(&ended, args.upgrade.output)?;
    Ok(verdict(&ended))
}

fn watch(client: &Client, args: &UpgradeOf) -> anyhow::Result<Exit> {
    let path = upgrade_path(&args.name)?;
    let ended = follow::to_the_end(client.get(&path)?, || client.get(&path))?;
    show(&ended, args.output)?;
    Ok(verdict(&ended))
}

/// Completed is yes; Faulted and Cancelled are no.
fn verdict(detail: &wire::StatusDetail) -> Exit {
    if detail.status.state == "Completed" { Exit::Done } else { Exit::No }
}

fn show(detail: &wire::StatusDetail, format: OutputArgs) -> anyhow::Result<()> {
    if format.json {
        output::json(&detail.status)?;
    } else {
        output::data(&render_status(detail))?;
    }
    Ok(())
}

/// A plan for people.
#[must_use]
pub fn render_plan(plan: &wire::Plan) -> String {
    let count: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
    let mut text = format!(
        "{} -> {}: {count} instances in {} batches\nplan {}\n",
        plan.scale_set,
        plan.to,
        plan.batches.len(),
        plan.digest
    );
    text.push_str(&render_limits(&plan.limits));
    if let Some(frozen) = &plan.frozen {
        text.push_str(&format!("frozen until {}: {}\n", frozen.until, frozen.reason));
    }
    for warning in &plan.warnings {
        text.push_str(&format!("warning: {}\n", warning.message));
    }
    if !plan.batches.is_empty() {
        let row = |(index, batch): (usize, &wire::PlanBatch)| {
            vec![
                (index + 1).to_string(),
                phase(batch.phase),
                or_dash(batch.zone.as_ref()),
                or_dash(batch.update_domain.as_ref()),
                batch.instances.join(" "),
            ]
        };
        let rows: Vec<Vec<String>> = plan.batches.iter().enumerate().map(row).collect();
        text.push('\n');
        text.push_str(&table(&["BATCH", "PHASE", "ZONE", "UD", "INSTANCES"], &rows));
    }
    text.push_str(&render_holds(&plan.holds));
    text
}

/// The limits as counts, one line.
fn render_limits(limits: &wire::Limits) -> String {
    let growing = match limits.batch_sizes.as_slice() {
        [_] => String::new(),
        sizes => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            format!(", batches of {}, and so on", sizes.join(", "))
        }
    };
    format!(
        "of {} instances at most {} at once ({} %), at most {} unhealthy ({} %){growing}\n",
        limits.instances,
        limits.batch_max,
        limits.max_batch_instance_percent,
        limits.unhealthy_max,
        limits.max_unhealthy_instance_percent,
    )
}

/// A status for people.
#[must_use]
pub fn render_status(detail: &wire::StatusDetail) -> String {
    let status = &detail.status;
    let counts = status.progress;
    let mut text = format!(
        "{} -> {}: {} ({} successful, {} failed, {} in progress, {} pending)\nupgrade {}, started {}",
        status.scale_set,
        detail.to,
        status.state,
        counts.successful,
        counts.failed,
        counts.in_progress,
        counts.pending,
        status.id,
        detail.started_at,
    );
    if let Some(ended_at) = &detail.ended_at {
        text.push_str(&format!(", ended {ended_at}"));
    }
    text.push('\n');
    if let Some(waiting) = &detail.waiting {
        text.push_str(&format!("waiting for: {waiting}\n"));
    }
    if !status.batches.is_empty() {
        let row = |(index, batch): (usize, &wire::StatusBatch)| {
            vec![
                (index + 1).to_string(),
                phase(batch.phase),
                batch.state.clone(),
                batch.instances.join(" "),
                or_dash(batch.started_at.as_ref()),
                or_dash(batch.ended_at.as_ref()),
            ]
        };
        let rows: Vec<Vec<String>> = status.batches.iter().enumerate().map(row).collect();
        text.push('\n');
        text.push_str(&table(&["BATCH", "PHASE", "STATE", "INSTANCES", "STARTED", "ENDED"], &rows));
    }
    text.push_str(&render_holds(&status.holds));
    if let Some(error) = &status.error {
        text.push_str(&format!("\n{}: {}\n", error.code, error.message));
        for detail in &error.details {
            text.push_str(&format!("  {}: {}\n", detail.target, detail.message));
        }
    }
    text
}

fn render_holds(holds: &[wire::Hold]) -> String {
    if holds.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> =
        holds.iter().map(|hold| vec![hold.instance.clone(), hold.reason.clone()]).collect();
    format!("\n{}", table(&["LEFT ALONE", "WHY"], &rows))
}

fn phase(phase: Option<u32>) -> String {
    phase.map_or_else(|| "last".to_owned(), |phase| phase.to_string())
}
