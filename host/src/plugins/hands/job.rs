//! The stages of one load, each on a thread of its own. What a stage needs of the one before is with the job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Bytes;

use super::tap::{Evidence, rehearse as judge};
use super::{Plugin, Shared, lock};
use crate::net::reference::RemoteSource;
use crate::plugins::check::{self, cases_beside};
use crate::plugins::config::{ComponentSource, PluginConfig};
use crate::plugins::fetch::Signatures;
use crate::plugins::signature::{self, Signed};
use crate::plugins::{Fetch, FetchError};
use phasegate_core::domain::{CompileLimits, Digest, Gate, Generation, PluginLimits};
use phasegate_core::lifecycle::{
    Answer, Event, Facts, From, HandError, Purity, Setting, Stage, StepState, Ticket,
};
use phasegate_wasm::{
    CompiledPlugin, LoadPluginError, LoadTrace, LoadedPlugin, builtin, component_digest, read_component,
};

/// Stack of a hand: a guest has its own limit of 512 KiB within it.
pub(super) const STACK_BYTES: usize = 4 << 20;

/// A load under way.
pub(super) struct Job {
    from: Option<From>,
    bytes: Option<(Bytes, Digest)>,
    /// What was signed of them.
    signed: Vec<Signed>,
    compiled: Option<CompiledPlugin>,
    plugin: Arc<Mutex<Option<LoadedPlugin>>>,
    /// Turns true when nobody wants it any more: then its evaluations end early.
    stop: Arc<AtomicBool>,
}

impl Job {
    pub(super) fn new(from: From) -> Self {
        Self { from: Some(from), ..Self::beside() }
    }

    /// One that begins beside the active component, with bytes that are kept.
    pub(super) fn beside() -> Self {
        Self {
            from: None,
            bytes: None,
            signed: Vec::new(),
            compiled: None,
            plugin: Arc::default(),
            stop: Arc::default(),
        }
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.bytes.as_ref().map(|(_, digest)| *digest)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_plugin(&self) -> Option<LoadedPlugin> {
        lock(&self.plugin).take()
    }

    pub(super) fn give_plugin(&self, plugin: LoadedPlugin) {
        *lock(&self.plugin) = Some(plugin);
    }

    pub(super) fn has_plugin(&self) -> bool {
        lock(&self.plugin).is_some()
    }

    pub(super) fn compiled(&self) -> Option<CompiledPlugin> {
        self.compiled.clone()
    }
}

/// One stage of one job.
pub(super) struct At<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) plugin: &'a Plugin,
    pub(super) ticket: Ticket,
}

impl At<'_> {
    /// Says what came of it, unless the job is over.
    pub(super) fn say(&self, answer: Answer) {
        if self.with(|_| ()).is_some() {
            (self.shared.on_event)(&self.plugin.name, Event::Hand(self.ticket, answer));
        }
    }

    /// Reads or changes the job; none when it is over.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Job) -> T) -> Option<T> {
        lock(&self.plugin.jobs).get_mut(&self.ticket).map(act)
    }

    fn needs<T>(&self, get: impl FnOnce(&mut Job) -> Option<T>) -> Result<T, HandError> {
        self.with(get)
            .flatten()
            .ok_or_else(|| HandError::Broken("the stage before has left nothing".to_owned()))
    }

    fn note(&self, stage: Stage, note: String) {
        self.say(Answer::Progress(stage, StepState::Running, Some(note)));
    }
}

