//! Which role each route needs: one table beside that of the routes. A route that is missing here fails a test,
//! and needs the highest role until then.

use crate::access::Role;

/// What a caller must be for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Anybody, without a token.
    Nothing,
    /// This role or a higher one.
    Role(Role),
    /// The second role or a higher one where the path ends with the word, else the first.
    Unless(Role, &'static str, Role),
}

use Need::{Nothing, Unless};

const READ: Need = Need::Role(Role::Read);
const OPERATE: Need = Need::Role(Role::Operate);
const ADMIN: Need = Need::Role(Role::Admin);

/// Method, route, need.
pub(super) const ROLES: &[(&str, &str, Need)] = &[
    ("GET", "/healthz", Nothing),
    ("GET", "/readyz", Nothing),
    ("GET", "/metrics", READ),
    ("GET", "/v1/openapi.json", READ),
    ("GET", "/v1/version", READ),
    ("GET", "/v1/fleet", READ),
    ("GET", "/v1/events", READ),
    ("GET", "/v1/scale-sets", READ),
    ("GET", "/v1/scale-sets/{name}/plan", READ),
    ("GET", "/v1/scale-sets/{name}/log", READ),
    ("GET", "/v1/scale-sets/{name}/explain/{instance}", READ),
    ("GET", "/v1/scale-sets/{name}/upgrade", READ),
    ("GET", "/v1/scale-sets/{name}/upgrades", READ),
    ("GET", "/v1/scale-sets/{name}/upgrades/{id}", READ),
    ("GET", "/v1/upgrades", READ),
    ("POST", "/v1/scale-sets/{name}/upgrade", OPERATE),
    ("POST", "/v1/scale-sets/{name}/upgrade/{wish}", Unless(Role::Operate, "approve", Role::Approve)),
    ("GET", "/v1/scale-sets/{name}/quarantine", READ),
    ("POST", "/v1/scale-sets/{name}/quarantine/lift", OPERATE),
    ("POST", "/v1/scale-sets/{name}/repair", OPERATE),
    ("GET", "/v1/scale-sets/{name}/discovery", READ),
    ("POST", "/v1/scale-sets/{name}/discovery/accept", OPERATE),
    ("GET", "/v1/scale-sets/{name}/instances/{instance}", READ),
    ("POST", "/v1/scale-sets/{name}/instances/{instance}/{word}", OPERATE),
    ("GET", "/v1/line", READ),
    ("POST", "/v1/line/stop", OPERATE),
    ("POST", "/v1/line/start", OPERATE),
    ("GET", "/v1/data", READ),
    ("POST", "/v1/data/adopt", ADMIN),
    ("GET", "/v1/plugins", READ),
    ("GET", "/v1/plugins/{name}/diff", READ),
    ("GET", "/v1/plugins/{name}/history", READ),
    ("POST", "/v1/plugins/{name}/swap", ADMIN),
    ("POST", "/v1/plugins/{name}/promote", ADMIN),
    ("POST", "/v1/plugins/{name}/discard", ADMIN),
    ("POST", "/v1/plugins/{name}/rollback", ADMIN),
    ("POST", "/v1/reload", ADMIN),
    ("GET", "/v1/extensionTypes", READ),
    ("GET", "/v1/extensionTypes/{publisher}/{type}", READ),
    ("GET", "/v1/extensionTypes/{publisher}/{type}/plan", READ),
    ("POST", "/v1/extensionTypes/{publisher}/{type}/publish", OPERATE),
    ("POST", "/v1/extensionTypes/{publisher}/{type}/withdraw", OPERATE),
    ("POST", "/v1/scale-sets/{name}/opt-out", OPERATE),
    ("POST", "/v1/scale-sets/{name}/opt-in", OPERATE),
    ("GET", "/v1/features", READ),
    ("POST", "/v1/features/{subscription}/register", ADMIN),
    ("POST", "/v1/features/{subscription}/unregister", ADMIN),
    ("GET", "/v1/releases", READ),
    ("POST", "/v1/releases", OPERATE),
    ("GET", "/v1/releases/{id}", READ),
    ("GET", "/v1/releases/{id}/log", READ),
    ("POST", "/v1/releases/{id}/{wish}", Unless(Role::Operate, "approve", Role::Approve)),
];

/// What a route needs.
pub(super) fn need(method: &str, route: &str) -> Need {
    let found = ROLES.iter().find(|(its_method, its_route, _)| *its_method == method && *its_route == route);
    found.map_or(ADMIN, |(_, _, need)| *need)
}

impl Need {
    /// The role for a request to this very path; none when it needs none.
    pub(super) fn role(self, path: &str) -> Option<Role> {
        match self {
            Self::Nothing => None,
            Self::Role(role) => Some(role),
            Self::Unless(role, word, other) => {
                Some(if path.rsplit('/').next() == Some(word) { other } else { role })
            }
        }
    }

    /// For people and programs that read the manual.
    pub(super) fn text(self) -> String {
        match self {
            Self::Nothing => "none".to_owned(),
            Self::Role(role) => role.to_string(),
            Self::Unless(role, word, other) => format!("{role}; {word}: {other}"),
        }
    }
}
