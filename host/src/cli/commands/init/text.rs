//! The configuration as text, with a comment for what a person may want to change first.

use std::fmt::Write as _;

use super::answers::Given;
use crate::cli::args::{InitDriver, InitProtocol};

/// All of it.
pub(super) fn of(given: &Given) -> String {
    let mut text = head(given);
    text.push_str(&health(given));
    text.push_str(POLICY);
    text.push_str(&driver(given));
    let version = quoted(&given.version);
    let _ = write!(
        text,
        "\n[scaleSets.model]\n# What the instances run now; `phasegate upgrade start {name} --to VERSION` brings another one.\n\
         version = {version}\n",
        name = given.name
    );
    for (id, address) in given.addresses.iter().enumerate() {
        let address = quoted(&address.to_string());
        let _ = write!(text, "\n[[scaleSets.instances]]\nid = \"{id}\"\naddress = {address}\n");
    }
    text.push_str("# Of each also: zone = \"1\", updateDomain = 0, labels = { role = \"replica\" }\n");
    text
}

fn head(given: &Given) -> String {
    format!(
        "# Written by `phasegate init`. Every key: host/CONFIGURATION.md, or `phasegate config schema` for your editor.\n\
         # Look: phasegate check, phasegate run, then in another shell phasegate fleet.\n\n\
         [server]\n\
         listen = \"127.0.0.1:8970\"        # the API; without tokens only for this machine\n\
         dataDir = \"./phasegate-data\"     # record, logs and compiled plugins; beside this file\n\n\
         [[scaleSets]]\n\
         name = {}\n\
         # Which plugin decides; without it azure-health, which reads {{\"ApplicationHealthState\": \"Healthy\"}}.\n\
         # plugin = \"mine\"\n",
        quoted(&given.name)
    )
}

fn health(given: &Given) -> String {
    let (protocol, path) = match given.protocol {
        InitProtocol::Http => ("http", Some(&given.path)),
        InitProtocol::Https => ("https", Some(&given.path)),
        InitProtocol::Tcp => ("tcp", None),
    };
    let path = path.map_or_else(String::new, |path| format!("requestPath = {}\n", quoted(path)));
    format!(
        "\n[scaleSets.health]\nprotocol = \"{protocol}\"\n{path}intervalInSeconds = 5\n\
         numberOfProbes = 1               # so many equal answers in a row change the health\n\
         gracePeriod = 60                 # seconds that an instance may take to come up\n"
    )
}

const POLICY: &str = "
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 20              # so many at once
maxUnhealthyInstancePercent = 20          # nothing begins while more are unhealthy
maxUnhealthyUpgradedInstancePercent = 20  # it ends when more of the upgraded ones are
pauseTimeBetweenBatches = \"PT10S\"
";

fn driver(given: &Given) -> String {
    let given_command = given.command.as_deref();
    match given.driver {
        InitDriver::Command => {
            let argv = given_command.map_or_else(|| NOT_TOLD.to_owned(), list);
            format!(
                "\n[scaleSets.driver]\nkind = \"command\"\n\
                 # Brings one instance to a version: exit 0 done, 75 busy and tried again, 65 failed with nothing touched.\n\
                 command = {argv}\n\
                 # Prints what one runs; exit 69 when nothing does. Without it the word of `command` counts.\n\
                 # observe = [\"./version.sh\", \"{{address}}\"]\n"
            )
        }
        InitDriver::Process => format!(
            "\n[scaleSets.driver]\nkind = \"process\"\n\
             # The host starts each instance so, keeps it running and ends it with itself (server.onExit).\n\
             command = {}\n",
            given_command.map_or_else(String::new, list)
        ),
        InitDriver::Http => format!(
            "\n[scaleSets.driver]\nkind = \"http\"\n\
             # An agent that gets a POST with instance, component, version and operation.\n\
             url = {}\n\
             # observeUrl = \"http://agent:8080/instances/{{id}}\"   # answers {{\"version\": \"v1\"}}\n",
            quoted(&given_command.unwrap_or_default().join(" "))
        ),
    }
}

/// Changes nothing and says so.
const NOT_TOLD: &str = "[\"sh\", \"-c\", \"echo 'write here what brings an instance to a version' >&2; exit 65\", \
                        \"{address}\", \"{version}\"]";

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// As TOML writes a text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for one in text.chars() {
        match one {
            '"' | '\\' => quoted.extend(['\\', one]),
            one if one.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(one));
            }
            one => quoted.push(one),
        }
    }
    quoted.push('"');
    quoted
}
