//! Reads `phasegate.toml` into validated types, and reports all of its problems at once.
//!
//! How to read this module: `source`, `table` and `value` walk any TOML with its line numbers;
//! `server`, `recording`, `plugins`, `fetch`, `scale_sets`, `health`, `policy`, `rules`, `freeze`, `drivers` and `instances`
//! know the keys;
//! `environment` checks what depends on the machine. Nothing here starts, connects to or loads
//! anything, and only `load` and `environment` look at the file system.

mod drivers;
mod environment;
mod fetch;
mod freeze;
mod health;
mod instances;
mod plugins;
mod policy;
mod problem;
mod recording;
mod reload;
mod rules;
mod scale_sets;
mod server;
mod settings;
mod show;
mod source;
mod suggest;
mod swap_rules;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use environment::environment_problems;
pub use plugins::AZURE_HEALTH;
pub use problem::{LoadConfigError, Place, Problem, Problems};
pub use reload::{changed_parts, restart_reasons};

use crate::drivers::DriverConfig;
use crate::plugins::config::PluginConfig;
use crate::recording::RecordingConfig;
use phasegate_core::domain::ScaleSet;
use source::Source;
use table::Table;

/// A configuration without problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file as it was named on the command line.
    pub path: PathBuf,
    /// The host itself.
    pub server: Server,
    /// What of the plugins' work is recorded; none when nothing is.
    pub recording: Option<RecordingConfig>,
    /// The plugins in the order of the file; the implicit `azure-health` is the last one.
    pub plugins: Vec<PluginConfig>,
    /// The scale sets in the order of the file; at least one.
    pub scale_sets: Vec<ScaleSet<DriverConfig>>,
    /// Where the values are that [`environment_problems`] looks at.
    places: BTreeMap<String, Place>,
}

/// Where the host listens and keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address of the API; on other machines' networks only together with a token file.
    pub listen: SocketAddr,
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// File with the token that API calls must carry.
    pub token_file: Option<PathBuf>,
}

impl Config {
    /// A problem with the value of a key that was found after reading, with its line.
    #[must_use]
    pub fn problem(&self, key: &str, message: String) -> Problem {
        let place = self.places.get(key).copied().unwrap_or(Place { line: 1, column: 1 });
        Problem { place, key: key.to_owned(), message, hint: None }
    }
}

/// Reads and validates the file.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, or has problems.
pub fn load(path: &Path) -> Result<Config, LoadConfigError> {
    let bytes = std::fs::read(path)
        .map_err(|source| LoadConfigError::Unreadable { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|error| LoadConfigError::Invalid(not_utf8(&error, path)))?;
    parse(&text, path).map_err(LoadConfigError::Invalid)
}

/// The one problem of a file that is not text.
fn not_utf8(error: &std::string::FromUtf8Error, path: &Path) -> Problems {
    let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let message = "is not UTF-8 text from here on".to_owned();
    let problem = Problem { place: Place { line, column }, key: String::new(), message, hint: None };
    Problems { path: path.to_owned(), list: vec![problem] }
}

/// Validates the text of the file `path`; relative paths in it start at the file's directory.
///
/// # Errors
/// All problems that do not depend on the machine. While the text is not valid TOML, only wrong
/// values are reported besides: what is missing or at odds may be in the part that is not readable.
pub fn parse(text: &str, path: &Path) -> Result<Config, Problems> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let source = Source::new(text, directory, &errors);
    let contents = read(Table::new(&source, String::new(), 0, Some(root.get_ref())));
    let (mut problems, places) = source.finish(path);
    match contents {
        Some((server, recording, plugins, scale_sets)) if problems.is_empty() => {
            Ok(Config { path: path.to_owned(), server, recording, plugins, scale_sets, places })
        }
        _ => {
            if problems.is_empty() {
                // Every missing value comes with a problem; if one does not, refuse all the same.
                let message = "cannot be used, for an unknown reason; please report this file".to_owned();
                let place = Place { line: 1, column: 1 };
                problems.list.push(Problem { place, key: String::new(), message, hint: None });
            }
            Err(problems)
        }
    }
}

type Contents = (Server, Option<RecordingConfig>, Vec<PluginConfig>, Vec<ScaleSet<DriverConfig>>);

fn read(mut root: Table<'_>) -> Option<Contents> {
    let server = server::read(root.section("server", "{ listen = \"127.0.0.1:8970\" }"));
    let recording = recording::read(root.section("recording", "{ maxMiB = 64, maxAge = \"P1D\" }"));
    let plugins = root.optional("plugins", "[{ name = \"db\", component = \"db.wasm\" }]");
    let plugins = plugins.map_or(Some(Vec::new()), |value| value.array("tables [[plugins]]"));
    let plugins = plugins::read_all(plugins.unwrap_or_default());
    let scale_sets = root.required("scaleSets", "[{ name = \"orders\", … }], or a table [[scaleSets]]");
    let scale_sets = scale_sets.and_then(|value| scale_sets::read_all(&value, &plugins.names));
    root.finish();
    Some((server?, recording?, plugins.configs?, scale_sets?))
}
