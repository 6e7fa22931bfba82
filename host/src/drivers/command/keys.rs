//! Declares the keys of `kind = "command"`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{CommandConfig, SurgeCommands};
use crate::drivers::kind::{DriverConfig, Kind};
use crate::drivers::looking::{HasLooking, Looking, confirm_key, interval_key, only_with};
use crate::drivers::template::{
    PlacedTemplates, Scope, Template, argv_form, both_or_none, environment_form, working_dir,
};
use crate::drivers::{MAX_CONCURRENT, WAIT_DEFAULT, WAIT_MAX_SECONDS};
use crate::keys::{Given, Is, Key, Section};

/// The command driver.
pub const KIND: Kind = Kind {
    name: "command",
    shape: || COMMAND.shape(),
    read: |table, templates| {
        let mut keys = Command::default();
        let is_sound = COMMAND.read(table, &mut keys).is_sound();
        *templates = keys.templates;
        let surge = keys.create.zip(keys.delete);
        let config = CommandConfig {
            command: keys.command,
            observe: keys.observe,
            surge: surge.map(|(create, delete)| SurgeCommands { create, delete }),
            environment: keys.environment,
            working_dir: keys.working_dir?,
            timeout: keys.timeout,
            retry_for: keys.retry_for,
            max_concurrent: keys.max_concurrent,
            looking: keys.looking,
        };
        is_sound.then(|| DriverConfig::new(config))
    },
};

/// The keys as they are written.
#[derive(Default)]
struct Command {
    command: Vec<Template>,
    observe: Option<Vec<Template>>,
    create: Option<Vec<Template>>,
    delete: Option<Vec<Template>>,
    environment: BTreeMap<String, Template>,
    working_dir: Option<PathBuf>,
    timeout: Duration,
    retry_for: Duration,
    max_concurrent: u32,
    looking: Looking,
    templates: PlacedTemplates,
}

impl HasLooking for Command {
    fn looking(&mut self) -> &mut Looking {
        &mut self.looking
    }
}

const COMMAND: Section<Command> = Section {
    keys: &[
        Key::<Command>::required(
            "command",
            "[\"./upgrade.sh\", \"{address}\", \"{version}\"]",
            Is::Own(argv_form, |keys, value| {
                keys.command = keys.templates.argv(value, Scope::ApplyHere)?;
                Some(())
            }),
        )
        .doc(
            "program and arguments; no shell. Also knows `{component}` (`application` or an extension's \
             name), `{operation}`, `{generation}`, and of an extension `{settingsFile}` and `{protectedSettingsFile}`: \
             paths of files of mode 0600 that are there while the program runs",
        ),
        Key::<Command>::optional(
            "observe",
            "[\"./version.sh\", \"{address}\"]",
            Is::Own(argv_form, |keys, value| {
                keys.observe = Some(keys.templates.argv(value, Scope::Observe)?);
                Some(())
            }),
        )
        .doc(
            "program and arguments that print the version of the instance: exit 0 and one line is a version, exit 69 \
             says that nothing runs, anything else that nobody can tell. Without `{version}`, `{operation}` and \
             `{generation}`; with `{component}` it is asked for extensions, too",
        ),
        confirm_key(),
        interval_key(),
        Key::<Command>::optional(
            "create",
            "[\"./create.sh\", \"{id}\", \"{version}\"]",
            Is::Own(argv_form, |keys, value| {
                keys.create = Some(keys.templates.argv(value, Scope::Create)?);
                Some(())
            }),
        )
        .bounds("both or none")
        .doc("program for `maxSurge` that creates an instance; see below"),
        Key::<Command>::optional(
            "delete",
            "[\"./delete.sh\", \"{id}\"]",
            Is::Own(argv_form, |keys, value| {
                keys.delete = Some(keys.templates.argv(value, Scope::Delete)?);
                Some(())
            }),
        )
        .bounds("both or none")
        .doc("program for `maxSurge` that deletes one; see below"),
        Key::<Command>::optional(
            "environment",
            "{ RACK = \"{label.rack}\" }",
            Is::Own(environment_form, |keys, value| {
                keys.environment = keys.templates.environment(value, Scope::Look)?;
                Some(())
            }),
        )
        .doc("additional variables of all; placeholders as in `observe`"),
        Key::<Command>::optional(
            "workingDir",
            "\"scripts\"",
            Is::Path(|keys, path| keys.working_dir = Some(path)),
        )
        .without("folder of this file")
        .doc("where programs run"),
        Key::<Command>::preset(
            "timeoutInSeconds",
            WAIT_DEFAULT,
            Is::Seconds(0.1, WAIT_MAX_SECONDS, |keys, timeout| keys.timeout = timeout),
        )
        .doc(
            "longest run of one program (of `observe`: at most 60); then its process group gets SIGTERM, and \
             SIGKILL 10 s later",
        ),
        Key::<Command>::preset(
            "retryForInSeconds",
            WAIT_DEFAULT,
            Is::Seconds(0.0, WAIT_MAX_SECONDS, |keys, time| keys.retry_for = time),
        )
        .doc("how long a busy site is tried again"),
        Key::<Command>::preset(
            "maxConcurrent",
            MAX_CONCURRENT,
            Is::Whole(1, 1024, |keys, count| keys.max_concurrent = count),
        )
        .doc("programs at once"),
    ],
    check,
};

fn check(keys: &mut Command, given: &mut Given<'_>) {
    both_or_none(given, "create", "delete");
    only_with("observe", given);
    keys.working_dir = Some(working_dir(keys.working_dir.take(), given));
}
