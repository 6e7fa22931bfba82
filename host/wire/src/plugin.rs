//! The JSON about plugins: what runs, how it was loaded, what a new one would change.

use serde::{Deserialize, Serialize};

use crate::words::words;

use super::{Participation, PluginCounts};

/// `GET /v1/plugins`, `plugin list --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Plugins {
    /// All plugins, by name.
    pub plugins: Vec<Plugin>,
}

/// One plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    /// Name in the configuration.
    pub name: String,
    /// Where the active component came from: a path, a URL, `builtin:…` or `upload`.
    pub source: String,
    /// `sha256:…` of the active component.
    pub digest: String,
    /// Rises with each swap.
    pub generation: u64,
    /// World that it was built for.
    pub world: Option<String>,
    /// Same input, same answer.
    pub pure: bool,
    /// Size in bytes.
    pub size: usize,
    /// RFC 3339, UTC.
    pub loaded_at: String,
    /// Why the latest replacement was refused; null when none was.
    pub last_error: Option<String>,
    /// Why the signature of what runs counts no more, as the latest reload found; null where it does. What runs decides on.
    #[serde(default)]
    pub signature_lost: Option<String>,
    /// Why what runs would be refused today for the cases that it does not carry, as the latest reload found; null where it
    /// would not. What runs decides on.
    #[serde(default)]
    pub cases_missing: Option<String>,
    /// The stage that is under way, such as `compile` or `shadow`; null while nothing is.
    pub stage: Option<PluginStageName>,
    /// The latest load, also one that was refused.
    pub load: Option<PluginLoad>,
    /// The load of a component that judges beside the active one, or of one that is watched, where a
    /// later load stands in `load`; else null.
    #[serde(default)]
    pub beside: Option<PluginLoad>,
    /// For how many instances it fails at the moment; null when for none.
    #[serde(default)]
    pub failing: Option<PluginFailing>,
    /// Since the host started.
    pub counters: PluginCounters,
    /// What it has judged since the host started.
    #[serde(default)]
    pub counts: PluginCounts,
}

/// A plugin that gives no decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PluginFailing {
    /// Instances whose latest observation brought no decision.
    pub failed: usize,
    /// Instances that were judged.
    pub instances: usize,
    /// One of the failures.
    pub cause: String,
}

/// One load and its stages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginLoad {
    /// Where the component came from.
    pub source: String,
    /// How it takes over.
    pub strategy: SwapStrategy,
    /// In order, as far as it came.
    pub stages: Vec<PluginStage>,
}

/// One stage of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PluginStage {
    /// Which.
    pub name: PluginStageName,
    /// How it stands.
    pub state: PluginStageState,
    /// Milliseconds; so far, while it runs.
    pub ms: u64,
    /// One line for people.
    pub note: Option<String>,
}

/// What happened to a plugin since the host started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginCounters {
    /// Loads that were begun.
    pub loads: u64,
    /// Loads that were refused at some stage.
    pub refused: u64,
    /// Generations that took over.
    pub promoted: u64,
    /// Generations that a watch took back.
    pub reverted: u64,
    /// Observations that a component beside the active one did not see, because it did not keep up.
    #[serde(default)]
    pub missed: u64,
}

/// The answer to a swap: the plugin as it is now, and what the new component changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PluginSwap {
    /// The plugin.
    #[serde(flatten)]
    pub plugin: Plugin,
    /// What was compared; null under `immediate`, and where the component is the active one already.
    pub diff: Option<PluginDiff>,
}

/// `GET /v1/plugins/NAME/diff`, `plugin diff --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginDiff {
    /// The plugin.
    pub plugin: String,
    /// `rehearse`, `shadow` or `watch`.
    pub stage: PluginStageName,
    /// `sha256:…` of the component that was there before.
    pub from: String,
    /// `sha256:…` of the new one.
    pub to: String,
    /// Instances of its scale sets that were judged.
    pub instances: usize,
    /// Of these, how many both judged; a gate promotes nothing before it is all of them.
    #[serde(default)]
    pub compared: usize,
    /// Observations that both judged.
    pub observations: u64,
    /// Observations that the second one did not see, because it did not keep up.
    #[serde(default)]
    pub missed: u64,
    /// Instances whose latest decision differs.
    pub changed: usize,
    /// Observations where only the new one failed.
    pub failed_new: u64,
    /// Observations where only the old one failed.
    pub failed_old: u64,
    /// Why the gate refuses it; null when it does not, so far.
    pub refusal: Option<String>,
    /// The instances that differ.
    pub changes: Vec<PluginChange>,
}

/// An instance that is judged differently.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginChange {
    /// Its scale set.
    pub scale_set: String,
    /// Its id.
    pub instance: String,
    /// What differs, in the words of `gate.forbid`.
    pub changes: Vec<String>,
    /// What the old component says.
    pub from: PluginVerdict,
    /// What the new one says.
    pub to: PluginVerdict,
}

/// What a component says of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PluginVerdict {
    /// Null when it failed.
    pub health: Option<Claim>,
    /// Phase; null is the last one.
    pub phase: Option<u32>,
    /// Null when it failed.
    pub participation: Option<Participation>,
    /// Why, or why it failed.
    pub reason: Option<String>,
}

/// `GET /v1/plugins/NAME/history`, `plugin history --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PluginHistory {
    /// The plugin.
    pub name: String,
    /// The latest generations that can be gone back to, oldest first; the last one is active.
    pub generations: Vec<PluginGeneration>,
}

/// One generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PluginGeneration {
    /// Which.
    pub generation: u64,
    /// `sha256:…` of its component.
    pub digest: String,
    /// `sha256:…` of its settings, to tell generations of one component apart.
    #[serde(default)]
    pub settings: String,
    /// Where that came from.
    pub source: String,
    /// When it took over; RFC 3339, UTC.
    pub at: String,
    /// Why.
    pub why: String,
}

words! {
    /// A stage on a component's way to become the one that decides.
    PluginStageName {
        /// Its bytes are read or downloaded.
        Fetch = "fetch",
        /// They are those that were asked for.
        Digest = "digest",
        /// They fit the contract by names and types.
        Shape = "shape",
        /// They become machine code.
        Compile = "compile",
        /// Imports meet what the host offers.
        Link = "link",
        /// A first instance takes its settings.
        Configure = "configure",
        /// The cases beside it pass.
        SelfTest = "self-test",
        /// It judges the last observations, without effect.
        Rehearse = "rehearse",
        /// It judges live observations, without effect.
        Shadow = "shadow",
        /// It takes over.
        Promote = "promote",
        /// The one before judges beside it.
        Watch = "watch",
    }
}

words! {
    /// How a stage stands.
    PluginStageState {
        /// Under way.
        Running = "running",
        /// Passed.
        Passed = "passed",
        /// Not needed.
        Skipped = "skipped",
        /// The load ended here.
        Failed = "failed",
    }
}

words! {
    /// How a new component takes over.
    SwapStrategy {
        /// At once.
        Immediate = "immediate",
        /// After it has judged the last observations.
        Rehearse = "rehearse",
        /// After it has judged live observations beside the active one.
        Shadow = "shadow",
    }
}

words! {
    /// What a plugin claims of an instance's health.
    Claim {
        /// It serves.
        Healthy = "healthy",
        /// It does not.
        Unhealthy = "unhealthy",
        /// Cannot be told.
        Unknown = "unknown",
    }
}