/// Brings the bytes.
pub(super) fn fetch(at: &At<'_>) -> Result<Answer, HandError> {
    let from = at.needs(|job| job.from.clone())?;
    let config = {
        let configs = lock(&at.plugin.configs);
        let next = configs.next.as_ref().filter(|_| from == From::Proposed);
        next.unwrap_or(&configs.now).clone()
    };
    let plain = |bytes: Bytes| Ok((bytes, None, Vec::new()));
    let (bytes, note, signed): Came = match &from {
        From::Configured | From::Proposed => match &config.component {
            ComponentSource::Builtin(_) => plain(Bytes::from_static(builtin::AZURE_HEALTH)),
            ComponentSource::File(path) => match read_component(path) {
                Ok(bytes) => match config.signature {
                    None => plain(bytes.into()),
                    Some(_) => signature::read_beside(path)
                        .map(|signed| (bytes.into(), None, signed))
                        .map_err(|error| {
                            HandError::Unreadable(format!("has signatures that cannot be read: {error}"))
                        }),
                },
                Err(error) => Err(HandError::Unreadable(format!("cannot be read: {error}"))),
            },
            ComponentSource::Remote(source) => download(at, source, &config),
        },
        From::Held(digest) => match at.shared.holding.get(*digest) {
            Some((bytes, signed)) => Ok((bytes, None, signed)),
            None => Err(HandError::Broken("its upload is not held any more".to_owned())),
        },
        From::Reference(text) => match RemoteSource::parse(text) {
            Ok(source) => download(at, &source, &config),
            Err(error) => Err(HandError::Unreadable(format!("cannot be fetched: {error}"))),
        },
        From::Kept(digest) => match at.shared.disk.kept(*digest) {
            Some(bytes) => Ok((bytes.into(), None, at.shared.disk.signatures(*digest))),
            None => Err(HandError::Missing(at.shared.disk.path(*digest).display().to_string())),
        },
    }?;
    let (digest, size) = (component_digest(&bytes), bytes.len());
    let note = note.into_iter().chain(signatures_of(&from, &config, &bytes, &signed)?);
    let note = Some(note.collect::<Vec<_>>().join(", ")).filter(|note| !note.is_empty());
    at.with(|job| (job.bytes, job.signed) = (Some((bytes, digest)), signed));
    if let Some(note) = note {
        at.note(Stage::Fetch, note);
    }
    Ok(Answer::Fetched { digest, size })
}

/// Bytes, how they came, and their signatures.
type Came = (Bytes, Option<String>, Vec<Signed>);

/// Whether what came is signed as the plugin wants it; with what there is to tell of it. What is kept is looked at again
/// with the signatures that came with it: a key that was taken away counts for nothing, also after a restart.
fn signatures_of(
    from: &From,
    config: &PluginConfig,
    bytes: &[u8],
    signed: &[Signed],
) -> Result<Option<String>, HandError> {
    let is_builtin =
        matches!((from, &config.component), (From::Configured | From::Proposed, ComponentSource::Builtin(_)));
    let Some(rule) = config.signature.as_ref().filter(|_| !is_builtin) else { return Ok(None) };
    let place = match from {
        From::Kept(_) => "signature that was kept with it".to_owned(),
        From::Held(_) => "signature with the upload".to_owned(),
        From::Reference(text) => signature_place(text),
        From::Configured | From::Proposed => signature_place(&config.component.to_string()),
    };
    let count = signature::verify(rule, bytes, signed, &place);
    let count = count.map_err(|error| HandError::OtherBytes(error.to_string()))?;
    Ok(Some(format!("signed by {count}")))
}

/// Where the signatures of a component are, for people.
pub(in crate::plugins) fn signature_place(component: &str) -> String {
    match component.starts_with("oci://") {
        true => format!("tag `sha256-….sig` beside `{component}`"),
        false => format!("`{component}.sig`"),
    }
}

