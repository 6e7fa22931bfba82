//! Declares `[scaleSets.driver.hooks]`, which every kind of driver has.

use std::path::PathBuf;
use std::time::Duration;

use super::config::{Hook, Hooks, What};
use crate::drivers::template::{PlacedTemplates, Scope, Template, argv_form, working_dir};
use crate::keys::{Form, Given, Is, Key, Section, Shape, Table};
use crate::net::url::HttpUrl;
use phasegate_core::domain::HookKind;

/// Hooks as they were read.
#[derive(Default)]
pub struct ReadHooks {
    /// What they are.
    pub hooks: Hooks,
    /// Their templates, to be compared with the instances.
    pub templates: PlacedTemplates,
}

const INSTANCE: &str = "{ command = [\"./drain.sh\", \"{id}\", \"{direction}\"] }";
const BATCH: &str = "{ command = [\"./error-rate.sh\", \"{direction}\"], timeout = \"PT10M\" }";

const HOOKS: Section<ReadHooks> = Section {
    keys: &[
        Key::<ReadHooks>::optional(
            "beforeInstance",
            INSTANCE,
            Is::Table(|| HOOK.shape(), |read, table| one(read, table, HookKind::BeforeInstance)),
        )
        .doc("run before the driver is told anything of an instance; see below"),
        Key::<ReadHooks>::optional(
            "afterInstance",
            INSTANCE,
            Is::Table(|| HOOK.shape(), |read, table| one(read, table, HookKind::AfterInstance)),
        )
        .doc("run when the driver has answered for an instance, well or badly, and before its health gate"),
        Key::<ReadHooks>::optional(
            "beforeBatch",
            BATCH,
            Is::Table(|| HOOK.shape(), |read, table| one(read, table, HookKind::BeforeBatch)),
        )
        .doc("run when a batch could begin"),
        Key::<ReadHooks>::optional(
            "afterBatch",
            BATCH,
            Is::Table(|| HOOK.shape(), |read, table| one(read, table, HookKind::AfterBatch)),
        )
        .doc("run when all of a batch have been judged"),
    ],
    check: |read, given| read.hooks.working_dir = working_dir(None, given),
};

/// What the table looks like.
#[must_use]
pub fn shape() -> Shape {
    HOOKS.shape()
}

/// Reads the table; says whether all of it is right.
pub fn read(table: Table<'_>, to: &mut ReadHooks) -> bool {
    HOOKS.read(table, to).is_sound()
}

/// One hook as it is written.
#[derive(Default)]
struct HookKeys {
    scope: Option<Scope>,
    command: Option<Vec<Template>>,
    url: Option<Template>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    templates: PlacedTemplates,
}

impl HookKeys {
    /// That of an instance, where it is not known: what is wrong is reported all the same.
    fn scope(&self) -> Scope {
        self.scope.unwrap_or(Scope::Hook)
    }
}

const HOOK: Section<HookKeys> = Section {
    keys: &[
        Key::<HookKeys>::optional(
            "command",
            "[\"./drain.sh\", \"{id}\"]",
            Is::Own(argv_form, |keys, value| {
                let scope = keys.scope();
                keys.command = Some(keys.templates.argv(value, scope)?);
                Some(())
            }),
        )
        .bounds("this or `url`")
        .doc("program and arguments; exit 0 is done, 75 not yet, anything else failed"),
        Key::<HookKeys>::optional(
            "url",
            "\"https://gate.example/drain/{id}\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    let (scope, text) = (keys.scope(), value.filled()?);
                    keys.url = Some(keys.templates.template(value, text, scope)?);
                    Some(())
                },
            ),
        )
        .bounds("this or `command`; http or https")
        .doc("where a POST goes; 200 and 204 are done, 202 is not yet; values are escaped"),
        Key::<HookKeys>::optional("caFile", "\"ca.pem\"", Is::Path(|keys, path| keys.ca_file = Some(path)))
            .bounds("only with an https `url`")
            .doc(
                "certificates that count besides the authorities that browsers trust, PEM; read at each try",
            ),
        Key::<HookKeys>::preset(
            "timeout",
            "\"PT5M\"",
            Is::Span(Some(("PT0.1S", "PT24H")), |keys, timeout| keys.timeout = timeout),
        )
        .doc("from its first try to its end, everything that says \"not yet\" included; then it has failed"),
    ],
    check,
};

fn check(keys: &mut HookKeys, given: &mut Given<'_>) {
    if given.has("command") == given.has("url") {
        let both = if given.has("url") { "has both command and url" } else { "has neither command nor url" };
        let table = given.table().clone();
        given.source().conflict(&table, both, "give it one of the two");
        given.spoil();
    }
    if given.has("caFile") && !given.has("url") {
        let why = "counts for a url alone".to_owned();
        given.conflict("caFile", why, "leave it out: a command sees to its own certificates");
    }
    let (url, scope) = (keys.url.clone(), keys.scope());
    keys.templates.refuse(given.at("url"), url.as_ref(), scope, refuse);
}

fn refuse(text: &str) -> Option<(String, &'static str)> {
    match HttpUrl::parse(text) {
        Err(error) => Some((error.to_string(), "for example http://127.0.0.1:9200/drain/{id}")),
        Ok(_) => None,
    }
}

fn one<'a>(read: &mut ReadHooks, table: Table<'a>, kind: HookKind) -> Given<'a> {
    let scope = match kind {
        HookKind::BeforeInstance | HookKind::AfterInstance => Scope::Hook,
        HookKind::BeforeBatch | HookKind::AfterBatch => Scope::BatchHook,
    };
    let mut keys = HookKeys { scope: Some(scope), ..HookKeys::default() };
    let given = HOOK.read(table, &mut keys);
    read.templates.take_in(keys.templates);
    let ca_file = keys.ca_file;
    let what = keys.command.map(What::Command).or_else(|| keys.url.map(|to| What::Url { to, ca_file }));
    if let Some(what) = what.filter(|_| given.is_sound()) {
        read.hooks.all.insert(kind, Hook { what, timeout: keys.timeout });
    }
    given
}
