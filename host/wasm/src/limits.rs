//! What a guest may use, and the limiter that refuses more.
//!
//! Time and work are not limited here but by the deadline and the fuel of each call, see `call`.

use wasmtime::ResourceLimiter;

pub use phasegate_core::domain::{Isolation, PluginLimits as Limits};

/// Core instances of one component. Python components are about twenty linked modules.
pub(super) const INSTANCES_MAX: usize = 200;
/// Linear memories of one component.
pub(super) const MEMORIES_MAX: usize = 32;
/// Tables of one component.
pub(super) const TABLES_MAX: usize = 64;
/// What one table element costs the host in bytes.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Bytes that one call may make the host allocate for what the guest hands over. A decision that
/// keeps the contract needs at most 270 KiB; a batch that needs more is split.
pub(super) const HANDOVER_BYTES_MAX: usize = 8 << 20;

/// Refuses growth, and remembers that it did, so that running out of memory is told from a trap.
pub(super) struct Limiter {
    limit: usize,
    used: usize,
    granted_last: usize,
    refused: bool,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        let limit = usize::try_from(u64::from(limits.memory_mib) << 20).unwrap_or(usize::MAX);
        Self { limit, used: 0, granted_last: 0, refused: false }
    }

    /// Forgets earlier refusals: a call that copes with one is not blamed for it later.
    pub(super) fn begin_call(&mut self) {
        self.refused = false;
    }

    /// Whether growth was refused since the call began.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    /// Bytes granted so far.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn grow(&mut self, by: usize) -> bool {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            self.refused = true;
            return false;
        }
        self.used = wanted;
        self.granted_last = by;
        true
    }

    fn give_back(&mut self) {
        self.used = self.used.saturating_sub(self.granted_last);
        self.granted_last = 0;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_limit() {
        let mut limiter = Limiter::new(Limits { memory_mib: 1, ..Limits::DEFAULT });
        assert!(limiter.memory_growing(0, 512 << 10, None).unwrap());
        assert!(limiter.table_growing(0, 1 << 10, None).unwrap());
        assert!(!limiter.refused());
        assert!(!limiter.memory_growing(0, 512 << 10, None).unwrap());
        assert!(limiter.refused());
        limiter.begin_call();
        assert!(!limiter.refused());
        assert!(limiter.memory_growing(0, 256 << 10, None).unwrap());
    }

    #[test]
    fn growth_that_failed_is_given_back() {
        let mut limiter = Limiter::new(Limits { memory_mib: 1, ..Limits::DEFAULT });
        assert!(limiter.memory_growing(0, 1 << 20, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(limiter.memory_growing(0, 1 << 20, None).unwrap());
    }
}
