//! `phasegate plugin`: what its author and its operator do with a plugin.

mod bench;
mod fresh;
mod inspect;
mod live;
mod mutants;
mod operate;
mod project;
mod push;
mod replay;
mod subject;
mod test;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::author::build::Within;
use crate::author::own;
use crate::cli::args::{ComponentizeArgs, PluginArgs, PluginVerb};
use crate::cli::exit::{Exit, Refused};
use crate::plugins::fetch::FetchConfig;
use phasegate_wasm::{componentize, read_component};
use subject::Subject;

/// Runs one verb.
///
/// # Errors
/// When a file cannot be read or written, or the host cannot be reached or refuses.
pub fn run(args: &PluginArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        PluginVerb::New { name, lang } => project::new(name, *lang),
        PluginVerb::Build { project, with_cases } => {
            let within = if *with_cases { Within::Cases } else { Within::CodeAlone };
            project::build(project, within)
        }
        PluginVerb::Test { plugin, cases, mutants, ca_file, output } => {
            let mutants = Some(mutants).filter(|mutants| mutants.mutants);
            test::run(&read_subject(plugin, ca_file)?, cases.as_deref(), mutants, *output)
        }
        PluginVerb::Try { plugin, ask, output } => {
            let ask = live::Whom { ask, config: args.server.config.as_deref() };
            live::attempt(&read_subject(plugin, &ask.ask.ca_file)?, &ask, *output)
        }
        PluginVerb::Case { plugin, name, from_recording, out, ask } => {
            let subject = read_subject(plugin, &ask.ca_file)?;
            let ask = live::Whom { ask, config: args.server.config.as_deref() };
            live::case(&subject, &ask, from_recording.as_deref(), (name.as_deref(), out.as_deref()))
        }
        PluginVerb::Watch { project, into } => watch::run(&args.server, project, into),
        PluginVerb::Bench { plugin, settings, cases, ca_file, output } => {
            bench::run(&read_subject(plugin, ca_file)?, settings.as_deref(), cases.as_deref(), *output)
        }
        PluginVerb::Wit { out } => project::wit(out.as_deref()),
        PluginVerb::Inspect { file, ca_file, output } => inspect::run(&read_subject(file, ca_file)?, *output),
        PluginVerb::List { output } => operate::list(&args.server, *output),
        PluginVerb::Swap(swap) => operate::swap(&args.server, swap),
        PluginVerb::Diff(of) => operate::diff(&args.server, of),
        PluginVerb::Promote(of) => operate::tell(&args.server, of, "promote"),
        PluginVerb::Discard(of) => operate::tell(&args.server, of, "discard"),
        PluginVerb::History(of) => operate::history(&args.server, of),
        PluginVerb::Rollback { plugin, to } => {
            let verb = to.map_or_else(|| "rollback".to_owned(), |to| format!("rollback?to={to}"));
            operate::tell(&args.server, plugin, &verb)
        }
        PluginVerb::Replay(options) => replay::run(options, args.server.config.as_deref()),
        PluginVerb::Push(push) => push::run(push),
        PluginVerb::Componentize(args) => componentize_file(args),
    }
}

fn read_subject(path: &Path, ca_file: &Option<PathBuf>) -> anyhow::Result<Subject> {
    Subject::read(path, &FetchConfig { ca_file: ca_file.clone(), ..FetchConfig::default() })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_component(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn componentize_file(args: &ComponentizeArgs) -> anyhow::Result<Exit> {
    let ComponentizeArgs { module, output, world, sources } = args;
    let bytes = read(module)?;
    let own = |compiled_in: &str, file: &str| {
        sources.as_deref().and_then(|folder| own::file(folder, compiled_in, file))
    };
    let component = componentize(&bytes, *world, &own);
    let component = component.map_err(|error| Refused(format!("`{}` {error}", module.display())))?;
    std::fs::write(output, component).with_context(|| format!("cannot write `{}`", output.display()))?;
    Ok(Exit::Done)
}
