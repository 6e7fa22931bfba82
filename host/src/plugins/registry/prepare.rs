//! The first half of the pipeline: from a candidate to a plugin that could take over. Nothing here
//! has an effect on what runs; every stage goes on record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Bytes;

use super::compare::{Comparison, Key};
use super::shadow::{Seen, rehearse};
use super::source::{Candidate, Read, Reading};
use crate::plugins::FetchError;
use crate::plugins::config::PluginConfig;
use phasegate_core::domain::Digest;
use phasegate_core::domain::{Gate, PluginSpec, Strategy};
use phasegate_wasm::{
    CompiledPlugin, Limits, LoadTrace, LoadedPlugin, Runtime, Stage, StepState, cases, component_digest,
    trial,
};

/// A candidate that passed.
pub(super) struct Prepared {
    pub(super) candidate: Candidate,
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    pub(super) compiled: Arc<CompiledPlugin>,
    pub(super) plugin: LoadedPlugin,
    /// What the rehearsal showed.
    pub(super) comparison: Option<Comparison>,
    /// Why its gate cannot be held against that yet; none when it can, or there is no gate.
    pub(super) unproved: Option<String>,
}

/// What a candidate can be rehearsed on.
#[derive(Default)]
pub(super) struct Evidence {
    /// The last observation of each instance.
    pub(super) last: Vec<(Key, Arc<Seen>)>,
    /// Instances that are probed and have not been judged yet.
    pub(super) unseen: usize,
}

impl Evidence {
    /// Instances that the plugin judges.
    pub(super) fn all(&self) -> usize {
        self.last.len() + self.unseen
    }

    /// Why a gate cannot decide on it; a fragment that follows the candidate.
    fn lacks(&self) -> Option<String> {
        let (seen, all) = (self.last.len(), self.all());
        (self.unseen > 0 || seen == 0).then(|| {
            format!("cannot be held against its gate yet: {seen} of {all} instances were judged so far")
        })
    }
}

/// What preparing needs besides the candidate.
pub(super) struct Preparation {
    pub(super) runtime: Runtime,
    pub(super) data_dir: PathBuf,
    pub(super) config: PluginConfig,
    pub(super) strategy: Strategy,
    /// The limits of the rehearsal; none lets everything pass that it shows.
    pub(super) heed: Heed,
    /// What was observed so far.
    pub(super) evidence: Evidence,
    /// Turns true when a person does not want the candidate any more.
    pub(super) discarded: Arc<AtomicBool>,
    pub(super) trace: LoadTrace,
}

/// What becomes of a candidate that the rehearsal finds wanting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heed {
    /// It is refused.
    Refuse,
    /// It goes on; the comparison is shown. So in a dry run, under `--force`, and before a shadow, which
    /// judges more.
    Show,
}

/// Why a candidate does not take over.
pub(super) struct Unfit {
    /// A fragment that follows its source.
    pub(super) why: String,
    /// Of its bytes, when there are any.
    pub(super) digest: Option<Digest>,
    /// What it showed, when it was refused for that.
    pub(super) showed: Option<Box<Comparison>>,
}

impl Unfit {
    pub(super) fn unread(error: &FetchError) -> Self {
        Self { why: error.to_string(), digest: None, showed: None }
    }

    /// Its load ended without a result.
    pub(super) fn broken(error: &tokio::task::JoinError) -> Self {
        Self { why: format!("could not be loaded: {error}"), digest: None, showed: None }
    }
}

impl Preparation {
    /// Runs the stages. On an error the record knows the stage.
    pub(super) fn run(&self, candidate: Candidate) -> Result<Prepared, Unfit> {
        let read = self.fetch(&candidate).map_err(|error| Unfit::unread(&error))?;
        self.go_on(candidate, read.bytes)
    }

    /// The first stage.
    pub(super) fn fetch(&self, candidate: &Candidate) -> Result<Read, FetchError> {
        let trace = &self.trace;
        trace.begin(Stage::Fetch);
        let on_bytes = |bytes: u64| trace.note(Stage::Fetch, format!("{bytes} bytes so far"));
        let reading = Reading { data_dir: &self.data_dir, config: &self.config, on_bytes: &on_bytes };
        let read = candidate.read(&reading);
        match &read {
            Ok(read) => trace.end(Stage::Fetch, StepState::Passed, read.note.clone()),
            Err(FetchError::Digest(why)) => {
                trace.end(Stage::Fetch, StepState::Passed, None);
                trace.begin(Stage::Digest);
                trace.end(Stage::Digest, StepState::Failed, Some(why.clone()));
            }
            Err(error @ (FetchError::Transfer(_) | FetchError::Unreadable(_))) => {
                trace.end(Stage::Fetch, StepState::Failed, Some(error.to_string()));
            }
        }
        read
    }

