//! The JSON of `check --json`; no host is asked for it.

use serde::{Deserialize, Serialize};

use super::{CheckDiscovery, Limits, WarningCode};

/// `check --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Whether a host would start with this file.
    pub ok: bool,
    /// What keeps it from it, in the order of the lines.
    pub problems: Vec<CheckProblem>,
    /// What to know all the same.
    pub warnings: Vec<CheckWarning>,
    /// What the policies amount to; empty while the file itself is wrong.
    pub scale_sets: Vec<CheckScaleSet>,
    /// What all plugins together may take of the machine; left out while the file itself is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<CheckReserved>,
}

/// What all plugins together may take of the machine, by their limits, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckReserved {
    /// Memories and tables of those that decide.
    #[serde(rename = "memoryMiB")]
    pub memory_mib: u64,
    /// Stacks of their threads.
    #[serde(rename = "stackMiB")]
    pub stack_mib: u64,
    /// The same again, while others judge beside them.
    #[serde(rename = "besideMiB")]
    pub beside_mib: u64,
    /// A compiler; there is one at a time.
    #[serde(rename = "compilerMiB")]
    pub compiler_mib: u64,
    /// What the machine, or the container, has; null where the system does not say.
    #[serde(rename = "machineMiB")]
    pub machine_mib: Option<u64>,
}

/// One thing to correct.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckProblem {
    /// The file as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Path of the key; empty when the file is not TOML.
    pub key: String,
    /// What was seen.
    pub message: String,
    /// What would be right; null when the message says it.
    pub hint: Option<String>,
    /// How often the same mistake is made, when that is more than once; the place and the key are those of
    /// the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<usize>,
}

/// A warning about one scale set or one plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckWarning {
    /// The scale set; absent when it is about a plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_set: Option<String>,
    /// The plugin; absent when it is about a scale set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Stable code.
    pub code: WarningCode,
    /// One line for people.
    pub message: String,
}

/// One scale set of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckScaleSet {
    /// Its name.
    pub name: String,
    /// Its policy's percentages as counts.
    #[serde(flatten)]
    pub limits: Limits,
    /// What its source of instances says; left out when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<CheckDiscovery>,
    /// What it takes to ask its instances; left out by a program that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<CheckProbing>,
}

/// What it takes to ask the instances of a set, about, by what was measured (`host/PERFORMANCE.md`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckProbing {
    /// How many there are.
    pub instances: usize,
    /// Probes in a second.
    pub per_second: f64,
    /// What they take of a core in percent; null for protocols of which that was not measured.
    pub cpu_percent: Option<f64>,
    /// What the instances take of the memory, in MiB.
    #[serde(rename = "memoryMiB")]
    pub memory_mib: u64,
}
