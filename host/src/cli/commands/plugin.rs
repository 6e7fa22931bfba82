//! `phasegate plugin`: inspect, list, swap, componentize.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::api::wire;
use crate::cli::args::{OutputArgs, PluginArgs, PluginVerb, ServerArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, table};
use crate::cli::target;
use crate::domain::PluginName;
use crate::plugin::{ImportVerdict, Inspection, builtin, componentize, inspect, read_component};

/// Runs one verb.
///
/// # Errors
/// When a file cannot be read or written, or the host cannot be reached or refuses.
pub fn run(args: &PluginArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        PluginVerb::Inspect { file, output } => inspect_file(file, *output),
        PluginVerb::List { output } => list(&args.server, *output),
        PluginVerb::Swap { name, file, output } => swap(&args.server, name, file, *output),
        PluginVerb::Componentize { module, output } => componentize_file(module, output),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_component(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// The report of `plugin inspect --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    kind: &'static str,
    world: Option<String>,
    version: Option<String>,
    imports: Vec<ImportReport>,
    exports: Vec<String>,
    pure: bool,
    size: u64,
    digest: String,
    fits: bool,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct ImportReport {
    name: String,
    allowed: bool,
    reason: Option<String>,
}

fn inspect_file(file: &Path, format: OutputArgs) -> anyhow::Result<Exit> {
    let bytes =
        if file == Path::new("builtin:azure-health") { builtin::AZURE_HEALTH.to_vec() } else { read(file)? };
    let report = report(file, inspect(&bytes));
    if format.json {
        output::json(&report)?;
    } else {
        output::data(&render(&report))?;
    }
    Ok(if report.fits { Exit::Done } else { Exit::No })
}

fn report(file: &Path, inspection: Inspection) -> Report {
    let Inspection { kind, size, digest, world, imports, exports, pure, fits } = inspection;
    let import = |import: crate::plugin::Import| {
        let reason = match import.verdict {
            ImportVerdict::Allowed => None,
            ImportVerdict::Refused(why) => Some(why),
        };
        ImportReport { name: import.name, allowed: reason.is_none(), reason }
    };
    Report {
        file: file.display().to_string(),
        kind: kind.name(),
        version: world
            .as_ref()
            .and_then(|world| world.split_once('@'))
            .map(|(_, version)| version.to_owned()),
        world,
        imports: imports.into_iter().map(import).collect(),
        exports,
        pure,
        size,
        digest: digest.to_string(),
        fits: fits.is_ok(),
        reason: fits.err().map(|error| error.to_string()),
    }
}

fn render(report: &Report) -> String {
    let list = |names: &mut dyn Iterator<Item = String>| {
        let names: Vec<String> = names.collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let mut imports = report.imports.iter().map(|import| match &import.reason {
        None => import.name.clone(),
        Some(why) => format!("{} (refused: {why})", import.name),
    });
    let verdict = report.reason.as_ref().map_or_else(|| "yes".to_owned(), |why| format!("no: it {why}"));
    let rows = [
        ("file", report.file.clone()),
        ("kind", report.kind.to_owned()),
        ("world", report.world.clone().unwrap_or_else(|| "not a policy".to_owned())),
        ("imports", list(&mut imports)),
        ("exports", list(&mut report.exports.iter().cloned())),
        ("pure", if report.pure { "yes: same input, same answer" } else { "no" }.to_owned()),
        ("size", format!("{} bytes", report.size)),
        ("digest", report.digest.clone()),
        ("fits", verdict),
    ];
    rows.iter().map(|(name, value)| format!("{name:<8} {value}\n")).collect()
}

fn list(server: &ServerArgs, format: OutputArgs) -> anyhow::Result<Exit> {
    let plugins: wire::Plugins = target::client(server)?.get("/v1/plugins")?;
    if format.json {
        output::json(&plugins)?;
    } else {
        output::data(&render_list(&plugins.plugins))?;
    }
    Ok(Exit::Done)
}

fn render_list(plugins: &[wire::Plugin]) -> String {
    let row = |plugin: &wire::Plugin| {
        vec![
            plugin.name.clone(),
            plugin.generation.to_string(),
            plugin.digest.chars().take("sha256:".len() + 12).collect(),
            if plugin.pure { "yes" } else { "no" }.to_owned(),
            plugin.size.to_string(),
            plugin.loaded_at.clone(),
            plugin.source.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
    let mut text = table(&["NAME", "GENERATION", "DIGEST", "PURE", "BYTES", "LOADED", "SOURCE"], &rows);
    for plugin in plugins {
        if let Some(error) = &plugin.last_error {
            text.push_str(&format!("\nlatest replacement refused: {error}\n"));
        }
    }
    text
}

fn swap(server: &ServerArgs, name: &str, file: &Path, format: OutputArgs) -> anyhow::Result<Exit> {
    let name = PluginName::parse(name).map_err(|error| anyhow::anyhow!("plugin name `{name}` {error}"))?;
    let bytes = read(file)?;
    let plugin: wire::Plugin = target::client(server)?.upload(&format!("/v1/plugins/{name}/swap"), bytes)?;
    if format.json {
        output::json(&plugin)?;
    } else {
        output::data(&render_list(&[plugin]))?;
    }
    Ok(Exit::Done)
}

fn componentize_file(module: &Path, output: &Path) -> anyhow::Result<Exit> {
    let bytes = read(module)?;
    let component =
        componentize(&bytes).map_err(|error| Refused(format!("`{}` {error}", module.display())))?;
    std::fs::write(output, component).with_context(|| format!("cannot write `{}`", output.display()))?;
    Ok(Exit::Done)
}
