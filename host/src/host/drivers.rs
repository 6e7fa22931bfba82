//! Makes the driver of a scale set from its configuration.
//!
//! The only place where templates meet drivers: a driver gets texts, never templates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::{
    CommandConfig, DriverConfig, HttpConfig, HttpUrl, MissingValueError, ProcessConfig, SurgeUrls, Template,
    TemplateValues, Wish,
};
use crate::drivers::command::{CommandDriver, CommandLines, CommandSettings};
use crate::drivers::http::{AgentUrls, HttpDriver, HttpSettings};
use crate::drivers::local::{Command, GuardCommand};
use crate::drivers::process::{ProcessDriver, ProcessSettings};
use crate::drivers::{Create, Creation, Delete, Driver, DriverNote, Ensure, WithExtensions};
use phasegate_core::domain::{Instance, ScaleSetName, Version};

/// From SIGTERM to SIGKILL for what a killed host leaves of its commands.
const COMMAND_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest run of a program that installs an extension, and how long one that says "busy" is
/// started again; the default of the command driver.
const EXTENSION_TIMEOUT: Duration = Duration::from_secs(600);

/// Starts a driver.
pub(super) fn start(
    config: &DriverConfig,
    log_dir: PathBuf,
    notes: &mpsc::Sender<DriverNote>,
) -> anyhow::Result<Arc<dyn Driver>> {
    Ok(match config {
        DriverConfig::Process(process) => {
            let application = self::process(process, log_dir.clone(), notes.clone())?;
            match &process.extension_command {
                None => Arc::new(application),
                Some(command) => {
                    let extensions = self::command(&extension_programs(process, command), log_dir)?;
                    Arc::new(WithExtensions { application, extensions })
                }
            }
        }
        DriverConfig::Command(command) => Arc::new(self::command(command, log_dir)?),
        DriverConfig::Http(http) => Arc::new(self::http(http)?),
    })
}

/// What is wrong with the files of a driver, beyond that they are not there.
pub(super) fn problem(config: &DriverConfig) -> Option<String> {
    let file = match config {
        DriverConfig::Http(http) => http.ca_file.as_deref().filter(|path| path.is_file()),
        DriverConfig::Process(_) | DriverConfig::Command(_) => None,
    };
    HttpDriver::check_certificates(file?).err().map(|error| error.to_string())
}

fn process(
    config: &ProcessConfig,
    log_dir: PathBuf,
    notes: mpsc::Sender<DriverNote>,
) -> anyhow::Result<ProcessDriver> {
    let stop_timeout = config.stop_timeout;
    let process = config.clone();
    let settings = ProcessSettings {
        commands: Box::new(move |scale_set: &ScaleSetName, instance: &Instance, version: &Version| {
            let values = TemplateValues { scale_set, instance, wish: Wish::Run(version) };
            render(&process.command, &process.environment, process.working_dir.clone(), &values)
        }),
        search_path: std::env::var_os("PATH").unwrap_or_default(),
        log_dir,
        stop_timeout,
        surge_ports: config.surge.map(|ports| (ports.first, ports.last)),
        guard: Some(GuardCommand::of_this_program(stop_timeout)?),
    };
    Ok(ProcessDriver::start(settings, notes)?)
}

/// What installs extensions beside processes, as the command driver takes it.
fn extension_programs(process: &ProcessConfig, command: &[Template]) -> CommandConfig {
    CommandConfig {
        command: command.to_vec(),
        observe: None,
        surge: None,
        environment: BTreeMap::new(),
        working_dir: process.working_dir.clone(),
        timeout: EXTENSION_TIMEOUT,
        retry_for: EXTENSION_TIMEOUT,
        max_concurrent: 64,
    }
}

fn command(config: &CommandConfig, log_dir: PathBuf) -> anyhow::Result<CommandDriver> {
    let settings = CommandSettings {
        commands: Box::new(Commands(config.clone())),
        creation: creation(config.surge.as_ref()),
        search_path: std::env::var_os("PATH").unwrap_or_default(),
        log_dir,
        timeout: config.timeout,
        retry_for: config.retry_for,
        max_concurrent: usize::try_from(config.max_concurrent)?,
        guard: Some(GuardCommand::of_this_program(COMMAND_STOP_TIMEOUT)?),
    };
    Ok(CommandDriver::start(settings)?)
}

fn http(config: &HttpConfig) -> anyhow::Result<HttpDriver> {
    let settings = HttpSettings {
        urls: Box::new(Urls {
            apply: config.url.clone(),
            look: config.observe_url.clone(),
            surge: config.surge.clone(),
        }),
        creation: creation(config.surge.as_ref()),
        token_file: config.token_file.clone(),
        ca_file: config.ca_file.clone(),
        timeout: config.timeout,
        max_concurrent: usize::try_from(config.max_concurrent)?,
    };
    Ok(HttpDriver::start(settings)?)
}

