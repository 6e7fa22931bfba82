//! `phasegate check`: every problem of a configuration at once, and what its policies amount to.

use crate::access::people;
use crate::cli::args::CheckArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::clock::Clock;
use crate::config::{self, Config, LoadConfigError, Problem, Problems};
use crate::drivers::DriverConfig;
use crate::drivers::process::ProcessConfig;
use crate::plugins::check::{Network, is_fetched};
use crate::plugins::config::ComponentSource;
use crate::words;
use phasegate_core::domain::ScaleSet;
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
    warnings.extend(config.and_then(about_data_dir));
    let mut scale_sets = Vec::new();
    for set in config.map(|config| config.scale_sets.as_slice()).unwrap_or_default() {
        let driver_limit = set.driver.settings().time_limit();
        let found = feasibility(&FeasibilityInput { driver_limit, ..FeasibilityInput::of(set, now) });
        warnings.extend(found.findings.iter().map(|finding| wire::CheckWarning {
            scale_set: Some(set.name.to_string()),
            plugin: None,
            code: words::warning_code(finding),
            message: finding.to_string(),
        }));
        warnings.extend(about_looking(set));
        warnings.extend(config.and_then(|config| about_exit(config, set)));
        let limits = words::limits(&set.policy.rolling, &found.resolved);
        scale_sets.push(wire::CheckScaleSet { name: set.name.to_string(), limits });
    }
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
    wire::Check { ok: problems.is_empty(), problems, warnings, scale_sets }
}
