//! A real plugin as the judge of simulated answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cli::args::SimulateArgs;
use crate::clock::Clock;
use crate::plugins::runtime;
use phasegate_core::domain::{
    Answer, Claim, Digest, Evaluation, Generation, InstanceFacts, Observation, Outcome, Participation,
    PluginFailure, PluginName, PluginStamp, ProbeFailure, Response, ScaleSetName, Version,
};
use phasegate_core::sim::forecast::{AtTheirWord, Decider, Sight};
use phasegate_wasm::{Isolation, Limits, LoadedPlugin, Runtime, builtin, read_component};

/// As generous as a configuration may be: here nobody waits for an answer.
const LIMITS: Limits = Limits { memory_mib: 256, timeout: Duration::from_secs(5), ..Limits::DEFAULT };

/// Above so many instances the plugin sees the id of one for all that answer alike.
const IDS_MAX: usize = 10_000;

/// Who judges, for as many threads as there are.
pub(super) enum Judge {
    /// Every instance is taken at its word.
    Nobody,
    /// A plugin.
    Plugin(Box<Code>),
}

/// A plugin before it is loaded.
pub(super) struct Code {
    runtime: Runtime,
    bytes: Vec<u8>,
    settings: String,
    bodies: Bodies,
    set: ScaleSetName,
    stamp: PluginStamp,
    with_ids: bool,
}

/// What instances answer.
#[derive(Clone)]
struct Bodies {
    by_phase: BTreeMap<Option<u32>, String>,
    all: Option<String>,
}

impl Judge {
    /// Reads the plugin and tries it.
    pub(super) fn load(args: &SimulateArgs, size: usize) -> anyhow::Result<Self> {
        let Some(file) = &args.plugin else { return Ok(Self::Nobody) };
        let bytes = if file == Path::new("builtin:azure-health") {
            builtin::AZURE_HEALTH.to_vec()
        } else {
            read_component(file).with_context(|| format!("cannot read `{}`", file.display()))?
        };
        serde_json::from_str::<serde_json::Value>(&args.settings)
            .with_context(|| format!("`--settings` is `{}`, which is not JSON", args.settings))?;
        let name = PluginName::parse("simulated").map_err(|error| anyhow::anyhow!("plugin name {error}"))?;
        let code = Code {
            runtime: runtime::of_command(Clock::start(), None)?,
            bytes,
            settings: args.settings.clone(),
            bodies: Bodies::parse(&args.body)?,
            set: ScaleSetName::parse("simulated").map_err(|error| anyhow::anyhow!("scale set {error}"))?,
            stamp: PluginStamp { name, digest: Digest([0; 32]), generation: Generation(1) },
            with_ids: size <= IDS_MAX,
        };
        let plugin = code.load().with_context(|| format!("plugin `{}`", file.display()))?;
        if !plugin.may_be_pure() {
            bail!(
                "plugin `{}` asks for the time, so its answers cannot be foretold; see `phasegate plugin inspect`",
                file.display()
            );
        }
        Ok(Self::Plugin(Box::new(code)))
    }

    /// One for a thread.
    pub(super) fn decider(&self) -> anyhow::Result<Box<dyn Decider + '_>> {
        Ok(match self {
            Self::Nobody => Box::new(AtTheirWord),
            Self::Plugin(code) => {
                let plugin = code.load()?;
                let stamp = PluginStamp { digest: plugin.digest(), ..code.stamp.clone() };
                Box::new(ByPlugin { code, plugin, stamp, known: BTreeMap::new() })
            }
        })
    }
}

impl Code {
    fn load(&self) -> anyhow::Result<LoadedPlugin> {
        Ok(self.runtime.load(&self.bytes, &self.settings, LIMITS, Isolation::Reused)?)
    }
}

/// Asks the plugin once for each different answer.
struct ByPlugin<'a> {
    code: &'a Code,
    plugin: LoadedPlugin,
    stamp: PluginStamp,
    known: BTreeMap<Key, Outcome>,
}

/// Everything that the plugin gets to see.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    id: Option<String>,
    zone: Option<u16>,
    domains: (Option<u32>, Option<u32>),
    phase: Option<u32>,
    participation: &'static str,
    version: Option<Version>,
    answer: Option<bool>,
}

