//! Turns of those who read the record: one core is left to whoever asks for little.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longest wait for a turn; below the patience of our own clients.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// Gives turns in the order in which they are asked for, one less than there are cores, one at least.
#[derive(Debug)]
pub struct Readers {
    turns: Arc<Semaphore>,
    within: Duration,
}

impl Default for Readers {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { turns: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))), within: TURN_WITHIN }
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadersError {
    /// Too many read.
    #[error("{} s have passed before it was this reader's turn; ask for less at a time, or later", .0.as_secs())]
    Busy(Duration),
    /// The work did not end.
    #[error("the record could not be read: {0}")]
    Failed(String),
}

impl Readers {
    /// Does it when it is its turn, away from the threads that serve connections. What has begun goes on to its end
    /// also when nobody waits for it any more, and keeps its turn until then.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadersError> {
        let turn = timeout(self.within, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| ReadersError::Busy(self.within))?;
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        work.await.map_err(|error| ReadersError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn readers(turns: usize, within: Duration) -> Readers {
        Readers { turns: Arc::new(Semaphore::new(turns)), within }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crowd_takes_turns_and_one_that_panics_gives_its_turn_back() {
        let readers = Arc::new(readers(2, TURN_WITHIN));
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut crowd = tokio::task::JoinSet::new();
        for reader in 0..20 {
            let (readers, at_once, most) = (Arc::clone(&readers), Arc::clone(&at_once), Arc::clone(&most));
            crowd.spawn(async move {
                readers
                    .run(move || {
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        assert!(reader % 5 != 0, "this one fails");
                        reader
                    })
                    .await
            });
        }
        let done = crowd.join_all().await;
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(done.iter().filter(|done| matches!(done, Err(ReadersError::Failed(_)))).count(), 4);
        assert_eq!(readers.turns.available_permits(), 2);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_so() {
        let readers = readers(0, Duration::from_millis(10));
        assert_eq!(readers.run(|| 1).await, Err(ReadersError::Busy(readers.within)));
    }
}
