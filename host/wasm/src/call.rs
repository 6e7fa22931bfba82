//! One call into a guest: a store with its limits, a deadline armed before each call, and the
//! name of what went wrong.
//!
//! It decides nothing about retries; see `batch`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use wasmtime::{Engine, Store, Trap};

use phasegate_core::domain::{Digest, Observation, PluginFailure, Verdict};

use super::capability::{GuestLog, HostState};
use super::contract::{Guest, Linked, SettingsRefused, StartError};
use super::limits::{HANDOVER_BYTES_MAX, Limits};
use super::ticker::Ticker;
use super::{output, text, trap, wasi};

/// Fuel of a start and of `configure`, in evaluations: these come once for an instance.
const START_FUEL: u64 = 10;
/// Longest message of the plugin's own about its settings, in bytes.
const SETTINGS_MESSAGE_BYTES_MAX: usize = 2048;

/// Everything that new instances are made of.
pub(super) struct Code {
    pub(super) engine: Engine,
    pub(super) ticker: Ticker,
    pub(super) linked: Arc<dyn Linked>,
    pub(super) settings: String,
    pub(super) limits: Limits,
    pub(super) log: Arc<GuestLog>,
    /// The component's digest, if it imports randomness.
    pub(super) random: Option<Digest>,
}

/// Why there is no configured instance.
pub(super) enum OpenError {
    /// The exports have other types than the contract.
    Types(String),
    /// It did not come up.
    Start(PluginFailure),
    /// `configure` failed.
    Configure(PluginFailure),
    /// `configure` refused the settings.
    Refused(String),
}

/// A configured instance with its store. Never used again after a failed call.
pub(super) struct Session {
    store: Store<HostState>,
    guest: Box<dyn Guest>,
    limits: Limits,
    ticker: Ticker,
    /// Evaluations that it has served.
    pub(super) calls: u32,
}

impl Code {
    /// Makes a new instance and configures it.
    pub(super) fn open(&self, now_ms: u64) -> Result<Session, OpenError> {
        let _running = self.ticker.call();
        let mut store = Store::new(&self.engine, HostState::new(self.limits, Arc::clone(&self.log)));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HANDOVER_BYTES_MAX);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().deadline.reached()));
        let fuel = self.limits.fuel.saturating_mul(START_FUEL);
        // What a message calls the limit is the one that held.
        let limits = Limits { fuel, ..self.limits };
        arm(&mut store, fuel, now_ms, self.seed(&[])).map_err(OpenError::Start)?;
        let guest = match self.linked.start(&mut store) {
            Ok(guest) => guest,
            Err(StartError::Types(error)) => return Err(OpenError::Types(text::summary(&error))),
            Err(StartError::Failed(error)) => {
                return Err(OpenError::Start(classify(&error, &store, limits)));
            }
        };
        arm(&mut store, fuel, now_ms, self.seed(&[])).map_err(OpenError::Configure)?;
        let answer = guest.configure(&mut store, &self.settings);
        store.data_mut().finish_lines();
        store.data_mut().wasi.came_up();
        match answer {
            Ok(Ok(())) => {
                let (limits, ticker) = (self.limits, self.ticker.clone());
                Ok(Session { store, guest, limits, ticker, calls: 0 })
            }
            Ok(Err(SettingsRefused(said))) => {
                Err(OpenError::Refused(text::escaped(&said, SETTINGS_MESSAGE_BYTES_MAX)))
            }
            Err(error) => Err(OpenError::Configure(classify(&error, &store, limits))),
        }
    }

    /// The seed of one call; nothing for a component without randomness.
    pub(super) fn seed(&self, batch: &[Observation]) -> Option<[u8; 32]> {
        self.random.map(|digest| wasi::seed(digest, &self.settings, batch))
    }
}

impl Session {
    /// Bytes of linear memory and tables that it has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.used()
    }

    /// Fuel that the latest evaluation used.
    pub(super) fn fuel_used(&self) -> u64 {
        self.limits.fuel.saturating_sub(self.store.get_fuel().unwrap_or(0))
    }

    /// Whether its answers may follow from the time or from random numbers.
    pub(super) fn varies(&self) -> bool {
        self.store.data().wasi.varies()
    }

    /// CPU time of the latest evaluation, if it has lasted.
    pub(super) fn time_used(&self) -> Option<std::time::Duration> {
        self.store.data().deadline.used()
    }

    /// Judges a batch. After an error the session must be dropped.
    pub(super) fn evaluate(
        &mut self,
        batch: &[Observation],
        now_ms: u64,
        seed: Option<[u8; 32]>,
    ) -> Result<Vec<Verdict>, PluginFailure> {
        let _running = self.ticker.call();
        arm(&mut self.store, self.limits.fuel, now_ms, seed)?;
        self.calls = self.calls.saturating_add(1);
        let answer = self.guest.evaluate(&mut self.store, batch);
        self.store.data_mut().finish_lines();
        match answer {
            Ok(results) => {
                output::count(results.len(), batch.len())?;
                Ok(results)
            }
            Err(error) => Err(classify(&error, &self.store, self.limits)),
        }
    }
}

/// Host code panicked over hostile bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} panicked, a bug in the host: {said}")]
pub struct PanicError {
    what: &'static str,
    said: String,
}

/// Runs host code that handles hostile bytes; a panic in it becomes an error. `what` begins its message.
///
/// # Errors
/// The panic.
pub fn guarded<T>(what: &'static str, run: impl FnOnce() -> T) -> Result<T, PanicError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|cause| {
        let said = cause.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
        PanicError { what, said: text::one_line(&said, 256) }
    })
}

/// Starts the clock of one call and gives it its fuel.
fn arm(
    store: &mut Store<HostState>,
    fuel: u64,
    now_ms: u64,
    seed: Option<[u8; 32]>,
) -> Result<(), PluginFailure> {
    // Fails only in an engine that counts no fuel.
    store.set_fuel(fuel).map_err(|error| PluginFailure::Trapped(text::summary(&error)))?;
    let state = store.data_mut();
    state.now_ms = now_ms;
    if let Some(seed) = seed {
        state.wasi.begin_call(seed);
    }
    state.limiter.begin_call();
    state.begin_words();
    let ticks = state.deadline.begin_call();
    store.set_epoch_deadline(ticks);
    Ok(())
}

fn classify(error: &wasmtime::Error, store: &Store<HostState>, limits: Limits) -> PluginFailure {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        let limit_ms = u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX);
        return PluginFailure::OutOfTime { limit_ms };
    }
    if trap == Some(&Trap::OutOfFuel) {
        return PluginFailure::OutOfFuel { limit: limits.fuel };
    }
    if store.data().limiter.refused() {
        return PluginFailure::OutOfMemory { limit_mib: u64::from(limits.memory_mib) };
    }
    let last_words = store.data().last_words().map_or(String::new(), |said| format!("; it said: {said}"));
    if trap.is_some() {
        return PluginFailure::Trapped(format!("{}{last_words}", trap::describe(error)));
    }
    let said = text::one_line(&error.root_cause().to_string(), 512);
    // The engine's error for this is private; its words are all there is.
    if said.contains("fuel allocated for hostcalls has been exhausted") {
        let limit_mib = HANDOVER_BYTES_MAX >> 20;
        return PluginFailure::BadOutput(format!("more than {limit_mib} MiB in one call"));
    }
    PluginFailure::BadOutput(format!("{said}{last_words}"))
}
