//! A few file descriptors kept aside, so that a host that has none left still answers a person who asks why.
//!
//! Deliberately few: they are for looking, not for work.

use std::fs::File;

/// How many connections are answered while there is no other descriptor.
const SPARES: usize = 4;

/// Descriptors that stand for nothing else.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<File>);

impl Spares {
    /// Sets aside as many as are missing, if there are any.
    pub(super) fn fill(&mut self) {
        while self.0.len() < SPARES {
            let Ok(spare) = File::open("/dev/null") else { return };
            self.0.push(spare);
        }
    }

    /// Gives one up; says whether there was one.
    pub(super) fn give_up_one(&mut self) -> bool {
        self.0.pop().is_some()
    }
}
