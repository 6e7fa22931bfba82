//! Lets a few through at a time. Knows nothing of what they do inside.

use std::sync::{Condvar, Mutex, PoisonError};

use super::lock;

/// Components that are fetched at a time: a host with fifty plugins is no burden for a registry.
const FETCHES_MAX: usize = 4;

/// Lets a few through at a time.
#[derive(Default)]
pub(super) struct Turnstile {
    inside: Mutex<usize>,
    free: Condvar,
}

impl Turnstile {
    pub(super) fn pass<T>(&self, act: impl FnOnce() -> T) -> T {
        let mut inside = lock(&self.inside);
        while *inside >= FETCHES_MAX {
            inside = self.free.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        *inside += 1;
        drop(inside);
        let result = act();
        *lock(&self.inside) -= 1;
        self.free.notify_one();
        result
    }
}
