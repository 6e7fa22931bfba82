//! The plugin that a verb is about: a component file, or the folder of a project.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::author::cases::{self, Case};
use crate::author::project::Project;
use crate::plugin::{builtin, read_component};

/// The name of the component that is part of the host.
const BUILTIN: &str = "builtin:azure-health";

/// Bytes and where they are from.
pub(super) struct Subject {
    /// For messages.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// Where its cases are, unless the arguments say otherwise.
    folder: PathBuf,
}

impl Subject {
    /// Reads what a path names.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new(BUILTIN) {
            let bytes = builtin::AZURE_HEALTH.to_vec();
            return Ok(Self { name: BUILTIN.to_owned(), bytes, folder: PathBuf::new() });
        }
        let file = if path.is_dir() { component_of(path)? } else { path.to_owned() };
        let bytes = read_component(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { name: file.display().to_string(), bytes, folder })
    }

    /// The cases beside it, or in the folder that the arguments name.
    pub(super) fn cases(&self, named: Option<&Path>) -> anyhow::Result<Vec<Case>> {
        let beside = self.folder.join("cases");
        Ok(cases::read(named.unwrap_or(&beside))?)
    }
}

fn component_of(folder: &Path) -> anyhow::Result<PathBuf> {
    let file = match Project::open(folder) {
        Ok(project) => project.component(),
        // As the Rust plugins of this repository are: the SDK needs no manifest of ours.
        Err(error) => match of_the_same_name(folder) {
            Some(file) => file,
            None => return Err(error.into()),
        },
    };
    if !file.exists() {
        let folder = folder.display();
        anyhow::bail!("`{}` is not built yet; run `phasegate plugin build {folder}`", file.display());
    }
    Ok(file)
}

/// `game/game.wasm` for the folder `game`, if it exists.
fn of_the_same_name(folder: &Path) -> Option<PathBuf> {
    let folder_name = folder.canonicalize().ok()?;
    let file = folder.join(format!("{}.wasm", folder_name.file_name()?.to_str()?));
    file.is_file().then_some(file)
}
