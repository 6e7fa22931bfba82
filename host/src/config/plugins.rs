//! Declares `[[plugins]]`.
//!
//! Does not look at the components; `machine` does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fetch::{FETCH, Fetch};
use super::gate::{self, GATE};
use super::signature::{SIGNATURE, Signature};
use crate::keys::{Form, Given, Is, Key, Section, Spot, Value, json_object, no_check};
use crate::net::reference::RemoteSource;
use crate::plugins::config::{Cases, ComponentSource, PluginConfig};
use crate::plugins::fetch::FetchConfig;
use phasegate_core::domain::{
    CompileLimits, Digest, Gate, Isolation, OnFailure, PluginLimits, PluginName, PluginSpec, Strategy,
    SwapRules,
};

/// Name of the plugin that exists without being configured, and of its built-in component.
pub const AZURE_HEALTH: &str = "azure-health";

/// All plugins.
pub(super) struct Plugins {
    /// Names that scale sets may use, including those of plugins with problems.
    pub(super) names: BTreeSet<String>,
    /// The plugins that have no problem.
    pub(super) configs: Vec<PluginConfig>,
}

/// The keys of one plugin as they are written.
pub(super) struct Plugin {
    name: Option<PluginName>,
    pub(super) component: Option<ComponentSource>,
    settings: String,
    limits: PluginLimits,
    isolation: Isolation,
    on_failure: OnFailure,
    digest: Option<Digest>,
    pub(super) fetch: Fetch,
    strategy: Strategy,
    watch_time: Duration,
    gate: Option<Gate>,
    pub(super) signature: Option<Signature>,
    cases: Cases,
}

pub(super) const PLUGIN: Section<Plugin> = Section {
    keys: &[
        Key::<Plugin>::required(
            "name",
            "\"db\"",
            Is::Own(
                || Form::Text,
                |plugin, value| {
                    plugin.name = Some(value.id(PluginName::parse)?);
                    Some(())
                },
            ),
        )
        .bounds("letters, digits, `._-`")
        .doc("unique; `azure-health` exists without being listed"),
        Key::<Plugin>::required(
            "component",
            "\"plugins/db.wasm\", \"oci://…\" or \"https://…\"",
            Is::Own(|| Form::Text, component),
        )
        .doc("path of a component, `oci://…` or `https://…` ([below](#pluginsfetch)), or `builtin:azure-health`"),
        Key::<Plugin>::preset(
            "settings",
            "{}",
            Is::Own(
                || Form::Free,
                |plugin, value| {
                    plugin.settings = json_object(value)?;
                    Some(())
                },
            ),
        )
        .example("{ maxLagBytes = 1048576 }")
        .doc("handed to the plugin as a JSON object"),
        Key::<Plugin>::table(
            "limits",
            "{ memoryMiB = 64, timeoutMs = 100 }",
            Is::Table(|| LIMITS.shape(), |plugin, table| LIMITS.read(table, &mut plugin.limits)),
        )
        .doc("what one instance of the plugin may use"),
        Key::<Plugin>::preset(
            "onFailure",
            "\"hold\"",
            Is::Word(&[
                ("hold", |plugin| plugin.on_failure = OnFailure::Hold),
                ("last-good", |plugin| plugin.on_failure = OnFailure::LastGood),
                ("azure", |plugin| plugin.on_failure = OnFailure::Azure),
            ]),
        )
        .doc("what becomes of an instance while its plugin fails, see below"),
        Key::<Plugin>::preset(
            "isolation",
            "\"batch\"",
            Is::Word(&[
                ("batch", |plugin| plugin.isolation = Isolation::PerBatch),
                ("reused", |plugin| plugin.isolation = Isolation::Reused),
            ]),
        )
        .doc("a new instance per batch, or one until it fails"),
        Key::<Plugin>::optional("digest", "\"sha256:…\"", Is::Own(|| Form::Text, digest))
            .bounds("`sha256:` and 64 digits")
            .doc(
                "what the bytes of the component must be, for a registry those of the layer; nothing else is \
                 ever loaded for this plugin: by file, reference, upload, at a start, by `plugin rollback` or \
                 when a generation is taken back. Where that rules out every way back, a generation that does \
                 not pass its watch stays, and log and `lastError` say so",
            ),
        Key::<Plugin>::preset(
            "strategy",
            "\"rehearse\"",
            Is::Word(&[
                ("immediate", |plugin| plugin.strategy = Strategy::Immediate),
                ("rehearse", |plugin| plugin.strategy = Strategy::Rehearse),
                ("shadow", |plugin| plugin.strategy = Strategy::Shadow),
            ]),
        )
        .doc("what a new component must pass before it takes over"),
        Key::<Plugin>::preset("watchTime", "\"PT1M\"", Is::Span(None, |plugin, time| plugin.watch_time = time)).doc(
            "how long the component before judges beside a new one, to come back if it was better; `PT0S`: \
             not at all",
        ),
        Key::<Plugin>::table(
            "fetch",
            "{ caFile = \"ca.pem\", timeout = \"PT1M\" }",
            Is::Table(|| FETCH.shape(), |plugin, table| FETCH.read(table, plugin)),
        )
        .doc("how a component is fetched"),
        Key::<Plugin>::optional(
            "gate",
            "{ maxChangedPercent = 5 }",
            Is::Table(
                || GATE.shape(),
                |plugin, table| GATE.read(table, plugin.gate.get_or_insert_with(gate::blank)),
            ),
        )
        .doc("what a new component may change"),
        Key::<Plugin>::optional(
            "signature",
            "{ publicKeyFiles = [\"release.pub\"] }",
            Is::Table(
                || SIGNATURE.shape(),
                |plugin, table| SIGNATURE.read(table, plugin.signature.get_or_insert_with(Signature::default)),
            ),
        )
        .doc("by whom every component must be signed that is loaded for this plugin"),
        Key::<Plugin>::preset(
            "requireCases",
            "false",
            Is::Flag(|plugin, wanted| plugin.cases = if wanted { Cases::Required } else { Cases::Optional }),
        )
        .doc(
            "whether a component is refused that carries no cases (`phasegate plugin build --with-cases`); those that it \
             carries must pass in any case",
        ),
    ],
    check,
};