/// Fetches a component, unless the very bytes that the configuration asks for in this place are here.
/// Of another place nothing is known before it was asked.
fn download(at: &At<'_>, source: &RemoteSource, config: &PluginConfig) -> Result<Came, HandError> {
    let is_configured = config.component == ComponentSource::Remote(source.clone());
    // Who has signed it today, the server knows.
    let pinned = config.spec.digest.filter(|_| is_configured && config.signature.is_none());
    if let Some(bytes) = pinned.and_then(|wanted| at.shared.disk.kept(wanted)) {
        return Ok((bytes.into(), Some("kept; no request was made".to_owned()), Vec::new()));
    }
    let fetch = Fetch {
        source,
        settings: &config.fetch_of(source),
        wanted: config.spec.digest,
        signatures: if config.signature.is_some() { Signatures::Wanted } else { Signatures::Left },
        kept: &|digest| at.shared.disk.kept(digest),
        on_bytes: &|bytes| at.note(Stage::Fetch, format!("{bytes} bytes so far")),
    };
    let fetched = at.shared.fetches.pass(|| fetch.run());
    fetched.map(|fetched| (fetched.bytes.into(), Some(fetched.note), fetched.signed)).map_err(|error| {
        match error {
            FetchError::Digest(other) => HandError::OtherBytes(other.to_string()),
            FetchError::Transfer(_) => HandError::Away(error.to_string()),
        }
    })
}

/// What a component tells of itself.
pub(super) fn facts(compiled: &CompiledPlugin) -> Facts {
    Facts {
        world: compiled.world().map(str::to_owned),
        purity: if compiled.is_pure() { Purity::Pure } else { Purity::Impure },
    }
}

/// Checks, compiles and links.
pub(super) fn compile(at: &At<'_>) -> Result<Answer, HandError> {
    let (bytes, digest) = at.needs(|job| job.bytes.clone())?;
    let compiled = compiled(at, &bytes, digest)?;
    let facts = facts(&compiled);
    at.with(|job| job.compiled = Some(compiled));
    Ok(Answer::Compiled(facts))
}

fn compiled(at: &At<'_>, bytes: &[u8], digest: Digest) -> Result<CompiledPlugin, HandError> {
    let (on_event, name, ticket) = (Arc::clone(&at.shared.on_event), at.plugin.name.clone(), at.ticket);
    let on_stage = Arc::new(move |stage| {
        let progress = Answer::Progress(stage, StepState::Running, None);
        on_event(&name, Event::Hand(ticket, progress));
    });
    let trace = LoadTrace::telling(Arc::new(at.shared.clock), on_stage);
    let stop = at.needs(|job| Some(Arc::clone(&job.stop)))?;
    let compiled = at.shared.runtime.compile_traced((bytes, digest), compile_limits(at), &stop, &trace);
    for step in trace.steps().into_iter().filter(|step| step.state != StepState::Failed) {
        at.say(Answer::Progress(step.stage, step.state, step.note));
    }
    compiled.map_err(|error| unfit(&error))
}

/// What the compiler may use: as it is configured, or proposed.
fn compile_limits(at: &At<'_>) -> CompileLimits {
    let is_proposed = at.with(|job| job.from == Some(From::Proposed)).unwrap_or_default();
    let configs = lock(&at.plugin.configs);
    let next = configs.next.as_ref().filter(|_| is_proposed);
    next.unwrap_or(&configs.now).spec.limits.compile
}

fn unfit(error: &LoadPluginError) -> HandError {
    match error {
        LoadPluginError::SettingsRefused(_) => HandError::SettingsRefused(error.to_string()),
        other => HandError::Unfit(other.to_string()),
    }
}

/// What was compiled under the ticket, else from kept bytes.
pub(super) fn code(at: &At<'_>, digest: Digest) -> Result<CompiledPlugin, HandError> {
    if let Some(compiled) = at.with(|job| job.compiled()).flatten() {
        return Ok(compiled);
    }
    let missing = || HandError::Missing(at.shared.disk.path(digest).display().to_string());
    let bytes = at.shared.disk.kept(digest).ok_or_else(missing)?;
    let stop = at.with(|job| Arc::clone(&job.stop)).unwrap_or_default();
    let compiled = at.shared.runtime.compile_within(&bytes, compile_limits(at), &stop);
    compiled.map_err(|error| unfit(&error))
}

