//! Reads `[plugins.fetch]`: how the component of a plugin is fetched.

use std::path::PathBuf;
use std::time::Duration;

use super::table::Table;
use super::value::Value;
use crate::plugins::fetch::{Credentials, FetchConfig};

/// Shortest and longest time for a whole fetch: `plugin swap` and `reload` wait five minutes for one.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(240);

/// Whether there is a server that credentials can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Known,
    None,
}

pub(super) fn read(mut table: Table<'_>, server: Server) -> Option<FetchConfig> {
    let ca_file = table.optional("caFile", "\"/etc/phasegate/ca.pem\"");
    let timeout = table.optional("timeout", "\"PT1M\"");
    let token = table.optional("tokenFile", "\"registry.token\"");
    let username = table.optional("usernameFile", "\"registry.user\"");
    let password = table.optional("passwordFile", "\"registry.password\"");
    let first = [&token, &username, &password].into_iter().flatten().next().cloned();
    table.finish();

    if let (Some(value), Server::None) = (&first, server) {
        value.conflict(
            "goes with a component that is fetched",
            "write component = \"oci://…\" or \"https://…\"; credentials are sent to its server only",
        );
        return None;
    }
    let ca_file = file(ca_file);
    let timeout = timeout.map_or(Some(FetchConfig::default().timeout), |value| duration(&value));
    let credentials = match (token, username, password) {
        (None, None, None) => Some(None),
        (Some(token), None, None) => file(Some(token)).map(|path| path.map(Credentials::Token)),
        (None, Some(username), Some(password)) => {
            let (username, password) = (file(Some(username)), file(Some(password)));
            let both = username.flatten().zip(password.flatten());
            both.map(|(username, password)| Some(Credentials::Password { username, password }))
        }
        (Some(token), _, _) => {
            token.conflict("is at odds with usernameFile and passwordFile", "keep one or the other");
            None
        }
        (None, Some(alone), None) => {
            alone.conflict("is there without passwordFile", "add passwordFile = \"registry.password\"");
            None
        }
        (None, None, Some(alone)) => {
            alone.conflict("is there without usernameFile", "add usernameFile = \"registry.user\"");
            None
        }
    };
    Some(FetchConfig { ca_file: ca_file?, timeout: timeout?, credentials: credentials? })
}

/// A file that may be left out; nothing at all when its path is wrong.
fn file(value: Option<Value<'_>>) -> Option<Option<PathBuf>> {
    let Some(value) = value else { return Some(None) };
    value.remember();
    value.path().map(Some)
}

fn duration(value: &Value<'_>) -> Option<Duration> {
    let seen = value.iso_duration()?;
    if (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&seen) {
        return Some(seen);
    }
    value.problem(format!("is {} s", seen.as_secs_f64()), "allowed: PT1S to PT4M".to_owned());
    None
}
