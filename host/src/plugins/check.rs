//! Checks the component of a plugin without a host: what `phasegate check` says of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use phasegate_core::domain::{Claim, Digest, Observation, PluginFailure, PluginLimits, PluginName};
use phasegate_wasm::cases::Case;
use phasegate_wasm::{
    CompiledPlugin, LoadPluginError, LoadedPlugin, Runtime, builtin, cases, component_digest, read_component,
    trial,
};

use super::config::{Cases, ComponentSource, PluginConfig};
use super::fetch::{OtherDigestError, Signatures};
use super::hands::{kept_path, signature_place};
use super::signature::{self, SignatureError, Signed};
use super::{Fetch, FetchError};

/// Whether a check may make requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It fetches what a start would fetch.
    Allowed,
    /// What would have to be fetched is not checked.
    Forbidden,
}

/// What a check found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The component loads.
    Loads {
        /// Why it never calls an instance healthy of which it was given as an example of a good answer; none where it
        /// does, or no example was given.
        never_healthy: Option<String>,
    },
    /// It would have had to be fetched.
    NotFetched,
}

/// Why a plugin of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It did not come through a stage of its load.
    #[error("plugin `{name}`: component `{component}` cannot be used (stage {stage})")]
    Refused {
        /// The plugin.
        name: PluginName,
        /// Where it came from.
        component: String,
        /// The stage.
        stage: &'static str,
        /// Why; a fragment that follows the component.
        source: Box<Why>,
    },
    /// Its component does not load.
    #[error("plugin `{name}`: component `{component}` cannot be used")]
    Load {
        /// The plugin.
        name: PluginName,
        /// Where it came from.
        component: String,
        /// Why; a fragment that follows the component.
        source: Box<LoadPluginError>,
    },
}

/// Why a component did not come through a stage; a fragment that follows it.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The file is not there, or no component at all.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// It did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is another one.
    #[error(transparent)]
    OtherDigest(#[from] OtherDigestError),
    /// Not enough of those who count have signed it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It does not do what its author expects.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
}

impl Why {
    /// The stage that it did not come through.
    fn stage(&self) -> &'static str {
        match self {
            Self::Read(_) | Self::Fetch(FetchError::Transfer(_)) => "fetch",
            Self::Fetch(FetchError::Digest(_)) | Self::OtherDigest(_) => "digest",
            Self::Signature(_) => "signature",
            Self::SelfTest(_) => "self-test",
        }
    }
}

/// Why cases beside a component do not pass; a fragment that follows the component.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// They are no cases.
    #[error("has cases that cannot be run: {0}{why}", why = because(.0))]
    Cases(cases::CasesError),
    /// It carries none.
    #[error(
        "carries no cases, and requireCases wants some; put them in with `phasegate plugin build --with-cases`"
    )]
    Missing,
    /// The component does not take them.
    #[error("cannot run its cases: it {0}")]
    Trial(LoadPluginError),
    /// It answers otherwise.
    #[error("fails {failed} of its {all} cases, the first being {first:?} in {file}: it answered {got}")]
    Fails {
        /// Cases that it fails.
        failed: usize,
        /// Cases.
        all: usize,
        /// The first one that it fails.
        first: String,
        /// The file of that one.
        file: String,
        /// What it answered.
        got: String,
    },
}

/// Why the system would not do something, behind a message that leaves it out.
fn because(error: &cases::CasesError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |why| format!(": {why}"))
}

impl CheckError {
    /// Whether the component is fine and its settings are not.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        match self {
            Self::Load { source, .. } => matches!(**source, LoadPluginError::SettingsRefused(_)),
            Self::Refused { .. } => false,
        }
    }
}

/// Whether the component has to be fetched: it is on another machine, and not pinned and kept.
#[must_use]
pub fn is_fetched(config: &PluginConfig, data_dir: &Path) -> bool {
    let is_here = |digest| kept(data_dir, digest).is_some();
    matches!(config.component, ComponentSource::Remote(_)) && !config.spec.digest.is_some_and(is_here)
}

