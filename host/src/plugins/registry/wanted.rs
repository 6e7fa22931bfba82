//! What a changed configuration wants of a plugin: the component that it names, or what runs with other
//! settings and limits.

use super::entry::Entry;
use super::prepare::{Preparation, Prepared, Unfit};
use super::source::{Candidate, Origin, configured, kept};
use crate::plugins::FetchError;
use crate::plugins::config::PluginConfig;
use phasegate_core::domain::Digest;
use phasegate_wasm::{Stage, StepState, component_digest};

/// Whether the configuration names another component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It does, or asks for another digest.
    Other,
    /// It does not; its place may hold other bytes.
    Known,
}

/// What a configuration wants.
pub(super) struct Wanted {
    pub(super) place: Place,
    /// What the configuration names.
    named: Candidate,
    /// What runs, as it shall run from now on; none where nothing of that changes.
    pub(super) kept: Option<Candidate>,
    /// The component that the configuration named when it was looked at last.
    considered: Option<Digest>,
    /// Whether that one was refused under other settings or limits and has never run: these may be what
    /// it was refused for.
    afresh: bool,
}

/// What came of it.
pub(super) struct Brought {
    /// Absent when what runs stays as it is.
    pub(super) prepared: Option<Prepared>,
    pub(super) considered: Option<Digest>,
    /// Why what is configured could not be looked at.
    pub(super) unread: Option<String>,
}

impl Wanted {
    pub(super) fn of(entry: &Entry, before: &PluginConfig, after: &PluginConfig) -> Self {
        let (active, considered, never_passed) = entry.with(|state| {
            let named = state.considered.map(|digest| configured(digest, &before.spec.settings));
            let refused = state.refused.as_ref().is_some_and(|refused| Some(refused.configured) == named);
            let ran = state.history.iter().any(|before| Some(before.digest) == state.considered);
            (state.active.clone(), state.considered, refused && !ran)
        });
        let is_same = (&before.component, before.spec.digest) == (&after.component, after.spec.digest);
        let how = |config: &PluginConfig| (config.spec.limits, config.spec.isolation);
        let other_settings = before.spec.settings != after.spec.settings;
        // A way back has settings of its own, which stay as long as the file does not say otherwise.
        let settings = if other_settings { after.spec.settings.clone() } else { active.settings };
        let kept = Candidate { origin: Origin::Kept(active.digest), source: active.source, settings };
        let kept = Some(kept).filter(|_| other_settings || how(before) != how(after));
        Self {
            place: if is_same { Place::Known } else { Place::Other },
            named: Candidate::configured(after),
            afresh: never_passed && kept.is_some(),
            kept,
            considered,
        }
    }

    /// Runs the stages for whichever it is; an error names it.
    pub(super) fn bring(self, preparation: &Preparation) -> Result<Brought, (String, Unfit)> {
        let Self { place, named, kept, considered, afresh } = self;
        let source = named.source.clone();
        let of_it = |unfit| (source.clone(), unfit);
        let trace = &preparation.trace;
        let read = preparation.fetch(&named).map_err(|error| (Unfit::unread(&error), error));
        let (considered, unread) = match read {
            Ok(read) => {
                let digest = component_digest(&read.bytes);
                let other = place == Place::Other || considered != Some(digest);
                let prepared = match (other, afresh) {
                    (true, _) => Some(preparation.go_on(named, read.bytes).map_err(of_it)?),
                    // What is refused still keeps nothing from what runs.
                    (false, true) => preparation.go_on(named, read.bytes).ok(),
                    (false, false) => None,
                };
                if prepared.is_some() {
                    return Ok(Brought { prepared, considered: Some(digest), unread: None });
                }
                let goes_on = match &kept {
                    Some(Candidate { origin: Origin::Kept(runs), .. }) if *runs != digest => {
                        format!("; {} goes on", runs.short())
                    }
                    Some(_) | None => String::new(),
                };
                trace.note(Stage::Fetch, format!("{source} has {} as before{goes_on}", digest.short()));
                (considered, None)
            }
            // What is there is not what it says it is.
            Err((unfit, FetchError::Digest(_))) => return Err(of_it(unfit)),
            Err((unfit, _)) if place == Place::Other => return Err(of_it(unfit)),
            Err((unfit, _)) => {
                trace.end(Stage::Fetch, StepState::Skipped, Some(unfit.why.clone()));
                (considered, Some(unfit.why))
            }
        };
        let again = |kept: Candidate| {
            let source = kept.source.clone();
            again(preparation, kept).map_err(|unfit| (source, unfit))
        };
        let prepared = kept.map(again).transpose()?;
        Ok(Brought { prepared, considered, unread })
    }
}

/// What runs, loaded once more for its new settings and limits.
fn again(preparation: &Preparation, candidate: Candidate) -> Result<Prepared, Unfit> {
    let Origin::Kept(digest) = candidate.origin else { return preparation.run(candidate) };
    match kept(&preparation.data_dir, digest) {
        Some(bytes) => preparation.go_on(candidate, bytes.into()),
        None => preparation.run(candidate),
    }
}
