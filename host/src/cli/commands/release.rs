//! `phasegate release`: releases of extensions through regions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;

use crate::cli::args::{OutputArgs, ReleaseArgs, ReleaseOf, ReleaseVerb, ReleaseWishArgs};
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, duration, or_dash, table};
use crate::cli::target;
use phasegate_core::domain::{ReleaseId, ReleaseVersion};
use phasegate_wire::{self as wire, ReleaseState};

mod follow;

pub(super) use follow::follow;
use follow::follow_to;

use super::extension::path;

/// Runs one verb.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &ReleaseArgs) -> anyhow::Result<Exit> {
    let client = target::client(&args.server)?;
    match &args.verb {
        ReleaseVerb::Plan { subject, version, output } => plan(&client, subject, version, *output),
        ReleaseVerb::Start { subject, version, plan, force, reason, wait, output } => {
            let request = wire::ReleaseRequest {
                subject: subject.clone(),
                version: version.clone(),
                plan: plan.clone(),
                force: *force,
                reason: reason.clone(),
            };
            let begun: wire::ReleaseDetail = client.post("/v1/releases", &request)?;
            if *wait {
                return follow(&client, &begun.brief.id, *output);
            }
            show(&begun, *output)
        }
        ReleaseVerb::List { output } => list(&client, *output),
        ReleaseVerb::Status(of) => {
            let detail = client.get(&route(&client, of)?)?;
            show(&detail, of.output)
        }
        ReleaseVerb::Watch(of) => {
            let detail: wire::ReleaseDetail = client.get(&route(&client, of)?)?;
            follow(&client, &detail.brief.id, of.output)
        }
        ReleaseVerb::Pause(args) => wish(&client, args, "pause", None),
        ReleaseVerb::Resume(args) => wish(&client, args, "resume", None),
        ReleaseVerb::Approve { region_phase, wish: args } => {
            wish(&client, args, "approve", Some(*region_phase))
        }
        ReleaseVerb::Stop(args) => wish(&client, args, "stop", None),
        ReleaseVerb::Rollback(args) => wish(&client, args, "rollback", None),
        ReleaseVerb::Log(of) => log(&client, of),
    }
}

fn wish(
    client: &Client,
    args: &ReleaseWishArgs,
    word: &str,
    region_phase: Option<usize>,
) -> anyhow::Result<Exit> {
    let route = route(client, &args.of)?;
    let request = wire::ReleaseWishRequest { region_phase, reason: args.reason.clone() };
    let detail: wire::ReleaseDetail = client.post(&format!("{route}/{word}"), &request)?;
    if args.wait {
        let wanted = match word {
            "stop" => ReleaseState::Stopped,
            "rollback" => ReleaseState::RolledBack,
            _ => ReleaseState::Completed,
        };
        return follow_to(client, &detail.brief.id, &wanted, args.of.output);
    }
    show(&detail, args.of.output)
}

/// The route of the release that is meant.
fn route(client: &Client, of: &ReleaseOf) -> anyhow::Result<String> {
    if let Some(id) = of.id.as_ref().filter(|id| !id.contains('/')) {
        let id = ReleaseId::parse(id).map_err(|error| anyhow::anyhow!("release id `{id}` {error}"))?;
        return Ok(format!("/v1/releases/{id}"));
    }
    let all: wire::Releases = client.get("/v1/releases")?;
    let mut mine = all.releases.into_iter().filter(|one| of.id.as_ref().is_none_or(|of| one.subject == *of));
    let first = mine.next().ok_or_else(|| {
        let what = of.id.as_ref().map_or_else(String::new, |of| format!(" of {of}"));
        anyhow::Error::from(Refused(format!("there has been no release{what} yet")))
    })?;
    let is_over = has_ended(&first.state);
    let chosen = if is_over { mine.find(|one| !has_ended(&one.state)).unwrap_or(first) } else { first };
    Ok(format!("/v1/releases/{}", chosen.id))
}

fn has_ended(state: &ReleaseState) -> bool {
    !matches!(
        state,
        ReleaseState::Running | ReleaseState::Paused | ReleaseState::Halted | ReleaseState::Ending
    )
}

/// The releases of a version, the latest first.
pub(super) fn of_version(
    client: &Client,
    subject: &str,
    version: &str,
) -> anyhow::Result<Vec<wire::ReleaseInBrief>> {
    let all: wire::Releases = client.get("/v1/releases")?;
    let wanted = ReleaseVersion::parse(version).ok();
    let is_it = |one: &wire::ReleaseInBrief| {
        one.subject == subject && ReleaseVersion::parse(&one.version).ok() == wanted
    };
    Ok(all.releases.into_iter().filter(is_it).collect())
}

fn plan(client: &Client, subject: &str, version: &str, format: OutputArgs) -> anyhow::Result<Exit> {
    let version = ReleaseVersion::parse(version)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("version `{version}`"))?;
    let plan: wire::ReleasePlan = client.get(&format!("{}/plan?version={version}", path(subject)?))?;
    if format.json {
        output::json(&plan)?;
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "release of {} {}{}\nstrategy {} (version {}): bake {}, {} sets may fail\n",
        plan.subject,
        plan.version,
        if plan.published { "" } else { ", which is not published yet" },
        plan.strategy.name,
        plan.strategy.version,
        duration(plan.strategy.bake_seconds),
        plan.strategy.max_failed_sets,
    );
    text.push_str(&phases(&plan.phases, "WANTED NOW"));
    let how = match plan.duration_from {
        wire::DurationFrom::Simulation => "by simulation, if all goes well",
        _ => "at least, by the least times of its batches and bakes",
    };
    let _ = write!(text, "takes {} {how}\nplan {}\n", duration(plan.duration_seconds), plan.digest);
    output::data(&text)?;
    Ok(Exit::Done)
}

