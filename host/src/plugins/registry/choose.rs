//! What runs first: what is configured meets what is recorded.
//!
//! The recorded generation goes on. What the configuration says otherwise since the host was off becomes a
//! candidate beside it, as it would have while the host ran, unless it was refused before. Only where
//! nothing is recorded, or it can no longer run, does the host begin with what the configuration names.

use super::entry::Load;
use super::first::{Named, preparation};
use super::prepare::{Preparation, Prepared, Unfit, pinned};
use super::source::{Candidate, Origin, configured};
use super::{RegistryError, RegistryParts};
use crate::plugins::FetchError;
use crate::plugins::config::PluginConfig;
use phasegate_core::domain::Digest;
use phasegate_core::domain::Strategy;
use phasegate_core::record::{StoredGeneration, StoredPlugin, StoredRefusal};
use phasegate_wasm::LoadTrace;

/// Why a generation takes over before anything is judged.
const START: &str = "start of the host";

/// What runs first.
pub(super) struct Chosen {
    pub(super) prepared: Prepared,
    /// Digest of what the configuration names.
    pub(super) configured: Digest,
    pub(super) trace: LoadTrace,
    pub(super) refused: Option<StoredRefusal>,
    /// The component that the configuration names, when it was looked at last.
    pub(super) considered: Option<Digest>,
    /// What is to go through the pipeline beside it.
    pub(super) pending: Option<Candidate>,
    pub(super) trouble: Option<Trouble>,
    /// Why it takes over, where it is another one than before.
    pub(super) why: String,
}

/// Why it is not what the configuration names.
pub(super) struct Trouble {
    pub(super) message: String,
    /// The load that failed just now; none when what is there was refused before.
    pub(super) failed: Option<Load>,
}

/// A component that cannot be used, and the load that showed it.
struct Failed {
    error: RegistryError,
    load: Load,
    away: Away,
}

/// Whether a component could not be fetched, which says nothing against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Yes,
    No,
}

/// Chooses between the configured component and the recorded generation.
///
/// # Errors
/// When neither can run.
pub(super) fn choose(
    config: &PluginConfig,
    named: Named,
    stored: Option<&StoredPlugin>,
    parts: &RegistryParts,
) -> Result<Chosen, RegistryError> {
    let Some(stored) = stored else { return begin_with(config, named).map_err(|failed| failed.error) };
    let before = recorded(config, stored);
    if named.digest() == Some(stored.digest) && before.settings == config.spec.settings {
        // The same bytes with the same settings, and with the cases that are beside them today.
        let failed = match begin_with(config, named) {
            Ok(chosen) => return Ok(Chosen { refused: stored.refused.clone(), ..chosen }),
            Err(failed) => failed,
        };
        let preparation = preparation(config, parts);
        let Ok(prepared) = run(&preparation, before) else { return Err(failed.error) };
        let changes = Changes { failed: Some(failed), ..Changes::none(stored) };
        return Ok(changes.beside(config, stored, prepared, preparation.trace));
    }
    let changes = Changes::of(config, stored, &named);
    let preparation = preparation(config, parts);
    match run(&preparation, before) {
        Ok(prepared) => Ok(changes.beside(config, stored, prepared, preparation.trace)),
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |why| format!(" {why}"));
            let number = stored.generation.0;
            let chosen = begin_with(config, named).map_err(|failed| failed.error)?;
            let source = &chosen.prepared.candidate.source;
            let message = format!(
                "plugin `{}`: generation {number} ({}) cannot go on, because its component{cause}; {source} decides in its place, as the configuration names it",
                config.spec.name,
                stored.digest.short(),
            );
            tracing::error!("{message}");
            let why = format!("{START}: generation {number} cannot go on, its component{cause}");
            // Another `digest` says that something else is to run.
            let is_wanted = pinned(stored.digest, config.spec.digest).is_err();
            let trouble = Some(Trouble { message, failed: None }).filter(|_| !is_wanted);
            Ok(Chosen { why, trouble, ..chosen })
        }
    }
}

/// The configured component is the first one.
fn begin_with(config: &PluginConfig, named: Named) -> Result<Chosen, Box<Failed>> {
    let Named { candidate, preparation, read } = named;
    let source = candidate.source.clone();
    let prepared = match read {
        Ok(read) => preparation.go_on(candidate, read.bytes).map_err(|Unfit { why, .. }| why),
        Err(error) => Err(error.to_string()),
    };
    let trace = preparation.trace;
    match prepared {
        Ok(prepared) => Ok(Chosen {
            configured: configured(prepared.digest, &config.spec.settings),
            considered: Some(prepared.digest),
            prepared,
            trace,
            refused: None,
            pending: None,
            trouble: None,
            why: START.to_owned(),
        }),
        Err(why) => {
            let error = refused(config, source.clone(), &trace, why);
            let load = Load { source, strategy: Strategy::Immediate, trace };
            Err(Box::new(Failed { error, load, away: Away::No }))
        }
    }
}

