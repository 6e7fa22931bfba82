//! The command driver: a program of the site's own brings an instance to a version.
//!
//! What a program says with its exit code: 0 done, 75 busy and worth another try, 65 failed with nothing touched,
//! anything else failed (76 from one that creates: no more room). The one that looks says with 69 that nothing runs,
//! and with anything but 0 that it cannot tell. No program outlives the host.
//!
//! Keeps nothing running: what a program leaves in its process group is ended with it. Does not
//! judge health and remembers nothing across a restart of the host.

pub mod config;
mod environment;
mod error;
mod keys;
mod run;
mod surge;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use self::config::{CommandConfig, SurgeCommands};
pub use self::keys::KIND;
use self::run::{Programs, Timing};
use super::kind::StartDriverError;
use super::local::{Command, GuardCommand, Runner, output};
use super::looking::Confirm;
use super::settings::{ExtensionSettings, SettingsFiles};
use super::site::{Patience, Site};
use super::template::RenderError;
use super::{BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, Ensure, Observe, Words};
use phasegate_core::domain::{Address, Component, Instance, OperationId, ScaleSetName, Seen, Sight};

/// Renders the programs of an instance. Must not block.
pub trait CommandLines: Send + Sync {
    /// The program that applies the request.
    ///
    /// # Errors
    /// When there is none; one line for people.
    fn apply(&self, request: &Ensure, settings: &SettingsFiles) -> Result<Command, RenderError>;

    /// The program that creates an instance; none when the site has none.
    ///
    /// # Errors
    /// When it cannot be rendered; one line for people.
    fn create(&self, request: &Create) -> Result<Option<Command>, RenderError>;

    /// The program that deletes an instance; none when nobody can say which, because the instance
    /// never had an address.
    ///
    /// # Errors
    /// When it cannot be rendered; one line for people.
    fn delete(&self, request: &Delete) -> Result<Option<Command>, RenderError>;

    /// The program that prints the version of a component of the instance; none when the site has none.
    ///
    /// # Errors
    /// When it cannot be rendered; one line for people.
    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Result<Option<Command>, RenderError>;
}

/// What a command driver needs to know.
pub struct CommandSettings {
    /// What to run.
    pub commands: Box<dyn CommandLines>,
    /// Whether `commands` can create and delete.
    pub creation: Creation,
    /// What `commands` can look at.
    pub sight: Sight,
    /// When it counts what they see.
    pub confirm: Confirm,
    /// The host's `PATH`, for commands that do not set it.
    pub search_path: OsString,
    /// Where the output of programs goes, as `<scale set>-<instance>.log`; created if need be.
    pub log_dir: PathBuf,
    /// What extensions are configured with.
    pub extensions: ExtensionSettings,
    /// Where programs find that.
    pub settings_dir: PathBuf,
    /// Longest run of one program.
    pub timeout: Duration,
    /// How long the end of the host waits for what is under way, before its programs are asked to end.
    pub at_exit: Duration,
    /// How long a program that says "busy" is started again.
    pub retry_for: Duration,
    /// Most programs at once.
    pub max_concurrent: usize,
    /// Where it says how far it is.
    pub words: Words,
    /// How to start the guard; see the process driver.
    pub guard: Option<GuardCommand>,
}

/// Runs programs that upgrade instances.
///
/// `ensure` runs the program whatever the instance says: what already runs may be half done by a
/// program that went with a host that was killed. Afterwards it asks the instance, where the site has
/// a program for that, and what was said to be done and cannot be confirmed has failed. Dropping
/// the driver and all of its futures ends all programs by force, and blocks until they are gone.
pub struct CommandDriver {
    site: Site<Programs>,
    creation: Creation,
    sight: Sight,
    programs: Programs,
}

impl CommandDriver {
    /// Starts the thread that runs programs, and the guard.
    ///
    /// # Errors
    /// When the log directory, the thread or the guard cannot be had.
    pub fn start(settings: CommandSettings) -> Result<Self, StartDriverError> {
        Self::start_with(settings, Timing::default())
    }

    fn start_with(mut settings: CommandSettings, timing: Timing) -> Result<Self, StartDriverError> {
        let log_dir = settings.log_dir;
        // Absolute, because it is also shown to people who are elsewhere.
        settings.log_dir = output::make_folder(&log_dir)
            .and_then(|()| log_dir.canonicalize())
            .map_err(|source| StartDriverError::LogDir { path: log_dir, source })?;
        let runner = Runner::start("commands", settings.guard.take())
            .map_err(|source| StartDriverError::Thread { what: "the runner of commands", source })?;
        let (creation, sight) = (settings.creation, settings.sight);
        let patience = Patience { confirm: settings.confirm, longest: settings.timeout };
        let programs = Programs::new(settings, runner, timing);
        Ok(Self { site: Site::new(programs.clone(), patience), creation, sight, programs })
    }
}

impl Driver for CommandDriver {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        self.site.ensure(request)
    }

    fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        self.site.observe(question)
    }

    fn sight(&self) -> Sight {
        self.sight
    }

    fn creation(&self) -> Creation {
        self.creation
    }

    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        self.site.create(request)
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        self.site.delete(request)
    }

    fn end(&self, operation: &OperationId) {
        self.site.end_one(operation);
    }

    fn custody(&self) -> Custody {
        Custody::Site
    }

    fn shutdown(&self) -> BoxFuture<()> {
        // What is under way has its time, the look afterwards too; only then is everything let go, and programs end.
        self.programs.finish();
        let (idle, end, programs) = (self.site.idle(), self.site.ender(), self.programs.clone());
        Box::pin(async move {
            _ = tokio::time::timeout(programs.0.settings.at_exit, idle).await;
            end();
            programs.shutdown().await;
        })
    }
}
