//! Reads the keys of `kind = "command"`.

use super::super::table::Table;
use super::{
    Templates, both_or_none, read_argv, read_environment, read_max_concurrent, read_wait, read_working_dir,
};
use crate::drivers::command::{CommandConfig, SurgeCommands};
use crate::drivers::template::Scope;

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
