//! Runs real components on the thread of a plugin.

#[path = "../../../tests/support/guests.rs"]
pub(crate) mod guests;
#[path = "../../../tests/support/observed.rs"]
pub(crate) mod observed;

mod repeat;
mod work;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use phasegate_core::domain::{CompileLimits, Decided, Observation, ReadClock, Verdict};

use observed::{batch, observation, phases};
use phasegate_wasm::{Isolation, Limits, LoadPluginError, LoadedPlugin, Runtime};

/// So much fuel that it is time that runs out.
const LIMITS: Limits = Limits {
    memory_mib: 8,
    timeout: Duration::from_millis(300),
    fuel: u64::MAX / 16,
    log_lines_per_minute: 60,
    compile: CompileLimits::DEFAULT,
};

/// A clock to measure with.
pub(crate) fn clock() -> Arc<dyn ReadClock> {
    Arc::new(crate::clock::Clock::start())
}

/// An engine that keeps nothing.
pub(crate) fn runtime() -> Runtime {
    Runtime::new(clock()).unwrap()
}

fn load_as(name: &str, isolation: Isolation) -> Result<LoadedPlugin, LoadPluginError> {
    let bytes = guests::component(name).unwrap();
    runtime().load(&bytes, "{}", LIMITS, isolation)
}

fn load(name: &str) -> LoadedPlugin {
    load_as(name, Isolation::PerBatch).unwrap()
}

/// Sends on each decision of a batch on a new round.
fn each(sender: Sender<Decided>) -> impl Fn(Vec<(Arc<Observation>, Decided)>) + Send {
    move |batch| {
        let new = batch.into_iter().map(|(_, decided)| decided).filter(|decided| !decided.again);
        new.for_each(|decided| sender.send(decided).unwrap_or_default());
    }
}

/// Evaluates one observation with an empty body.
fn one(plugin: &mut LoadedPlugin) -> Verdict {
    plugin.evaluate(&batch(&[""]), 0).pop().unwrap()
}
