//! What all kinds of drivers have in common for those who configure and start them.
//!
//! Knows no kind: each is a folder of its own, and a line of the table in `drivers`.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::extensions::{ExtensionProgram, with_extensions};
use super::hooks::{self, Hooks, ReadHooks, WithHooks};
use super::process::OnExit;
use super::settings::ExtensionSettings;
use super::template::{PlacedTemplates, Template};
use super::{Driver, DriverNote, Words};
use crate::keys::shape::KeyShape;
use crate::keys::{Form, Preset, Reload, Shape, Source, Spot, Table};
use crate::net::serve_tls::TlsFiles;
use crate::net::tls::LoadCertificatesError;
use phasegate_core::domain::{Instance, ScaleSetName};

/// The key of the hooks.
const HOOKS: &str = "hooks";

const HOOKS_EXAMPLE: &str = "{ beforeInstance = { command = [\"./drain.sh\", \"{id}\"] } }";

/// One kind of driver.
pub struct Kind {
    /// What `kind` says in the file.
    pub name: &'static str,
    /// Its keys.
    pub shape: fn() -> Shape,
    /// Reads its keys; nothing when one of them is wrong.
    pub read: for<'a> fn(Table<'a>, &mut PlacedTemplates) -> Option<DriverConfig>,
}

/// How an instance is made to run a version: the settings of one driver, whatever its kind.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    settings: Arc<dyn KindSettings>,
    hooks: Hooks,
    extensions: ExtensionSettings,
}

/// The settings of one kind of driver.
pub trait KindSettings: fmt::Debug + Any + Send + Sync {
    /// Starts the driver.
    ///
    /// # Errors
    /// When the machine does not give what it needs.
    fn start(&self, premises: &Premises) -> Result<Arc<dyn Driver>, StartDriverError>;

    /// What must be on this machine before it can start.
    fn needs(&self) -> Needs<'_>;

    /// What to add before the driver can create instances; none when it can.
    fn lacks_for_creation(&self) -> Option<&'static str>;

    /// What to add before extensions can be installed; none when they can.
    fn lacks_for_extensions(&self) -> Option<&'static str>;

    /// The key to add before the site can be asked what an instance runs; none when it can be, or the host knows.
    fn lacks_for_looking(&self) -> Option<&'static str> {
        None
    }

    /// The program that installs extensions, for a driver that does not do it itself.
    fn extension_program(&self) -> Option<ExtensionProgram> {
        None
    }

    /// How long it may work on one instance, where that is said.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Whether the other settings are of this kind and equal.
    fn is_same(&self, other: &dyn KindSettings) -> bool;
}

/// What a driver gets from the host that starts it.
#[derive(Debug, Clone)]
pub struct Premises {
    /// Where output goes, as `<scale set>-<instance>.log`; created if need be.
    pub log_dir: PathBuf,
    /// Where it stands which processes outlive their host.
    pub kept: PathBuf,
    /// The file that guards hold while they live.
    pub guards: PathBuf,
    /// What becomes of processes at the end of the host.
    pub on_exit: OnExit,
    /// What the extensions of the set are configured with.
    pub extensions: ExtensionSettings,
    /// Where programs find that, for as long as they run.
    pub settings_dir: PathBuf,
    /// How long the host waits at its end for programs that are under way.
    pub stop_timeout: Duration,
    /// The host's `PATH`, for programs that do not set it.
    pub search_path: OsString,
    /// Receives what happens outside of any request.
    pub notes: mpsc::Sender<DriverNote>,
    /// Where it says how far it is.
    pub words: Words,
}

/// What must be on this machine; each with the key that names it.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    /// Where programs run.
    pub working_dir: Option<&'a Path>,
    /// Variables of the programs.
    pub environment: Option<&'a BTreeMap<String, Template>>,
    /// Programs with their arguments.
    pub programs: Vec<(&'static str, &'a [Template])>,
    /// Files that are read.
    pub files: Vec<(&'static str, &'a Path)>,
    /// Files that hold certificates.
    pub certificates: Vec<(&'static str, &'a Path)>,
    /// Certificate and key, of the keys `certificate` and `key`, that must go together.
    pub identity: Option<&'a TlsFiles>,
}

/// Ports for new instances, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest; never below the first.
    pub last: u16,
}

