//! A driver for instances, and another one for their extensions: a process is started anew for a
//! version, an extension is installed beside it by a program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::command::CommandConfig;
use super::kind::{KindSettings as _, Premises, StartDriverError};
use super::looking::Looking;
use super::template::Template;
use super::{BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, Ensure, Observe};
use phasegate_core::domain::{Address, Component, OperationId, Seen, Sight};

/// Longest run of a program that installs an extension, and how long one that says "busy" is
/// started again; the default of the command driver.
const EXTENSION_TIMEOUT: Duration = Duration::from_secs(600);

/// A program that brings an extension of an instance to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionProgram {
    /// Program and arguments; at least one.
    pub command: Vec<Template>,
    /// Where it runs.
    pub working_dir: PathBuf,
}

/// A driver that has its extensions installed by a program.
///
/// # Errors
/// When the machine does not give what the program needs.
pub(super) fn with_extensions(
    application: Arc<dyn Driver>,
    program: ExtensionProgram,
    premises: &Premises,
) -> Result<Arc<dyn Driver>, StartDriverError> {
    let ExtensionProgram { command, working_dir } = program;
    let extensions = CommandConfig {
        command,
        observe: None,
        surge: None,
        environment: BTreeMap::new(),
        working_dir,
        timeout: EXTENSION_TIMEOUT,
        retry_for: EXTENSION_TIMEOUT,
        max_concurrent: 64,
        looking: Looking::default(),
    };
    let extensions = extensions.start(premises)?;
    Ok(Arc::new(WithExtensions { application, extensions }))
}

/// Two drivers as one.
struct WithExtensions {
    /// Brings the application to a version.
    application: Arc<dyn Driver>,
    /// Brings an extension to a version.
    extensions: Arc<dyn Driver>,
}

impl Driver for WithExtensions {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        match request.component {
            Component::Application => self.application.ensure(request),
            Component::Extension(_) => self.extensions.ensure(request),
        }
    }

    fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        match question.component {
            Component::Application => self.application.observe(question),
            Component::Extension(_) => self.extensions.observe(question),
        }
    }

    fn sight(&self) -> Sight {
        Sight { extensions: self.extensions.sight().extensions, ..self.application.sight() }
    }

    fn creation(&self) -> Creation {
        self.application.creation()
    }

    /// Extensions follow one by one.
    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        self.application.create(request)
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        self.application.delete(request)
    }

    fn end(&self, operation: &OperationId) {
        self.application.end(operation);
        self.extensions.end(operation);
    }

    fn custody(&self) -> Custody {
        self.application.custody()
    }

    fn shutdown(&self) -> BoxFuture<()> {
        let (application, extensions) = (self.application.shutdown(), self.extensions.shutdown());
        Box::pin(async move {
            tokio::join!(application, extensions);
        })
    }
}
