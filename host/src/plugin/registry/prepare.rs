//! The first half of the pipeline: from a candidate to a plugin that could take over. Nothing here
//! has an effect on what runs; every stage goes on record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compare::{Comparison, Key};
use super::shadow::{Seen, rehearse};
use super::source::Candidate;
use crate::author::{cases, trial};
use crate::config::{Gate, PluginConfig, Strategy};
use crate::domain::Digest;
use crate::plugin::load::CompiledPlugin;
use crate::plugin::{Limits, LoadTrace, LoadedPlugin, Runtime, Stage, StepState, inspect};

/// A candidate that passed.
pub(super) struct Prepared {
    pub(super) candidate: Candidate,
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) compiled: Arc<CompiledPlugin>,
    pub(super) plugin: LoadedPlugin,
    /// What the rehearsal showed.
    pub(super) comparison: Option<Comparison>,
}

/// What preparing needs besides the candidate.
pub(super) struct Preparation {
    pub(super) runtime: Runtime,
    pub(super) data_dir: PathBuf,
    pub(super) config: PluginConfig,
    pub(super) strategy: Strategy,
    /// The limits of the rehearsal; none lets everything pass that it shows.
    pub(super) heed: Heed,
    /// The last observation of each instance.
    pub(super) last: Vec<(Key, Arc<Seen>)>,
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
    /// Its digest and what it showed, when it was refused for that.
    pub(super) showed: Option<Box<(Digest, Comparison)>>,
}

impl Preparation {
    /// Runs the stages. On an error the record knows the stage.
    pub(super) fn run(&self, candidate: Candidate) -> Result<Prepared, Unfit> {
        let (bytes, digest, compiled, plugin) =
            self.load(&candidate).map_err(|why| Unfit { why, showed: None })?;
        let mut prepared =
            Prepared { candidate, bytes, digest, compiled: Arc::new(compiled), plugin, comparison: None };
        match self.rehearse(&mut prepared) {
            Ok(()) => Ok(prepared),
            Err(why) => {
                let digest = prepared.digest;
                let showed = prepared.comparison.map(|comparison| Box::new((digest, comparison)));
                Err(Unfit { why, showed })
            }
        }
    }

    fn load(&self, candidate: &Candidate) -> Result<(Vec<u8>, Digest, CompiledPlugin, LoadedPlugin), String> {
        let trace = &self.trace;
        let bytes = trace.run(Stage::Fetch, || candidate.fetch(&self.data_dir))?;
        let digest = trace.run(Stage::Digest, || pinned(candidate, &bytes, self.config.digest))?;
        let compiled = self.runtime.compile_traced(&bytes, trace).map_err(|error| error.to_string())?;
        let PluginConfig { limits, isolation, .. } = self.config;
        let plugin = trace
            .run(Stage::Configure, || compiled.configure(&candidate.settings, limits, isolation))
            .map_err(|error| error.to_string())?;
        match candidate.cases() {
            None => trace.skip(Stage::SelfTest, "no cases beside it"),
            Some(folder) => {
                let cases =
                    trace.run(Stage::SelfTest, || self_test(&compiled, &folder, self.config.limits))?;
                trace.note(Stage::SelfTest, format!("{cases} cases"));
            }
        }
        Ok((bytes, digest, compiled, plugin))
    }

    fn rehearse(&self, prepared: &mut Prepared) -> Result<(), String> {
        let trace = &self.trace;
        if self.strategy == Strategy::Immediate {
            trace.skip(Stage::Rehearse, "strategy immediate");
            return Ok(());
        }
        if self.last.is_empty() {
            trace.skip(Stage::Rehearse, "no observation yet");
            return Ok(());
        }
        trace.begin(Stage::Rehearse);
        let gate: Option<&Gate> = self.config.swap.gate.as_ref();
        let comparison = rehearse(&mut prepared.plugin, &self.last, gate, trace.clock());
        let refusal = comparison.refusal(gate, self.last.len());
        let note = format!("{} of {} instances change", comparison.changed(), self.last.len());
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

/// The digest of bytes, if it is what the configuration asks for.
pub(super) fn pinned(candidate: &Candidate, bytes: &[u8], wanted: Option<Digest>) -> Result<Digest, String> {
    let digest = inspect::digest(bytes);
    match wanted.filter(|_| candidate.is_pinned()) {
        Some(wanted) if wanted != digest => {
            Err(format!("has the digest {digest}, and the configuration asks for {wanted}"))
        }
        Some(_) | None => Ok(digest),
    }
}
