//! The settings of the command driver, and what becomes of them when it starts.
//!
//! Does not look for the programs; a check of the configuration does.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{CommandDriver, CommandLines, CommandSettings};
use crate::drivers::kind::{KindSettings, Needs, Premises, StartDriverError};
use crate::drivers::local::{Command, GuardCommand};
use crate::drivers::looking::Looking;
use crate::drivers::settings::SettingsFiles;
use crate::drivers::template::{
    RenderError, Template, TemplateValues, Wish, asks_for_missing_address, render_command,
};
use crate::drivers::{Create, Creation, Delete, Driver, Ensure};
use phasegate_core::domain::{CanTell, Component, Instance, ScaleSetName, Sight};

/// From SIGTERM to SIGKILL for what a killed host leaves of its commands.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the command driver. Every template renders for every instance of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// Program and arguments that bring an instance to a version; at least one.
    pub command: Vec<Template>,
    /// Program and arguments that print the version of an instance; at least one when there are
    /// any. Knows no version and no operation.
    pub observe: Option<Vec<Template>>,
    /// How instances are created and deleted, where the site can.
    pub surge: Option<SurgeCommands>,
    /// Additional environment variables of all; they know no version and no operation.
    pub environment: BTreeMap<String, Template>,
    /// Working directory; by default that of the configuration file.
    pub working_dir: PathBuf,
    /// Longest run of one program, 0.1 s to a day.
    pub timeout: Duration,
    /// How long a program that says "busy" is started again, up to a day.
    pub retry_for: Duration,
    /// Most programs at once, 1 to 1024.
    pub max_concurrent: u32,
    /// When and how often is looked.
    pub looking: Looking,
}

/// Programs that create and delete instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurgeCommands {
    /// Program and arguments that create an instance and print its address.
    pub create: Vec<Template>,
    /// Program and arguments that delete one.
    pub delete: Vec<Template>,
}

impl CommandConfig {
    /// What can be looked at: extensions where `observe` asks for the component.
    fn sight(&self) -> Sight {
        let Some(observe) = &self.observe else { return self.looking.sight(CanTell::No, CanTell::No) };
        let extensions = observe.iter().any(Template::asks_for_component);
        self.looking.sight(CanTell::Yes, if extensions { CanTell::Yes } else { CanTell::No })
    }
}

impl KindSettings for CommandConfig {
    fn start(&self, premises: &Premises) -> Result<Arc<dyn Driver>, StartDriverError> {
        let settings = CommandSettings {
            words: premises.words.clone(),
            commands: Box::new(Commands(self.clone())),
            creation: Creation::told(self.surge.as_ref()),
            sight: self.sight(),
            confirm: self.looking.confirm,
            search_path: premises.search_path.clone(),
            log_dir: premises.log_dir.clone(),
            extensions: premises.extensions.clone(),
            settings_dir: premises.settings_dir.clone(),
            timeout: self.timeout,
            at_exit: premises.stop_timeout,
            retry_for: self.retry_for,
            max_concurrent: usize::try_from(self.max_concurrent).unwrap_or(usize::MAX),
            guard: Some(
                GuardCommand::of_this_program(STOP_TIMEOUT, &premises.guards)
                    .map_err(StartDriverError::Guard)?,
            ),
        };
        Ok(Arc::new(CommandDriver::start(settings)?))
    }

    fn needs(&self) -> Needs<'_> {
        let Self { command, observe, surge, environment, working_dir, .. } = self;
        let mut programs = vec![("command", command.as_slice())];
        programs.extend(observe.iter().map(|argv| ("observe", argv.as_slice())));
        if let Some(SurgeCommands { create, delete }) = surge {
            programs.extend([("create", create.as_slice()), ("delete", delete.as_slice())]);
        }
        Needs { working_dir: Some(working_dir), environment: Some(environment), programs, ..Needs::default() }
    }

    fn lacks_for_creation(&self) -> Option<&'static str> {
        self.surge.is_none().then_some(
            "add for example create = [\"./create.sh\", \"{id}\", \"{version}\"] and \
             delete = [\"./delete.sh\", \"{id}\"] to the driver",
        )
    }

    fn lacks_for_looking(&self) -> Option<&'static str> {
        self.observe.is_none().then_some("observe")
    }

    fn lacks_for_extensions(&self) -> Option<&'static str> {
        None
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn is_same(&self, other: &dyn KindSettings) -> bool {
        (other as &dyn Any).downcast_ref() == Some(self)
    }
}

/// The programs of an instance as its templates say.
struct Commands(CommandConfig);

impl CommandLines for Commands {
    fn apply(&self, request: &Ensure, settings: &SettingsFiles) -> Result<Command, RenderError> {
        let CommandConfig { command, environment, working_dir, .. } = &self.0;
        render_command(command, environment, working_dir, &TemplateValues::of_request(request, settings))
    }

    fn create(&self, request: &Create) -> Result<Option<Command>, RenderError> {
        let CommandConfig { surge, environment, working_dir, .. } = &self.0;
        let values = TemplateValues::of_creation(request);
        let create = surge.as_ref().map(|surge| &surge.create);
        create.map(|create| render_command(create, environment, working_dir, &values)).transpose()
    }

    fn delete(&self, request: &Delete) -> Result<Option<Command>, RenderError> {
        let CommandConfig { surge, environment, working_dir, .. } = &self.0;
        let values = TemplateValues::of_deletion(request);
        let Some(surge) = surge else { return Ok(None) };
        if asks_for_missing_address(surge.delete.iter().chain(environment.values()), &values) {
            return Ok(None);
        }
        render_command(&surge.delete, environment, working_dir, &values).map(Some)
    }

    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Result<Option<Command>, RenderError> {
        let CommandConfig { observe, environment, working_dir, .. } = &self.0;
        if self.0.sight().of(component) == CanTell::No {
            return Ok(None);
        }
        let values = TemplateValues { scale_set, instance, wish: Wish::Observe(component) };
        let observe = observe.as_ref();
        observe.map(|observe| render_command(observe, environment, working_dir, &values)).transpose()
    }
}
