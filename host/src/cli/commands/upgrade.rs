//! `phasegate upgrade`: plan, start, status, list, watch, cancel.

mod explain;
mod list;
mod log;
mod show;

use std::collections::BTreeMap;

use crate::cli::args::{
    DetailArgs, LogOfArgs, RollbackArgs, StartArgs, UpgradeArgs, UpgradeOf, UpgradeTo, UpgradeVerb, WishArgs,
};
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::stream;
use crate::cli::target;
use phasegate_core::domain::{ExtensionName, InstanceId, ScaleSetName, UpgradeId, Version};
use phasegate_wire as wire;

use super::follow::{self, Voice};
pub use show::{render_plan, render_status};

/// Runs one verb.
///
/// # Errors
/// When the host cannot be reached, does not know the scale set, or refuses.
pub fn run(args: &UpgradeArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        UpgradeVerb::Plan(args) => plan(&client, args),
        UpgradeVerb::Start(args) => start(&client, args),
        UpgradeVerb::Status(args) => status(&client, &args.of.name, args.upgrade.as_ref(), args.of.output),
        UpgradeVerb::List(args) => list::run(&client, args),
        UpgradeVerb::Watch(args) => watch(&client, args),
        UpgradeVerb::Cancel(args) => {
            let request = wire::WishRequest { now: args.now, ..because(args.reason.as_ref()) };
            wish_for(&client, &args.upgrade, "cancel", &request)
        }
        UpgradeVerb::Pause(args) => wish(&client, args, "pause"),
        UpgradeVerb::Resume(args) => wish(&client, args, "resume"),
        UpgradeVerb::Approve(args) => wish(&client, args, "approve"),
        UpgradeVerb::Promote(args) => wish(&client, args, "promote"),
        UpgradeVerb::Retry(args) => wish(&client, args, "retry"),
        UpgradeVerb::Bypass(args) => {
            let path = format!("{}/bypass", upgrade_path(&args.upgrade.name)?);
            let detail: wire::StatusDetail = client.post(&path, &because(Some(&args.reason)))?;
            show(&detail, args.upgrade.output)?;
            Ok(Exit::Done)
        }
        UpgradeVerb::Rollback(args) => rollback(&client, args),
        UpgradeVerb::Log(args) => log::run(&client, args),
        UpgradeVerb::Explain(args) => explain::run(&client, args),
    }
}

/// Shows or follows the trail.
///
/// # Errors
/// As [`run`].
pub fn log(args: &LogOfArgs) -> anyhow::Result<Exit> {
    log::run(&target::client(&args.server)?, &args.log)
}

fn wish(client: &Client, args: &WishArgs, wish: &str) -> anyhow::Result<Exit> {
    wish_for(client, &args.upgrade, wish, &because(args.reason.as_ref()))
}

/// A wish and why.
fn because(reason: Option<&String>) -> wire::WishRequest {
    wire::WishRequest { reason: reason.cloned(), ..wire::WishRequest::default() }
}

fn wish_for(
    client: &Client,
    args: &UpgradeOf,
    wish: &str,
    request: &wire::WishRequest,
) -> anyhow::Result<Exit> {
    let path = format!("{}/{wish}", upgrade_path(&args.name)?);
    let detail: wire::StatusDetail = client.post(&path, request)?;
    show(&detail, args.output)?;
    Ok(Exit::Done)
}

fn rollback(client: &Client, args: &RollbackArgs) -> anyhow::Result<Exit> {
    let to = args.to.as_deref().map(upgrade_id).transpose()?.map(|id| id.to_string());
    let request = wire::WishRequest { go_on: args.go_on, to, ..because(args.reason.as_ref()) };
    if !args.wait {
        return wish_for(client, &args.upgrade, "rollback", &request);
    }
    let path = upgrade_path(&args.upgrade.name)?;
    let since = stream::latest(client)?;
    let asked: wire::StatusDetail = client.post(&format!("{path}/rollback"), &request)?;
    let voice = voice(args.upgrade.output, Voice::Talk);
    let mut ended = follow::run_to_the_end(client, asked, Some(since), voice)?;
    // While the upgrade itself was under way it had to end first; the rollback follows it.
    let latest: wire::StatusDetail = client.get(&path)?;
    if latest.status.id != ended.status.id {
        ended = follow::run_to_the_end(client, latest, None, voice)?;
    }
    show_ended(&ended, args.upgrade.output)?;
    Ok(verdict(&ended, Partial::Fails))
}

