//! The settings of the process driver, and what becomes of them when it starts.
//!
//! Does not look for the programs; a check of the configuration does.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{ProcessDriver, ProcessSettings};
use crate::drivers::Driver;
use crate::drivers::extensions::ExtensionProgram;
use crate::drivers::kind::{KindSettings, Needs, PortRange, Premises, StartDriverError};
use crate::drivers::local::GuardCommand;
use crate::drivers::template::{Template, TemplateValues, Wish, render_command};
use phasegate_core::domain::{Instance, ScaleSetName, Version};

/// Settings of the process driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Program and arguments; at least one. Every template renders for every instance of the set.
    pub command: Vec<Template>,
    /// Additional environment variables; these too render for every instance.
    pub environment: BTreeMap<String, Template>,
    /// Working directory; by default that of the configuration file.
    pub working_dir: PathBuf,
    /// From the request to end until force, 0.1 s to 1 h.
    pub stop_timeout: Duration,
    /// Ports for new instances; without them none can be created.
    pub surge: Option<PortRange>,
    /// Program and arguments that bring an extension of an instance to a version; at least one when
    /// there are any.
    pub extension_command: Option<Vec<Template>>,
}

impl KindSettings for ProcessConfig {
    fn start(&self, premises: &Premises) -> Result<Arc<dyn Driver>, StartDriverError> {
        let process = self.clone();
        let settings = ProcessSettings {
            commands: Box::new(move |scale_set: &ScaleSetName, instance: &Instance, version: &Version| {
                let values = TemplateValues { scale_set, instance, wish: Wish::Run(version) };
                render_command(&process.command, &process.environment, &process.working_dir, &values)
            }),
            search_path: premises.search_path.clone(),
            log_dir: premises.log_dir.clone(),
            stop_timeout: self.stop_timeout,
            kept: premises.kept.clone(),
            on_exit: premises.on_exit,
            surge_ports: self.surge.map(|ports| (ports.first, ports.last)),
            guard: Some(
                GuardCommand::of_this_program(self.stop_timeout, &premises.guards)
                    .map_err(StartDriverError::Guard)?,
            ),
        };
        Ok(Arc::new(ProcessDriver::start(settings, premises.notes.clone())?))
    }

    fn extension_program(&self) -> Option<ExtensionProgram> {
        let command = self.extension_command.clone()?;
        Some(ExtensionProgram { command, working_dir: self.working_dir.clone() })
    }

    fn needs(&self) -> Needs<'_> {
        let Self { command, environment, working_dir, extension_command, stop_timeout: _, surge: _ } = self;
        let extension = extension_command.iter().map(|argv| ("extensionCommand", argv.as_slice()));
        Needs {
            working_dir: Some(working_dir),
            environment: Some(environment),
            programs: std::iter::once(("command", command.as_slice())).chain(extension).collect(),
            ..Needs::default()
        }
    }

    fn lacks_for_creation(&self) -> Option<&'static str> {
        let hint = "add a table [scaleSets.driver.surge] with for example ports = \"9100-9199\"";
        self.surge.is_none().then_some(hint)
    }

    /// A process is started; who installs something beside it must be said.
    fn lacks_for_extensions(&self) -> Option<&'static str> {
        let hint = "add extensionCommand = [\"./install.sh\", \"{component}\", \"{version}\"] to the driver";
        self.extension_command.is_none().then_some(hint)
    }

    fn is_same(&self, other: &dyn KindSettings) -> bool {
        (other as &dyn Any).downcast_ref() == Some(self)
    }
}