/// Makes a first instance with its settings.
pub(super) fn configured(compiled: &CompiledPlugin, setting: &Setting) -> Result<LoadedPlugin, HandError> {
    compiled.configure(&setting.settings, setting.limits, setting.isolation).map_err(|error| unfit(&error))
}

/// The stage of the same name.
pub(super) fn configure(at: &At<'_>, setting: &Setting) -> Result<Answer, HandError> {
    let compiled = at.needs(|job| job.compiled())?;
    let mut plugin = configured(&compiled, setting)?;
    at.with(|job| {
        plugin.stop_with(Arc::clone(&job.stop));
        *lock(&job.plugin) = Some(plugin);
    });
    Ok(Answer::Configured)
}

/// Runs the cases that a component carries, and those beside a file.
pub(super) fn self_test(at: &At<'_>, limits: PluginLimits) -> Result<Answer, HandError> {
    let from = at.needs(|job| job.from.clone())?;
    let component = {
        let configs = lock(&at.plugin.configs);
        match from {
            From::Configured => Some(configs.now.component.clone()),
            From::Proposed => Some(configs.next.as_ref().unwrap_or(&configs.now).component.clone()),
            From::Held(_) | From::Reference(_) | From::Kept(_) => None,
        }
    };
    let (bytes, _) = at.needs(|job| job.bytes.clone())?;
    let rule = {
        let configs = lock(&at.plugin.configs);
        let next = configs.next.as_ref().filter(|_| from == From::Proposed);
        // Also of what is kept: whoever asks for cases today asks them of what comes back, too.
        next.unwrap_or(&configs.now).cases
    };
    let folder = component.as_ref().and_then(cases_beside);
    let compiled = at.needs(|job| job.compiled())?;
    let count = check::self_test(&compiled, (&bytes, folder.as_deref()), rule, limits);
    Ok(Answer::SelfTested(count.map_err(|error| HandError::Unfit(error.to_string()))?))
}

/// Lets it judge what was observed last, once.
pub(super) fn rehearse(
    at: &At<'_>,
    gate: Option<&Gate>,
    only: Option<Generation>,
) -> Result<Answer, HandError> {
    let place = at.needs(|job| Some(Arc::clone(&job.plugin)))?;
    let Evidence { mut last, unseen } = at.plugin.tap.evidence();
    if let Some(only) = only {
        last.retain(|(_, seen)| seen.generation == only);
    }
    let unseen = if only.is_some() { 0 } else { unseen };
    let comparison = {
        let mut plugin = lock(&place);
        let Some(plugin) = plugin.as_mut() else {
            return Err(HandError::Broken("it is not configured".to_owned()));
        };
        judge(plugin, &last, gate, &at.shared.clock)
    };
    let summary = comparison.summary(last.len() + unseen, last.len(), 0);
    let is_wanted = at.with(|_| ()).is_some();
    if is_wanted {
        lock(&at.plugin.comparisons).insert(at.ticket, Arc::new(Mutex::new(comparison)));
    }
    Ok(Answer::Rehearsed(Box::new(summary)))
}

/// Puts its bytes on the disk to stay.
pub(super) fn keep(at: &At<'_>) -> Result<Answer, HandError> {
    let (bytes, digest) = at.needs(|job| job.bytes.clone())?;
    let kept = at.shared.disk.keep(&at.plugin.name, digest, &bytes);
    let signed = at.needs(|job| Some(job.signed.clone()))?;
    let kept = kept.and_then(|()| at.shared.disk.keep_signatures(digest, &signed));
    kept.map_err(|error| HandError::NotKept(error.to_string()))?;
    if let Some(recorder) = &at.shared.recorder {
        let settings = at.with(|job| lock(&job.plugin).as_ref().map(|it| it.settings().to_owned())).flatten();
        recorder.keep(&at.plugin.name, (digest, &bytes), settings.as_deref().unwrap_or("{}"));
    }
    Ok(Answer::Kept)
}
