//! The plugin that a verb is about: a component file, the folder of a project, or a reference that is
//! fetched.

use std::path::{Path, PathBuf};

use super::fresh;

use anyhow::Context as _;

use crate::author::project::{MANIFEST, Project};
use crate::cli::output;
use crate::net::reference::RemoteSource;
use crate::plugins::Fetch;
use crate::plugins::fetch::{FetchConfig, Signatures};
use phasegate_core::domain::Digest;
use phasegate_wasm::cases::{self, Case, CasesError};
use phasegate_wasm::{builtin, inspect, read_component};

/// The name of the component that is part of the host.
pub(super) const BUILTIN: &str = "builtin:azure-health";

/// Bytes and where they are from.
pub(super) struct Subject {
    /// For messages.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// Where its cases are, unless the arguments say otherwise; none where nothing can be beside it.
    folder: Option<PathBuf>,
}

impl Subject {
    /// Reads what a path names.
    pub(super) fn read(path: &Path, fetch: &FetchConfig) -> anyhow::Result<Self> {
        if path == Path::new(BUILTIN) {
            let bytes = builtin::AZURE_HEALTH.to_vec();
            return Ok(Self { name: BUILTIN.to_owned(), bytes, folder: None });
        }
        if let Some(source) = reference(path)? {
            return Self::fetch(&source, fetch, None);
        }
        let file = if path.is_dir() { component_of(path)? } else { path.to_owned() };
        is_built(&file)?;
        if path.is_dir()
            && let Some(newer) = fresh::newer_source(path, &file)
        {
            let next = match path.join(MANIFEST).is_file() {
                true => format!("run `phasegate plugin build {}`", path.display()),
                // The project has a build of its own.
                false => "build it again the way it was built".to_owned(),
            };
            let (file, newer) = (file.display(), newer.display());
            output::talk(&format!("warning: `{file}` is older than `{newer}`; {next}\n"));
        }
        let bytes = read_component(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let folder = file.parent().map(Path::to_owned);
        Ok(Self { name: file.display().to_string(), bytes, folder })
    }

    /// Fetches what a reference names.
    pub(super) fn fetch(
        source: &RemoteSource,
        settings: &FetchConfig,
        wanted: Option<Digest>,
    ) -> anyhow::Result<Self> {
        let fetch = Fetch {
            source,
            settings,
            wanted,
            signatures: Signatures::Left,
            kept: &|_| None,
            on_bytes: &|_| (),
        };
        let fetched = fetch.run().map_err(|error| anyhow::anyhow!("`{source}` {error}"))?;
        if let Some(wanted) = wanted {
            let seen = inspect(&fetched.bytes).digest;
            anyhow::ensure!(seen == wanted, "`{source}` has the digest {seen}, not {wanted}");
        }
        Ok(Self { name: source.to_string(), bytes: fetched.bytes, folder: None })
    }

    /// The folder of the cases beside it.
    pub(super) fn cases_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder.as_ref().map(|folder| folder.join("cases")).filter(|folder| folder.is_dir());
        folder.with_context(|| format!("`{}` has no folder `cases` beside it", self.name))
    }

    /// As [`Self::cases`]; none where nobody named a folder and none is there.
    pub(super) fn cases_if_any(&self, named: Option<&Path>) -> anyhow::Result<Vec<Case>> {
        let Some(folder) = &self.folder else { return named.map_or(Ok(Vec::new()), |_| self.cases(named)) };
        match cases::read(named.unwrap_or(&folder.join("cases"))) {
            Err(CasesError::NoFolder(_) | CasesError::None(_)) if named.is_none() => Ok(Vec::new()),
            other => Ok(other?),
        }
    }

    /// The cases in the folder that the arguments name, or beside it, or else those that it carries.
    pub(super) fn cases(&self, named: Option<&Path>) -> anyhow::Result<Vec<Case>> {
        if named.is_none() {
            let beside = self.cases_if_any(None)?;
            if !beside.is_empty() {
                return Ok(beside);
            }
            if let Some(carried) = cases::embedded(&self.bytes)? {
                return Ok(carried);
            }
        }
        let beside = self.folder.as_ref().map(|folder| folder.join("cases"));
        let folder = named.or(beside.as_deref());
        let folder = folder.with_context(|| {
            format!("`{}` has no cases beside it; name their folder with `--cases DIR`", self.name)
        })?;
        Ok(cases::read(folder)?)
    }
}

/// What an argument names, if it is something to be fetched.
pub(super) fn reference(path: &Path) -> anyhow::Result<Option<RemoteSource>> {
    let Some(text) = path.to_str().filter(|text| RemoteSource::looks_like(text)) else { return Ok(None) };
    RemoteSource::parse(text).map(Some).map_err(|error| anyhow::anyhow!("`{text}` {error}"))
}

fn component_of(folder: &Path) -> anyhow::Result<PathBuf> {
    let file = match Project::open(folder) {
        Ok(project) => project.component(),
        // As the Rust plugins of this repository are: the SDK needs no manifest of ours.
        Err(error) => match of_the_same_name(folder) {
            Some(file) => file,
            None if folder.join(MANIFEST).exists() => return Err(error.into()),
            None => anyhow::bail!(
                "`{0}` is a folder without `{MANIFEST}` and without a component of its own name; name a component file, or the folder of a plugin",
                folder.display()
            ),
        },
    };
    Ok(file)
}

/// Says how to build the component of a project that is not there.
fn is_built(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let Some(folder) = folder.filter(|folder| !file.exists() && folder.join(MANIFEST).is_file()) else {
        return Ok(());
    };
    let folder = folder.display();
    anyhow::bail!("`{}` is not built yet; run `phasegate plugin build {folder}`", file.display())
}

/// `game/game.wasm` for the folder `game`, if it exists.
fn of_the_same_name(folder: &Path) -> Option<PathBuf> {
    let folder_name = folder.canonicalize().ok()?;
    let file = folder.join(format!("{}.wasm", folder_name.file_name()?.to_str()?));
    file.is_file().then_some(file)
}
