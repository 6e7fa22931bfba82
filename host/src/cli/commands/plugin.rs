//! `phasegate plugin`: what its author and its operator do with a plugin.

mod bench;
mod inspect;
mod project;
mod subject;
mod test;

use std::path::Path;

use anyhow::Context;

use crate::api::wire;
use crate::cli::args::{OutputArgs, PluginArgs, PluginVerb, ServerArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, table};
use crate::cli::target;
use crate::domain::PluginName;
use crate::plugin::{componentize, read_component};

/// Runs one verb.
///
/// # Errors
/// When a file cannot be read or written, or the host cannot be reached or refuses.
pub fn run(args: &PluginArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        PluginVerb::New { name, lang } => project::new(name, *lang),
        PluginVerb::Build { project } => project::build(project),
        PluginVerb::Test { plugin, cases, output } => test::run(plugin, cases.as_deref(), *output),
        PluginVerb::Bench { plugin, settings, cases, output } => {
            bench::run(plugin, settings.as_deref(), cases.as_deref(), *output)
        }
        PluginVerb::Wit { out } => project::wit(out.as_deref()),
        PluginVerb::Inspect { file, output } => inspect::run(file, *output),
        PluginVerb::List { output } => list(&args.server, *output),
        PluginVerb::Swap { name, file, output } => swap(&args.server, name, file, *output),
        PluginVerb::Componentize { module, output } => componentize_file(module, output),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_component(path).with_context(|| format!("cannot read `{}`", path.display()))
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
