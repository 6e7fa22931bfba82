//! The settings of the process driver, and what becomes of them when it starts.
//!
//! Does not look for the programs; a check of the configuration does.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{ProcessDriver, ProcessSettings};
use crate::drivers::command::CommandConfig;
use crate::drivers::kind::{KindSettings, Needs, Place, StartDriverError};
use crate::drivers::local::GuardCommand;
use crate::drivers::template::{Template, TemplateValues, Wish, render_command};
use crate::drivers::{Driver, WithExtensions};
use phasegate_core::domain::{Instance, ScaleSetName, Version};

/// Longest run of a program that installs an extension, and how long one that says "busy" is
/// started again; the default of the command driver.
const EXTENSION_TIMEOUT: Duration = Duration::from_secs(600);

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

/// Ports for new instances of a process driver, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest; never below the first.
    pub last: u16,
}

impl ProcessConfig {
    fn processes(&self, place: &Place) -> Result<ProcessDriver, StartDriverError> {
        let process = self.clone();
        let settings = ProcessSettings {
            commands: Box::new(move |scale_set: &ScaleSetName, instance: &Instance, version: &Version| {
                let values = TemplateValues { scale_set, instance, wish: Wish::Run(version) };
                render_command(&process.command, &process.environment, &process.working_dir, &values)
            }),
            search_path: place.search_path.clone(),
            log_dir: place.log_dir.clone(),
            stop_timeout: self.stop_timeout,
            surge_ports: self.surge.map(|ports| (ports.first, ports.last)),
            guard: Some(GuardCommand::of_this_program(self.stop_timeout).map_err(StartDriverError::Guard)?),
        };
        Ok(ProcessDriver::start(settings, place.notes.clone())?)
    }

    /// What installs extensions beside processes, as the command driver takes it.
    fn extension_programs(&self, command: &[Template]) -> CommandConfig {
        CommandConfig {
            command: command.to_vec(),
            observe: None,
            surge: None,
            environment: BTreeMap::new(),
            working_dir: self.working_dir.clone(),
            timeout: EXTENSION_TIMEOUT,
            retry_for: EXTENSION_TIMEOUT,
            max_concurrent: 64,
        }
    }
}

impl KindSettings for ProcessConfig {
    fn start(&self, place: &Place) -> Result<Arc<dyn Driver>, StartDriverError> {
        let application = self.processes(place)?;
        Ok(match &self.extension_command {
            None => Arc::new(application),
            Some(command) => {
                let extensions = self.extension_programs(command).programs(place)?;
                Arc::new(WithExtensions { application, extensions })
            }
        })
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
