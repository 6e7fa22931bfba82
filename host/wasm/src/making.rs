//! Components that are being compiled: whoever wants one of them waits for it, and does not compile it again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use phasegate_core::domain::Digest;

use super::compiler::CompilerError;

/// How soon a wish to stop is heard.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Which they are.
#[derive(Debug, Default)]
pub(super) struct Making {
    now: Mutex<BTreeSet<Digest>>,
    over: Condvar,
}

/// Held while a component is compiled.
#[derive(Debug)]
pub(super) struct Mine<'a> {
    making: &'a Making,
    digest: Digest,
}

impl Making {
    /// Waits until nobody else compiles this one.
    ///
    /// # Errors
    /// [`CompilerError::Stopped`] when `stop` turns true before that.
    pub(super) fn begin(&self, digest: Digest, stop: &AtomicBool) -> Result<Mine<'_>, CompilerError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while !now.insert(digest) {
            if stop.load(Ordering::Relaxed) {
                return Err(CompilerError::Stopped);
            }
            now = self.over.wait_timeout(now, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Mine { making: self, digest })
    }
}

impl Drop for Mine<'_> {
    fn drop(&mut self) {
        self.making.now.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
        self.making.over.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_the_same_waits_or_stops_and_others_do_not() {
        let (making, go_on) = (Making::default(), AtomicBool::new(false));
        let first = making.begin(Digest([1; 32]), &go_on).unwrap();
        assert!(making.begin(Digest([2; 32]), &go_on).is_ok());
        assert!(matches!(making.begin(Digest([1; 32]), &AtomicBool::new(true)), Err(CompilerError::Stopped)));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| making.begin(Digest([1; 32]), &go_on).is_ok());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