fn list(client: &Client, format: OutputArgs) -> anyhow::Result<Exit> {
    let all: wire::Releases = client.get("/v1/releases")?;
    if format.json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let row = |one: &wire::ReleaseInBrief| {
        vec![
            one.id.clone(),
            one.subject.clone(),
            one.version.clone(),
            one.state.to_string(),
            format!("{} of {}", one.region_phase, one.region_phases),
            counts(one),
            one.started_at.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = all.releases.iter().map(row).collect();
    let text = match rows.is_empty() {
        true => "there has been no release yet\n".to_owned(),
        false => table(&["RELEASE", "TYPE", "VERSION", "STATE", "REGION PHASE", "SETS", "STARTED"], &rows),
    };
    output::data(&text)?;
    Ok(Exit::Done)
}

fn counts(one: &wire::ReleaseInBrief) -> String {
    let all: Vec<String> = one.scale_sets.iter().map(|(state, count)| format!("{count} {state}")).collect();
    all.join(", ")
}

fn show(detail: &wire::ReleaseDetail, format: OutputArgs) -> anyhow::Result<Exit> {
    if format.json {
        output::json(detail)?;
    } else {
        output::data(&render(detail))?;
    }
    Ok(Exit::Done)
}

fn render(detail: &wire::ReleaseDetail) -> String {
    let one = &detail.brief;
    let mut text = format!(
        "release {} of {} {}: {} (region phase {} of {}; {})\n",
        one.id,
        one.subject,
        one.version,
        one.state,
        one.region_phase,
        one.region_phases,
        counts(one)
    );
    text.push_str(&phases(&detail.phases, "WANTED BEFORE"));
    if let Some(why) = &one.waits_for_people {
        let _ = writeln!(text, "nothing goes on before a person has decided: {why}");
    }
    text
}

/// What runs there: the version, or each with its count where they differ.
fn runs(set: &wire::ReleaseSet) -> String {
    let known: usize = set.runs.values().sum();
    match set.runs.iter().next() {
        None => "-".to_owned(),
        Some((version, _)) if set.runs.len() == 1 && known == set.instances => version.clone(),
        Some(_) => {
            let unknown = set.instances.saturating_sub(known);
            let all = set.runs.iter().map(|(version, count)| format!("{count} {version}"));
            all.chain((unknown > 0).then(|| format!("{unknown} unknown"))).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Region phases with their sets; `wanted` is what the column of the version is called that is no news of instances.
fn phases(all: &[wire::ReleasePhase], wanted: &str) -> String {
    let mut text = String::new();
    for phase in all {
        let _ = writeln!(text, "\nregion phase {}: {}", phase.region_phase, phase.regions.join(", "));
        let row = |set: &wire::ReleaseSet| {
            let others: Vec<String> =
                set.not_eligible.iter().map(|(code, count)| format!("{count} {code}")).collect();
            let why = match (&set.code, &set.text) {
                (Some(code), Some(text)) => format!("{code}: {text}"),
                (Some(code), None) => code.clone(),
                (None, text) => or_dash(text.as_ref()),
            };
            vec![
                set.scale_set.clone(),
                set.location.clone(),
                set.state.to_string(),
                runs(set),
                or_dash(set.from.as_ref()),
                format!("{}/{}", set.at_version, set.eligible),
                set.healthy.to_string(),
                if others.is_empty() { "-".to_owned() } else { others.join(", ") },
                why,
            ]
        };
        let rows: Vec<Vec<String>> = phase.scale_sets.iter().map(row).collect();
        let headings =
            ["SCALE SET", "REGION", "STATE", "RUNS", wanted, "AT VERSION", "HEALTHY", "NOT ELIGIBLE", "WHY"];
        if rows.is_empty() {
            text.push_str("no scale set has it in its model\n");
        } else {
            text.push_str(&table(&headings, &rows));
        }
        text.push_str(&groups(phase));
    }
    text.push('\n');
    text
}

/// The groups of stand-alone machines of a region phase: each is one set for the limits of health.
fn groups(phase: &wire::ReleasePhase) -> String {
    let mut machines: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for set in &phase.scale_sets {
        let Some(group) = &set.group else { continue };
        let (all, has_it, failed) = machines.entry(group).or_default();
        *all += 1;
        *has_it += usize::from(set.eligible > 0 && set.at_version == set.eligible);
        *failed += usize::from(matches!(
            set.state,
            wire::ReleaseSetState::Failed | wire::ReleaseSetState::Incomplete
        ));
    }
    let mut text = String::new();
    for (group, (all, has_it, failed)) in machines {
        let _ = writeln!(
            text,
            "stand-alone machines of {group}, counted as one set: {has_it} of {all} have the version, {failed} failed"
        );
    }
    text
}

fn log(client: &Client, of: &ReleaseOf) -> anyhow::Result<Exit> {
    let log: wire::ReleaseLog = client.get(&format!("{}/log", route(client, of)?))?;
    if of.output.json {
        output::json(&log)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for entry in &log.entries {
        let _ = writeln!(text, "{} {} {}: {}", entry.at, entry.code, entry.actor, entry.text);
    }
    output::data(&text)?;
    Ok(Exit::Done)
}
