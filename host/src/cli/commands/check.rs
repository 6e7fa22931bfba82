//! `phasegate check`: every problem of a configuration at once, and what its policies amount to.

mod probing;
mod reserved;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::people;
use crate::cli::args::CheckArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::clock::Clock;
use crate::config::{self, Config, LoadConfigError, Problem, Problems};
use crate::discovery::{DiscoveryConfig, Once, look_once};
use crate::drivers::DriverConfig;
use crate::drivers::process::ProcessConfig;
use crate::net::names::use_resolvers;
use crate::plugins::check::{Network, is_fetched};
use crate::plugins::config::ComponentSource;
use crate::words;
use phasegate_core::domain::{Instance, InstanceId, PluginName, ScaleSet};
use phasegate_core::plan::{FeasibilityInput, feasibility};
use phasegate_wire as wire;

/// Checks the file and what it names on this machine.
///
/// # Errors
/// When the file cannot be read.
pub fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let network = if args.offline { Network::Forbidden } else { Network::Allowed };
    let (problems, config) = match config::load(&args.config.config) {
        Ok(config) => {
            // As the host will: names of sources, registries and web servers.
            use_resolvers(&config.server.resolvers);
            if network == Network::Allowed {
                say_what_is_fetched(&config);
            }
            (crate::host::problems(&config, network), Some(config))
        }
        Err(LoadConfigError::Invalid(problems)) => (problems, None),
        Err(error) => return Err(error.into()),
    };
    let checked = checked(&problems, config.as_ref(), network);
    if args.output.json {
        output::json(&checked)?;
    } else {
        show(&checked, &problems)?;
    }
    Ok(if checked.ok { Exit::Done } else { Exit::No })
}

fn show(checked: &wire::Check, problems: &Problems) -> anyhow::Result<()> {
    say_what_was_found(checked);
    probing::say(checked);
    for warning in &checked.warnings {
        let about = match (&warning.scale_set, &warning.plugin) {
            (Some(name), _) => format!("scale set \"{name}\": "),
            (None, Some(name)) => format!("plugin \"{name}\": "),
            (None, None) => String::new(),
        };
        output::talk(&format!("warning: {about}{}\n", warning.message));
    }
    if checked.ok {
        output::talk(&format!("{}: ok\n", problems.path.display()));
        return Ok(());
    }
    output::data(&format!("{problems}\n"))?;
    let count = problems.list.len();
    output::talk(&format!("{count} problem{}\n", if count == 1 { "" } else { "s" }));
    Ok(())
}

/// A check that uses the network says so.
fn say_what_is_fetched(config: &Config) {
    for plugin in &config.plugins {
        if let ComponentSource::Remote(source) = &plugin.component
            && is_fetched(plugin, &config.server.data_dir)
        {
            output::talk(&format!("plugin \"{}\": fetching {source}\n", plugin.spec.name));
        }
    }
}

/// What to know of the plugins.
fn about_plugins(config: &Config, network: Network) -> Vec<wire::CheckWarning> {
    let mut warnings = Vec::new();
    for plugin in &config.plugins {
        let mut warn = |code: wire::WarningCode, message: String| {
            let plugin = Some(plugin.spec.name.to_string());
            warnings.push(wire::CheckWarning { scale_set: None, plugin, code, message });
        };
        let ComponentSource::Remote(source) = &plugin.component else { continue };
        if plugin.may_move() {
            let message = format!(
                "nothing pins `{source}`: whoever can write there decides what runs; add digest = \
                 \"sha256:…\", which `phasegate plugin inspect` and `plugin list` show"
            );
            warn(wire::WarningCode::Unpinned, message);
        }
        if network == Network::Forbidden && is_fetched(plugin, &config.server.data_dir) {
            warn(wire::WarningCode::NotFetched, format!("`{source}` was not fetched, so it was not checked"));
        }
    }
    warnings
}

/// What decides now and would not be taken up by this configuration.
fn about_what_runs(config: &Config) -> Vec<wire::CheckWarning> {
    let one = |(plugin, why): (PluginName, String)| {
        let message = format!(
            "what decides for `{plugin}` by the record {why}; a reload leaves it, and the next start takes what the \
             configuration names in its place"
        );
        let plugin = Some(plugin.to_string());
        wire::CheckWarning { scale_set: None, plugin, code: wire::WarningCode::RunsUnfit, message }
    };
    crate::host::unfit(config).into_iter().map(one).collect()
}

