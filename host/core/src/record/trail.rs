//! What is read of the record beside the one who writes it: the trail, and upgrades of the past.
//!
//! Only what is asked and what is answered; how the record is searched is the store's affair.

use super::StoreError;
use super::audit::Entry;
use crate::domain::{By, InstanceId, ScaleSetName, UpgradeId, WallTime};
use crate::rollout::{Progress, Upgrade};

/// A place in the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The line of this number.
    Seq(u64),
    /// The first line of this date or a later one, or the last line of it or an earlier one. A machine's date may be
    /// put back: what counts then is the order in which the lines were written.
    Date(WallTime),
}

/// Which lines of the trail are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailQuery {
    /// Of this scale set.
    pub scale_set: ScaleSetName,
    /// Of this instance only.
    pub instance: Option<InstanceId>,
    /// Of this upgrade only.
    pub upgrade: Option<UpgradeId>,
    /// What comes after the line of this number, or from this date on.
    pub since: Option<Place>,
    /// Up to this line or date, with it.
    pub until: Option<Place>,
    /// What comes before the line of this number.
    pub before: Option<u64>,
    /// So many at most, the latest.
    pub limit: u32,
}

impl TrailQuery {
    /// The latest lines of a scale set.
    #[must_use]
    pub fn latest(scale_set: ScaleSetName, limit: u32) -> Self {
        Self { scale_set, instance: None, upgrade: None, since: None, until: None, before: None, limit }
    }
}

/// A part of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrailPage {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Whether there are older ones that were asked for and did not fit.
    pub more: bool,
}

/// Which piece of the trail is wanted by those who follow it: the oldest lines first, of all scale sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailPiece {
    /// Behind this line.
    pub after: u64,
    /// Up to this one, which is part of it.
    pub until: u64,
    /// Of this scale set only.
    pub scale_set: Option<ScaleSetName>,
    /// Of instances with this id only.
    pub instance: Option<InstanceId>,
    /// So many lines at most, the oldest.
    pub limit: u32,
}

/// Which upgrades are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradesQuery {
    /// Of this scale set.
    pub scale_set: ScaleSetName,
    /// Only those with a lower number.
    pub before: Option<u64>,
    /// So many at most, the latest.
    pub limit: u32,
}

/// An upgrade of the past or the present, as a line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastUpgrade {
    /// Without batches, members and those left out.
    pub head: Upgrade,
    /// Counts of planned instances.
    pub progress: Progress,
    /// Who started it, and why; none when its first line is no longer kept.
    pub by: Option<By>,
}

/// A part of the upgrades of a scale set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpgradesPage {
    /// Newest first.
    pub upgrades: Vec<PastUpgrade>,
    /// Whether there are older ones that did not fit.
    pub more: bool,
}

/// Reads the record beside the one who writes it. Never waits for a commit.
///
/// Each read may take a limited time; one that takes longer is [`StoreError::Refused`].
pub trait ReadTrail: Send + Sync {
    /// Lines of the trail.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError>;

    /// A piece of the trail, oldest first.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn piece(&self, piece: &TrailPiece) -> Result<Vec<Entry>, StoreError>;

    /// The number of the line from which on none is missing; none while there is no line.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn first(&self) -> Result<Option<u64>, StoreError>;

    /// The oldest line of an upgrade that is kept.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn first_of(&self, id: &UpgradeId) -> Result<Option<Entry>, StoreError>;

    /// The latest line of an upgrade of a kind, by its stable code.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn latest_of(&self, id: &UpgradeId, code: &str) -> Result<Option<Entry>, StoreError>;

    /// The latest line of an upgrade that brought it on: no decision, no wait, no wish.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn latest_progress(&self, id: &UpgradeId) -> Result<Option<Entry>, StoreError>;

    /// Whether the trail has ever had a line about an instance and still has it.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn has_line_of(&self, set: &ScaleSetName, instance: &InstanceId) -> Result<bool, StoreError>;

    /// Upgrades of a scale set.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn upgrades(&self, query: &UpgradesQuery) -> Result<UpgradesPage, StoreError>;

    /// An upgrade of a scale set as it was last written, whole; none when there is no such one.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn upgrade(&self, set: &ScaleSetName, id: &UpgradeId) -> Result<Option<Upgrade>, StoreError>;

    /// Counts of an upgrade whose members and batches are no longer kept; none of one that is whole.
    ///
    /// # Errors
    /// When the record cannot be read in time.
    fn summary(&self, id: &UpgradeId) -> Result<Option<Progress>, StoreError>;
}
