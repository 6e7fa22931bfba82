//! `phasegate.toml`: declares its keys, reads it into validated types, and reports all of its problems at
//! once.
//!
//! How to read this module: `server`, `recording`, `retention`, `plugins` (with `fetch` and `gate`) and `scale_sets`
//! (with `health`, `policy`, `rules`, `freeze`, `instances` and `ports`) declare the keys, those of the
//! drivers stand beside the drivers; the machinery is in `crate::keys`. `load` looks at the file itself,
//! `machine` at what it names on this machine, `changes` compares two files. Nothing here starts or
//! connects to anything.

mod arrays;
mod changes;
mod estate;
mod extension_types;
mod fetch;
mod freeze;
mod gate;
mod health;
mod instances;
mod load;
mod machine;
mod manual;
mod override_policy;
mod plugins;
mod policy;
mod ports;
mod provisioning;
mod recording;
mod releases;
mod retention;
mod rules;
mod scale_sets;
mod server;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

pub use changes::{live_changes, parts, restart_reasons};
pub use load::{LoadConfigError, load};
pub use machine::{is_about_a_component, machine_problems};
pub use manual::{manual, schema};
pub use override_policy::{OverrideError, override_policy};
pub use plugins::AZURE_HEALTH;

use crate::access::Access;
use crate::catalogue::Types;
use crate::discovery::DiscoveryConfig;
use crate::drivers::DriverConfig;
use crate::drivers::process::OnExit;
use crate::keys::changes::Noted;
pub use crate::keys::{Again, Place, Problem, Problems};
use crate::keys::{Given, Is, Key, Section, Source, Table};
use crate::net::endpoint::Endpoint;
use crate::plugins::config::PluginConfig;
use crate::recording::RecordingConfig;
use arrays::{Array, ScaleSets};
use phasegate_core::domain::{ScaleSet, ScaleSetName};
use phasegate_core::kernel::ReleaseRules;
use phasegate_core::record::Retention;
use plugins::Plugins;
use recording::{RECORDING, Recording};
use releases::RELEASES;
use retention::RETENTION;
use server::SERVER;
pub use server::Socket;

/// A configuration without problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file as it was named on the command line.
    pub path: PathBuf,
    /// The host itself.
    pub server: Server,
    /// What of the plugins' work is recorded; none when nothing is.
    pub recording: Option<RecordingConfig>,
    /// How much of the record is kept.
    pub retention: Retention,
    /// The plugins in the order of the file; the implicit `azure-health` is the last one.
    pub plugins: Vec<PluginConfig>,
    /// The scale sets, availability sets and machines in the order of the file; at least one.
    pub scale_sets: Vec<ScaleSet<DriverConfig>>,
    /// Where each of them stands in the file, such as `scaleSets[0]`.
    places: Vec<String>,
    /// How instances of scale sets are found that the file does not list.
    pub discoveries: BTreeMap<ScaleSetName, DiscoveryConfig>,
    /// What may be published, and how a release goes through regions.
    pub releases: ReleaseRules,
    /// Where versions are listed, and who accepts them.
    pub catalogue: Types,
    /// What the file says at each key but those of instances, and where.
    noted: BTreeMap<String, Noted>,
}

/// Where the host listens and keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where the API listens; where other machines reach it only with tokens and TLS.
    pub listen: Endpoint,
    /// Rights of the socket, where it listens on one.
    pub socket: Socket,
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Servers that are asked for host names; those of the system where there are none.
    pub resolvers: Vec<SocketAddr>,
    /// What becomes of processes at the end of the host; none where the file does not say it.
    pub on_exit: Option<OnExit>,
    /// How long the host waits at its end for programs that are under way.
    pub stop_timeout: Duration,
    /// Tokens and TLS.
    pub access: Access,
}

/// The whole file as it is read.
struct File {
    server: Server,
    recording: Recording,
    retention: Retention,
    plugins: Plugins,
    scale_sets: ScaleSets,
    releases: ReleaseRules,
    catalogue: Types,
}

