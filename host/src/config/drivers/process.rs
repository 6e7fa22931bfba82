//! Reads the keys of `kind = "process"`.

use std::time::Duration;

use super::super::table::Table;
use super::{Templates, read_argv, read_environment, read_working_dir, surge};
use crate::drivers::process::ProcessConfig;
use crate::drivers::template::Scope;

/// Long enough for a server to finish its requests, short enough to wait for.
const STOP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

pub(super) fn read<'a>(mut table: Table<'a>, templates: &mut Templates<'a>) -> Option<ProcessConfig> {
    let command = table.required("command", "[\"./server\", \"--port\", \"{port}\"]");
    let environment = table.section("environment", "{ PORT = \"{port}\" }");
    let working_dir = table.optional("workingDir", "\"servers\"");
    let surge = table.optional("surge", "{ ports = \"9100-9199\" }");
    let stop_timeout = table.optional("stopTimeoutInSeconds", "10");
    let extension = table.optional("extensionCommand", "[\"./install.sh\", \"{component}\", \"{version}\"]");
    let directory = table.source.directory;
    table.finish();

    let command = command.and_then(|value| read_argv(&value, Scope::Run, templates));
    let surge = surge.map_or(Some(None), |value| surge::read(&value, templates).map(Some));
    let environment = read_environment(environment, Scope::Run, templates);
    let working_dir = read_working_dir(working_dir, directory);
    let stop_timeout = stop_timeout.map_or(Some(STOP_TIMEOUT_DEFAULT), |value| value.seconds(0.1, 3600.0));
    let extension_command = match extension {
        Some(value) => read_argv(&value, Scope::Apply, templates).map(Some),
        None => Some(None),
    };
    Some(ProcessConfig {
        command: command?,
        environment: environment?,
        working_dir: working_dir?,
        stop_timeout: stop_timeout?,
        surge: surge?,
        extension_command: extension_command?,
    })
}
