//! What the author of a Phasegate policy plugin depends on: one trait, one macro.
//!
//! ```
//! use phasegate_sdk::{Decision, Failure, NoSettings, Observation, Policy};
//!
//! struct AlwaysFirst;
//!
//! impl Policy for AlwaysFirst {
//!     type Settings = NoSettings;
//!
//!     fn new(_settings: NoSettings) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn decide(&self, _observation: &Observation) -> Result<Decision, Failure> {
//!         Ok(Decision::healthy().phase(0).reason("first", "everything goes first"))
//!     }
//! }
//!
//! phasegate_sdk::export_policy!(AlwaysFirst);
//! # fn main() {}
//! ```
//!
//! How to read this crate: `policy` is the trait, `observation` and `decision` are its input and
//! output, [`json`] and [`azure`] read answers, [`log`] talks to the operator, `testkit` runs case
//! files in a unit test, `component` connects it all to the generated bindings.
//!
//! What it deliberately does not do: no network, files, environment or randomness (the host
//! fetches), no clock (a policy built with it is pure, so its answers may be cached and
//! replayed), and no generated name in the public API.

pub mod azure;
mod decision;
pub mod json;
pub mod log;
mod observation;
mod policy;
mod scan;

#[cfg(target_arch = "wasm32")]
mod allocator;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(not(target_arch = "wasm32"))]
pub mod testkit;

pub use decision::{Decision, Failure, Health, Participation, Reason};
pub use observation::{Answer, Instance, Observation, ProbeFailure, Response};
pub use policy::{NoSettings, Policy};

/// Parts that [`export_policy!`] expands to; not for authors, and free to change.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod __private {
    pub use crate::component::{Slot, bindings};
}

/// Exports a [`Policy`] as the component's evaluator. Call it once, at the root of a crate with
/// `crate-type = ["cdylib", "rlib"]`; on targets other than `wasm32` it expands to nothing, so
/// unit tests run natively.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the exported functions take raw pointers from the host")]
        const _: () = {
            struct Exported;

            impl $crate::__private::Slot for Exported {
                type Policy = $policy;

                fn with<R>(use_it: impl FnOnce(&::core::cell::OnceCell<$policy>) -> R) -> R {
                    ::std::thread_local! {
                        static POLICY: ::core::cell::OnceCell<$policy> =
                            const { ::core::cell::OnceCell::new() };
                    }
                    POLICY.with(use_it)
                }
            }

            $crate::__private::bindings::export_component!(
                Exported with_types_in $crate::__private::bindings
            );
        };

        // On the machine of the author nobody calls it, and it is not dead code all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(
            <$policy as $crate::Policy>::Settings,
        ) -> ::core::result::Result<$policy, ::std::string::String> = <$policy as $crate::Policy>::new;
    };
}