/// What it means that nobody is asked what instances run.
fn about_looking(set: &ScaleSet<DriverConfig>) -> Option<wire::CheckWarning> {
    let key = set.driver.settings().lacks_for_looking()?;
    let model = &set.model.version;
    Some(wire::CheckWarning {
        scale_set: Some(set.name.to_string()),
        plugin: None,
        code: wire::WarningCode::NotObserved,
        message: format!(
            "without driver.{key} nobody is asked what an instance runs, and the driver's word counts: it is at what \
             was last done to it, and where nothing was done, at model.version = \"{model}\"; what anybody else \
             changes there is not seen, and a \"done\" that is none is believed. Add `{key}`"
        ),
    })
}

/// What it means that only a port is looked at. A plugin that can do nothing with that is a problem, no warning.
fn about_port(set: &ScaleSet<DriverConfig>) -> Option<wire::CheckWarning> {
    set.health.is_port_alone().then(|| wire::CheckWarning {
        scale_set: Some(set.name.to_string()),
        plugin: None,
        code: wire::WarningCode::PortAlone,
        message: format!(
            "health.protocol is \"tcp\", which brings nothing of the application: plugin `{}` sees an open port and no \
             custom metrics, so no phase and no skip; with protocol = \"http\", or with health.sources, it sees more",
            set.plugin
        ),
    })
}

/// What a source of instances says now.
#[derive(Default)]
struct Found {
    warnings: Vec<wire::CheckWarning>,
    /// Those of the file, and those that were found; none where nothing was.
    instances: Option<BTreeMap<InstanceId, Arc<Instance>>>,
}

/// Reads the source of a set once.
fn about_source(
    set: &ScaleSet<DriverConfig>,
    config: &DiscoveryConfig,
    network: Network,
) -> (Found, Option<wire::CheckDiscovery>) {
    let source = config.source.to_string();
    let warn = |code: wire::WarningCode, message: String| wire::CheckWarning {
        scale_set: Some(set.name.to_string()),
        plugin: None,
        code,
        message,
    };
    if network == Network::Forbidden && !config.source.is_here() {
        let warning =
            warn(wire::WarningCode::NotFetched, format!("{source} was not asked, so it was not checked"));
        let checked = wire::CheckDiscovery { source, instances: None, refused: 0 };
        return (Found { warnings: vec![warning], instances: None }, Some(checked));
    }
    match look_once(config, &Arc::new(set.instances.clone())) {
        Ok(Once { instances, refused, problems }) => {
            let checked =
                wire::CheckDiscovery { source: source.clone(), instances: Some(instances.len()), refused };
            let mut warnings: Vec<wire::CheckWarning> = problems
                .into_iter()
                .map(|problem| warn(wire::WarningCode::DiscoveryEntry, format!("{source}: {problem}")))
                .collect();
            if refused > warnings.len() {
                let message = format!("{source}: and {} more entries are refused", refused - warnings.len());
                warnings.push(warn(wire::WarningCode::DiscoveryEntry, message));
            }
            if instances.is_empty() {
                let message = format!("{source} names nobody; a source that names nobody removes nobody");
                warnings.push(warn(wire::WarningCode::DiscoveryEmpty, message));
            }
            let mut all = (*instances).clone();
            all.extend(set.instances.iter().map(|(id, listed)| (id.clone(), Arc::clone(listed))));
            (Found { warnings, instances: Some(all) }, Some(checked))
        }
        Err(error) => {
            let message = format!(
                "{source} {error}: a host that starts now has the instances that it found last, and none where it \
                 found none before"
            );
            let warnings = vec![warn(wire::WarningCode::DiscoveryFailed, message)];
            let checked = wire::CheckDiscovery { source, instances: None, refused: 0 };
            (Found { warnings, instances: None }, Some(checked))
        }
    }
}

