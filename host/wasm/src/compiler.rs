//! Who turns a component into machine code: somebody outside, where there is one, else this process.
//!
//! The compiler is the one part that bytes which nobody has run yet can make take any amount of memory and
//! time. A process of its own can be bounded and ended; a thread cannot. How one is started is not known here.

use std::sync::atomic::AtomicBool;

use phasegate_core::domain::CompileLimits;
use wasmtime::{Engine, Precompiled};

use super::{call, engine, text};

/// Turns components into machine code for the engine of this program. Blocks for as long as that takes.
pub trait Compiler: Send + Sync {
    /// Machine code of a component that was found to be valid.
    ///
    /// # Errors
    /// When the component does not compile, not within the limits, or when `stop` turns true.
    fn compile(
        &self,
        component: &[u8],
        limits: CompileLimits,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, CompilerError>;
}

/// Why there is no machine code; a fragment that follows "does not compile: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompilerError {
    /// The compiler does not take it, in its own words.
    #[error("{0}")]
    Refused(String),
    /// It needs more memory than it may have.
    #[error(
        "its compiler ran into limits.compile.memoryMiB ({limit} MiB); make the component smaller, or set a \
         higher limit if you trust it"
    )]
    Memory {
        /// The limit in MiB.
        limit: u32,
    },
    /// It takes longer than it may.
    #[error(
        "its compiler ran into limits.compile.cpuSeconds ({limit} s); make the component smaller, or set a \
         higher limit if you trust it"
    )]
    Time {
        /// The limit in seconds of CPU time.
        limit: u32,
    },
    /// Nobody waits for it any more.
    #[error("it was stopped, because nobody wants it any more")]
    Stopped,
    /// It came to an end that nobody foresaw.
    #[error("its compiler ended with {0}")]
    Ended(String),
    /// There is no compiler.
    #[error("no compiler can be started: {0}")]
    NotStarted(String),
}

/// Compiles in this process, for the engine of this program: what a compiler that was started for it does.
///
/// # Errors
/// In the compiler's words, when it does not take the component.
pub fn machine_code(component: &[u8]) -> Result<Vec<u8>, String> {
    let engine = engine::plain().map_err(|error| error.to_string())?;
    engine.precompile_component(component).map_err(|error| text::summary(&error))
}

/// Whether bytes look like what [`machine_code`] gives; the engine says whether they are.
pub(super) fn is_machine_code(bytes: &[u8]) -> bool {
    Engine::detect_precompiled(bytes) == Some(Precompiled::Component)
}

/// The compiler of a runtime that was given none: a thread, which gives way to everything that already runs.
/// Bounded by nothing.
pub(super) struct Here;

impl Compiler for Here {
    fn compile(
        &self,
        component: &[u8],
        _limits: CompileLimits,
        _stop: &AtomicBool,
    ) -> Result<Vec<u8>, CompilerError> {
        let polite = || {
            // One that stays as important as the others is no reason not to compile. The compiler's own
            // helpers are begun by it and are as polite.
            let _ = rustix::process::nice(10);
            call::guarded("the compiler", || machine_code(component))
        };
        std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().name("plugin-compiler".to_owned()).spawn_scoped(scope, polite);
            let ended = thread.map_err(|error| CompilerError::NotStarted(error.to_string()))?.join();
            let ended = ended.map_err(|_| CompilerError::Ended("no result".to_owned()))?;
            ended.map_err(|panic| CompilerError::Ended(panic.to_string()))?.map_err(CompilerError::Refused)
        })
    }
}
