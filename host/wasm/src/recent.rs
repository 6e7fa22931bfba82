//! Compiled components in memory: on the way back to one that ran a moment ago, and in a swap to one
//! that was tried before, neither its shape nor the seal of its machine code is looked at again. That
//! it is this one its digest says, which is that of the bytes in hand.
//!
//! Bounded by their number, since each holds a descriptor and two mappings, and by what the machine code takes;
//! the least recently used goes first, and goes on running where it is in use.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use phasegate_core::domain::Digest;

use super::load::CompiledPlugin;

/// Machine code of all of them together: a few that carry a language runtime.
const BYTES_MAX: usize = 128 << 20;

/// How many there are at most: what a person goes back and forth between.
const COUNT_MAX: usize = 8;

/// The components that were loaded last.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<CompiledPlugin>>);

impl Recent {
    /// One that was loaded before.
    pub(super) fn get(&self, digest: Digest) -> Option<CompiledPlugin> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|one| one.digest() == digest)?;
        let one = all.remove(place)?;
        all.push_back(one.clone());
        Some(one)
    }

    /// Keeps one that is not there yet; one that is too large is not kept.
    pub(super) fn put(&self, one: &CompiledPlugin) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.digest() != one.digest());
        all.push_back(one.clone());
        let mut bytes: usize = all.iter().map(CompiledPlugin::code_bytes).sum();
        while bytes > BYTES_MAX || all.len() > COUNT_MAX {
            let Some(oldest) = all.pop_front() else { return };
            bytes -= oldest.code_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn the_least_recently_used_goes_first() {
        let runtime = crate::tests::runtime();
        let one = runtime.compile(builtin::AZURE_HEALTH).unwrap();
        let named = |name: u8| one.clone().with(Digest([name; 32]), BYTES_MAX / 2);
        let recent = Recent::default();
        for name in [1, 2] {
            recent.put(&named(name));
        }
        assert!(recent.get(Digest([1; 32])).is_some());
        recent.put(&named(3));
        let there = [1, 2, 3].map(|name| recent.get(Digest([name; 32])).is_some());
        assert_eq!(there, [true, false, true]);
        recent.put(&one.clone().with(Digest([4; 32]), BYTES_MAX + 1));
        assert!([1, 2, 3, 4].iter().all(|name| recent.get(Digest([*name; 32])).is_none()));
        for name in 0..100 {
            recent.put(&one.clone().with(Digest([name; 32]), 1));
        }
        let there = (0..100).filter(|name| recent.get(Digest([*name; 32])).is_some());
        assert_eq!(there.collect::<Vec<u8>>(), (92..100).collect::<Vec<u8>>());
    }
}