/// How many a source gave.
fn say_what_was_found(checked: &wire::Check) {
    for set in &checked.scale_sets {
        if let Some(wire::CheckDiscovery { source, instances: Some(count), refused }) = &set.discovery {
            let name = &set.name;
            let refused = if *refused > 0 { format!(", {refused} entries refused") } else { String::new() };
            output::talk(&format!("scale set \"{name}\": {source} gives {count} instances{refused}\n"));
        }
    }
}

/// What the end of the host means for processes.
fn about_exit(config: &Config, set: &ScaleSet<DriverConfig>) -> Option<wire::CheckWarning> {
    set.driver.of::<ProcessConfig>().filter(|_| config.server.on_exit.is_none())?;
    let count = set.instances.len();
    Some(wire::CheckWarning {
        scale_set: Some(set.name.to_string()),
        plugin: None,
        code: wire::WarningCode::EndsWithHost,
        message: format!(
            "server.onExit is not written, so its {count} {} with the host, also when that is exchanged for a new \
             version; with \"leave\" they go on, and the next host adopts them. Write \"leave\", or \"stop\" if that is \
             wanted",
            if count == 1 { "process ends" } else { "processes end" },
        ),
    })
}

/// What to know of the data directory: a host that runs as another user than its owner refuses it.
fn about_data_dir(config: &Config) -> Option<wire::CheckWarning> {
    use std::os::unix::fs::MetadataExt as _;
    let directory = &config.server.data_dir;
    let owner = std::fs::metadata(directory).ok()?.uid();
    let us = rustix::process::geteuid().as_raw();
    (owner != us).then(|| wire::CheckWarning {
        scale_set: None,
        plugin: None,
        code: wire::WarningCode::ForeignDataDir,
        message: format!(
            "server.dataDir: `{}` belongs to {}, and this check runs as {}: a host that does so, too, refuses it; \
             run it as its owner, or choose another one",
            directory.display(),
            people::user(owner),
            people::user(us)
        ),
    })
}

fn checked(problems: &Problems, config: Option<&Config>, network: Network) -> wire::Check {
    let now = Clock::start().now();
    let mut warnings = config.map(|config| about_plugins(config, network)).unwrap_or_default();
    warnings.extend(config.map(about_what_runs).unwrap_or_default());
    warnings.extend(config.and_then(about_data_dir));
    let (reserved, too_much) = config.map(reserved::reserved).unzip();
    warnings.extend(too_much.flatten());
    let mut scale_sets = Vec::new();
    for set in config.map(|config| config.scale_sets.as_slice()).unwrap_or_default() {
        let driver_limit = set.driver.settings().time_limit();
        let source = config.and_then(|config| config.discoveries.get(&set.name));
        let (found, discovery) =
            source.map_or_else(Default::default, |source| about_source(set, source, network));
        warnings.extend(found.warnings);
        let set =
            &ScaleSet { instances: found.instances.unwrap_or_else(|| set.instances.clone()), ..set.clone() };
        let found = feasibility(&FeasibilityInput { driver_limit, ..FeasibilityInput::of(set, now) });
        warnings.extend(found.findings.iter().map(|finding| wire::CheckWarning {
            scale_set: Some(set.name.to_string()),
            plugin: None,
            code: words::warning_code(finding),
            message: finding.to_string(),
        }));
        warnings.extend(about_looking(set));
        warnings.extend(about_port(set));
        warnings.extend(config.and_then(|config| about_exit(config, set)));
        let limits = words::limits(&set.policy.rolling, &found.resolved);
        let probing = Some(probing::of(&set.health, set.instances.len()));
        scale_sets.push(wire::CheckScaleSet { name: set.name.to_string(), limits, discovery, probing });
    }
    warnings.extend(config.and_then(|config| probing::about_recording(config, &scale_sets)));
    let file = problems.path.display().to_string();
    let problem = |Problem { place, key, message, hint, again }: &Problem| wire::CheckProblem {
        file: file.clone(),
        line: place.line,
        column: place.column,
        key: key.clone(),
        message: message.clone(),
        hint: hint.clone(),
        times: again.as_ref().map(|again| again.times),
    };
    let problems: Vec<wire::CheckProblem> = problems.list.iter().map(problem).collect();
    wire::Check { ok: problems.is_empty(), problems, warnings, scale_sets, reserved }
}
