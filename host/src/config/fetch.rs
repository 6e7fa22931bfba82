//! Declares `[plugins.fetch]`: how the component of a plugin is fetched.

use std::path::PathBuf;
use std::time::Duration;

use super::plugins::Plugin;
use crate::keys::{Given, Is, Key, Section};
use crate::plugins::config::ComponentSource;
use crate::plugins::fetch::{Credentials, FetchConfig};

/// The keys as they are written.
#[derive(Default)]
pub(super) struct Fetch {
    ca_file: Option<PathBuf>,
    timeout: Duration,
    token: Option<PathBuf>,
    username: Option<PathBuf>,
    password: Option<PathBuf>,
}

/// Whom one is takes both or none.
const PAIR: &str = "one line; with `passwordFile`, not with `tokenFile`";

pub(super) const FETCH: Section<Plugin> = Section {
    keys: &[
        Key::<Plugin>::optional(
            "caFile",
            "\"/etc/phasegate/ca.pem\"",
            Is::Path(|plugin, path| plugin.fetch.ca_file = Some(path)),
        )
        .bounds("PEM")
        .doc("authorities of one's own, trusted besides those of the web, which are built in"),
        // `plugin swap` and `reload` wait five minutes for a fetch.
        Key::<Plugin>::preset(
            "timeout",
            "\"PT1M\"",
            Is::Span(Some(("PT1S", "PT4M")), |plugin, time| plugin.fetch.timeout = time),
        )
        .doc("all requests of one fetch together"),
        Key::<Plugin>::optional(
            "tokenFile",
            "\"registry.token\"",
            Is::Path(|plugin, path| plugin.fetch.token = Some(path)),
        )
        .bounds("one line")
        .doc("sent as `Authorization: Bearer …`"),
        Key::<Plugin>::optional(
            "usernameFile",
            "\"registry.user\"",
            Is::Path(|plugin, path| plugin.fetch.username = Some(path)),
        )
        .bounds(PAIR)
        .doc(
            "sent as `Authorization: Basic …`; with a registry, to the token server that it names over TLS, \
             in exchange for a token",
        ),
        Key::<Plugin>::optional(
            "passwordFile",
            "\"registry.password\"",
            Is::Path(|plugin, path| plugin.fetch.password = Some(path)),
        )
        .bounds("one line; with `usernameFile`")
        .doc("the password to it"),
    ],
    check,
};

fn check(plugin: &mut Plugin, given: &mut Given<'_>) {
    const WHO: [&str; 3] = ["tokenFile", "usernameFile", "passwordFile"];
    let [token, username, password] = WHO.map(|key| given.has(key));
    // A component that cannot be read is reported where it is.
    let has_server =
        !matches!(plugin.component, Some(ComponentSource::Builtin(_) | ComponentSource::File(_)));
    if let (Some(first), false) = (WHO.into_iter().find(|key| given.has(key)), has_server) {
        given.conflict(
            first,
            "goes with a component that is fetched",
            "write component = \"oci://…\" or \"https://…\"; credentials are sent to its server only",
        );
        return;
    }
    match (token, username, password) {
        (true, false, false) | (false, true, true) | (false, false, false) => {}
        (true, _, _) => given.conflict(
            "tokenFile",
            "is at odds with usernameFile and passwordFile",
            "keep one or the other",
        ),
        (false, true, false) => given.conflict(
            "usernameFile",
            "is there without passwordFile",
            "add passwordFile = \"registry.password\"",
        ),
        (false, false, true) => given.conflict(
            "passwordFile",
            "is there without usernameFile",
            "add usernameFile = \"registry.user\"",
        ),
    }
}

impl Fetch {
    pub(super) fn config(self) -> FetchConfig {
        let Self { ca_file, timeout, token, username, password } = self;
        let pair = username.zip(password);
        let pair = pair.map(|(username, password)| Credentials::Password { username, password });
        FetchConfig { ca_file, timeout, credentials: token.map(Credentials::Token).or(pair) }
    }
}
