//! Declares `[server]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Server;
use crate::keys::{Form, Given, Is, Key, Section};

/// Loopback, and a port that no common service uses; `listen` says it.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) const SERVER: Section<Server> = Section {
    keys: &[
        Key::<Server>::preset(
            "listen",
            "\"127.0.0.1:8970\"",
            Is::Own(
                || Form::Text,
                |server, value| {
                    let text = value.filled()?;
                    let error =
                        "is not an IP address and a port; write for example 127.0.0.1:8970 or [::1]:8970";
                    server.listen = value.parsed(text, text.parse().map_err(|_| error))?;
                    Some(())
                },
            ),
        )
        .bounds("IP:port")
        .doc("address of the API; other than loopback only together with `tokenFile`")
        .restart(),
        Key::<Server>::preset(
            "dataDir",
            "\"./phasegate-data\"",
            Is::Path(|server, path| server.data_dir = path),
        )
        .doc(
            "store, logs of processes, components of the latest generations, compiled code; one host at \
                 a time",
        )
        .restart(),
        Key::<Server>::optional(
            "tokenFile",
            "\"phasegate.token\"",
            Is::Path(|server, path| server.token_file = Some(path)),
        )
        .doc("file with the token that every API call must carry as `Authorization: Bearer …`")
        .restart(),
    ],
    check,
};

pub(super) fn blank() -> Server {
    Server { listen: NOWHERE, data_dir: PathBuf::new(), token_file: None }
}

fn check(server: &mut Server, given: &mut Given<'_>) {
    let listen = server.listen;
    if given.are_sound(&["listen"]) && !given.has("tokenFile") && !listen.ip().to_canonical().is_loopback() {
        given.conflict(
            "listen",
            format!("is {listen}, where other machines could start and stop upgrades without a token"),
            "add tokenFile = \"phasegate.token\", or listen on 127.0.0.1",
        );
    }
}
