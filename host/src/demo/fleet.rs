//! The demo's fleet: its configuration, as anybody could have written it, and its files.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::ports::free_ports;
use crate::config::{self, Config};
use phasegate_wasm::builtin;

/// Instances in the fleet.
pub const INSTANCES: usize = 12;
/// Instances in each of its three zones.
const PER_ZONE: usize = 4;
/// The instance that leads: in the middle, so that only the policy can make it the last one.
const LEADER: usize = 5;
/// The instance in backup.
const IN_BACKUP: usize = 9;

/// Name of the demo's scale set.
pub const SCALE_SET: &str = "orders";

/// Port that the command line looks at first, so that `phasegate fleet` works beside `--keep`.
const API_PORT: u16 = 8970;

/// A directory that is removed with everything in it.
#[derive(Debug)]
pub struct Workplace {
    path: PathBuf,
}

impl Workplace {
    /// Makes an empty directory of our own in the system's place for such.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("phasegate-demo-{}", std::process::id()));
        // A leftover of a process that had our id and was killed.
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // Nothing more can be done about a directory that does not go.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Writes the plugin and the configuration of the demo, and reads the latter as `run` would.
///
/// # Errors
/// When there are no free ports, or a file cannot be written.
pub fn prepare(workplace: &Workplace) -> anyhow::Result<Config> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut ports = free_ports(INSTANCES + 1)?;
    let spare = ports.pop().context("no free port")?;
    let api_port = match std::net::TcpListener::bind(("127.0.0.1", API_PORT)) {
        Ok(_) => API_PORT,
        Err(_) => spare,
    };
    let text = configuration(&program, api_port, &ports);
    let path = workplace.path().join("phasegate.toml");
    std::fs::write(workplace.path().join("replicated-db.wasm"), builtin::REPLICATED_DB)?;
    std::fs::write(&path, &text)?;
    Ok(config::parse(&text, &path)?)
}

fn configuration(program: &Path, api_port: u16, ports: &[u16]) -> String {
    // A JSON string is a TOML basic string for every path that is UTF-8.
    let program =
        serde_json::Value::from(program.display().to_string().replace('{', "{{").replace('}', "}}"));
    let mut text = format!(
        r#"[server]
listen = "127.0.0.1:{api_port}"
dataDir = "./data"

[[plugins]]
name = "db"
component = "replicated-db.wasm"
settings = {{ maxLagBytes = 1048576 }}

[[scaleSets]]
name = "{SCALE_SET}"
plugin = "db"
[scaleSets.health]
protocol = "http"
requestPath = "/health"
intervalInSeconds = 0.25
numberOfProbes = 2
gracePeriod = 10
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 20
maxUnhealthyInstancePercent = 20
maxUnhealthyUpgradedInstancePercent = 20
pauseTimeBetweenBatches = "PT0S"
[scaleSets.driver]
kind = "process"
command = [{program}, "__demo-database", "--id", "{{id}}", "--port", "{{port}}",
  "--version", "{{version}}", "--role", "{{label.role}}", "--backup", "{{label.backup}}", "--startup-ms", "300"]
stopTimeoutInSeconds = 3
[scaleSets.model]
version = "v1"
"#
    );
    for (index, port) in ports.iter().enumerate() {
        let role = if index == LEADER { "leader" } else { "replica" };
        let instance = format!(
            r#"
[[scaleSets.instances]]
id = "{index}"
address = "127.0.0.1:{port}"
zone = "{}"
updateDomain = {}
faultDomain = 0
labels = {{ role = "{role}", backup = "{}" }}
"#,
            index / PER_ZONE + 1,
            index % PER_ZONE / 2,
            index == IN_BACKUP,
        );
        // Writing to a string cannot fail.
        let _ = text.write_str(&instance);
    }
    text
}
