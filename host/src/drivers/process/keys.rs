//! Declares the keys of `kind = "process"`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::ProcessConfig;
use crate::drivers::kind::{DriverConfig, Kind, PortRange};
use crate::drivers::template::{PlacedTemplates, Scope, Template, argv_form, environment_form, working_dir};
use crate::keys::{Form, Is, Key, Section, Value, no_check};

/// The process driver.
pub const KIND: Kind = Kind {
    name: "process",
    shape: || PROCESS.shape(),
    read: |table, templates| {
        let mut keys = Process::default();
        let is_sound = PROCESS.read(table, &mut keys).is_sound();
        *templates = keys.templates;
        let config = ProcessConfig {
            command: keys.command,
            environment: keys.environment,
            working_dir: keys.working_dir?,
            stop_timeout: keys.stop_timeout,
            surge: keys.surge,
            extension_command: keys.extension_command,
        };
        is_sound.then(|| DriverConfig::new(config))
    },
};

/// The keys as they are written.
#[derive(Default)]
struct Process {
    command: Vec<Template>,
    environment: BTreeMap<String, Template>,
    working_dir: Option<PathBuf>,
    stop_timeout: Duration,
    surge: Option<PortRange>,
    extension_command: Option<Vec<Template>>,
    templates: PlacedTemplates,
}

const PROCESS: Section<Process> = Section {
    keys: &[
        Key::<Process>::required(
            "command",
            "[\"./server\", \"--port\", \"{port}\"]",
            Is::Own(argv_form, |keys, value| {
                keys.command = keys.templates.argv(value, Scope::Run)?;
                Some(())
            }),
        )
        .doc("program and arguments; no shell"),
        Key::<Process>::optional(
            "environment",
            "{ PORT = \"{port}\" }",
            Is::Own(environment_form, |keys, value| {
                keys.environment = keys.templates.environment(value, Scope::Run)?;
                Some(())
            }),
        )
        .doc("additional variables"),
        Key::<Process>::optional(
            "workingDir",
            "\"servers\"",
            Is::Path(|keys, path| keys.working_dir = Some(path)),
        )
        .without("folder of this file")
        .doc("where processes run"),
        // Long enough for a server to finish its requests, short enough to wait for.
        Key::<Process>::preset(
            "stopTimeoutInSeconds",
            "10",
            Is::Seconds(0.1, 3600.0, |keys, timeout| keys.stop_timeout = timeout),
        )
        .doc("from SIGTERM to SIGKILL"),
        Key::<Process>::optional(
            "surge",
            "{ ports = \"9100-9199\" }",
            Is::Table(|| SURGE.shape(), |keys, table| SURGE.read(table, keys)),
        )
        .doc("how new instances are created"),
        Key::<Process>::optional(
            "extensionCommand",
            "[\"./install.sh\", \"{component}\", \"{version}\"]",
            Is::Own(argv_form, |keys, value| {
                keys.extension_command = Some(keys.templates.argv(value, Scope::ApplyHere)?);
                Some(())
            }),
        )
        .bounds("needed when the model has extensions")
        .doc(
            "program and arguments that bring an extension to a version; `{component}`, `{version}`, `{settingsFile}`, `{protectedSettingsFile}`, \
             `{operation}` and `{generation}` besides the others; environment, exit codes and limits as the \
             command driver's defaults",
        ),
    ],
    check: |keys, given| keys.working_dir = Some(working_dir(keys.working_dir.take(), given)),
};

const SURGE: Section<Process> = Section {
    keys: &[Key::<Process>::required("ports", "\"9100-9199\"", Is::Own(|| Form::Text, ports))
        .bounds("`\"9100-9199\"`")
        .doc(
            "ports for new instances (`maxSurge`), at the host of the one that each replaces: the lowest that \
             no instance has and on which nobody listens. None that another set has or may get",
        )],
    check: no_check,
};

fn ports(keys: &mut Process, value: &Value<'_>) -> Option<()> {
    let text = value.filled()?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let ends = text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let Some((first, last)) = ends.filter(|(first, last)| first <= last) else {
        let hint = "write the lowest and the highest port, each 1 to 65535, for example \"9100-9199\"";
        value.problem(format!("is \"{text}\""), hint.to_owned());
        return None;
    };
    let range = PortRange { first, last };
    keys.surge = Some(range);
    keys.templates.ports = Some((value.spot(), range));
    Some(())
}