/// Prints how the latest upgrade of a scale set stands, or another one stood.
pub(super) fn status(
    client: &Client,
    name: &str,
    upgrade: Option<&String>,
    format: DetailArgs,
) -> anyhow::Result<Exit> {
    let path = match upgrade {
        Some(id) => format!("{}/upgrades/{}", scale_set_path(name)?, upgrade_id(id)?),
        None => upgrade_path(name)?,
    };
    show(&client.get(&path)?, format)?;
    Ok(Exit::Done)
}

fn upgrade_id(text: &str) -> anyhow::Result<UpgradeId> {
    UpgradeId::parse(text).map_err(|error| anyhow::anyhow!("upgrade id `{text}` {error}"))
}

/// A value as it stands in a query.
fn encoded(value: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
}

fn instance_id(text: &str) -> anyhow::Result<InstanceId> {
    InstanceId::parse(text).map_err(|error| anyhow::anyhow!("instance id `{text}` {error}"))
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

/// `NAME` or `NAME=VERSION`, each once.
fn extensions(texts: &[String]) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let mut all = BTreeMap::new();
    for text in texts {
        let (name, to) = match text.split_once('=') {
            Some((name, to)) => (name, Some(to.to_owned())),
            None => (text.as_str(), None),
        };
        ExtensionName::parse(name).map_err(|error| anyhow::anyhow!("extension `{name}` {error}"))?;
        version(to.as_ref())?;
        anyhow::ensure!(all.insert(name.to_owned(), to).is_none(), "extension `{name}` is named twice");
    }
    Ok(all)
}

fn plan(client: &Client, args: &UpgradeTo) -> anyhow::Result<Exit> {
    let to = version(args.to.as_ref())?;
    let encoded = |text: &str| text.replace('+', "%2B");
    let mut query: Vec<String> = to.iter().map(|to| format!("to={}", encoded(to.as_str()))).collect();
    for (name, to) in extensions(&args.extension)? {
        let to = to.map_or_else(String::new, |to| format!("={}", encoded(&to)));
        query.push(format!("extension={name}{to}"));
    }
    query.extend(args.urgency.iter().map(|urgency| format!("urgency={urgency}")));
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let detail: wire::PlanDetail = client.get(&format!("{}/plan{query}", scale_set_path(&args.name)?))?;
    if !args.output.json {
        output::data(&render_plan(&detail))?;
        return Ok(Exit::Done);
    }
    for warning in &detail.warnings {
        output::talk(&format!("warning: {}\n", warning.message));
    }
    if args.output.detail {
        output::json(&detail)?;
    } else {
        output::json(&detail.plan)?;
    }
    Ok(Exit::Done)
}

fn start(client: &Client, args: &StartArgs) -> anyhow::Result<Exit> {
    let to = version(args.upgrade.to.as_ref())?.map(|to| to.to_string());
    let path = upgrade_path(&args.upgrade.name)?;
    let request = wire::StartRequest {
        to,
        plan: args.plan.clone(),
        force: args.force,
        extensions: extensions(&args.upgrade.extension)?,
        instances: args.instances.clone(),
        bypass: args.bypass.clone(),
        reason: args.reason.clone(),
        reapply: args.reapply,
        at: args.at.clone(),
        urgency: args.upgrade.urgency.clone(),
    };
    if !args.wait {
        let detail: wire::StatusDetail = client.post(&path, &request)?;
        show(&detail, args.upgrade.output)?;
        // It may be over already, and badly: refused at the door.
        let faulted = detail.status.state == wire::UpgradeState::Faulted;
        return Ok(if faulted { Exit::No } else { Exit::Done });
    }
    let partial = if args.allow_partial { Partial::Passes } else { Partial::Fails };
    follow_start(client, &path, &request, args.upgrade.output, partial)
}

/// Starts something and follows it to its end.
pub(super) fn follow_start(
    client: &Client,
    path: &str,
    request: &impl serde::Serialize,
    format: DetailArgs,
    partial: Partial,
) -> anyhow::Result<Exit> {
    let since = stream::latest(client)?;
    let detail: wire::StatusDetail = client.post(path, request)?;
    let id = detail.status.id.clone();
    let ended = follow::run_to_the_end(client, detail, Some(since), voice(format, Voice::Talk))?;
    show_ended(&ended, format)?;
    // What completed may be the rollback of what was started.
    Ok(if ended.status.id == id { verdict(&ended, partial) } else { Exit::No })
}