const FILE: Section<File> = Section {
    keys: &[
        Key::<File>::table(
            "server",
            "{ listen = \"127.0.0.1:8970\" }",
            Is::Table(|| SERVER.shape(), |file, table| SERVER.read(table, &mut file.server)),
        )
        .doc("the host itself"),
        Key::<File>::table(
            "recording",
            "{ maxMiB = 64, maxAge = \"P1D\" }",
            Is::Table(|| RECORDING.shape(), |file, table| RECORDING.read(table, &mut file.recording)),
        )
        .doc("what of the plugins' work is written down"),
        Key::<File>::table(
            "retention",
            "{ audit = \"P180D\", upgrades = 1000, members = 50 }",
            Is::Table(|| RETENTION.shape(), |file, table| RETENTION.read(table, &mut file.retention)),
        )
        .doc("how much of the record is kept"),
        Key::<File>::optional(
            "plugins",
            "[{ name = \"db\", component = \"db.wasm\" }]",
            Is::Own(plugins::form, |file, value| file.plugins.read(value)),
        )
        .doc("the policy plugins, beside `azure-health`"),
        Key::<File>::optional(
            "scaleSets",
            "[{ name = \"orders\", … }], or a table [[scaleSets]]",
            Is::Own(arrays::form, |file, value| {
                file.scale_sets.read(Array::ScaleSets, value, &file.plugins.names)
            }),
        )
        .doc("the scale sets; at least one of these or of the two below"),
        Key::<File>::optional(
            "availabilitySets",
            "[{ name = \"web\", … }], or a table [[availabilitySets]]",
            Is::Own(arrays::form, |file, value| {
                file.scale_sets.read(Array::AvailabilitySets, value, &file.plugins.names)
            }),
        )
        .doc("availability sets, with the keys of a scale set: one update domain at a time, and in it the share of a batch"),
        Key::<File>::optional(
            "virtualMachines",
            "[{ name = \"bastion\", … }], or a table [[virtualMachines]]",
            Is::Own(arrays::form, |file, value| {
                file.scale_sets.read(Array::VirtualMachines, value, &file.plugins.names)
            }),
        )
        .doc("machines that stand alone, with the keys of a scale set: those of one subscription and location are a group"),
        Key::<File>::optional(
            "extensionTypes",
            "[{ publisher = \"contoso\", type = \"agent\" }]",
            Is::Own(extension_types::form, |file, value| {
                (file.releases.types, file.catalogue) = extension_types::read(value)?;
                Some(())
            }),
        )
        .doc("what may be published beside what scale sets have in their models; see RELEASES.md"),
        Key::<File>::table(
            "releases",
            "{ regionPhases = [[\"canary\"], [\"westeurope\"]] }",
            Is::Table(|| RELEASES.shape(), |file, table| RELEASES.read(table, &mut file.releases)),
        )
        .doc("how a release goes through regions"),
    ],
    check: |file: &mut File, given: &mut Given<'_>| {
        file.scale_sets.check(given.source());
        if !["scaleSets", "availabilitySets", "virtualMachines"].into_iter().any(|key| given.has(key)) {
            let hint = "for example scaleSets = [{ name = \"orders\", … }], or a table [[scaleSets]]";
            given.conflict("scaleSets", "is missing", hint);
        }
        if given.are_sound(&["scaleSets", "availabilitySets", "virtualMachines", "releases"]) {
            releases::check(&file.releases, &file.scale_sets.sets, given);
        }
    },
};

impl Config {
    /// Where the set with this index stands in the file, such as `scaleSets[0]`.
    #[must_use]
    pub fn place(&self, index: usize) -> &str {
        self.places.get(index).map_or("scaleSets", String::as_str)
    }

    /// A problem with the value of a key that was found after reading, with its line, or that of what
    /// holds the key.
    #[must_use]
    pub fn problem(&self, key: &str, message: String) -> Problem {
        let holders =
            std::iter::successors(Some(key), |key| key.rfind(['.', '[']).and_then(|at| key.get(..at)));
        let mut places = holders.filter_map(|key| self.noted.get(key)?.place);
        Problem::new(places.next().unwrap_or(Place { line: 1, column: 1 }), key, message, None)
    }
}

/// Validates the text of the file `path`; relative paths in it start at the file's directory.
///
/// # Errors
/// All problems that do not depend on the machine. While the text is not valid TOML, only wrong
/// values are reported besides: what is missing or at odds may be in the part that is not readable.
pub fn parse(text: &str, path: &Path) -> Result<Config, Problems> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if let (false, Some(problem)) = (errors.is_empty(), load::other_language(text)) {
        return Err(Problems { path: path.to_owned(), list: vec![problem] });
    }
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let source = Source::new(text, directory, &errors);
    let mut file = File {
        server: server::blank(),
        recording: Recording::default(),
        retention: retention::blank(),
        plugins: Plugins::implicit(),
        scale_sets: ScaleSets::default(),
        releases: ReleaseRules::default(),
        catalogue: Types::default(),
    };
    let is_sound =
        FILE.read(Table::new(&source, String::new(), 0, Some(root.get_ref())), &mut file).is_sound();
    let (mut problems, noted) = source.finish(path);
    if is_sound && problems.is_empty() {
        let File { server, recording, retention, plugins, scale_sets, releases, catalogue } = file;
        let recording = recording.config();
        return Ok(Config {
            path: path.to_owned(),
            server,
            recording,
            retention,
            plugins: plugins.configs,
            scale_sets: scale_sets.sets,
            places: scale_sets.places,
            discoveries: scale_sets.discoveries,
            releases,
            catalogue,
            noted,
        });
    }
    if problems.is_empty() {
        // Every key that is wrong comes with a problem; if one does not, refuse all the same.
        let message = "cannot be used, for an unknown reason; please report this file".to_owned();
        problems.list.push(Problem::new(Place { line: 1, column: 1 }, "", message, None));
    }
    Err(problems)
}

/// What the whole file looks like.
fn shape() -> crate::keys::Shape {
    FILE.shape()
}
