//! Makes a project a component with the ordinary tools of its language.
//!
//! Languages whose tools end at a core module (Rust, C, Zig, Go) get the rest here: the type of the
//! component, stubs for WASI preview 1, and the component around it.

mod recipe;
mod tool;

use std::io;
use std::path::PathBuf;

use super::project::Project;
use phasegate_wasm::cases::{EmbedCasesError, with_cases};
use phasegate_wasm::{ComponentizeError, LoadPluginError, componentize, inspect, read_component};
use recipe::{Artifact, Recipe};

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool of the language is not there. One line that says what to install.
    #[error("{0}")]
    Missing(String),
    /// A tool ran and failed; its own words are in `output`.
    #[error("`{command}` failed")]
    Failed {
        /// The command.
        command: String,
        /// What it wrote.
        output: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The module does not become a component.
    #[error("the module that the compiler wrote {0}")]
    Componentize(ComponentizeError),
    /// The cases do not go in.
    #[error(transparent)]
    Cases(#[from] EmbedCasesError),
    /// A host would refuse it.
    #[error("the component {0}")]
    Refused(LoadPluginError),
}

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// What the tools had to say about the source all the same; empty when nothing.
    pub warnings: String,
}

/// What goes into a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// The policy.
    CodeAlone,
    /// The policy, and the cases of the project.
    Cases,
}

/// Builds a component. `doing` is told of each step before it begins.
///
/// # Errors
/// See [`BuildError`]. An older component stays as it is.
pub fn build(project: &Project, within: Within, doing: &dyn Fn(&str)) -> Result<Built, BuildError> {
    let Recipe { steps, artifact } = recipe::of(project)?;
    let mut warnings = String::new();
    for step in &steps {
        doing(step.what);
        warnings.push_str(&step.run(&project.folder)?);
    }
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| BuildError::File { path, source }
    };
    let (made, bytes) = match artifact {
        Artifact::Core(path) => {
            let core = read_component(&path).map_err(failed(&path))?;
            let own = |compiled_in: &str, file: &str| super::own::file(&project.folder, compiled_in, file);
            (path, componentize(&core, project.world, &own).map_err(BuildError::Componentize)?)
        }
        Artifact::Component(path) => {
            let bytes = read_component(&path).map_err(failed(&path))?;
            (path, bytes)
        }
    };
    let bytes = match within {
        Within::CodeAlone => bytes,
        Within::Cases => with_cases(&bytes, &project.folder.join("cases"))?,
    };
    inspect(&bytes).fits.map_err(BuildError::Refused)?;
    let path = project.component();
    // Next to its place and then there at once: a host that watches the file never sees a half.
    let beside = project.folder.join(format!("{}.wasm.tmp", project.name));
    std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &path)).map_err(failed(&path))?;
    if made.starts_with(project.folder.join("build")) {
        let _ = std::fs::remove_file(made);
    }
    Ok(Built { path, warnings })
}
