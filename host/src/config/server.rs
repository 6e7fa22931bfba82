//! Reads `[server]`.

use std::net::{Ipv4Addr, SocketAddr};

use super::Server;
use super::table::Table;

/// Loopback, and a port that no common service uses.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8970);

pub(super) fn read(mut table: Table<'_>) -> Option<Server> {
    let listen_value = table.optional("listen", "\"127.0.0.1:8970\"");
    let data_dir = table.optional("dataDir", "\"./phasegate-data\"");
    let token_file = table.optional("tokenFile", "\"phasegate.token\"");
    let default_dir = table.source.directory.join("./phasegate-data");
    table.finish();

    let listen = match &listen_value {
        None => Some(LISTEN_DEFAULT),
        Some(value) => value.filled().and_then(|text| {
            let error = "is not an IP address and a port; write for example 127.0.0.1:8970 or [::1]:8970";
            value.parsed(text, text.parse().map_err(|_| error))
        }),
    };
    if let (Some(value), Some(listen), None) = (&listen_value, listen, &token_file)
        && !listen.ip().to_canonical().is_loopback()
    {
        value.conflict(
            format!("is {listen}, where other machines could start and stop upgrades without a token"),
            "add tokenFile = \"phasegate.token\", or listen on 127.0.0.1",
        );
    }
    let data_dir = data_dir.map_or(Some(default_dir), |value| value.path());
    let token_file = token_file.map_or(Some(None), |value| {
        value.remember();
        value.path().map(Some)
    });
    Some(Server { listen: listen?, data_dir: data_dir?, token_file: token_file? })
}
