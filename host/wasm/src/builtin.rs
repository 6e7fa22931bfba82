//! Components that are part of the host.

/// `builtin:azure-health`, built from `plugins/azure-health`.
pub const AZURE_HEALTH: &[u8] = include_bytes!("../../../plugins/azure-health/azure-health.wasm");

/// The demo's plugin, built from `plugins/replicated-db`. Not offered in configurations: there it
/// is a file like any other.
pub const REPLICATED_DB: &[u8] = include_bytes!("../../../plugins/replicated-db/replicated-db.wasm");

/// Whether a component is one of them.
#[must_use]
pub fn has(component: &[u8]) -> bool {
    [AZURE_HEALTH, REPLICATED_DB].contains(&component)
}
