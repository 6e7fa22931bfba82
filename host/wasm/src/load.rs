//! From bytes to a plugin that is ready to judge: shape, world, compile, link, configure.
//!
//! Each step has its own error, and none of them touches a plugin that already runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Component;

use phasegate_core::domain::{Cost, Digest, Observation, PluginFailure, ReadClock, Verdict};

use super::batch::{self, BatchSize, CallError, Caller, Freshness, Judged};
use super::call::{self, Code, OpenError, Session};
use super::capability::GuestLog;
use super::contract::{self, Contract, Linked};
use super::engine::Runtime;
use super::error::LoadPluginError;
use super::limits::{Isolation, Limits};
use super::shape::Shape;
use super::stage::{LoadTrace, Stage, StepState};
use super::world::{self, Import};
use super::{difference, inspect, shape, text, wasi};

/// Calls that a reused instance serves: its memory can only grow, and nobody shall come to rely
/// on its globals.
const REUSE_CALLS_MAX: u32 = 10_000;

/// A plugin that is compiled, linked and configured. Not shared between threads: a second user
/// loads a second one.
pub struct LoadedPlugin {
    code: Code,
    isolation: Isolation,
    digest: Digest,
    pure: bool,
    repeatable: bool,
    varied: bool,
    world: Option<String>,
    clock: Arc<dyn ReadClock>,
    session: Option<Session>,
    size: BatchSize,
    stop: Arc<AtomicBool>,
    memory_bytes: usize,
}

/// A component that is checked, compiled and linked, and not configured yet: one compilation serves
/// any number of settings. Clones share it.
#[derive(Clone)]
pub struct CompiledPlugin {
    engine: Engine,
    linked: Arc<dyn Linked>,
    digest: Digest,
    imports: Vec<Import>,
    world: Option<String>,
    clock: Arc<dyn ReadClock>,
    code_bytes: usize,
}

impl Runtime {
    /// Loads a plugin: checks, compiles, links, and calls `configure` once on a first instance.
    /// Compiling takes milliseconds for a small component, many seconds for one that carries a
    /// language runtime.
    ///
    /// # Errors
    /// When the bytes are not a component that fits the contract, or the plugin refuses its
    /// settings or fails in `configure`.
    pub fn load(
        &self,
        bytes: &[u8],
        settings_json: &str,
        limits: Limits,
        isolation: Isolation,
    ) -> Result<LoadedPlugin, LoadPluginError> {
        self.compile(bytes)?.configure(settings_json, limits, isolation)
    }

    /// Checks, compiles and links; runs nothing of the component.
    ///
    /// # Errors
    /// When the bytes are not a component that fits the contract.
    pub fn compile(&self, bytes: &[u8]) -> Result<CompiledPlugin, LoadPluginError> {
        self.compile_traced(bytes, inspect::component_digest(bytes), &LoadTrace::new(Arc::clone(&self.clock)))
    }

    /// The same, with its stages on record. `digest` is that of these very bytes: compiled code is kept
    /// under it.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_traced(
        &self,
        bytes: &[u8],
        digest: Digest,
        trace: &LoadTrace,
    ) -> Result<CompiledPlugin, LoadPluginError> {
        if let Some(recent) = self.recent.as_ref().and_then(|recent| recent.get(digest)) {
            for stage in [Stage::Shape, Stage::Compile, Stage::Link] {
                trace.begin(stage);
                trace.end(stage, StepState::Passed, Some("in memory".to_owned()));
            }
            return Ok(recent);
        }
        let compiled = self.cache.as_ref().is_some_and(|cache| cache.has(&self.engine, digest));
        let examine = if compiled { shape::examine_compiled } else { shape::examine };
        let Fits { contract, imports, world } =
            trace.run(Stage::Shape, || check_shape(bytes, &examine(bytes)?))?;
        let component = trace.run(Stage::Compile, || self.component(bytes, digest, trace))?;
        let linked = trace.run(Stage::Link, || {
            contract
                .link(&self.engine, &component)
                .map_err(|error| LoadPluginError::TypesDiffer(text::summary(&error)))
        })?;
        let code = component.image_range();
        let plugin = CompiledPlugin {
            engine: self.engine.clone(),
            linked: Arc::from(linked),
            digest,
            world,
            imports,
            clock: Arc::clone(&self.clock),
            code_bytes: code.end.addr().saturating_sub(code.start.addr()),
        };
        if let Some(recent) = &self.recent {
            recent.put(&plugin);
        }
        Ok(plugin)
    }

    /// Machine code, from the cache or the compiler.
    fn component(
        &self,
        bytes: &[u8],
        digest: Digest,
        trace: &LoadTrace,
    ) -> Result<Component, LoadPluginError> {
        let cached = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, digest));
        if let Some(component) = cached {
            trace.note(Stage::Compile, "cached");
            return Ok(component);
        }
        let component = compile_aside(|| Component::from_binary(&self.engine, bytes))
            .and_then(|result| result.map_err(|error| text::summary(&error)))
            .map_err(LoadPluginError::Compile)?;
        if let Some(cache) = &self.cache {
            cache.store(&self.engine, digest, &component);
        }
        Ok(component)
    }
}

