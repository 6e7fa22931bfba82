//! Runs real components, most of them hostile, through the whole runtime.

#[path = "../../../tests/support/contracts.rs"]
pub(crate) mod contracts;
#[path = "../../../tests/support/guests.rs"]
pub(crate) mod guests;
#[path = "../../../tests/support/observed.rs"]
pub(crate) mod observed;

mod bytes;
mod clock;
mod evaluate;
mod finish;
mod load;
mod wasi;

use std::sync::Arc;
use std::time::Duration;

use phasegate_core::domain::{CompileLimits, ReadClock, Verdict};

use observed::{batch, observation, phases};

use super::{Isolation, Limits, LoadPluginError, LoadedPlugin, Runtime};

/// So much fuel that it is time that runs out.
pub(crate) const LIMITS: Limits = Limits {
    memory_mib: 8,
    timeout: Duration::from_millis(300),
    fuel: u64::MAX / 16,
    log_lines_per_minute: 60,
    compile: CompileLimits::DEFAULT,
};

/// A clock to measure with.
pub(crate) fn clock() -> Arc<dyn ReadClock> {
    Arc::new(clock::TestClock::default())
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

fn refusal(name: &str) -> String {
    load_as(name, Isolation::PerBatch).err().unwrap().to_string()
}

/// Evaluates one observation with an empty body.
fn one(plugin: &mut LoadedPlugin) -> Verdict {
    plugin.evaluate(&batch(&[""]), 0).pop().unwrap()
}

/// The failure of a guest on one observation, as text.
fn failure(name: &str) -> String {
    one(&mut load(name)).unwrap_err().to_string()
}
