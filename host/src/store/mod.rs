//! The durable state: upgrades, versions, models, plugin generations and the audit trail.
//!
//! The loop hands over a list of [`Write`]s; they are durable together or not at all, and only
//! then does it act. The store decides nothing and reads no clock.

mod lock;
mod sqlite;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use phasegate_core::domain::{
    Change, Component, Digest, Fence, Generation, Goal, InstanceId, Membership, PluginName, ScaleSetName,
    Timestamp, UpgradeId, Version,
};
use phasegate_core::rollout::{Member, Upgrade};

pub use sqlite::SqliteStore;

/// Something went wrong with the data directory.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another host works on it.
    #[error("data directory `{}` is in use by another phasegate (pid {pid}); stop that one or choose another server.dataDir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process id that the other host wrote down.
        pid: String,
    },
    /// It cannot be made or written.
    #[error("cannot use data directory `{}`: {source}; make it writable or choose another server.dataDir", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The data file was removed or replaced while we had it open.
    #[error("data file `{}` was removed or replaced while the host ran; nothing can be recorded any more: stop the host, bring the file back or start anew", path.display())]
    Gone {
        /// The data file.
        path: PathBuf,
    },
    /// It was written by a version from before the first release.
    #[error("data file `{}` has schema {seen}, this phasegate starts at {known}; choose another server.dataDir, or move the file away to start anew", path.display())]
    OlderSchema {
        /// The data file.
        path: PathBuf,
        /// Schema in the file.
        seen: i64,
        /// The only schema that this program knows.
        known: i64,
    },
    /// It was written by a later version of Phasegate.
    #[error("data file `{}` has schema {seen}, this phasegate knows up to {known}; run the newer phasegate that wrote it, or choose another server.dataDir", path.display())]
    NewerSchema {
        /// The data file.
        path: PathBuf,
        /// Schema in the file.
        seen: i64,
        /// Newest schema that this program knows.
        known: i64,
    },
    /// SQLite says no.
    #[error("data file `{}`: {source}", path.display())]
    Sqlite {
        /// The data file.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// A row does not read back.
    #[error("data file `{}`: {what} does not read back: {source}; it was changed by another program or is damaged", path.display())]
    Damaged {
        /// The data file.
        path: PathBuf,
        /// Which row.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// A faulted upgrade that is tried again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// When.
    pub at: Timestamp,
    /// What is wanted.
    pub goal: Goal,
    /// Which try it will be; 1 was the first.
    pub attempt: u32,
}

/// No upgrade of any scale set admits anything, until a person says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedLine {
    /// Since when.
    pub at: Timestamp,
    /// One line for people.
    pub reason: String,
}

/// What is wanted of a component, and what the configuration said when that was decided: a later
/// change of the configuration wins over an older `upgrade start --to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredModel {
    /// Wanted version.
    pub version: Version,
    /// What the configuration said at that time.
    pub configured: Version,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMemory {
    /// Whose it is: another plugin would not understand it.
    pub plugin: PluginName,
    /// At most 4,096 bytes.
    pub bytes: Vec<u8>,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Which scale set.
    pub scale_set: ScaleSetName,
    /// Which upgrade, if any.
    pub upgrade: Option<UpgradeId>,
    /// Which instance, if any.
    pub instance: Option<InstanceId>,
    /// Stable code of what happened.
    pub kind: Cow<'static, str>,
    /// One line for people.
    pub text: String,
}

/// One change of the durable state.
#[derive(Debug, Clone)]
pub enum Write {
    /// The upgrade without its members.
    Upgrade(Box<Upgrade>),
    /// One member of an upgrade.
    Member(UpgradeId, InstanceId, Member),
    /// A member that left the plan before its turn.
    MemberLeft(UpgradeId, InstanceId),
    /// The version that an instance has of a component.
    Version(ScaleSetName, InstanceId, Component, Option<Version>),
    /// An instance that was created or deleted.
    Membership(ScaleSetName, InstanceId, Membership),
    /// What a plugin asked to remember of an instance; none when it forgets.
    Memory(ScaleSetName, InstanceId, Option<StoredMemory>),
    /// What is wanted of a component in a scale set.
    Model(ScaleSetName, Component, StoredModel),
    /// Which component a plugin runs.
    Plugin(PluginName, StoredPlugin),
    /// A version that faulted, and why; none lifts the quarantine.
    Quarantine(ScaleSetName, Change, Option<String>),
    /// When a faulted upgrade is tried again; none drops the plan.
    Retry(ScaleSetName, Option<Retry>),
    /// A stopped line; none lets it go on.
    Line(Option<StoppedLine>),
    /// A line of the audit trail.
    Audit(AuditEntry),
}

/// Everything that a starting host needs to go on.
#[derive(Debug, Default)]
pub struct Stored {
    /// Rises with each start; tells a driver which host speaks.
    pub fence: Fence,
    /// Wanted versions.
    pub models: BTreeMap<(ScaleSetName, Component), StoredModel>,
    /// Versions that instances have; none where an effect failed half-way.
    pub versions: BTreeMap<(ScaleSetName, InstanceId, Component), Option<Version>>,
    /// Instances that were created or deleted.
    pub memberships: BTreeMap<(ScaleSetName, InstanceId), Membership>,
    /// What plugins asked to remember.
    pub memories: BTreeMap<(ScaleSetName, InstanceId), StoredMemory>,
    /// The latest upgrade of each scale set, with its members.
    pub upgrades: BTreeMap<ScaleSetName, Upgrade>,
    /// Versions that faulted and are not tried again unless somebody insists, with the reason.
    pub quarantined: BTreeMap<(ScaleSetName, Change), String>,
    /// Faulted upgrades that are tried again.
    pub retries: BTreeMap<ScaleSetName, Retry>,
    /// Whether the line is stopped.
    pub line: Option<StoppedLine>,
    /// Components in use.
    pub plugins: BTreeMap<PluginName, StoredPlugin>,
}

/// Where the loop writes.
pub trait Store: Send {
    /// Makes all writes durable together.
    ///
    /// # Errors
    /// When the disk or the database refuses; nothing of the list is then stored.
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// The latest lines of the audit trail of a scale set, or of one instance of it, oldest first, at
    /// most `limit`.
    ///
    /// # Errors
    /// When the data file cannot be read.
    fn audit(
        &self,
        scale_set: &ScaleSetName,
        instance: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// The latest upgrade of a scale set that was asked for before a time, with its members.
    ///
    /// # Errors
    /// When the data file cannot be read.
    fn upgrade_before(&self, scale_set: &ScaleSetName, at: Timestamp) -> Result<Option<Upgrade>, StoreError>;
}
