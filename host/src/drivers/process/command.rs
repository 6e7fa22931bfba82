//! What to run for an instance.
//!
//! The check that it can be run comes before the old process is touched: a mistake in the
//! configuration must not cost a healthy process.

use std::path::PathBuf;

use crate::drivers::local::Command;
use crate::drivers::template::RenderError;
use phasegate_core::domain::{Instance, ScaleSetName, Version};

/// Renders the command of an instance. Must not block.
pub trait CommandLine: Send + Sync {
    /// The command that makes the instance run the version.
    ///
    /// # Errors
    /// When there is none; one line for people.
    fn render(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        version: &Version,
    ) -> Result<Command, RenderError>;
}

impl<F> CommandLine for F
where
    F: Fn(&ScaleSetName, &Instance, &Version) -> Result<Command, RenderError> + Send + Sync,
{
    fn render(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        version: &Version,
    ) -> Result<Command, RenderError> {
        self(scale_set, instance, version)
    }
}

/// A command that has been checked and can be started at once.
#[derive(Debug, Clone)]
pub(in crate::drivers) struct Prepared {
    /// The file to execute.
    pub(in crate::drivers) program: PathBuf,
    /// The rest of it.
    pub(in crate::drivers) command: Command,
    /// Where its output goes.
    pub(in crate::drivers) log: PathBuf,
    /// What it runs.
    pub(in crate::drivers) version: Version,
    /// Which instance it is for, as its processes are marked.
    pub(in crate::drivers) mark: String,
    /// The port of the instance.
    pub(in crate::drivers) port: u16,
}
