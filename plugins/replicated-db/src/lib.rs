//! Upgrades the replicas of a database before its leader, and keeps out of backups.
//!
//! Reads the application's own status document, not Azure's. The leader gets a number of its own
//! (1) instead of "last", so that the plan shows it as a phase and an instance without a phase is
//! seen to be something else.
//!
//! Deliberately closed on doubt: an unknown role or an unreadable member is a failure, and an
//! instance that does not answer is deferred, since it may be the leader or in a backup.
//! Deliberately no view of the other instances: how many may be down is the host's to limit.

mod settings;

use phasegate_sdk::json::{Document, Found};
use phasegate_sdk::{Decision, Failure, Observation, Policy, Response};

pub use settings::Settings;
use settings::{Role, Rules};

/// Replicas go first, all in one phase; the host's batches spread them.
const REPLICA_PHASE: u32 = 0;
/// The leader goes when every replica is done, so that there is one to take over.
const LEADER_PHASE: u32 = 1;

/// The policy.
#[derive(Debug)]
pub struct ReplicatedDb {
    rules: Rules,
}

impl Policy for ReplicatedDb {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { rules: settings.check()? })
    }

    fn decide(&self, observation: &Observation) -> Result<Decision, Failure> {
        let Some(answer) = observation.health() else {
            return Err(Failure::Unreadable("the observation has no answer".to_owned()));
        };
        let tcp = observation.attribute("probe-protocol") == Some("tcp");
        match &answer.outcome {
            _ if tcp => Err(needs_http()),
            Ok(response) if response.is_open_port() => Err(needs_http()),
            Ok(response) if response.is_success() => self.judge(response),
            Ok(response) => {
                let detail = format!("HTTP status is {}, expected 200 to 299", response.status);
                Ok(Decision::unknown().defer("http-status", detail))
            }
            Err(failure) => Ok(Decision::unknown().defer(failure.code(), failure.to_string())),
        }
    }
}

phasegate_sdk::export_policy!(ReplicatedDb);

fn needs_http() -> Failure {
    Failure::Unsupported("a TCP probe brings no status document; probe with http or https".to_owned())
}

impl ReplicatedDb {
    fn judge(&self, response: &Response) -> Result<Decision, Failure> {
        let document =
            Document::parse(&response.body).map_err(|why| Failure::Unreadable(format!("answer is {why}")))?;
        let decision = match self.role(&document)? {
            Role::Leader => {
                Decision::healthy().phase(LEADER_PHASE).reason("leader", "leader, after the replicas")
            }
            Role::Replica => self.judge_replica(&document)?,
        };
        if !self.in_backup(&document)? {
            return Ok(decision);
        }
        // A lagging replica in a backup is unhealthy and skipped: both are said.
        let mut detail = "a backup is running".to_owned();
        if let Some(reason) = &decision.reason {
            detail = format!("{detail}; {}", reason.detail);
        }
        Ok(decision.skip("in-backup", detail))
    }

    fn role(&self, document: &Document<'_>) -> Result<Role, Failure> {
        let Rules { role_pointer, .. } = &self.rules;
        let found = document.at(role_pointer);
        if let Found::Text(name) = &found
            && let Some(role) = self.rules.role(name)
        {
            return Ok(role);
        }
        let known = self.rules.known_roles();
        Err(Failure::Unreadable(format!("role at {role_pointer} is {found}, expected one of {known}")))
    }

    fn judge_replica(&self, document: &Document<'_>) -> Result<Decision, Failure> {
        let Rules { lag_pointer, lag_max, .. } = &self.rules;
        let found = document.at(lag_pointer);
        let Some(lag) = found.as_u64() else {
            let what = format!("replica: lag at {lag_pointer} is {found}");
            return Err(Failure::Unreadable(format!("{what}, expected a whole number of bytes")));
        };
        let detail = format!("replica, {lag} bytes behind (limit {lag_max})");
        Ok(match lag > *lag_max {
            true => Decision::unhealthy().phase(REPLICA_PHASE).reason("replication-lag", detail),
            false => Decision::healthy().phase(REPLICA_PHASE).reason("replica", detail),
        })
    }

    fn in_backup(&self, document: &Document<'_>) -> Result<bool, Failure> {
        let Rules { backup_pointer, .. } = &self.rules;
        match document.at(backup_pointer) {
            Found::Bool(running) => Ok(running),
            // Not every instance takes backups, so an absent member means none is running.
            Found::Missing | Found::Null => Ok(false),
            found => {
                let what = format!("backup at {backup_pointer} is {found}");
                Err(Failure::Unreadable(format!("{what}, expected true or false")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        phasegate_sdk::testkit::run_cases::<ReplicatedDb>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
