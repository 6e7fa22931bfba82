//! The JSON of the audit trail.

use serde::{Deserialize, Serialize};

use crate::decision::Admission;
use crate::words::words;

/// `GET /v1/scale-sets/NAME/log`, `upgrade log --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The scale set.
    pub scale_set: String,
    /// Oldest first.
    pub entries: Vec<LogEntry>,
    /// Whether there are older lines that were asked for and did not fit.
    #[serde(default)]
    pub truncated: bool,
    /// `before` of the request that goes on where this answer ends; null when it has all.
    #[serde(default)]
    pub next: Option<u64>,
}

/// One line of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Its number in the record; a later line has a higher one.
    #[serde(default)]
    pub seq: u64,
    /// RFC 3339, UTC.
    pub at: String,
    /// Upgrade that it belongs to.
    pub upgrade: Option<String>,
    /// Instance that it is about.
    pub instance: Option<String>,
    /// What it is about.
    pub kind: LogKind,
    /// Who has decided it: the name of a token or of a user, or `host` for the host by itself.
    #[serde(default)]
    pub actor: String,
    /// Why, where a reason was given.
    #[serde(default)]
    pub reason: Option<String>,
    /// One line for people.
    pub text: String,
    /// On which word the instance was let go, where the line is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Box<Admission>>,
}

words! {
    /// What a line of the audit trail is about.
    LogKind {
        /// An upgrade was asked for.
        Start = "start",
        /// It was planned.
        Plan = "plan",
        /// An instance takes part.
        Decision = "decision",
        /// An instance is let go with its batch, and on which word.
        Admitted = "admitted",
        /// An instance is left alone.
        Hold = "hold",
        /// A driver is asked to bring a version.
        Apply = "apply",
        /// It has done so.
        Applied = "applied",
        /// A driver is asked for a new instance.
        Create = "create",
        /// It is there and healthy.
        Ready = "ready",
        /// It takes the place of another one.
        Replace = "replace",
        /// A driver is asked to delete an instance.
        Remove = "remove",
        /// It is gone.
        Deleted = "deleted",
        /// An instance is healthy with what was wanted.
        Succeeded = "succeeded",
        /// It is not.
        Failed = "failed",
        /// A driver is asked to bring back what was there.
        Restore = "restore",
        /// A version is in quarantine, or no longer.
        Quarantine = "quarantine",
        /// An instance runs something else than was recorded, and no upgrade did that.
        Seen = "seen",
        /// An instance says "not now" and comes no nearer.
        Stalled = "stalled",
        /// A hook is run, or has failed.
        Hook = "hook",
        /// A batch ended.
        Batch = "batch",
        /// The upgrade ended.
        End = "end",
        /// One extension ended for itself, and the rest went on.
        Extension = "extension",
        /// It will be, or is, tried again by itself.
        Retry = "retry",
        /// A person ended it.
        Cancel = "cancel",
        /// A person halted it.
        Pause = "pause",
        /// A person let it go on.
        Resume = "resume",
        /// A person let it pass a checkpoint.
        Approve = "approve",
        /// A person took it back.
        Rollback = "rollback",
        /// A person said that freezes and a stopped line do not hold it.
        Bypass = "bypass",
        /// An upgrade waits for something else than before.
        Waiting = "waiting",
        /// A person or a program wanted something of a plugin.
        Plugin = "plugin",
        /// The configuration was read again.
        Reload = "reload",
        /// Instances of a scale set came, went or stand elsewhere, by its configuration.
        Members = "members",
        /// The first deployment of an instance: one of its extensions, or its end.
        Provision = "provision",
        /// A person let it go past what it waited for.
        Promote = "promote",
        /// A person leaves an instance out.
        Skip = "skip",
        /// A person protects an instance.
        Protect = "protect",
        /// A person overrides the plugin of an instance.
        Force = "force",
        /// What a person said about an instance is over.
        Release = "release",
        /// The line was stopped, or goes on.
        Line = "line",
        /// The host doubts what it sees, trusts it again, or did not look for a while.
        SelfDoubt = "self-doubt",
        /// The host holds because of its record.
        Held = "held",
        /// A person adopted the record.
        Adopted = "adopted",
        /// A plugin fails for most of its instances.
        PluginTrouble = "plugin-trouble",
        /// A plugin went back to a former generation by itself.
        PluginReverted = "plugin-reverted",
        /// An application ended by itself.
        Exited = "exited",
        /// It was started again.
        Restarted = "restarted",
    }
}
