//! Reads the keys of `kind = "command"`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::super::table::Table;
use super::super::template::{Scope, Template};
use super::{
    Templates, both_or_none, read_argv, read_environment, read_max_concurrent, read_wait, read_working_dir,
};

/// Settings of the command driver. Every template renders for every instance of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// Program and arguments that bring an instance to a version; at least one.
    pub command: Vec<Template>,
    /// Program and arguments that print the version of an instance; at least one when there are
    /// any. Knows no version and no operation.
    pub observe: Option<Vec<Template>>,
    /// How instances are created and deleted, where the site can.
    pub surge: Option<SurgeCommands>,
    /// Additional environment variables of all; they know no version and no operation.
    pub environment: BTreeMap<String, Template>,
    /// Working directory; by default that of the configuration file.
    pub working_dir: PathBuf,
    /// Longest run of one program, 0.1 s to a day.
    pub timeout: Duration,
    /// How long a program that says "busy" is started again, up to a day.
    pub retry_for: Duration,
    /// Most programs at once, 1 to 1024.
    pub max_concurrent: u32,
}

/// Programs that create and delete instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurgeCommands {
    /// Program and arguments that create an instance and print its address.
    pub create: Vec<Template>,
    /// Program and arguments that delete one.
    pub delete: Vec<Template>,
}

pub(super) fn read<'a>(mut table: Table<'a>, templates: &mut Templates<'a>) -> Option<CommandConfig> {
    let command = table.required("command", "[\"./upgrade.sh\", \"{address}\", \"{version}\"]");
    let observe = table.optional("observe", "[\"./version.sh\", \"{address}\"]");
    let create = table.optional("create", "[\"./create.sh\", \"{id}\", \"{version}\"]");
    let delete = table.optional("delete", "[\"./delete.sh\", \"{id}\"]");
    let environment = table.section("environment", "{ RACK = \"{label.rack}\" }");
    let working_dir = table.optional("workingDir", "\"scripts\"");
    let timeout = table.optional("timeoutInSeconds", "600");
    let retry_for = table.optional("retryForInSeconds", "600");
    let max_concurrent = table.optional("maxConcurrent", "64");
    let directory = table.source.directory;
    table.finish();

    let command = command.and_then(|value| read_argv(&value, Scope::Apply, templates));
    let observe = match observe {
        Some(value) => read_argv(&value, Scope::Look, templates).map(Some),
        None => Some(None),
    };
    let both = both_or_none(create.as_ref(), delete.as_ref());
    let create = create.map(|value| read_argv(&value, Scope::Create, templates));
    let delete = delete.map(|value| read_argv(&value, Scope::Delete, templates));
    let surge = match (create, delete) {
        (Some(create), Some(delete)) => {
            create.and_then(|create| Some(Some(SurgeCommands { create, delete: delete? })))
        }
        (_, _) => both.then_some(None),
    };
    let environment = read_environment(environment, Scope::Look, templates);
    let working_dir = read_working_dir(working_dir, directory);
    let timeout = read_wait(timeout, 0.1);
    let retry_for = read_wait(retry_for, 0.0);
    let max_concurrent = read_max_concurrent(max_concurrent);
    Some(CommandConfig {
        command: command?,
        observe: observe?,
        surge: surge?,
        environment: environment?,
        working_dir: working_dir?,
        timeout: timeout?,
        retry_for: retry_for?,
        max_concurrent: max_concurrent?,
    })
}
