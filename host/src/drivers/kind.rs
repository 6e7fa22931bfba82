//! What all kinds of drivers have in common for those who configure and start them.
//!
//! Knows no kind: each is a folder of its own.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::command::StartCommandDriverError;
use super::process::StartProcessDriverError;
use super::template::Template;
use super::{Driver, DriverNote};
use crate::net::tls::LoadCertificatesError;

/// How an instance is made to run a version: the settings of one driver, whatever its kind.
#[derive(Debug, Clone)]
pub struct DriverConfig(Arc<dyn KindSettings>);

/// The settings of one kind of driver.
pub trait KindSettings: fmt::Debug + Any + Send + Sync {
    /// Starts the driver.
    ///
    /// # Errors
    /// When the machine does not give what it needs.
    fn start(&self, place: &Place) -> Result<Arc<dyn Driver>, StartDriverError>;

    /// What must be on this machine before it can start.
    fn needs(&self) -> Needs<'_>;

    /// What to add before the driver can create instances; none when it can.
    fn lacks_for_creation(&self) -> Option<&'static str>;

    /// What to add before the driver can install extensions; none when it can.
    fn lacks_for_extensions(&self) -> Option<&'static str>;

    /// Whether the other settings are of this kind and equal.
    fn is_same(&self, other: &dyn KindSettings) -> bool;
}

/// What a driver gets from the host that starts it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where output goes, as `<scale set>-<instance>.log`; created if need be.
    pub log_dir: PathBuf,
    /// The host's `PATH`, for programs that do not set it.
    pub search_path: OsString,
    /// Receives what happens outside of any request.
    pub notes: mpsc::Sender<DriverNote>,
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
}

/// Why a driver could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartDriverError {
    /// What ends programs when the host is killed.
    #[error("the guard of programs cannot be prepared")]
    Guard(#[source] io::Error),
    /// The process driver.
    #[error(transparent)]
    Process(#[from] StartProcessDriverError),
    /// The command driver.
    #[error(transparent)]
    Command(#[from] StartCommandDriverError),
    /// The http driver.
    #[error(transparent)]
    Http(#[from] LoadCertificatesError),
}

impl DriverConfig {
    /// The settings of some kind.
    #[must_use]
    pub fn new(settings: impl KindSettings) -> Self {
        Self(Arc::new(settings))
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
        &*self.0
    }
}

impl PartialEq for DriverConfig {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(other.settings())
    }
}

impl Eq for DriverConfig {}