impl Decider for ByPlugin<'_> {
    fn decide(&mut self, seen: &Sight<'_>) -> Option<Outcome> {
        let facts = seen.facts;
        let key = Key {
            id: self.code.with_ids.then(|| facts.id.to_string()),
            zone: facts.zone,
            domains: (facts.update_domain, facts.fault_domain),
            phase: facts.phase.map(|phase| phase.get()),
            participation: facts.participation.name(),
            version: seen.version.cloned(),
            answer: seen.answer.map(|claim| claim == Claim::Healthy),
        };
        if let Some(known) = self.known.get(&key) {
            return Some(known.clone());
        }
        let observation = self.code.observation(seen);
        let now = u64::try_from(seen.now.0).unwrap_or(0);
        let result = self.plugin.evaluate(&[observation], now).pop()?;
        let foretold = self.plugin.was_pure();
        let result = result.and_then(|decision| if foretold { Ok(decision) } else { Err(unforetold()) });
        // Memory and attributes are for hosts; here they would only tell equal outcomes apart.
        let result = result.map(|mut decision| {
            let plain = Arc::make_mut(&mut decision);
            plain.memory = None;
            plain.attributes.clear();
            decision
        });
        let outcome = Outcome { stamp: self.stamp.clone(), evaluation: Evaluation::default(), result };
        self.known.insert(key, outcome.clone());
        Some(outcome)
    }
}

/// It holds the instance: an answer of another time would be another one.
fn unforetold() -> PluginFailure {
    PluginFailure::BadOutput("it used the time or random numbers, which cannot be foretold".to_owned())
}

impl Code {
    fn observation(&self, seen: &Sight<'_>) -> Observation {
        let facts = seen.facts;
        let zone = facts.zone.and_then(|zone| seen.crowd.zones.get(usize::from(zone)).cloned());
        let answer = match seen.answer {
            None => Err(ProbeFailure::Timeout),
            Some(claim) => Ok(self.bodies.response(seen, zone.as_deref(), claim)),
        };
        Observation {
            instance: Arc::new(InstanceFacts {
                id: facts.id.clone(),
                scale_set: self.set.clone(),
                region: None,
                zone,
                fault_domain: facts.fault_domain,
                update_domain: facts.update_domain,
                version: seen.version.cloned(),
                desired_version: seen.crowd.versions.first().cloned(),
                labels: BTreeMap::new(),
            }),
            answers: [Answer { source: "health".to_owned(), outcome: answer }].into(),
            memory: None,
            attributes: vec![("probe-protocol".to_owned(), "http".to_owned())],
        }
    }
}

impl Bodies {
    fn parse(given: &[String]) -> anyhow::Result<Self> {
        let mut bodies = Self { by_phase: BTreeMap::new(), all: None };
        for text in given {
            let (phase, body) = text.split_once('=').unwrap_or(("", text));
            let phase = match phase {
                "last" => Some(None),
                number => number.parse().ok().map(Some),
            };
            let known = match phase {
                Some(phase) => bodies.by_phase.insert(phase, body.to_owned()),
                None => bodies.all.replace(text.clone()),
            };
            if known.is_some() {
                bail!("`--body` is given twice for the same instances: `{text}`");
            }
        }
        Ok(bodies)
    }

    /// A site's own answers say with the status that something is wrong; Azure's say it themselves.
    fn response(&self, seen: &Sight<'_>, zone: Option<&str>, claim: Claim) -> Response {
        let phase = seen.facts.phase.map(|phase| phase.get());
        let health = if claim == Claim::Healthy { "Healthy" } else { "Unhealthy" };
        let skip = seen.facts.participation != Participation::Proceed;
        let Some(template) = self.by_phase.get(&phase).or(self.all.as_ref()) else {
            return Response {
                status: 200,
                headers: Vec::new(),
                body: azure(health, phase, seen.facts.participation).into_bytes(),
            };
        };
        let fill = [
            ("{id}", seen.facts.id.to_string()),
            ("{zone}", zone.unwrap_or_default().to_owned()),
            ("{phase}", phase.map_or_else(|| "null".to_owned(), |phase| phase.to_string())),
            ("{skip}", skip.to_string()),
            ("{health}", health.to_owned()),
            ("{version}", seen.version.map_or_else(String::new, Version::to_string)),
        ];
        let body = fill.iter().fold(template.clone(), |text, (name, value)| text.replace(name, value));
        let status = if claim == Claim::Healthy { 200 } else { 503 };
        Response { status, headers: Vec::new(), body: body.into_bytes() }
    }
}

/// A rich health state with custom metrics.
fn azure(health: &str, phase: Option<u32>, participation: Participation) -> String {
    let skip = participation != Participation::Proceed;
    let mut wishes = serde_json::Map::new();
    if let Some(phase) = phase {
        wishes.insert("PhaseOrderingNumber".to_owned(), phase.into());
    }
    wishes.insert("SkipUpgrade".to_owned(), skip.into());
    let metrics = serde_json::json!({ "rollingUpgrade": wishes });
    serde_json::json!({ "ApplicationHealthState": health, "customMetrics": metrics.to_string() }).to_string()
}
