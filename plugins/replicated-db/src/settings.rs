//! Settings as typed, and the rules that they become once checked.
//!
//! Deliberately reports the first problem only: the host shows it when it refuses the plugin.

use phasegate_sdk::json::Pointer;

/// Settings of the plugin; see its README.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// A replica further behind than this many bytes is unhealthy.
    pub max_lag_bytes: u64,
    /// Where the answer has the role; a JSON Pointer.
    pub role_pointer: String,
    /// Where the answer has the replication lag in bytes; a JSON Pointer.
    pub lag_pointer: String,
    /// Where the answer says whether a backup is running; a JSON Pointer.
    pub backup_pointer: String,
    /// Words that mean replica; ASCII case does not matter.
    pub replica_roles: Vec<String>,
    /// Words that mean leader; ASCII case does not matter.
    pub leader_roles: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            // 1 MiB: a replica that keeps up is below it, one that fell off its leader is not.
            max_lag_bytes: 1_048_576,
            role_pointer: "/role".to_owned(),
            lag_pointer: "/replicationLagBytes".to_owned(),
            backup_pointer: "/backup/running".to_owned(),
            replica_roles: words(&["replica", "follower", "secondary", "standby"]),
            leader_roles: words(&["leader", "primary", "master"]),
        }
    }
}

/// Checked settings.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) lag_max: u64,
    pub(crate) role_pointer: Pointer,
    pub(crate) lag_pointer: Pointer,
    pub(crate) backup_pointer: Pointer,
    replica_roles: Vec<String>,
    leader_roles: Vec<String>,
}

/// What an instance is to its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Follows the leader.
    Replica,
    /// Takes the writes.
    Leader,
}

impl Settings {
    pub(crate) fn check(self) -> Result<Rules, String> {
        let Self { max_lag_bytes, role_pointer, lag_pointer, backup_pointer, replica_roles, leader_roles } =
            self;
        let pointer =
            |name: &str, text: &str| Pointer::parse(text).map_err(|why| format!("setting `{name}`: {why}"));
        for (name, roles) in [("replicaRoles", &replica_roles), ("leaderRoles", &leader_roles)] {
            if roles.is_empty() {
                return Err(format!("setting `{name}`: must name at least one role"));
            }
        }
        for role in &replica_roles {
            if contains(&leader_roles, role) {
                return Err(format!("role `{role}` is in both `replicaRoles` and `leaderRoles`"));
            }
        }
        Ok(Rules {
            lag_max: max_lag_bytes,
            role_pointer: pointer("rolePointer", &role_pointer)?,
            lag_pointer: pointer("lagPointer", &lag_pointer)?,
            backup_pointer: pointer("backupPointer", &backup_pointer)?,
            replica_roles,
            leader_roles,
        })
    }
}

impl Rules {
    /// What a word means, if it is known.
    pub(crate) fn role(&self, word: &str) -> Option<Role> {
        if contains(&self.replica_roles, word) {
            Some(Role::Replica)
        } else if contains(&self.leader_roles, word) {
            Some(Role::Leader)
        } else {
            None
        }
    }

    /// All known words, for a message.
    pub(crate) fn known_roles(&self) -> String {
        let words: Vec<&str> =
            self.replica_roles.iter().chain(&self.leader_roles).map(String::as_str).collect();
        words.join(", ")
    }
}

fn contains(words: &[String], word: &str) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}
