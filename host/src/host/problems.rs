//! What is wrong with a configuration on this machine. Starts nothing.

use crate::clock::Clock;
use crate::config::{self, Config, Problems};
use crate::drivers::http::HttpDriver;
use crate::net::serve_tls::TlsFiles;
use crate::plugins::check::{self, Network};
use crate::plugins::runtime;

/// Problems of a configuration that only show on this machine: missing files and commands, and
/// components that do not load. Fetches components only where `network` lets it; what was not fetched
/// is no problem.
#[must_use]
pub fn problems(config: &Config, network: Network) -> Problems {
    let mut problems = config::machine_problems(config, std::env::var_os("PATH").as_deref());
    for (index, set) in config.scale_sets.iter().enumerate() {
        let needs = set.driver.settings().needs();
        let there = |files: &&TlsFiles| files.certificate.is_file() && files.key.is_file();
        if let Some(Err(error)) = needs.identity.filter(there).map(HttpDriver::check_identity) {
            let key = format!("scaleSets[{index}].driver.certificate");
            problems.list.push(config.problem(&key, error.to_string()));
        }
        for (key, path) in needs.certificates {
            if let (true, Err(error)) = (path.is_file(), HttpDriver::check_certificates(path)) {
                let key = format!("scaleSets[{index}].driver.{key}");
                problems.list.push(config.problem(&key, error.to_string()));
            }
        }
    }
    for (index, plugin) in config.plugins.iter().enumerate() {
        let file = plugin.fetch.ca_file.as_deref().filter(|path| path.is_file());
        if let Some(Err(error)) = file.map(HttpDriver::check_certificates) {
            let key = format!("plugins[{index}].fetch.caFile");
            problems.list.push(config.problem(&key, error.to_string()));
        }
    }
    let runtime = match runtime::of_command(Clock::start(), Some(&config.server.data_dir)) {
        Ok(runtime) => runtime,
        Err(error) => {
            problems.list.push(config.problem("plugins", error.to_string()));
            return problems;
        }
    };
    for (index, plugin) in config.plugins.iter().enumerate() {
        // A file that is not there is among the problems already.
        let known = format!("plugins[{index}].component");
        let files = format!("plugins[{index}].fetch.");
        if problems.list.iter().any(|problem| problem.key == known || problem.key.starts_with(&files)) {
            continue;
        }
        if let Err(error) = check::check(plugin, &runtime, &config.server.data_dir, network) {
            let key = if error.is_about_settings() { format!("plugins[{index}].settings") } else { known };
            let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": it {why}"));
            problems.list.push(config.problem(&key, format!("{error}{why}")));
        }
    }
    problems.list.sort();
    problems
}