    /// The stages after the first one.
    pub(super) fn go_on(&self, candidate: Candidate, bytes: Bytes) -> Result<Prepared, Unfit> {
        let digest = component_digest(&bytes);
        let (compiled, plugin) = self.load(&candidate, &bytes, digest).map_err(|why| Unfit {
            why,
            digest: Some(digest),
            showed: None,
        })?;
        let mut prepared = Prepared {
            candidate,
            bytes,
            digest,
            compiled: Arc::new(compiled),
            plugin,
            comparison: None,
            unproved: None,
        };
        prepared.plugin.stop_with(Arc::clone(&self.discarded));
        match self.rehearse(&mut prepared) {
            Ok(()) if self.discarded.load(Ordering::Relaxed) => {
                let why = "was discarded by hand".to_owned();
                self.trace.end(Stage::Rehearse, StepState::Failed, Some(why.clone()));
                Err(Unfit { why, digest: Some(digest), showed: None })
            }
            Ok(()) => Ok(prepared),
            Err(why) => {
                let showed = prepared.comparison.map(Box::new);
                Err(Unfit { why, digest: Some(digest), showed })
            }
        }
    }

    fn load(
        &self,
        candidate: &Candidate,
        bytes: &[u8],
        digest: Digest,
    ) -> Result<(CompiledPlugin, LoadedPlugin), String> {
        let trace = &self.trace;
        trace.run(Stage::Digest, || pinned(digest, self.config.spec.digest))?;
        let compiled =
            self.runtime.compile_traced(bytes, digest, trace).map_err(|error| error.to_string())?;
        let PluginSpec { limits, isolation, .. } = self.config.spec;
        let plugin = trace
            .run(Stage::Configure, || compiled.configure(&candidate.settings, limits, isolation))
            .map_err(|error| error.to_string())?;
        match candidate.cases() {
            None => trace.skip(Stage::SelfTest, "no cases beside it"),
            Some(folder) => {
                let cases =
                    trace.run(Stage::SelfTest, || self_test(&compiled, &folder, self.config.spec.limits))?;
                trace.note(Stage::SelfTest, format!("{cases} cases"));
            }
        }
        Ok((compiled, plugin))
    }

    fn rehearse(&self, prepared: &mut Prepared) -> Result<(), String> {
        let trace = &self.trace;
        if self.strategy == Strategy::Immediate {
            trace.skip(Stage::Rehearse, "strategy immediate");
            return Ok(());
        }
        let gate: Option<&Gate> = self.config.spec.swap.gate.as_ref();
        prepared.unproved = gate.and_then(|_| self.evidence.lacks());
        let last = &self.evidence.last;
        if last.is_empty() {
            trace.skip(Stage::Rehearse, "no observation yet");
            return Ok(());
        }
        trace.begin(Stage::Rehearse);
        let comparison = rehearse(&mut prepared.plugin, last, gate, &*trace.clock());
        if self.discarded.load(Ordering::Relaxed) {
            return Ok(());
        }
        let all = self.evidence.all();
        let refusal = comparison.refusal(gate, all);
        let note = format!("{} of {all} instances change", comparison.changed());
        prepared.comparison = Some(comparison);
        match refusal {
            Some(why) if self.heed == Heed::Refuse => {
                trace.end(Stage::Rehearse, StepState::Failed, Some(why.clone()));
                Err(why)
            }
            Some(why) => {
                trace.end(Stage::Rehearse, StepState::Passed, Some(format!("{note}; it {why}")));
                Ok(())
            }
            None => {
                trace.end(Stage::Rehearse, StepState::Passed, Some(note));
                Ok(())
            }
        }
    }
}

/// Runs the cases of a folder and gives their number; an error is a fragment that follows the source.
pub(super) fn self_test(compiled: &CompiledPlugin, folder: &Path, limits: Limits) -> Result<usize, String> {
    let cases = match cases::read(folder) {
        Ok(cases) => cases,
        Err(cases::CasesError::None(_)) => return Ok(0),
        Err(error) => return Err(format!("has cases that cannot be run: {error}")),
    };
    let trial =
        trial::run(compiled, &cases, limits).map_err(|error| format!("cannot run its cases: it {error}"))?;
    let failed: Vec<&trial::Outcome> =
        trial.outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).collect();
    match failed.first() {
        None => Ok(cases.len()),
        Some(first) => Err(format!(
            "fails {} of its {} cases, the first being {:?} in {}: it answered {}",
            failed.len(),
            cases.len(),
            first.name,
            first.file,
            first.got
        )),
    }
}

/// Whether the digest of some bytes is what the configuration asks for: also of those of an earlier
/// generation, which may have run under another `digest`.
pub(super) fn pinned(digest: Digest, wanted: Option<Digest>) -> Result<(), String> {
    match wanted {
        Some(wanted) if wanted != digest => {
            Err(format!("has the digest {digest}, and the configuration asks for {wanted}"))
        }
        Some(_) | None => Ok(()),
    }
}
