//! What the API asks for besides the loop: the hands of the plugins, the recording, the configuration file.
//!
//! It says here what it wants to have of them; the host says who gives it. Deliberately knows none of those who
//! do: each of the three could be a stand-in.

use std::error::Error;
use std::pin::Pin;

use axum::body::Bytes;
use phasegate_core::domain::{
    By, Digest, ExtensionType, PluginName, PluginStamp, ReleaseVersion, ScaleSetName, WallTime,
};
use phasegate_core::kernel::effect::Used;
use phasegate_core::lifecycle::{Failing, Key, Pair, Ticket};
use phasegate_wire as wire;

use crate::shell::CommandError;

/// What the hands have of the plugins besides their lives.
pub trait Plugins: Send + Sync {
    /// Holds uploaded bytes for as long as what is given back lives: a swap names their digest. Their signatures come
    /// in base64, with commas between them.
    fn hold(&self, bytes: Bytes, signatures: &str) -> Held;

    /// What a plugin has done since the host started.
    fn work(&self, plugin: &PluginName) -> Work;

    /// The instances that differ in the comparison of this ticket, with both answers. Empty when it is not
    /// shown any more.
    fn changes(&self, plugin: &PluginName, ticket: Ticket) -> Vec<(Key, Pair)>;
}

/// Uploaded bytes that stay until this is dropped.
pub struct Held {
    /// Of these bytes.
    pub digest: Digest,
    /// Its end lets them go.
    pub hold: Box<dyn Send>,
}

/// What a plugin has done since the host started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// Observations that it was asked about.
    pub evaluated: u64,
    /// Observations that were the same as the ones before, byte for byte; it was not asked.
    pub unchanged: u64,
    /// Observations that brought no decision.
    pub failed: u64,
    /// Log lines that were dropped because they came too fast.
    pub log_lines_dropped: u64,
    /// For how many instances it fails at the moment; none when for none.
    pub failing: Option<Failing>,
    /// Observations that second components have missed because they did not keep up.
    pub missed: u64,
    /// What was looked at last by what is asked for.
    pub lacks: Option<Lacks>,
}

/// Why a component would not be taken up today; none of what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    /// Which.
    pub digest: Digest,
    /// Its signature counts no more.
    pub signature: Option<String>,
    /// It carries no cases, and some are asked for.
    pub cases: Option<String>,
}

/// The recording of what plugins were asked and said.
pub trait Recording: Send + Sync {
    /// Records of decisions that were lost since the host started.
    fn lost(&self) -> u64;

    /// Looks a decision up and judges it again. Blocks for as long as the component takes.
    fn judge_again(&self, used: &Used) -> Kept;
}

/// Why something could not be had, in the words of those who have it.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What the recording has of a decision.
pub enum Kept {
    /// Not this one.
    Missing,
    /// It cannot be read.
    Unreadable(Cause),
    /// This.
    Found(Box<JudgedAgain>),
}

/// A recorded decision, judged again.
pub struct JudgedAgain {
    /// Which code had judged.
    pub stamp: PluginStamp,
    /// What it was asked, as JSON.
    pub observation: serde_json::Value,
    /// What it said, as JSON.
    pub outcome: serde_json::Value,
    /// Whether parts of the observation were not written down.
    pub redacted: bool,
    /// What it says now, or why it cannot be asked.
    pub again: Result<Again, Cause>,
}

/// What a component said when it was asked again.
pub struct Again {
    /// The outcome, as JSON.
    pub outcome: serde_json::Value,
    /// Fuel that it took.
    pub fuel: u64,
    /// Whether it is the outcome of that time, to the byte.
    pub same: bool,
    /// Whether the component promises the same answer.
    pub pure: bool,
}

/// Where versions are listed, and who accepts them.
pub trait Catalogue: Send + Sync {
    /// How it stands with the source of a type; none where it has none.
    fn source(&self, subject: &ExtensionType) -> Option<wire::ExtensionSource>;

    /// Lets the checker of a type look at a version; refused when it does not accept it.
    fn check(&self, subject: ExtensionType, version: ReleaseVersion, digest: Option<Digest>) -> Checking<'_>;
}

/// A look of a checker.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), CommandError>> + Send + 'a>>;

/// Where instances are found that no configuration lists.
pub trait Sources: Send + Sync {
    /// How it stands with that of a scale set; none where it has none.
    fn of(&self, set: &ScaleSetName) -> Option<Source>;

    /// Lets those go that are held. The trail says by whom.
    fn accept(&self, set: ScaleSetName, by: By) -> Accepting<'_>;
}

/// How it stands with a source.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it is shown.
    pub shown: wire::Discovery,
    /// When it last gave an answer that could be read.
    pub refreshed_at: Option<WallTime>,
    /// Looks that were good, since the host started.
    pub looks: u64,
    /// Looks that were not.
    pub failures: u64,
}

/// Instances that are let go.
pub type Accepting<'a> = Pin<Box<dyn Future<Output = Result<(), CommandError>> + Send + 'a>>;

/// For tests: no set has a source.
#[cfg(test)]
pub(crate) struct NoSources;

#[cfg(test)]
impl Sources for NoSources {
    fn of(&self, _: &ScaleSetName) -> Option<Source> {
        None
    }

    fn accept(&self, set: ScaleSetName, _: By) -> Accepting<'_> {
        let error = CommandError::new(crate::shell::CommandErrorKind::NotFound, set.to_string());
        Box::pin(async move { Err(error) })
    }
}

/// The configuration file that the host runs by.
pub trait Configuration: Send + Sync {
    /// Reads it again and goes over to it, all of it or nothing. Under a key that a reload had before, it is
    /// answered again and not done again. The trail says by whom.
    fn reload(&self, by: By) -> Reloading<'_>;
}

/// A reload under way.
pub type Reloading<'a> = Pin<Box<dyn Future<Output = Result<wire::Reload, CommandError>> + Send + 'a>>;
