//! A plugin that judges, and what is known of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use phasegate_core::domain::{Cost, Digest, Observation, ReadClock, Verdict};

use super::caller::GuestCaller;
use crate::batch::{self, BatchSize, Judged};
use crate::call::{Code, Session};
use crate::limits::{Isolation, Limits};

/// A plugin that is compiled, linked and configured. Not shared between threads: a second user
/// loads a second one.
pub struct LoadedPlugin {
    pub(super) code: Code,
    pub(super) isolation: Isolation,
    pub(super) digest: Digest,
    pub(super) pure: bool,
    pub(super) repeatable: bool,
    pub(super) varied: bool,
    pub(super) world: Option<String>,
    pub(super) clock: Arc<dyn ReadClock>,
    pub(super) session: Option<Session>,
    pub(super) size: BatchSize,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) memory_bytes: usize,
}

impl LoadedPlugin {
    /// SHA-256 of the component.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether equal input always brings an equal answer: it cannot ask for the time.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.pure
    }

    /// Whether it is pure for as long as [`Self::was_pure`] says so: it may ask WASI for time and random
    /// numbers, as its language imports them, and not the contract.
    #[must_use]
    pub fn may_be_pure(&self) -> bool {
        self.repeatable
    }

    /// Whether equal input would have brought the latest answers again: it used neither time nor random
    /// numbers.
    #[must_use]
    pub fn was_pure(&self) -> bool {
        self.pure || (self.repeatable && !self.varied)
    }

    /// What it may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.code.limits
    }

    /// What its calls are measured with.
    pub(crate) fn clock(&self) -> &Arc<dyn ReadClock> {
        &self.clock
    }

    /// Its settings, as JSON.
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.code.settings
    }

    /// The world that it was built for, for example `phasegate:policy/policy@1.0.0`.
    #[must_use]
    pub fn world(&self) -> Option<&str> {
        self.world.as_deref()
    }

    /// The most memory, in bytes, that one of its instances has had so far; tables count too.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Log lines of the plugin that were dropped so far because they came too fast.
    #[must_use]
    pub fn log_lines_dropped(&self) -> u64 {
        self.code.log.dropped()
    }

    /// Names the plugin in its log lines; before, they carry the start of its digest.
    pub fn set_label(&self, label: &str) {
        self.code.log.set_label(label);
    }

    /// Judges any number of observations, in calls of at most [`crate::BATCH_MAX`]; the results
    /// have the same length and order. `now_ms` is what the plugin's clock shows. Blocks for as
    /// long as the guest may run.
    pub fn evaluate(&mut self, observations: &[Observation], now_ms: u64) -> Vec<Verdict> {
        self.judge(observations, now_ms).results
    }

    /// As [`Self::evaluate`], with what each took.
    pub fn judge(&mut self, observations: &[Observation], now_ms: u64) -> Judged {
        let Self { code, isolation, clock, session, size, stop, memory_bytes, varied, .. } = self;
        let isolation = *isolation;
        let spent = Cost::default();
        *varied = false;
        let mut caller =
            GuestCaller { code, isolation, clock, session, stop, now_ms, memory_bytes, varied, spent };
        batch::evaluate(&mut caller, size, observations)
    }

    /// Makes evaluations end early, after the call that is under way, once the flag is set.
    pub fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// Drops the instance, whatever state it is in.
    pub fn drop_instance(&mut self) {
        self.session = None;
    }
}
