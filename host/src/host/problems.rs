//! What is wrong with a configuration on this machine. Starts nothing.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{self, Config, Problems};
use crate::drivers::http::HttpDriver;
use crate::net::serve_tls::TlsFiles;
use crate::plugins::check::{self, Checked, Network};
use crate::plugins::config::{Cases, PluginConfig};
use crate::plugins::hands::lost_of;
use crate::plugins::runtime;
use crate::store;
use phasegate_core::domain::source::HEALTH_SOURCE;
use phasegate_core::domain::{Answer, InstanceFacts, Observation, PluginName, Response};

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
            let key = format!("{}.driver.certificate", config.place(index));
            problems.list.push(config.problem(&key, error.to_string()));
        }
        for (key, path) in needs.certificates {
            if let (true, Err(error)) = (path.is_file(), HttpDriver::check_certificates(path)) {
                let key = format!("{}.driver.{key}", config.place(index));
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
        let of_tcp = port_alone(config, &plugin.spec.name);
        let good = of_tcp.as_ref().map(|(_, observation)| observation);
        match check::check(plugin, &runtime, &config.server.data_dir, network, good) {
            Ok(Checked::Loads { never_healthy: Some(why) }) => {
                let at = of_tcp.map_or(0, |(at, _)| at);
                let message = format!(
                    "is \"tcp\", which brings nothing but that a port is open, and plugin `{}` needs more: {why}",
                    plugin.spec.name
                );
                problems.list.push(config.problem(&format!("{}.health.protocol", config.place(at)), message));
            }
            Ok(Checked::Loads { never_healthy: None } | Checked::NotFetched) => {}
            Err(error) => {
                let key =
                    if error.is_about_settings() { format!("plugins[{index}].settings") } else { known };
                let why =
                    std::error::Error::source(&error).map_or_else(String::new, |why| format!(": it {why}"));
                problems.list.push(config.problem(&key, format!("{error}{why}")));
            }
        }
    }
    problems.list.sort();
    problems
}

/// What decides by the record of the data directory, and would not be taken up by what this configuration asks for; with
/// why, a fragment that follows it. Nothing where there is no record of ours.
#[must_use]
pub fn unfit(config: &Config) -> Vec<(PluginName, String)> {
    let asks = |plugin: &&PluginConfig| plugin.signature.is_some() || plugin.cases == Cases::Required;
    let asking: Vec<&PluginConfig> = config.plugins.iter().filter(asks).collect();
    let data_dir = &config.server.data_dir;
    if asking.is_empty() {
        return Vec::new();
    }
    // Without a record nothing decides yet; one that cannot be read is told of by a start.
    let Ok(active) = store::active_components(data_dir) else { return Vec::new() };
    let of = |plugin: &PluginConfig| {
        let digest = *active.get(&plugin.spec.name)?;
        let lost = lost_of(plugin, data_dir, digest);
        Some(lost.reasons().map(|why| (plugin.spec.name.clone(), why)).collect::<Vec<_>>())
    };
    asking.into_iter().filter_map(of).flatten().collect()
}

/// What a plugin sees of an open port, where a set that it judges is asked for no more than that; with the place of
/// that set in the file.
fn port_alone(config: &Config, plugin: &PluginName) -> Option<(usize, Observation)> {
    let mut sets = config.scale_sets.iter().enumerate();
    let (at, set) = sets.find(|(_, set)| set.plugin == *plugin && set.health.is_port_alone())?;
    let instance = set.instances.values().next()?;
    let runs = Some(set.model.version.clone());
    let facts = InstanceFacts::of(instance, &set.name, (runs.clone(), runs));
    let open = Response { status: 0, headers: Vec::new(), body: Vec::new() };
    let observation = Observation {
        instance: Arc::new(facts),
        answers: [Answer { source: HEALTH_SOURCE.to_owned(), outcome: Ok(open) }].into(),
        memory: None,
        attributes: vec![
            ("probe-protocol".to_owned(), set.health.protocol_name().to_owned()),
            ("address".to_owned(), instance.address.to_string()),
        ],
    };
    Some((at, observation))
}
