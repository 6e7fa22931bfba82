//! Upgrades the replicas of a Patroni cluster before its leader, by what `GET /patroni` says.
//!
//! Asynchronous replicas go first, synchronous ones after them, and the leader last: there is somebody to take over at
//! every moment. Deliberately closed on doubt: a member that does not answer, a cluster without a leader and one that
//! has lost its configuration store are deferred. Deliberately makes no switchover: that is Patroni's, or a hook's.

use phasegate_sdk::{Decision, Failure, Observation, Policy, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Replicas that nobody waits for.
const REPLICA_PHASE: u32 = 0;
/// Replicas of which a commit waits for an answer, and from which the next leader comes.
const SYNCHRONOUS_PHASE: u32 = 1;
/// Who takes the writes.
const LEADER_PHASE: u32 = 2;

/// Settings of the plugin; see its README.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// A replica whose replay is further behind what it has received is unhealthy.
    pub max_replay_lag_bytes: u64,
    /// Standbys that must stream from the leader before it goes.
    pub min_streaming_standbys: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // One segment of the write-ahead log; and somebody who can take over.
        Self { max_replay_lag_bytes: 16 * 1024 * 1024, min_streaming_standbys: 1 }
    }
}

/// The policy.
#[derive(Debug)]
pub struct Patroni {
    settings: Settings,
}

/// What Patroni says of a member, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Member {
    state: String,
    role: String,
    #[serde(default)]
    xlog: Xlog,
    #[serde(default)]
    replication: Vec<Standby>,
    #[serde(default)]
    replication_state: Option<String>,
    #[serde(default)]
    sync_standby: bool,
    #[serde(default)]
    quorum_standby: bool,
    #[serde(default)]
    cluster_unlocked: bool,
    #[serde(default)]
    failsafe_mode_is_active: bool,
    #[serde(default)]
    pause: bool,
    /// Also so that a list is no record: without it one is read by position.
    #[serde(flatten)]
    _others: IgnoredAny,
}

#[derive(Debug, Default, Deserialize)]
struct Xlog {
    received_location: Option<u64>,
    replayed_location: Option<u64>,
    #[serde(flatten)]
    _others: IgnoredAny,
}

#[derive(Debug, Deserialize)]
struct Standby {
    #[serde(default)]
    state: String,
    #[serde(flatten)]
    _others: IgnoredAny,
}

/// What a member is to its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Replica,
    Synchronous,
    Leader,
}

impl Policy for Patroni {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    fn decide(&self, observation: &Observation) -> Result<Decision, Failure> {
        let Some(answer) = observation.health() else {
            return Err(Failure::Unreadable("the observation has no answer".to_owned()));
        };
        match &answer.outcome {
            Ok(response) if response.is_open_port() => Err(Failure::Unsupported(
                "a TCP probe brings nothing of Patroni; probe /patroni with http or https".to_owned(),
            )),
            // The same document comes with 503 where a path asks for another role.
            Ok(response) if response.is_success() || response.status == 503 => self.judge(response),
            Ok(response) => {
                let detail = format!("HTTP status is {}, expected 200 or 503", response.status);
                Ok(Decision::unknown().defer("http-status", detail))
            }
            Err(failure) => Ok(Decision::unknown().defer(failure.code(), failure.to_string())),
        }
    }
}

phasegate_sdk::export_policy!(Patroni);

impl Patroni {
    fn judge(&self, response: &Response) -> Result<Decision, Failure> {
        let member: Member = serde_json::from_slice(&response.body)
            .map_err(|error| Failure::Unreadable(format!("the answer is not Patroni's: {error}")))?;
        let role = member.role()?;
        let decision = self.standing(&member, role)?;
        Ok(match hold(&member, role, self.settings.min_streaming_standbys) {
            None => decision,
            Some((code, detail)) => {
                // Why it is unhealthy stays to be read.
                let said = decision.reason.as_ref().map(|reason| reason.detail.clone()).unwrap_or_default();
                decision.defer(code, format!("{detail}; {said}"))
            }
        })
    }

