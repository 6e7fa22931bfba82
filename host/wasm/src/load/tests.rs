//! How often a component is compiled.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use phasegate_core::domain::CompileLimits;

use crate::compiler::{Compiler, CompilerError, Here};
use crate::tests::{LIMITS, guests, runtime};
use crate::{CodeCache, Isolation, builtin};

/// Compiles, and counts how often.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Compiler for Counts {
    fn compile(
        &self,
        component: &[u8],
        limits: CompileLimits,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, CompilerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Here.compile(component, limits, stop)
    }
}

/// How often a component is compiled that is loaded so often at once.
fn compiled(component: &[u8], own: Option<&Path>, shared: &Path, loads: usize) -> usize {
    let counts = Arc::new(Counts::default());
    let runtime = runtime().with_compiler(counts.clone());
    let runtime = match own {
        Some(own) => runtime.with_cache(CodeCache::open(own).unwrap()),
        None => runtime,
    };
    let runtime = runtime.with_shared(CodeCache::open(shared).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..loads {
            scope.spawn(|| runtime.load(component, "{}", LIMITS, Isolation::PerBatch).unwrap());
        }
    });
    counts.0.load(Ordering::Relaxed)
}

#[test]
fn what_comes_with_the_program_is_compiled_once_for_all_hosts_of_a_user() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, second, shared] = folders.each_ref().map(tempfile::TempDir::path);
    assert_eq!(compiled(builtin::AZURE_HEALTH, Some(first), shared, 3), 1, "who wants the same waits for it");
    assert_eq!(compiled(builtin::AZURE_HEALTH, Some(second), shared, 1), 0, "a host with an empty folder");
    assert_eq!(compiled(builtin::AZURE_HEALTH, None, shared, 1), 0, "one without any");
}

#[test]
fn what_is_not_part_of_the_program_is_not_shared() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, second, shared] = folders.each_ref().map(tempfile::TempDir::path);
    let component = guests::component("good").unwrap();
    assert_eq!(compiled(&component, Some(first), shared, 1), 1);
    assert_eq!(compiled(&component, Some(first), shared, 1), 0);
    assert_eq!(compiled(&component, Some(second), shared, 1), 1);
}
