//! One running process of an instance, with its log and what it runs.
//!
//! How it is started and ended is in `local`.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::Prepared;
use super::error::ProcessError;
use super::instance::InstanceKey;
use crate::clock::Clock;
use crate::drivers::local::kept::{self, About, Kept};
use crate::drivers::local::output::{Log, Written};
use crate::drivers::local::{GuardLink, Leader, StartError, Starting, StillAliveError, describe, output};
use phasegate_core::domain::{Timestamp, Version};

/// A process that was started, with the group of processes that it leads.
#[derive(Debug)]
pub(super) struct Running {
    leader: Leader,
    /// What it runs.
    pub(super) version: Version,
    /// Where its output goes.
    pub(super) log: PathBuf,
    /// What that was when it began.
    pub(super) written: Written,
    /// When it was started, or adopted.
    pub(super) started_at: Timestamp,
    output_start: u64,
}

/// A process that is to outlive this host, and of which its keeper has not told yet.
pub(super) struct Coming {
    starting: Starting,
    prepared: Prepared,
    output_start: u64,
    written: Written,
}

impl Running {
    /// Starts a process.
    pub(super) fn spawn(prepared: Prepared, guard: &GuardLink, clock: &Clock) -> Result<Self, ProcessError> {
        let failed = |error: io::Error| StartError { program: prepared.program.clone(), error };
        let Log { file: log, start: output_start, kept: written } =
            output::open_log_for_start(&prepared.log).map_err(failed)?;
        let mut command = prepared.command.to_spawn(&prepared.program);
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        let leader = Leader::spawn(&mut command, guard).map_err(failed)?;
        let Prepared { version, log, .. } = prepared;
        Ok(Self { leader, version, log, written, started_at: clock.now(), output_start })
    }

    /// Starts a process that is to outlive this host.
    pub(super) fn keep(
        prepared: Prepared,
        (scale_set, instance): &InstanceKey,
        folder: &Path,
    ) -> Result<Coming, ProcessError> {
        let failed = |error: io::Error| StartError { program: prepared.program.clone(), error };
        let Log { file: log, start: output_start, kept: written } =
            output::open_log_for_start(&prepared.log).map_err(failed)?;
        let about = About {
            scale_set: scale_set.clone(),
            instance: instance.clone(),
            version: prepared.version.clone(),
            port: Some(prepared.port),
            output_start,
        };
        let record = kept::path(folder, scale_set, instance);
        let starting =
            Leader::keep((&prepared.command, &prepared.program), log, &about, &record).map_err(failed)?;
        Ok(Coming { starting, prepared, output_start, written })
    }

    /// One that a host before this one has started.
    pub(super) fn adopted(leader: Leader, kept: &Kept, log: PathBuf, clock: &Clock) -> Self {
        let About { version, output_start, .. } = kept.about.clone();
        let written = Written::at(&log);
        Self { leader, version, log, written, started_at: clock.now(), output_start }
    }

    /// The guard ends it when this host is killed.
    pub(super) fn guarded(&self, guard: &GuardLink) {
        self.leader.guarded(guard);
    }

    /// The process id.
    pub(super) fn pid(&self) -> i32 {
        self.leader.id()
    }

    /// Ends when the process does, and says how: "exited with code 1". Can be dropped and called
    /// again.
    pub(super) async fn exited(&mut self) -> String {
        match self.leader.exited().await {
            Ok(status) => describe(status),
            Err(error) => format!("could not be waited for ({error})"),
        }
    }

    /// The last lines of its output as one line.
    pub(super) fn output_tail(&self) -> String {
        output::tail(&self.log, self.output_start)
    }

    /// Ends the process and its group as `Leader::stop` does.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn stop(
        &mut self,
        timeout: Duration,
        forced: impl Future<Output = ()>,
        guard: &GuardLink,
    ) -> Result<(), StillAliveError> {
        self.leader.stop(timeout, forced, guard).await
    }
}

impl Coming {
    /// The process, once it runs.
    pub(super) async fn begun(self, clock: &Clock) -> Result<Running, ProcessError> {
        let Self { starting, prepared, output_start, written } = self;
        let Prepared { program, version, log, .. } = prepared;
        let leader = starting.begun().await.map_err(|error| StartError { program, error })?;
        Ok(Running { leader, version, log, written, started_at: clock.now(), output_start })
    }
}