    /// Health and phase.
    fn standing(&self, member: &Member, role: Role) -> Result<Decision, Failure> {
        let phase = match role {
            Role::Replica => REPLICA_PHASE,
            Role::Synchronous => SYNCHRONOUS_PHASE,
            Role::Leader => LEADER_PHASE,
        };
        if let Some(decision) = not_running(&member.state)? {
            return Ok(decision.phase(phase));
        }
        if role == Role::Leader {
            let count = member.streaming();
            return Ok(Decision::healthy()
                .phase(phase)
                .reason("leader", format!("leader, {count} standbys stream from it")));
        }
        let streams = member.replication_state.as_deref();
        if let Some(state) = streams.filter(|state| *state != "streaming") {
            let detail = format!("replica, its replication is `{state}`");
            return Ok(Decision::unhealthy().phase(phase).reason("not-streaming", detail));
        }
        let Xlog { received_location, replayed_location, _others: _ } = &member.xlog;
        let behind = received_location.zip(*replayed_location);
        let behind = behind.map(|(received, replayed)| received.saturating_sub(replayed));
        let limit = self.settings.max_replay_lag_bytes;
        let word = if role == Role::Synchronous { "synchronous replica" } else { "replica" };
        Ok(match behind {
            Some(lag) if lag > limit => Decision::unhealthy()
                .phase(phase)
                .reason("replay-lag", format!("{word}, replay is {lag} bytes behind (limit {limit})")),
            Some(lag) => Decision::healthy()
                .phase(phase)
                .reason("replica", format!("{word}, replay is {lag} bytes behind")),
            None => Decision::healthy().phase(phase).reason("replica", word),
        })
    }
}

impl Member {
    fn role(&self) -> Result<Role, Failure> {
        match self.role.as_str() {
            "primary" | "master" | "promoted" | "standby_leader" => Ok(Role::Leader),
            "replica" | "demoted" | "uninitialized" if self.sync_standby || self.quorum_standby => {
                Ok(Role::Synchronous)
            }
            "sync_standby" | "quorum_standby" => Ok(Role::Synchronous),
            "replica" | "demoted" | "uninitialized" => Ok(Role::Replica),
            other => Err(Failure::Unsupported(format!("the role `{other}` is none that this plugin knows"))),
        }
    }

    fn streaming(&self) -> usize {
        self.replication.iter().filter(|standby| standby.state == "streaming").count()
    }
}

/// What a state means in which PostgreSQL does not serve; none where it does.
fn not_running(state: &str) -> Result<Option<Decision>, Failure> {
    Ok(match state {
        "running" | "streaming" | "in archive recovery" => None,
        "starting"
        | "restarting"
        | "stopping"
        | "creating replica"
        | "initializing new cluster"
        | "running custom bootstrap script"
        | "starting after custom bootstrap" => {
            let detail = format!("PostgreSQL is `{state}`");
            Some(Decision::unhealthy().defer("in-transition", detail))
        }
        "stopped"
        | "crashed"
        | "start failed"
        | "restart failed"
        | "stop failed"
        | "initdb failed"
        | "custom bootstrap failed" => {
            Some(Decision::unhealthy().reason("not-running", format!("PostgreSQL is `{state}`")))
        }
        other => {
            return Err(Failure::Unsupported(format!("the state `{other}` is none that this plugin knows")));
        }
    })
}

/// Why nobody goes now, or this one does not.
fn hold(member: &Member, role: Role, streaming_min: usize) -> Option<(&'static str, String)> {
    if member.failsafe_mode_is_active {
        return Some(("failsafe", "the configuration store is lost, and the failsafe mode holds".to_owned()));
    }
    if member.cluster_unlocked {
        return Some(("no-leader", "the cluster has no leader".to_owned()));
    }
    if role != Role::Leader {
        return None;
    }
    if member.pause {
        return Some(("paused", "Patroni is paused, and nobody would take over from this leader".to_owned()));
    }
    let streaming = member.streaming();
    if streaming < streaming_min {
        let detail = format!("{streaming} standbys stream from this leader, {streaming_min} must");
        return Some(("no-standby", detail));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        phasegate_sdk::testkit::run_cases::<Patroni>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