fn creation<T>(surge: Option<&T>) -> Creation {
    if surge.is_some() { Creation::Possible } else { Creation::NotTold }
}

struct Commands(CommandConfig);

impl CommandLines for Commands {
    fn apply(&self, request: &Ensure) -> Result<Command, String> {
        let CommandConfig { command, environment, working_dir, .. } = &self.0;
        render(command, environment, working_dir.clone(), &of_request(request))
    }

    fn create(&self, request: &Create) -> Result<Option<Command>, String> {
        let CommandConfig { surge, environment, working_dir, .. } = &self.0;
        let values = of_creation(request);
        let create = surge.as_ref().map(|surge| &surge.create);
        create.map(|create| render(create, environment, working_dir.clone(), &values)).transpose()
    }

    fn delete(&self, request: &Delete) -> Result<Option<Command>, String> {
        let CommandConfig { surge, environment, working_dir, .. } = &self.0;
        let values = of_deletion(request);
        let Some(surge) = surge else { return Ok(None) };
        if lacks_address(surge.delete.iter().chain(environment.values()), &values) {
            return Ok(None);
        }
        render(&surge.delete, environment, working_dir.clone(), &values).map(Some)
    }

    fn look(&self, scale_set: &ScaleSetName, instance: &Instance) -> Result<Option<Command>, String> {
        let CommandConfig { observe, environment, working_dir, .. } = &self.0;
        let values = TemplateValues { scale_set, instance, wish: Wish::Look };
        let observe = observe.as_ref();
        observe.map(|observe| render(observe, environment, working_dir.clone(), &values)).transpose()
    }
}

struct Urls {
    apply: Template,
    look: Option<Template>,
    surge: Option<SurgeUrls>,
}

impl AgentUrls for Urls {
    fn apply(&self, request: &Ensure) -> Result<HttpUrl, String> {
        url(&self.apply, &of_request(request))
    }

    fn create(&self, request: &Create) -> Result<Option<HttpUrl>, String> {
        let values = of_creation(request);
        self.surge.as_ref().map(|surge| url(&surge.create, &values)).transpose()
    }

    fn delete(&self, request: &Delete) -> Result<Option<HttpUrl>, String> {
        let values = of_deletion(request);
        match &self.surge {
            Some(surge) if !lacks_address(std::iter::once(&surge.delete), &values) => {
                url(&surge.delete, &values).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    fn look(&self, scale_set: &ScaleSetName, instance: &Instance) -> Result<Option<HttpUrl>, String> {
        let values = TemplateValues { scale_set, instance, wish: Wish::Look };
        self.look.as_ref().map(|template| url(template, &values)).transpose()
    }
}

fn of_request(request: &Ensure) -> TemplateValues<'_> {
    let Ensure { scale_set, instance, component, version, operation, fence, previous: _ } = request;
    let wish = Wish::Apply { component, version, operation, fence: *fence };
    TemplateValues { scale_set, instance, wish }
}

fn of_creation(request: &Create) -> TemplateValues<'_> {
    let Create { scale_set, instance, replaces, version, taken: _, operation, fence } = request;
    let wish = Wish::Create { replaces, version, operation, fence: *fence };
    TemplateValues { scale_set, instance, wish }
}

fn of_deletion(request: &Delete) -> TemplateValues<'_> {
    let Delete { scale_set, instance, located, operation, fence } = request;
    let wish = Wish::Delete { located: *located, operation, fence: *fence };
    TemplateValues { scale_set, instance, wish }
}

/// Whether texts ask for the address of an instance that never had one. Another address must never
/// stand in for it.
fn lacks_address<'a>(mut templates: impl Iterator<Item = &'a Template>, values: &TemplateValues<'_>) -> bool {
    templates.any(|template| template.render(values) == Err(MissingValueError::Address))
}

fn url(template: &Template, values: &TemplateValues<'_>) -> Result<HttpUrl, String> {
    let text = template.render_url(values).map_err(|error| error.to_string())?;
    HttpUrl::parse(&text).map_err(|error| format!("`{text}` {error}"))
}

fn render(
    argv: &[Template],
    environment: &BTreeMap<String, Template>,
    working_dir: PathBuf,
    values: &TemplateValues<'_>,
) -> Result<Command, String> {
    let text = |template: &Template| template.render(values).map_err(|error| error.to_string());
    let argv = argv.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let environment = environment
        .iter()
        .map(|(name, template)| Ok((name.clone(), text(template)?)))
        .collect::<Result<BTreeMap<_, _>, String>>()?;
    Ok(Command { argv, environment, working_dir })
}