/// Why a driver could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartDriverError {
    /// What ends programs when the host is killed.
    #[error("the guard of programs cannot be prepared")]
    Guard(#[source] io::Error),
    /// The log directory.
    #[error("log directory `{}` cannot be created", path.display())]
    LogDir {
        /// As in the settings.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread of a driver, its runtime or its guard.
    #[error("{what} or its guard cannot be started")]
    Thread {
        /// Who runs on it, for example `the supervisor of processes`.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Certificates that are to be trusted.
    #[error(transparent)]
    Certificates(#[from] LoadCertificatesError),
}

impl DriverConfig {
    /// The settings of some kind.
    #[must_use]
    pub fn new(settings: impl KindSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            hooks: Hooks::default(),
            extensions: ExtensionSettings::default(),
        }
    }

    /// The same with hooks.
    #[must_use]
    pub fn with_hooks(self, hooks: Hooks) -> Self {
        // Where the other programs of the driver run, if it has a place for them.
        let hooks = match self.settings.needs().working_dir {
            Some(directory) => hooks.in_directory(directory.to_owned()),
            None => hooks,
        };
        Self { hooks, ..self }
    }

    /// The same for a model with extensions that are configured so.
    #[must_use]
    pub fn with_extensions(self, extensions: ExtensionSettings) -> Self {
        Self { extensions, ..self }
    }

    /// What extensions are configured with.
    #[must_use]
    pub fn extensions(&self) -> &ExtensionSettings {
        &self.extensions
    }

    /// What is run round instances and batches.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The settings of one kind, if they are of that kind.
    #[must_use]
    pub fn of<T: KindSettings>(&self) -> Option<&T> {
        let settings: &dyn Any = self.settings();
        settings.downcast_ref()
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &dyn KindSettings {
        &*self.settings
    }

    /// Starts the driver, and beside it what installs extensions.
    ///
    /// # Errors
    /// When the machine does not give what it needs.
    pub fn start(&self, premises: &Premises) -> Result<Arc<dyn Driver>, StartDriverError> {
        let premises = &Premises { extensions: self.extensions.clone(), ..premises.clone() };
        let application = self.settings.start(premises)?;
        let driver = match self.settings.extension_program() {
            None => application,
            Some(program) => with_extensions(application, program, premises)?,
        };
        if self.hooks.kinds().is_empty() {
            return Ok(driver);
        }
        Ok(Arc::new(WithHooks::start(driver, self.hooks.clone(), premises)?))
    }
}

impl PartialEq for DriverConfig {
    fn eq(&self, other: &Self) -> bool {
        self.settings.is_same(other.settings())
            && self.hooks == other.hooks
            && self.extensions == other.extensions
    }
}

impl Eq for DriverConfig {}

/// A driver as it was read, with its templates not yet compared with the instances.
#[derive(Default)]
pub struct ReadDriver {
    /// None when a key is wrong.
    pub config: Option<DriverConfig>,
    templates: PlacedTemplates,
}

impl ReadDriver {
    /// Ports for new instances, and where they are said.
    #[must_use]
    pub fn ports(&self) -> Option<(&Spot, PortRange)> {
        self.templates.ports.as_ref().map(|(spot, range)| (spot, *range))
    }

    /// Reports what cannot be filled in for some instance; says whether all can.
    pub fn check_templates<'i>(
        &self,
        source: &Source<'_>,
        scale_set: Option<&ScaleSetName>,
        instances: impl Iterator<Item = &'i Instance> + Clone,
    ) -> bool {
        self.templates.check(source, scale_set, instances)
    }
}

/// The table of a driver as a key.
#[must_use]
pub fn form(kinds: &[Kind]) -> Form {
    let shape = |kind: &Kind| {
        let mut shape = (kind.shape)();
        shape.keys.push(hooks_key());
        (kind.name, shape)
    };
    Form::Kinds("kind", kinds.iter().map(shape).collect())
}

/// What every kind has beside its own keys.
fn hooks_key() -> KeyShape {
    KeyShape {
        name: HOOKS,
        form: Form::Table(hooks::shape()),
        preset: Preset::Absent("none"),
        example: HOOKS_EXAMPLE,
        bounds: "",
        narrow: None,
        doc: "what is run round instances and batches",
        reload: Reload::Live,
    }
}

/// Reads the table of a driver of one of these kinds.
pub fn read(mut table: Table<'_>, kinds: &[Kind]) -> ReadDriver {
    let mut templates = PlacedTemplates::default();
    let choices: Vec<_> = kinds.iter().map(|kind| (kind.name, kind)).collect();
    let kind = match table.required("kind", "\"process\"") {
        // The other keys are looked at as those of the first kind.
        None => kinds.first(),
        // The other keys belong to a kind that is not known.
        Some(value) => value.choice(&choices),
    };
    let hooks = table.optional(HOOKS, HOOKS_EXAMPLE);
    let config = kind.and_then(|kind| (kind.read)(table, &mut templates));
    let Some(value) = hooks else { return ReadDriver { config, templates } };
    let mut read = ReadHooks::default();
    let is_sound = value.table().is_some_and(|table| hooks::read(table, &mut read));
    templates.take_in(read.templates);
    let config = config.filter(|_| is_sound).map(|config| config.with_hooks(read.hooks));
    ReadDriver { config, templates }
}