/// What the configuration says otherwise than when the recorded generation took over.
struct Changes {
    /// Its component cannot be used.
    failed: Option<Box<Failed>>,
    /// It was refused before, because of this.
    refused_before: Option<String>,
    considered: Option<Digest>,
    pending: Option<Candidate>,
}

impl Changes {
    fn none(stored: &StoredPlugin) -> Self {
        Self { failed: None, refused_before: None, considered: stored.considered, pending: None }
    }

    fn of(config: &PluginConfig, stored: &StoredPlugin, named: &Named) -> Self {
        let none = Self::none(stored);
        let (digest, failed) = match &named.read {
            Ok(_) => (named.digest(), None),
            Err(error) => {
                let source = named.candidate.source.clone();
                let trace = named.preparation.trace.clone();
                let why = refused(config, source.clone(), &trace, error.to_string());
                let away = if matches!(error, FetchError::Transfer(_)) { Away::Yes } else { Away::No };
                let load = Load { source, strategy: Strategy::Immediate, trace };
                // Nothing says that its place holds other bytes than before.
                (stored.considered, Some(Box::new(Failed { error: why, load, away })))
            }
        };
        let Some(digest) = digest else { return Self { failed, ..none } };
        let now = configured(digest, &config.spec.settings);
        if let Some(refused) = stored.refused.as_ref().filter(|refused| refused.configured == now) {
            let considered = Some(digest);
            return Self { failed, refused_before: Some(refused.why.clone()), considered, ..none };
        }
        if stored.configured == now {
            return Self { failed, considered: Some(digest), ..none };
        }
        let pending = if stored.considered == Some(digest) {
            // Only the settings are others: they are for what runs.
            Candidate { settings: config.spec.settings.clone(), ..recorded(config, stored) }
        } else {
            named.candidate.clone()
        };
        Self { failed, pending: Some(pending), ..none }
    }

    /// The recorded generation goes on, and the rest goes beside it.
    fn beside(
        self,
        config: &PluginConfig,
        stored: &StoredPlugin,
        prepared: Prepared,
        trace: LoadTrace,
    ) -> Chosen {
        let Self { failed, refused_before, considered, pending } = self;
        let trouble = match (failed, refused_before) {
            (Some(failed), _) => Some(stays(config, stored, *failed)),
            (None, Some(message)) => Some(Trouble { message, failed: None }),
            (None, None) => None,
        };
        let (configured, refused) = (stored.configured, stored.refused.clone());
        let why = START.to_owned();
        Chosen { prepared, configured, trace, refused, considered, pending, trouble, why }
    }
}

/// Says why the recorded generation goes on.
fn stays(config: &PluginConfig, stored: &StoredPlugin, failed: Failed) -> Trouble {
    let Failed { error, load, away } = failed;
    let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": it {why}"));
    let number = stored.generation.0;
    let message = if away == Away::Yes && recorded(config, stored).source == load.source {
        let short = stored.digest.short();
        format!("{error}{why}; the bytes of its last load, generation {number} ({short}), are used")
    } else {
        format!("{error}{why}; generation {number} stays active")
    };
    match away {
        Away::Yes => tracing::warn!("{message}"),
        Away::No => tracing::error!("{message}"),
    }
    Trouble { message, failed: Some(load) }
}

/// The recorded generation as a candidate.
fn recorded(config: &PluginConfig, stored: &StoredPlugin) -> Candidate {
    let last = stored.history.last().filter(|last| last.digest == stored.digest);
    let last = last.cloned().unwrap_or_else(|| StoredGeneration {
        generation: stored.generation,
        digest: stored.digest,
        source: "upload".to_owned(),
        settings: config.spec.settings.clone(),
        at: phasegate_core::domain::Timestamp(0),
        why: String::new(),
        left_because: None,
        forced: phasegate_core::record::Forced::No,
    });
    Candidate { origin: Origin::Kept(last.digest), source: last.source, settings: last.settings }
}

fn run(preparation: &Preparation, candidate: Candidate) -> Result<Prepared, RegistryError> {
    let component = candidate.source.clone();
    let Preparation { config, trace, .. } = preparation;
    preparation.run(candidate).map_err(|Unfit { why, .. }| refused(config, component, trace, why))
}

fn refused(config: &PluginConfig, component: String, trace: &LoadTrace, why: String) -> RegistryError {
    RegistryError::Refused {
        name: config.spec.name.clone(),
        component,
        stage: trace.failed().map_or("load", |stage| stage.name()),
        source: super::Why(why),
    }
}