const LIMITS: Section<PluginLimits> = Section {
    keys: &[
        Key::<PluginLimits>::preset(
            "memoryMiB",
            "64",
            Is::Whole(1, 4096, |limits, mib| limits.memory_mib = mib),
        )
        .doc("memory of one instance of the plugin"),
        Key::<PluginLimits>::preset(
            "timeoutMs",
            "100",
            Is::Whole(1, 60_000, |limits, ms| limits.timeout = Duration::from_millis(ms.into())),
        )
        .doc(
            "CPU time of one call (a batch of up to 128 observations), checked in ticks of 5 ms; at most \
             twenty times that in wall-clock time",
        ),
        Key::<PluginLimits>::preset(
            "fuel",
            "50000000",
            Is::Whole(10_000, u32::MAX, |limits, fuel| limits.fuel = fuel.into()),
        )
        .doc(
            "work of one evaluation, about one for each instruction: the same on a laptop and in \
                 production. A batch has no more than this either and is split when that is too little, so \
                 that company changes nothing. A start and `configure` have ten times as much",
        ),
        Key::<PluginLimits>::preset(
            "logLinesPerMinute",
            "600",
            Is::Whole(0, 1_000_000, |limits, lines| limits.log_lines_per_minute = lines),
        )
        .doc("log lines; more are dropped and counted"),
        Key::<PluginLimits>::table(
            "compile",
            "{ cpuSeconds = 300, memoryMiB = 2048 }",
            Is::Table(|| COMPILE.shape(), |limits, table| COMPILE.read(table, &mut limits.compile)),
        )
        .doc("what turning the component into machine code may use"),
    ],
    check: no_check,
};

const COMPILE: Section<CompileLimits> = Section {
    keys: &[
        Key::<CompileLimits>::preset(
            "cpuSeconds",
            "300",
            Is::Whole(1, 86_400, |limits, seconds| limits.cpu_seconds = seconds),
        )
        .doc(
            "CPU time of its compiler, which is a process of its own, one at a time; a component that takes longer \
             does not load, and a file is not tried again before its bytes or these limits change",
        ),
        Key::<CompileLimits>::preset(
            "memoryMiB",
            "2048",
            Is::Whole(64, 65_536, |limits, mib| limits.memory_mib = mib),
        )
        .doc("memory of its compiler"),
    ],
    check: no_check,
};

fn blank() -> Plugin {
    Plugin {
        name: None,
        component: None,
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        fetch: Fetch::default(),
        strategy: Strategy::Rehearse,
        watch_time: Duration::ZERO,
        gate: None,
        signature: None,
        cases: Cases::Optional,
    }
}

/// The plugins as a key of the whole file.
pub(super) fn form() -> Form {
    Form::Tables(PLUGIN.shape())
}