/// Runs the compiler on a thread of its own, which gives way to everything that already runs. The
/// compiler's helpers are begun by it and are as polite.
fn compile_aside<T: Send>(compile: impl FnOnce() -> T + Send) -> Result<T, String> {
    let polite = || {
        // One that stays as important as the others is no reason not to compile.
        let _ = rustix::process::nice(10);
        call::guarded("the compiler", compile)
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("plugin-compiler".to_owned()).spawn_scoped(scope, polite);
        let thread = thread.map_err(|error| format!("no thread for the compiler: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("the compiler ended without a result".to_owned()))
    })
}

/// What is known of bytes that fit the contract by their names and types.
struct Fits {
    contract: &'static dyn Contract,
    imports: Vec<Import>,
    world: Option<String>,
}

/// Everything that can be said of the bytes before the compiler, which takes its time.
fn check_shape(bytes: &[u8], shape: &Shape) -> Result<Fits, LoadPluginError> {
    if !shape.is_component {
        return Err(LoadPluginError::CoreModule { embedded: shape.has_component_type });
    }
    let language = || wasi::language(bytes);
    let imports = world::judge(&shape.imports, language);
    world::check(&imports, &shape.exports, language)?;
    difference::check(shape)?;
    let world = world::guess(&imports, &shape.exports);
    Ok(Fits { contract: contract::of(&shape.exports), imports, world })
}

impl CompiledPlugin {
    /// Makes a first instance and calls its `configure`.
    ///
    /// # Errors
    /// When the plugin does not start, refuses the settings or fails in `configure`.
    pub fn configure(
        &self,
        settings_json: &str,
        limits: Limits,
        isolation: Isolation,
    ) -> Result<LoadedPlugin, LoadPluginError> {
        let code = Code {
            engine: self.engine.clone(),
            linked: Arc::clone(&self.linked),
            settings: settings_json.to_owned(),
            limits,
            log: Arc::new(GuestLog::new(
                self.digest.short(),
                limits.log_lines_per_minute,
                Arc::clone(&self.clock),
            )),
            random: world::imports_random(&self.imports).then_some(self.digest),
        };
        let now_ms = u64::try_from(self.clock.now().wall.0).unwrap_or(0);
        let session = code.open(now_ms).map_err(LoadPluginError::from)?;
        Ok(LoadedPlugin {
            memory_bytes: session.memory_bytes(),
            code,
            isolation,
            digest: self.digest,
            pure: world::is_pure(&self.imports),
            repeatable: world::is_repeatable(&self.imports),
            varied: false,
            world: self.world.clone(),
            clock: Arc::clone(&self.clock),
            session: Some(session),
            size: BatchSize::new(),
            stop: Arc::new(AtomicBool::new(false)),
        })
    }
}

impl CompiledPlugin {
    /// SHA-256 of the component.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The world that it was built for, for example `phasegate:policy/policy@1.0.0`.
    #[must_use]
    pub fn world(&self) -> Option<&str> {
        self.world.as_deref()
    }

    /// Whether equal input always brings an equal answer: it cannot ask for the time.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        world::is_pure(&self.imports)
    }

    /// Size of its machine code, and what belongs to it, in bytes.
    pub(super) fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    #[cfg(test)]
    pub(super) fn with(self, digest: Digest, code_bytes: usize) -> Self {
        Self { digest, code_bytes, ..self }
    }
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

    /// Judges any number of observations, in calls of at most [`super::BATCH_MAX`]; the results
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

impl From<OpenError> for LoadPluginError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Types(message) => Self::TypesDiffer(message),
            OpenError::Start(failure) => Self::Start(failure),
            OpenError::Configure(failure) => Self::Configure(failure),
            OpenError::Refused(said) => Self::SettingsRefused(said),
        }
    }
}

/// Calls the guest for one evaluation.
struct GuestCaller<'a> {
    code: &'a Code,
    isolation: Isolation,
    clock: &'a Arc<dyn ReadClock>,
    session: &'a mut Option<Session>,
    stop: &'a AtomicBool,
    now_ms: u64,
    memory_bytes: &'a mut usize,
    /// Whether a call has used the time or random numbers.
    varied: &'a mut bool,
    /// By the latest call.
    spent: Cost,
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
