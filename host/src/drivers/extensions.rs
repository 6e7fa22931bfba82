//! A driver for instances, and another one for their extensions: a process is started anew for a
//! version, an extension is installed beside it by a program.

use super::{BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, Ensure};
use phasegate_core::domain::{Address, Component, Instance, ScaleSetName, Version};

/// Two drivers as one.
pub struct WithExtensions<A, E> {
    /// Brings the application to a version.
    pub application: A,
    /// Brings an extension to a version.
    pub extensions: E,
}

impl<A: Driver, E: Driver> Driver for WithExtensions<A, E> {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<(), DriverError>> {
        match request.component {
            Component::Application => self.application.ensure(request),
            Component::Extension(_) => self.extensions.ensure(request),
        }
    }

    fn observe(&self, scale_set: &ScaleSetName, instance: &Instance) -> BoxFuture<Option<Version>> {
        self.application.observe(scale_set, instance)
    }

    fn creation(&self) -> Creation {
        self.application.creation()
    }

    /// Extensions follow one by one.
    fn create(&self, request: Create) -> BoxFuture<Result<Address, DriverError>> {
        self.application.create(request)
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        self.application.delete(request)
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
