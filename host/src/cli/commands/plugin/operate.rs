//! What an operator does with the plugins of a running host.

use std::path::Path;

use anyhow::Context as _;
use data_encoding::BASE64;

use super::subject;
use crate::author::DEFAULT_LIMITS;
use crate::cli::args::{OutputArgs, PluginOf, ServerArgs, StrategyArg, SwapArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, or_dash, table};
use crate::cli::progress::Progress;
use crate::cli::target;
use crate::clock::Clock;
use crate::net::url::escape;
use crate::plugins::{runtime, signature};
use phasegate_core::domain::PluginName;
use phasegate_wasm::cases::CasesError;
use phasegate_wasm::{builtin, cases, trial};
use phasegate_wire as wire;

/// Instances of a comparison that are shown to people; `--json` has them all.
const CHANGES_SHOWN_MAX: usize = 50;

/// `plugin list`.
pub(super) fn list(server: &ServerArgs, format: OutputArgs) -> anyhow::Result<Exit> {
    let plugins: wire::Plugins = target::client(server)?.get("/v1/plugins")?;
    if format.json {
        output::json(&plugins)?;
    } else {
        output::data(&render_list(&plugins.plugins))?;
    }
    Ok(Exit::Done)
}

/// `plugin swap`; a dry run ends with 1 when the gate would refuse.
pub(super) fn swap(server: &ServerArgs, args: &SwapArgs) -> anyhow::Result<Exit> {
    let name = name(&args.name)?;
    anyhow::ensure!(
        !(args.force && args.strategy == Some(StrategyArg::Shadow)),
        "--force and --strategy shadow exclude each other: the one takes over whatever it changes, the other changes nothing until its gate or a person has decided; leave one of them out"
    );
    let mut query = Vec::new();
    let bytes = match subject::reference(&args.file)? {
        // The host has the certificates and credentials for it.
        Some(source) => {
            query.push(format!("source={}", escape(&source.to_string())));
            Vec::new()
        }
        None if args.file == Path::new(subject::BUILTIN) => {
            query.push(format!("file={}", escape(subject::BUILTIN)));
            builtin::AZURE_HEALTH.to_vec()
        }
        None => {
            let bytes = super::read(&args.file)?;
            if !args.force {
                self_test(args, &bytes)?;
            }
            query.push(format!("file={}", escape(&args.file.to_string_lossy())));
            let signed = signature::read_beside(&args.file)
                .with_context(|| format!("cannot read `{}`", signature::beside(&args.file).display()))?;
            let signed: Vec<String> = signed.iter().map(|one| BASE64.encode(&one.signature)).collect();
            if !signed.is_empty() {
                query.push(format!("signature={}", escape(&signed.join(","))));
            }
            bytes
        }
    };
    if let Some(strategy) = args.strategy {
        query.push(format!("strategy={}", strategy.name()));
    }
    if args.force {
        query.push("force=true".to_owned());
    }
    if args.dry_run {
        query.push("dryRun=true".to_owned());
    }
    let path = format!("/v1/plugins/{name}/swap?{}", query.join("&"));
    let swapped: wire::PluginSwap = target::client(server)?.upload(&path, bytes)?;
    if args.output.json {
        output::json(&swapped)?;
    } else {
        output::data(&render_list(std::slice::from_ref(&swapped.plugin)))?;
        if let Some(diff) = &swapped.diff {
            output::data(&format!("\n{}", render_diff(diff)))?;
        }
    }
    let refused = swapped.diff.is_some_and(|diff| diff.refusal.is_some());
    Ok(if args.dry_run && refused { Exit::No } else { Exit::Done })
}

/// Runs the cases beside the file, which the host never sees: nothing is sent when one fails.
fn self_test(args: &SwapArgs, bytes: &[u8]) -> anyhow::Result<()> {
    let file = args.file.display();
    let folder = args.file.parent().map(|folder| folder.join("cases")).filter(|folder| folder.is_dir());
    let Some(folder) = folder else { return Ok(()) };
    let cases = match cases::read(&folder) {
        // As for the host: no cases beside it. Whether it must carry some, the host knows.
        Err(CasesError::None(_)) => {
            output::talk(&format!("`{}` holds no case; none was run\n", folder.display()));
            return Ok(());
        }
        read => read?,
    };
    let runtime = runtime::of_command(Clock::start(), None)?;
    let trial = Progress::new("testing").during(|step| {
        step.say("compiling");
        // What does not load the host refuses, with the stage.
        let plugin = runtime.compile(bytes).ok()?;
        step.say(&format!("{} cases", cases.len()));
        trial::run(&plugin, &cases, DEFAULT_LIMITS).ok()
    });
    let Some(trial) = trial else { return Ok(()) };
    let mut failed = trial.outcomes.iter().filter(|outcome| !outcome.differences.is_empty());
    let (all, count) = (cases.len(), failed.clone().count());
    let Some(first) = failed.next() else {
        output::talk(&format!("{all} of {all} cases beside `{file}` passed\n"));
        return Ok(());
    };
    Err(Refused(format!(
        "`{file}` fails {count} of the {all} cases beside it, first {:?} of {}: it answers {}; nothing was \
         sent; see `phasegate plugin test {file}`, or use --force",
        first.name, first.file, first.got
    ))
    .into())
}

/// `plugin diff`.
pub(super) fn diff(server: &ServerArgs, of: &PluginOf) -> anyhow::Result<Exit> {
    let name = name(&of.name)?;
    let diff: wire::PluginDiff = target::client(server)?.get(&format!("/v1/plugins/{name}/diff"))?;
    if of.output.json {
        output::json(&diff)?;
    } else {
        output::data(&render_diff(&diff))?;
    }
    Ok(Exit::Done)
}

