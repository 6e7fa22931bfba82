//! Calls the guest for one evaluation, on an instance that may serve it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phasegate_core::domain::{Cost, Observation, PluginFailure, ReadClock, Verdict};

use crate::batch::{CallError, Caller, Freshness};
use crate::call::{Code, OpenError, Session};
use crate::limits::Isolation;
use crate::text;

/// Calls that a reused instance serves: its memory can only grow, and nobody shall come to rely
/// on its globals.
const REUSE_CALLS_MAX: u32 = 10_000;

/// Calls the guest for one evaluation.
pub(super) struct GuestCaller<'a> {
    pub(super) code: &'a Code,
    pub(super) isolation: Isolation,
    pub(super) clock: &'a Arc<dyn ReadClock>,
    pub(super) session: &'a mut Option<Session>,
    pub(super) stop: &'a AtomicBool,
    pub(super) now_ms: u64,
    pub(super) memory_bytes: &'a mut usize,
    /// Whether a call has used the time or random numbers.
    pub(super) varied: &'a mut bool,
    /// By the latest call.
    pub(super) spent: Cost,
}

impl GuestCaller<'_> {
    /// An instance for the next call, and whether it has served others before.
    fn take_session(&mut self, freshness: Freshness) -> Result<Session, PluginFailure> {
        let kept = self.session.take().filter(|session| match (self.isolation, freshness) {
            // The instance that the load has configured may serve one call.
            (Isolation::PerBatch, _) | (_, Freshness::Required) => session.calls == 0,
            (Isolation::Reused, Freshness::Any) => session.calls < REUSE_CALLS_MAX,
        });
        match kept {
            Some(session) => Ok(session),
            None => self.code.open(self.now_ms).map_err(open_failure),
        }
    }
}

impl Caller for GuestCaller<'_> {
    fn call(&mut self, batch: &[Observation], freshness: Freshness) -> Result<Vec<Verdict>, CallError> {
        let begun_at = self.clock.elapsed();
        let clock = self.clock;
        let lost = || clock.elapsed().saturating_sub(begun_at);
        self.spent = Cost::default();
        let mut session = self.take_session(freshness).map_err(|failure| CallError {
            failure,
            lost: lost(),
            blames_batch: false,
            was_reused: false,
        })?;
        let was_reused = session.calls > 0;
        let seed = self.code.seed(batch);
        let answer = session.evaluate(batch, self.now_ms, seed);
        let time_ns = u64::try_from(lost().as_nanos()).unwrap_or(u64::MAX);
        self.spent = Cost { fuel: session.fuel_used(), time_ns };
        *self.varied |= session.varies();
        *self.memory_bytes = session.memory_bytes().max(*self.memory_bytes);
        match answer {
            Ok(results) => {
                if self.isolation == Isolation::Reused {
                    *self.session = Some(session);
                }
                Ok(results)
            }
            Err(failure) => {
                // On a busy machine a call takes longer than it costs.
                let lost = session.time_used().unwrap_or_else(lost);
                Err(CallError { failure, lost, blames_batch: true, was_reused })
            }
        }
    }

    fn spent(&self) -> Cost {
        self.spent
    }

    fn timeout(&self) -> Duration {
        self.code.limits.timeout
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A failure to make an instance of a plugin that was configured before with the same settings.
fn open_failure(error: OpenError) -> PluginFailure {
    match error {
        OpenError::Start(failure) | OpenError::Configure(failure) => failure,
        OpenError::Types(said) => PluginFailure::BadOutput(said),
        OpenError::Refused(said) => {
            let said = text::cut(&said, 512);
            PluginFailure::BadOutput(format!("`configure` refused settings that it took before: {said}"))
        }
    }
}
