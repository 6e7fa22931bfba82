//! Limits of time for what is done outside, in time in which this host looked.
//!
//! A host that stood still (SIGSTOP, a suspended machine, a stall) has not seen an answer that came meanwhile: such a
//! stretch counts for nothing, and what came is looked at before a limit is passed.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Counted so much at a time.
const STEP: Duration = Duration::from_millis(500);

/// A step that took so much longer was a stretch in which the host stood still. A busy machine is not that late.
const STALL: Duration = Duration::from_secs(1);

/// The limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over;

/// One step of at most so much; gives how much of it counts.
async fn step(most: Duration) -> Duration {
    let length = most.min(STEP);
    let began = Instant::now();
    tokio::time::sleep(length).await;
    counted(length, began.elapsed())
}

/// How much of a step counts that took so long.
fn counted(length: Duration, took: Duration) -> Duration {
    if took > length + STALL { Duration::ZERO } else { length }
}

/// Ends after a span in which the host looked.
pub(super) async fn sleep(span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        left = left.saturating_sub(step(left).await);
    }
}

/// What a future brings, if it ends within a span in which the host looked.
pub(super) async fn timeout<T>(span: Duration, future: impl Future<Output = T>) -> Result<T, Over> {
    let future = pin!(future);
    tokio::select! {
        biased;
        done = future => Ok(done),
        () = sleep(span) => Err(Over),
    }
}

/// Counts the time in which the host looked while something is done.
#[derive(Debug, Default)]
pub(super) struct Spent(AtomicU64);

impl Spent {
    /// What is left of a span.
    pub(super) fn left_of(&self, span: Duration) -> Duration {
        span.saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }

    /// Does something, and counts meanwhile.
    pub(super) async fn during<T>(&self, future: impl Future<Output = T>) -> T {
        let future = pin!(future);
        tokio::select! {
            biased;
            done = future => done,
            never = self.count() => match never {},
        }
    }

    async fn count(&self) -> std::convert::Infallible {
        loop {
            let counts = step(Duration::from_millis(100)).await;
            let millis = u64::try_from(counts.as_millis()).unwrap_or(0);
            self.0.fetch_add(millis, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_step_in_which_the_host_stood_still_does_not_count() {
        assert_eq!(counted(STEP, STEP), STEP);
        assert_eq!(counted(STEP, STEP + STALL), STEP, "a busy machine is late");
        assert_eq!(counted(STEP, STEP + STALL + MILLI), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_limit_is_passed_and_what_is_done_comes_first() {
        assert_eq!(timeout(MILLI, std::future::pending::<()>()).await, Err(Over));
        assert_eq!(timeout(Duration::ZERO, async { "done" }).await, Ok("done"));
    }

    #[tokio::test]
    async fn what_was_spent_is_counted_while_something_is_done() {
        let (spent, whole) = (Spent::default(), Duration::from_secs(10));
        assert_eq!(spent.left_of(whole), whole);
        let counted = async {
            while spent.left_of(whole) == whole {
                tokio::task::yield_now().await;
            }
        };
        spent.during(counted).await;
        assert!(spent.left_of(whole) < whole && spent.left_of(MILLI).is_zero());
    }
}