/// `plugin promote`, `plugin discard` and `plugin rollback`.
pub(super) fn tell(server: &ServerArgs, of: &PluginOf, verb: &str) -> anyhow::Result<Exit> {
    let name = name(&of.name)?;
    let path = format!("/v1/plugins/{name}/{verb}");
    let plugin: wire::Plugin = target::client(server)?.post(&path, &serde_json::json!({}))?;
    if of.output.json {
        output::json(&plugin)?;
    } else {
        output::data(&render_list(&[plugin]))?;
    }
    Ok(Exit::Done)
}

/// `plugin history`.
pub(super) fn history(server: &ServerArgs, of: &PluginOf) -> anyhow::Result<Exit> {
    let name = name(&of.name)?;
    let history: wire::PluginHistory = target::client(server)?.get(&format!("/v1/plugins/{name}/history"))?;
    if of.output.json {
        output::json(&history)?;
        return Ok(Exit::Done);
    }
    let row = |one: &wire::PluginGeneration| {
        vec![
            one.generation.to_string(),
            short(&one.digest),
            short(&one.settings).trim_start_matches("sha256:").to_owned(),
            one.at.clone(),
            one.source.clone(),
            one.why.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = history.generations.iter().map(row).collect();
    output::data(&table(&["GENERATION", "DIGEST", "SETTINGS", "SINCE", "SOURCE", "WHY"], &rows))?;
    Ok(Exit::Done)
}

fn name(text: &str) -> anyhow::Result<PluginName> {
    PluginName::parse(text).map_err(|error| anyhow::anyhow!("plugin name `{text}` {error}"))
}

fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

fn render_list(plugins: &[wire::Plugin]) -> String {
    let row = |plugin: &wire::Plugin| {
        vec![
            plugin.name.clone(),
            plugin.generation.to_string(),
            short(&plugin.digest),
            if plugin.pure { "yes" } else { "no" }.to_owned(),
            plugin.size.to_string(),
            plugin.loaded_at.clone(),
            or_dash(plugin.stage.as_ref()),
            plugin.source.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
    let mut text =
        table(&["NAME", "GENERATION", "DIGEST", "PURE", "BYTES", "LOADED", "STAGE", "SOURCE"], &rows);
    for plugin in plugins {
        if let Some(load) = &plugin.load {
            text.push_str(&format!("\nlatest load of {}, from {}:\n", plugin.name, load.source));
            text.push_str(&render_stages(load));
        }
        if let Some(load) = &plugin.beside {
            text.push_str(&format!("\nbeside it, from {}:\n", load.source));
            text.push_str(&render_stages(load));
        }
        if let Some(wire::PluginFailing { failed, instances, cause }) = &plugin.failing {
            let name = &plugin.name;
            text.push_str(&format!("\n{name} fails for {failed} of {instances} instances: {cause}\n"));
        }
        for why in plugin.signature_lost.iter().chain(&plugin.cases_missing) {
            text.push_str(&format!("\nwhat runs of {} {why}; it decides on\n", plugin.name));
        }
        if let Some(error) = &plugin.last_error {
            text.push_str(&format!("\nlast error: {error}\n"));
        }
    }
    text
}

fn render_stages(load: &wire::PluginLoad) -> String {
    let row = |stage: &wire::PluginStage| {
        vec![
            format!("  {}", stage.name),
            stage.state.to_string(),
            format!("{} ms", stage.ms),
            stage.note.clone().unwrap_or_default(),
        ]
    };
    table(&["  STAGE", "RESULT", "TIME", "NOTE"], &load.stages.iter().map(row).collect::<Vec<_>>())
}

fn render_diff(diff: &wire::PluginDiff) -> String {
    let missed = match diff.missed {
        0 => String::new(),
        missed => format!(", {missed} more missed: it does not keep up"),
    };
    let mut text = format!(
        "{} of {} instances change from {} to {} ({}, {} observations{missed})\n",
        diff.changed,
        diff.instances,
        short(&diff.from),
        short(&diff.to),
        diff.stage,
        diff.observations
    );
    let rest = diff.instances.saturating_sub(diff.compared);
    if rest > 0 && diff.stage == wire::PluginStageName::Shadow {
        text.push_str(&format!("{rest} of {} instances are not compared yet\n", diff.instances));
    }
    if let Some(refusal) = &diff.refusal {
        let end = if diff.stage == wire::PluginStageName::Watch { "taken back" } else { "refused" };
        text.push_str(&format!("{end}: {refusal}\n"));
    }
    if diff.changes.is_empty() {
        return text;
    }
    let row = |change: &wire::PluginChange| {
        vec![
            format!("{}/{}", change.scale_set, change.instance),
            change.changes.join(", "),
            verdict(&change.from),
            verdict(&change.to),
        ]
    };
    let rows: Vec<Vec<String>> = diff.changes.iter().take(CHANGES_SHOWN_MAX).map(row).collect();
    text.push('\n');
    text.push_str(&table(&["INSTANCE", "CHANGES", "FROM", "TO"], &rows));
    let more = diff.changes.len().saturating_sub(CHANGES_SHOWN_MAX);
    if more > 0 {
        text.push_str(&format!("and {more} more; --json has them all\n"));
    }
    text
}

/// `healthy, phase 1, proceed (ready)`.
fn verdict(verdict: &wire::PluginVerdict) -> String {
    let reason = verdict.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match (&verdict.health, &verdict.participation) {
        (Some(health), Some(participation)) => {
            let phase =
                verdict.phase.map_or_else(|| "last phase".to_owned(), |phase| format!("phase {phase}"));
            format!("{health}, {phase}, {participation}{reason}")
        }
        _ => format!("fails{reason}"),
    }
}
