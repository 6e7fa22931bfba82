//! Waits where the host is short of something for a start: that is no failure of the instance, and there may be some in
//! a moment.
//!
//! Frees nothing, and judges no other failure.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;

use super::error::ProcessError;
use crate::drivers::local::{Stage, reached};
use crate::net::shortage::shortage;
use phasegate_core::domain::Shortage;

/// How long is waited.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Between two tries.
    again: Duration,
    /// All together; then the failure says what the host was short of.
    max: Duration,
}

/// As long as a site is tried again.
const PATIENCE: Patience = Patience { again: Duration::from_millis(250), max: Duration::from_secs(600) };

/// What the host was short of; none of a failure for another reason.
fn short_of(error: &ProcessError) -> Option<Shortage> {
    match error {
        ProcessError::Log(log) => shortage(&log.error),
        ProcessError::Start(start) => shortage(&start.error),
        ProcessError::NotPrepared(error) | ProcessError::TriedAgain { error, .. } => short_of(error),
        ProcessError::Ending
        | ProcessError::Ended
        | ProcessError::NoPorts
        | ProcessError::NoFreePort { .. }
        | ProcessError::TooMany { .. }
        | ProcessError::Render(_)
        | ProcessError::Resolve(_)
        | ProcessError::StillAlive(_)
        | ProcessError::PortHeld { .. }
        | ProcessError::EndedAtOnce { .. } => None,
    }
}

/// Tries again for as long as it fails because the host is short of something.
pub(super) async fn while_short<T>(
    stage: watch::Receiver<Stage>,
    attempt: impl FnMut() -> Result<T, ProcessError>,
) -> Result<T, ProcessError> {
    patiently(PATIENCE, stage, attempt).await
}

async fn patiently<T>(
    Patience { again, max }: Patience,
    mut stage: watch::Receiver<Stage>,
    mut attempt: impl FnMut() -> Result<T, ProcessError>,
) -> Result<T, ProcessError> {
    let mut over = pin!(tokio::time::sleep(max));
    loop {
        let error = match attempt() {
            Err(error) if short_of(&error).is_some() => error,
            result => return result,
        };
        tokio::select! {
            biased;
            () = reached(&mut stage, Stage::Ending) => return Err(ProcessError::Ending),
            () = &mut over => return Err(error),
            () = tokio::time::sleep(again) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::local::StartError;
    use rustix::io::Errno;

    const LITTLE: Patience = Patience { again: Duration::from_millis(1), max: Duration::from_millis(20) };

    fn failed(errno: Errno) -> ProcessError {
        let error = std::io::Error::from_raw_os_error(errno.raw_os_error());
        StartError { program: "/bin/db".into(), error }.into()
    }

    #[tokio::test]
    async fn what_the_host_lacks_for_a_moment_is_waited_for_and_nothing_else() {
        let (_running, stage) = watch::channel(Stage::Running);
        let mut left = 3;
        let short = while_short(stage.clone(), || {
            left -= 1;
            if left > 0 { Err(failed(Errno::MFILE)) } else { Ok(()) }
        });
        assert!(short.await.is_ok());
        let mut tries = 0;
        let other = while_short(stage.clone(), || {
            tries += 1;
            Err::<(), _>(failed(Errno::ACCESS))
        });
        assert!(other.await.is_err());
        assert_eq!(tries, 1);
        let for_ever = patiently(LITTLE, stage, || Err::<(), _>(failed(Errno::NFILE))).await;
        assert!(matches!(for_ever, Err(ProcessError::Start(_))), "{for_ever:?}");
    }

    #[tokio::test]
    async fn a_driver_that_ends_waits_for_nothing() {
        let (running, stage) = watch::channel(Stage::Running);
        running.send_replace(Stage::Ending);
        let ended = while_short(stage, || Err::<(), _>(failed(Errno::MFILE))).await;
        assert!(matches!(ended, Err(ProcessError::Ending)), "{ended:?}");
    }
}
