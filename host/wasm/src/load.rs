//! From bytes to a plugin that is ready to judge: shape, world, compile, link, configure.
//!
//! Each step has its own error, and none of them touches a plugin that already runs.

mod caller;
mod loaded;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::Engine;
use wasmtime::component::Component;

use phasegate_core::domain::{CompileLimits, Digest, ReadClock};

use super::batch::BatchSize;
use super::cache::CodeCache;
use super::call::{Code, OpenError};
use super::capability::GuestLog;
use super::compiler::CompilerError;
use super::contract::{self, Contract, Linked};
use super::engine::Runtime;
use super::error::LoadPluginError;
use super::limits::{Isolation, Limits};
use super::shape::Shape;
use super::stage::{LoadTrace, Stage, StepState};
use super::ticker::Ticker;
use super::world::{self, Import};
use super::{builtin, cache, difference, inspect, shape, text, wasi};

pub use loaded::LoadedPlugin;

/// A component that is checked, compiled and linked, and not configured yet: one compilation serves
/// any number of settings. Clones share it.
#[derive(Clone)]
pub struct CompiledPlugin {
    engine: Engine,
    ticker: Ticker,
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
        self.compile_within(bytes, CompileLimits::DEFAULT, &AtomicBool::new(false))
    }

    /// The same, within limits of one's own, and until `stop` turns true.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_within(
        &self,
        bytes: &[u8],
        limits: CompileLimits,
        stop: &AtomicBool,
    ) -> Result<CompiledPlugin, LoadPluginError> {
        let trace = LoadTrace::new(Arc::clone(&self.clock));
        self.compile_traced((bytes, inspect::component_digest(bytes)), limits, stop, &trace)
    }

    /// The same, with its stages on record. The digest is that of these very bytes: compiled code is kept
    /// under it.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_traced(
        &self,
        (bytes, digest): (&[u8], Digest),
        limits: CompileLimits,
        stop: &AtomicBool,
        trace: &LoadTrace,
    ) -> Result<CompiledPlugin, LoadPluginError> {
        if let Some(recent) = self.recent.as_ref().and_then(|recent| recent.get(digest)) {
            for stage in [Stage::Shape, Stage::Compile, Stage::Link] {
                trace.begin(stage);
                trace.end(stage, StepState::Passed, Some("in memory".to_owned()));
            }
            return Ok(recent);
        }
        let compiled = self.caches.iter().any(|cache| cache.has(&self.engine, digest));
        let examine = if compiled { shape::examine_compiled } else { shape::examine };
        let Fits { contract, imports, world } =
            trace.run(Stage::Shape, || check_shape(bytes, &examine(bytes)?))?;
        let component = trace.run(Stage::Compile, || {
            self.cached(bytes, digest, trace)
                .map_or_else(|| self.component(bytes, digest, (limits, stop), trace), Ok)
        })?;
        let linked = trace.run(Stage::Link, || {
            contract
                .link(&self.engine, &component)
                .map_err(|error| LoadPluginError::TypesDiffer(text::summary(&error)))
        })?;
        let code = component.image_range();
        let plugin = CompiledPlugin {
            engine: self.engine.clone(),
            ticker: self.ticker.clone(),
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

    /// Where the code of a component may be kept: for all hosts of the user only what comes with the program.
    fn shared(&self, bytes: &[u8]) -> Option<&Arc<CodeCache>> {
        self.shared.as_ref().filter(|_| builtin::has(bytes))
    }

    fn cached(&self, bytes: &[u8], digest: Digest, trace: &LoadTrace) -> Option<Component> {
        let mut all = self.caches.iter().chain(self.shared(bytes));
        let found = all.find_map(|cache| cache.load(&self.engine, digest))?;
        trace.note(Stage::Compile, "cached");
        Some(found)
    }

    /// Machine code from the compiler.
    fn component(
        &self,
        bytes: &[u8],
        digest: Digest,
        (limits, stop): (CompileLimits, &AtomicBool),
        trace: &LoadTrace,
    ) -> Result<Component, LoadPluginError> {
        let refused = |error: CompilerError| LoadPluginError::Compile(error.to_string());
        let _mine = self.making.begin(digest, stop).map_err(refused)?;
        // Another one may have compiled the same meanwhile.
        if let Some(found) = self.cached(bytes, digest, trace) {
            return Ok(found);
        }
        let code = self.compiler.compile(bytes, limits, stop).map_err(refused)?;
        let component = cache::of_our_compiler(&self.engine, &code).ok_or_else(|| {
            refused(CompilerError::Ended("code that this engine does not take; please report it".to_owned()))
        })?;
        for cache in self.caches.first().into_iter().chain(self.shared(bytes)) {
            cache.store(&self.engine, digest, &code);
        }
        Ok(component)
    }
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
        return Err(LoadPluginError::CoreModule);
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
            ticker: self.ticker.clone(),
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

#[cfg(test)]
mod tests;