/// Checks that the component of a plugin loads, as a start of the host would, and throws it away. Writes
/// nothing into the data directory; reads from it what is pinned and kept there.
///
/// # Errors
/// When it does not.
pub fn check(
    config: &PluginConfig,
    runtime: &Runtime,
    data_dir: &Path,
    network: Network,
    good: Option<&Observation>,
) -> Result<Checked, CheckError> {
    if network == Network::Forbidden && is_fetched(config, data_dir) {
        return Ok(Checked::NotFetched);
    }
    let component = || config.component.to_string();
    let refused = |source: Why| CheckError::Refused {
        name: config.spec.name.clone(),
        component: component(),
        stage: source.stage(),
        source: Box::new(source),
    };
    let (bytes, signed) = read(config, data_dir).map_err(refused)?;
    let digest = component_digest(&bytes);
    if let Some(wanted) = config.spec.digest.filter(|wanted| *wanted != digest) {
        return Err(refused(OtherDigestError::Configured { seen: digest, wanted }.into()));
    }
    if let Some(rule) = &config.signature {
        let place = signature_place(&component());
        signature::verify(rule, &bytes, &signed, &place).map_err(|error| refused(error.into()))?;
    }
    let load = |source| CheckError::Load {
        name: config.spec.name.clone(),
        component: component(),
        source: Box::new(source),
    };
    let compiled =
        runtime.compile_within(&bytes, config.spec.limits.compile, &AtomicBool::new(false)).map_err(load)?;
    let configured = compiled.configure(&config.spec.settings, config.spec.limits, config.spec.isolation);
    let mut loaded = configured.map_err(load)?;
    let folder = cases_beside(&config.component);
    let tested = self_test(&compiled, (&bytes, folder.as_deref()), config.cases, config.spec.limits);
    tested.map_err(|error| refused(error.into()))?;
    Ok(Checked::Loads { never_healthy: good.and_then(|good| never_healthy(&mut loaded, good)) })
}

/// Why a plugin does not call an instance healthy that has answered so; none where it does, or where its limits are why
/// it says nothing.
fn never_healthy(plugin: &mut LoadedPlugin, good: &Observation) -> Option<String> {
    let verdict = plugin.judge(std::slice::from_ref(good), 0).results.pop()?;
    match verdict {
        Ok(decision) if decision.claim == Claim::Healthy => None,
        Ok(decision) => {
            let why = decision.reason.as_ref().map_or("no reason", |reason| reason.detail.as_str());
            Some(format!("it calls such an instance {:?} ({why})", decision.claim))
        }
        Err(failure @ PluginFailure::Refused { .. }) => Some(format!("it {failure}")),
        Err(_) => None,
    }
}

fn read(config: &PluginConfig, data_dir: &Path) -> Result<(Vec<u8>, Vec<Signed>), Why> {
    let source = match &config.component {
        ComponentSource::Builtin(_) => return Ok((builtin::AZURE_HEALTH.to_vec(), Vec::new())),
        ComponentSource::File(path) => {
            let bytes = read_component(path).map_err(Why::Read)?;
            let signed = config.signature.as_ref().map(|_| signature::read_beside(path));
            return Ok((bytes, signed.transpose().map_err(Why::Read)?.unwrap_or_default()));
        }
        ComponentSource::Remote(source) => source,
    };
    let pinned = config.spec.digest.filter(|_| config.signature.is_none());
    if let Some(bytes) = pinned.and_then(|wanted| kept(data_dir, wanted)) {
        return Ok((bytes, Vec::new()));
    }
    let fetch = Fetch {
        source,
        settings: &config.fetch_of(source),
        wanted: config.spec.digest,
        signatures: if config.signature.is_some() { Signatures::Wanted } else { Signatures::Left },
        kept: &|digest| kept(data_dir, digest),
        on_bytes: &|_| (),
    };
    let fetched = fetch.run()?;
    Ok((fetched.bytes, fetched.signed))
}

/// Reads kept bytes back; what no longer has its digest is not there.
fn kept(data_dir: &Path, digest: Digest) -> Option<Vec<u8>> {
    read_component(&kept_path(data_dir, digest)).ok().filter(|bytes| component_digest(bytes) == digest)
}

/// Folder of the cases beside a file.
pub(super) fn cases_beside(component: &ComponentSource) -> Option<PathBuf> {
    let ComponentSource::File(path) = component else { return None };
    let folder = path.parent()?.join("cases");
    folder.is_dir().then_some(folder)
}

/// Runs the cases that a component carries, and those of a folder; gives how many they are, none where there are none.
///
/// # Errors
/// When one of them fails, or they cannot be run, or it must carry some and does not.
pub(super) fn self_test(
    compiled: &CompiledPlugin,
    (component, folder): (&[u8], Option<&Path>),
    rule: Cases,
    limits: PluginLimits,
) -> Result<Option<usize>, SelfTestError> {
    let carried = cases::embedded(component).map_err(SelfTestError::Cases)?;
    if rule == Cases::Required && carried.is_none() {
        return Err(SelfTestError::Missing);
    }
    let beside = match folder.map(cases::read) {
        None | Some(Err(cases::CasesError::None(_))) => None,
        Some(read) => Some(read.map_err(SelfTestError::Cases)?),
    };
    if carried.is_none() && beside.is_none() {
        return Ok(folder.map(|_| 0));
    }
    let cases: Vec<Case> = carried.into_iter().chain(beside).flatten().collect();
    let trial = trial::run(compiled, &cases, limits).map_err(SelfTestError::Trial)?;
    let mut failed = trial.outcomes.iter().filter(|outcome| !outcome.differences.is_empty());
    let count = failed.clone().count();
    let Some(first) = failed.next() else { return Ok(Some(cases.len())) };
    Err(SelfTestError::Fails {
        failed: count,
        all: cases.len(),
        first: first.name.clone(),
        file: first.file.clone(),
        got: first.got.to_string(),
    })
}
