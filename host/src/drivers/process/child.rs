//! One running process of an instance, with its log and what it runs.
//!
//! How it is started and ended is in `local`.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::command::Prepared;
use super::error::ProcessError;
use crate::clock::Clock;
use crate::drivers::local::{GuardLink, Leader, StartError, StillAliveError, describe, output};
use phasegate_core::domain::Timestamp;

/// A process that was started, with the group of processes that it leads.
#[derive(Debug)]
pub(super) struct Running {
    leader: Leader,
    /// What was started.
    pub(super) prepared: Prepared,
    /// When.
    pub(super) started_at: Timestamp,
    output_start: u64,
}

impl Running {
    /// Starts a process.
    pub(super) fn spawn(prepared: Prepared, guard: &GuardLink, clock: &Clock) -> Result<Self, ProcessError> {
        let (log, output_start) = output::open_log_for_start(&prepared.log)?;
        let failed = |error: io::Error| StartError { program: prepared.program.clone(), error };
        let mut command = prepared.command.to_spawn(&prepared.program);
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        let leader = Leader::spawn(&mut command, guard).map_err(failed)?;
        Ok(Self { leader, prepared, started_at: clock.now(), output_start })
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
        output::tail(&self.prepared.log, self.output_start)
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
