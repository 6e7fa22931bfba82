//! The recording: what plugins were asked and what they said, kept for a while so that it can be
//! looked at and judged again.
//!
//! ```text
//! data directory/recording/
//!   0000000000000007.jsonl   one record on a line; the highest number is written to
//!   blobs/HEX.wasm           each component that a record names
//!   blobs/HEX.json           each settings that a record names
//!   kept/SET/UPGRADE.jsonl   records that the latest upgrades have gone by
//! ```
//!
//! How to read this module: `record` is one line, `redact` takes secrets out of bodies, `recorder` is
//! the way in, `ring` writes segments and `segments` drops them, `kept` copies what an upgrade has gone by, `read` finds records
//! again, `replay` judges them again.
//!
//! A record that cannot be written is lost and counted; nothing here holds a decision up or stops
//! the host. What was not asked again because it was unchanged has no record of its own, but its
//! last one is written anew before it would leave the ring, as far as `repeats` lets it.

mod blobs;
mod kept;
mod read;
mod record;
mod recorder;
mod redact;
mod repeats;
mod replay;
mod ring;
mod segments;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use phasegate_core::domain::{Digest, Evaluation, Observation, PluginLimits, PluginStamp, Verdict};

pub use kept::Used;
pub use read::{ReadError, Reading, find, find_used, read};
pub use record::{Record, RecordedOutcome};
pub use recorder::Recorder;
pub use redact::{InvalidPointerError, Pointer};
pub use repeats::MayRepeat;
pub use replay::{Again, Replay, ReplayError, blob_dir};
pub use ring::SEGMENTS;

/// How the recording is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingConfig {
    /// Bytes of the whole folder, 1 MiB to 64 GiB: records, and the components that they name.
    pub bytes_max: u64,
    /// Age of a record, a minute to a year.
    pub age_max: Duration,
    /// Parts of JSON bodies that are not written down.
    pub redact: Vec<Pointer>,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { bytes_max: 64 << 20, age_max: Duration::from_secs(24 * 3600), redact: Vec::new() }
    }
}

/// One outcome on its way into the recording.
pub struct Judgement<'a> {
    /// Which code.
    pub stamp: &'a PluginStamp,
    /// Digest of its settings.
    pub settings: Digest,
    /// Within these limits.
    pub limits: PluginLimits,
    /// When, and what it took.
    pub evaluation: Evaluation,
    /// What was judged.
    pub observation: &'a Observation,
    /// What came out.
    pub result: &'a Verdict,
}

/// Bytes of a ring that keeps a record of each of so many instances with short answers: a record is repeated before
/// its segment goes, so that there is one in each half.
#[must_use]
pub fn bytes_least(instances: usize) -> u64 {
    u64::try_from(instances).unwrap_or(u64::MAX).saturating_mul(SHORT_RECORD).saturating_mul(2)
}

/// About how many bytes a record with a short answer has.
const SHORT_RECORD: u64 = 1_024;

/// The folder of a data directory.
#[must_use]
pub fn folder(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join("recording")
}