/// What becomes of an upgrade that is Completed and has not reached everybody whom it was to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partial {
    /// The answer is no.
    Fails,
    /// The answer is yes, as Azure has it.
    Passes,
}

fn watch(client: &Client, args: &UpgradeOf) -> anyhow::Result<Exit> {
    let path = upgrade_path(&args.name)?;
    let voice = voice(args.output, Voice::Data);
    let ended = follow::run_to_the_end(client, client.get(&path)?, None, voice)?;
    show_ended(&ended, args.output)?;
    Ok(verdict(&ended, Partial::Fails))
}

/// How what is followed is told.
fn voice(format: DetailArgs, otherwise: Voice) -> Voice {
    if format.json { Voice::Json } else { otherwise }
}

/// The last line of what was followed.
fn show_ended(detail: &wire::StatusDetail, format: DetailArgs) -> anyhow::Result<()> {
    match (format.json, format.detail) {
        (true, true) => output::json_line(detail),
        (true, false) => output::json_line(&detail.status),
        (false, _) => Ok(output::data(&render_status(detail))?),
    }
}

/// Faulted and Cancelled are no. Completed is yes where everybody whom it was to reach was reached: who said skip or
/// not now, or is protected, is named and was not to be; who failed, or could not be judged, was.
fn verdict(detail: &wire::StatusDetail, partial: Partial) -> Exit {
    let status = &detail.status;
    let unjudged = |hold: &wire::Hold| match &hold.code {
        Some(
            wire::HoldCode::Skip
            | wire::HoldCode::Defer
            | wire::HoldCode::Protected
            | wire::HoldCode::PersonHold
            | wire::HoldCode::PersonSkip,
        )
        | None => false,
        // A word of a newer host is no consent either.
        Some(_) => true,
    };
    let whole = status.progress.failed == 0 && !status.holds.iter().any(unjudged);
    let done = status.state == wire::UpgradeState::Completed && (whole || partial == Partial::Passes);
    if done { Exit::Done } else { Exit::No }
}

pub(super) fn show(detail: &wire::StatusDetail, format: DetailArgs) -> anyhow::Result<()> {
    if format.json && format.detail {
        output::json(detail)?;
    } else if format.json {
        output::json(&detail.status)?;
    } else {
        output::data(&render_status(detail))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_or_could_not_be_judged_makes_it_a_no() {
        let verdict_of = |state: &str, failed: usize, code: Option<&str>, partial: Partial| {
            let holds = code.map(|code| serde_json::json!({"instance": "1", "reason": "why", "code": code}));
            let holds: Vec<serde_json::Value> = holds.into_iter().collect();
            let detail = serde_json::json!({
                "status": {"scaleSet": "orders", "id": "orders-1", "state": state, "batches": [], "holds": holds,
                    "error": null,
                    "progress": {"successful": 2, "failed": failed, "inProgress": 0, "pending": 0}},
                "to": "v2", "waiting": null, "waitingFor": null, "rollsBack": null, "alreadyLatest": 0, "notYet": [],
                "estimate": null, "retryAt": null, "startedAt": "", "endedAt": null,
            });
            verdict(&serde_json::from_value(detail).unwrap(), partial)
        };
        for code in [None, Some("skip"), Some("defer"), Some("protected")] {
            assert_eq!(verdict_of("Completed", 0, code, Partial::Fails), Exit::Done, "{code:?}");
        }
        for code in ["undecided", "plugin-failed", "unknown", "a-word-of-tomorrow"] {
            assert_eq!(verdict_of("Completed", 0, Some(code), Partial::Fails), Exit::No, "{code}");
            assert_eq!(verdict_of("Completed", 0, Some(code), Partial::Passes), Exit::Done, "{code}");
        }
        assert_eq!(verdict_of("Completed", 1, None, Partial::Fails), Exit::No);
        for state in ["Faulted", "Cancelled"] {
            assert_eq!(verdict_of(state, 0, None, Partial::Passes), Exit::No, "{state}");
        }
    }
}