impl Plugins {
    /// Those of a file that names none.
    pub(super) fn implicit() -> Self {
        Self { names: [AZURE_HEALTH.to_owned()].into(), configs: implicit().into_iter().collect() }
    }

    /// Reads all of them; says whether they are right.
    pub(super) fn read(&mut self, value: &Value<'_>) -> Option<()> {
        let values = value.array("tables [[plugins]]")?;
        let mut seen: BTreeMap<String, Spot> = BTreeMap::new();
        let configs: Vec<Option<PluginConfig>> = values.iter().map(|value| read(value, &mut seen)).collect();
        let is_sound = configs.iter().all(Option::is_some);
        self.configs = configs.into_iter().flatten().collect();
        if !seen.contains_key(AZURE_HEALTH) {
            self.configs.extend(implicit());
        }
        self.names = seen.into_keys().chain([AZURE_HEALTH.to_owned()]).collect();
        is_sound.then_some(())
    }
}

fn implicit() -> Option<PluginConfig> {
    let component = ComponentSource::Builtin(AZURE_HEALTH.to_owned());
    let spec = PluginSpec {
        name: PluginName::parse(AZURE_HEALTH).ok()?,
        source: component.to_string(),
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        asks: String::new(),
        swap: SwapRules::default(),
    };
    Some(PluginConfig {
        spec,
        component,
        fetch: FetchConfig::default(),
        signature: None,
        cases: Cases::Optional,
    })
}

fn read(value: &Value<'_>, seen: &mut BTreeMap<String, Spot>) -> Option<PluginConfig> {
    let mut plugin = blank();
    let given = PLUGIN.read(value.table()?, &mut plugin);
    if let (Some(name), Some(spot)) = (&plugin.name, given.at("name"))
        && !value.source().unique(spot, name.as_str(), name.to_string(), seen)
    {
        return None;
    }
    if !given.is_sound() {
        return None;
    }
    let Plugin { name, component, settings, limits, isolation, on_failure, digest, .. } = plugin;
    let swap = SwapRules { strategy: plugin.strategy, gate: plugin.gate, watch_time: plugin.watch_time };
    let component = component?;
    let source = component.to_string();
    let (fetch, cases) = (plugin.fetch.config(), plugin.cases);
    let signature = plugin.signature.map(Signature::rule);
    let asks = match (&signature, cases) {
        (None, Cases::Optional) => String::new(),
        (signature, cases) => format!("{signature:?} {cases:?}"),
    };
    let spec =
        PluginSpec { name: name?, source, settings, limits, isolation, on_failure, digest, asks, swap };
    Some(PluginConfig { spec, component, fetch, signature, cases })
}

fn check(plugin: &mut Plugin, given: &mut Given<'_>) {
    if let (Some(_), Some(ComponentSource::Builtin(_))) = (plugin.digest, &plugin.component) {
        given.problem("digest", "goes with a file, not with a built-in component", None);
    }
    if let (Some(_), Some(ComponentSource::Builtin(_))) = (&plugin.signature, &plugin.component) {
        given.problem("signature", "goes with a file or a reference, not with a built-in component", None);
    }
    if let (Cases::Required, Some(ComponentSource::Builtin(_))) = (plugin.cases, &plugin.component) {
        given.problem("requireCases", "goes with a file or a reference, not with a built-in component", None);
    }
}

fn component(plugin: &mut Plugin, value: &Value<'_>) -> Option<()> {
    let text = value.filled()?;
    let component = if RemoteSource::looks_like(text) {
        ComponentSource::Remote(value.parsed(text, RemoteSource::parse(text))?)
    } else if let Some(builtin) = text.strip_prefix("builtin:") {
        if builtin != AZURE_HEALTH {
            value.problem(
                format!("is the unknown built-in component {builtin:?}"),
                format!("write \"builtin:{AZURE_HEALTH}\", the path of a file, oci://… or https://…"),
            );
            return None;
        }
        ComponentSource::Builtin(builtin.to_owned())
    } else {
        ComponentSource::File(value.path()?)
    };
    plugin.component = Some(component);
    Some(())
}

/// The digest that the component must have.
fn digest(plugin: &mut Plugin, value: &Value<'_>) -> Option<()> {
    let text = value.filled()?;
    plugin.digest = Digest::parse(text);
    if plugin.digest.is_none() {
        let hint = "write \"sha256:\" and 64 hexadecimal digits; `phasegate plugin inspect FILE` shows them";
        value.problem(format!("is {text:?}, which is no digest"), hint.to_owned());
    }
    plugin.digest.map(|_| ())
}
