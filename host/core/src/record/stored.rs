//! What is recorded of retries, models, plugins and the rest: the values inside a [`super::Write`].
//!
//! Says nothing about tables or files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Actor, Digest, Generation, Goal, PluginName, ScaleSetName, Timestamp, UpgradeId, Version,
};

/// An upgrade that begins by itself: one that faulted is tried again, or something else is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// When.
    pub at: Timestamp,
    /// What is wanted.
    pub goal: Goal,
    /// Which try it will be; 1 was the first.
    pub attempt: u32,
    /// Why.
    #[serde(default)]
    pub why: RetryWhy,
}

/// Why an upgrade begins by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryWhy {
    /// The one before faulted.
    #[default]
    Faulted,
    /// Something else is wanted.
    Wanted,
}

/// No upgrade of any scale set admits anything, until a person says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedLine {
    /// Since when.
    pub at: Timestamp,
    /// One line for people.
    pub reason: String,
    /// Who stopped it.
    #[serde(default)]
    pub by: Actor,
}

/// A person keeps a type in a set as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OptOut {
    /// Since when, a date.
    pub at: Timestamp,
    /// Who said so.
    pub by: Actor,
    /// One line for people.
    pub reason: Option<String>,
}

/// A subscription has registered the feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// Since when, a date.
    pub at: Timestamp,
    /// Who said so.
    pub by: Actor,
}

/// What is wanted of a component, and what the configuration said when that was decided: a later
/// change of the configuration wins over an older `upgrade start --to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredModel {
    /// Wanted version.
    pub version: Version,
    /// What the configuration said at that time; where its version comes of the catalogue, with what it may be of that.
    pub configured: Version,
    /// What an upgrade that Completed brought last, or what the set began with: what a new instance starts with. None
    /// in a record of an earlier build.
    #[serde(default)]
    pub good: Option<Version>,
}

/// Which component a plugin ran last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPlugin {
    /// Its generation.
    pub generation: Generation,
    /// Digest of the component.
    pub digest: Digest,
    /// Digest of the component that the configuration named at that time.
    pub configured: Digest,
    /// The latest generations, oldest first; the last one is this one.
    #[serde(default)]
    pub history: Vec<StoredGeneration>,
    /// What the configuration names and what did not pass: it is not taken at a start either.
    #[serde(default)]
    pub refused: Option<StoredRefusal>,
    /// What judges beside it without effect, and goes on to do so after a restart.
    #[serde(default)]
    pub shadow: Option<StoredShadow>,
    /// The component that the configuration named when it was looked at last: it comes up again only
    /// when another one is there. Absent in records of older hosts.
    #[serde(default)]
    pub considered: Option<Digest>,
    /// Who watches it, and does so again after a restart.
    #[serde(default)]
    pub watch: Option<StoredWatch>,
}

/// One generation of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredGeneration {
    /// Which.
    pub generation: Generation,
    /// Digest of the component; its bytes are kept under it.
    pub digest: Digest,
    /// Where it came from.
    pub source: String,
    /// Its settings, as JSON.
    pub settings: String,
    /// When it took over.
    pub at: Timestamp,
    /// Why, in one line.
    pub why: String,
    /// Why it was left because it was worse than another one, if it was: nothing goes back to it by
    /// itself.
    #[serde(default)]
    pub left_because: Option<String>,
    /// Whether a person insisted on it. Absent in records of older hosts.
    #[serde(default)]
    pub forced: Forced,
}

/// Whether a person insisted on a generation, whatever it showed: then nothing takes it back by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Forced {
    /// None did.
    #[default]
    No,
    /// A person did.
    Yes,
}

/// A generation that is watched by the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredWatch {
    /// The one before, which is in the history.
    pub former: Generation,
    /// What brings it back.
    pub heeds: StoredHeed,
}

/// What brings the generation before back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoredHeed {
    /// More failures, and more changes than the gate allows.
    Everything,
    /// More failures only: a person has seen the changes.
    Failures,
}

/// A component that judges beside the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredShadow {
    /// Digest of the component; its bytes are kept under it.
    pub digest: Digest,
    /// Where it came from.
    pub source: String,
    /// Its settings, as JSON.
    pub settings: String,
}

/// What a pipeline refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRefusal {
    /// As [`StoredPlugin::configured`].
    pub configured: Digest,
    /// Why, in one line.
    pub why: String,
}

/// What a plugin asked to remember of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMemory {
    /// Whose it is: another plugin would not understand it.
    pub plugin: PluginName,
    /// At most 4,096 bytes.
    pub bytes: Vec<u8>,
}

/// A request that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRequest {
    /// Its place among those that were granted.
    pub number: u64,
    /// What was asked for, to tell a repeat from another request under the same key.
    pub asked: String,
    /// The scale set that it was about.
    pub scale_set: Option<ScaleSetName>,
    /// The upgrade that was running, or had run, when it was granted.
    pub upgrade: Option<UpgradeId>,
    /// What it changed, if it was a reload.
    #[serde(default)]
    pub reload: Option<StoredReload>,
}

/// What a reload changed, so that a repeat of it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredReload {
    /// Scale sets, and what of each is another one, as the configuration calls it.
    pub sets: BTreeMap<ScaleSetName, Vec<String>>,
    /// Plugins that changed.
    pub plugins: BTreeMap<PluginName, StoredTakeUp>,
}

/// What a reload did to a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredTakeUp {
    /// Digest of the component that ran before.
    pub from: Digest,
    /// Digest of the one that took over; the same where only settings or limits changed.
    pub to: Digest,
}
