//! Declares `[server]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Server;
use crate::access::{Access, Tls, TokenSource};
use crate::drivers::process::OnExit;
use crate::keys::{Form, Given, Is, Key, Section, no_check};
use crate::net::endpoint::Endpoint;
use crate::net::serve_tls::TlsFiles;

/// Loopback, and a port that no common service uses; `listen` says it.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Says that something in front of the host ends TLS.
const TERMINATED: &str = "terminated";

pub(super) const SERVER: Section<Server> = Section {
    keys: &[
        Key::<Server>::preset(
            "listen",
            "\"127.0.0.1:8970\"",
            Is::Own(
                || Form::Text,
                |server, value| {
                    let text = value.filled()?;
                    let place = Endpoint::parse(text, value.source().directory);
                    server.listen = value.parsed(text, place)?;
                    Some(())
                },
            ),
        )
        .bounds("IP:port, or `unix:` and a path of up to 107 bytes")
        .doc(
            "where the API listens. On an address that other machines reach only together with `tokens` or \
             `tokenFile`, and with `tls`",
        )
        .restart(),
        Key::<Server>::table(
            "socket",
            "{ mode = \"0660\", group = \"ops\" }",
            Is::Table(|| SOCKET.shape(), |server, table| SOCKET.read(table, &mut server.socket)),
        )
        .doc("rights of the socket, with `listen = \"unix:…\"`"),
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
            "onExit",
            "\"leave\"",
            Is::Own(
                || Form::Words(vec!["stop", "leave"]),
                |server, value| {
                    server.on_exit = Some(match value.filled()? {
                        "stop" => OnExit::Stop,
                        "leave" if cfg!(target_os = "linux") => OnExit::Leave,
                        "leave" => {
                            value.problem("is \"leave\"".to_owned(), "write \"stop\": only Linux tells of processes that are no children".to_owned());
                            return None;
                        }
                        other => {
                            value.problem(format!("is \"{other}\""), "write \"stop\" or \"leave\"".to_owned());
                            return None;
                        }
                    });
                    Some(())
                },
            ),
        )
        .bounds("`\"stop\"` or `\"leave\"`")
        .without("`\"stop\"`")
        .doc(
            "what becomes of the processes of `kind = \"process\"` when the host ends, however it ends: they end with \
             it, or they go on serving and the next host adopts them, for example one of a new version",
        )
        .restart(),
        Key::<Server>::preset(
            "stopTimeout",
            "\"PT30S\"",
            Is::Span(Some(("PT0S", "PT1H")), |server, time| server.stop_timeout = time),
        )
        .doc(
            "how long the host waits at SIGTERM for programs of `kind = \"command\"` that are under way, before it ends \
             them. What ends meanwhile is recorded; what the host ends is repeated by the next one under the same \
             operation id",
        )
        .restart(),
        Key::<Server>::preset(
            "resolvers",
            "[]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |server, value| {
                    let values = value.array("an array of servers of names")?;
                    if values.len() > RESOLVERS_MAX {
                        let hint = format!("write up to {RESOLVERS_MAX}");
                        value.problem(format!("has {} entries", values.len()), hint);
                        return None;
                    }
                    // All are looked at, so that each that is wrong is told of.
                    let all: Vec<Option<SocketAddr>> = values
                        .iter()
                        .map(|value| {
                            let text = value.filled()?;
                            value.parsed(text, resolver(text).ok_or(NO_RESOLVER))
                        })
                        .collect();
                    server.resolvers = all.into_iter().collect::<Option<_>>()?;
                    Some(())
                },
            ),
        )
        .example("[\"127.0.0.1:5353\"]")
        .bounds("IP or IP:port, up to 8; port 53 where there is none")
        .doc(
            "the servers that are asked for host names of instances, agents and components, instead of those in \
             `/etc/resolv.conf`. `/etc/hosts` comes first in any case",
        )
        .restart(),
        Key::<Server>::optional(
            "tokenFile",
            "\"phasegate.token\"",
            Is::Path(|server, path| server.access.tokens = Some(TokenSource::Single(path))),
        )
        .bounds("not with `tokens`")
        .doc(
            "file with the one token that every API call must carry as `Authorization: Bearer …`, at least 20 \
             characters; its bearer may do everything. Read again when it changes",
        ),
        Key::<Server>::optional(
            "tokens",
            "\"phasegate.tokens\"",
            Is::Path(|server, path| server.access.tokens = Some(TokenSource::Named(path))),
        )
        .bounds("not with `tokenFile`")
        .doc(
            "file with named tokens and their roles, which `phasegate token new` writes. Read again when it \
             changes",
        ),
        Key::<Server>::optional(
            "tls",
            "{ certificate = \"server.pem\", key = \"server.key\" }",
            Is::Own(
                || Form::Either(vec![Form::Words(vec![TERMINATED]), Form::Table(TLS.shape())]),
                |server, value| {
                    server.access.tls = if value.raw.as_str() == Some(TERMINATED) {
                        Tls::Terminated
                    } else if value.raw.as_str().is_some() {
                        value.problem(
                            "is no way to encrypt".to_owned(),
                            "write \"terminated\", or certificate and key".to_owned(),
                        );
                        return None;
                    } else {
                        let mut files = TlsFiles { certificate: PathBuf::new(), key: PathBuf::new() };
                        if !TLS.read(value.table()?, &mut files).is_sound() {
                            return None;
                        }
                        Tls::Here(files)
                    };
                    Some(())
                },
            ),
        )
        .bounds("`\"terminated\"`, or `certificate` and `key`, both PEM")
        .doc(
            "certificate, the server's own first, and its key; read again when they change. `\"terminated\"` \
             says that a proxy in front of the host encrypts",
        ),
    ],
    check,
};

/// Most servers of names.
const RESOLVERS_MAX: usize = 8;

/// The port of servers of names.
const DOMAIN: u16 = 53;

const NO_RESOLVER: &str =
    "is no address of a server of names; write an IP address, and its port where that is not 53";

fn resolver(text: &str) -> Option<SocketAddr> {
    let ip = || text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, DOMAIN));
    text.parse().ok().or_else(ip).filter(|address| address.port() != 0)
}

/// The rights of a socket as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Rights of the file, as `chmod` takes them.
    pub mode: u32,
    /// Group that it is given to; that of the host where there is none.
    pub group: Option<String>,
}

const SOCKET: Section<Socket> = Section {
    keys: &[
        Key::<Socket>::preset(
            "mode",
            "\"0600\"",
            Is::Own(
                || Form::Text,
                |socket, value| {
                    let text = value.filled()?;
                    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
                    let mode = mode.filter(|mode| mode & 0o600 == 0o600);
                    let error = "is no mode of a socket; write four octal digits from \"0600\" to \"0777\"";
                    socket.mode = value.parsed(text, mode.ok_or(error))?;
                    Some(())
                },
            ),
        )
        .bounds("octal, `0600` to `0777`")
        .doc("who may connect is let in as if they had a token for everything, unless there are tokens")
        .restart(),
        Key::<Socket>::optional(
            "group",
            "\"ops\"",
            Is::Own(
                || Form::Text,
                |socket, value| {
                    socket.group = Some(value.filled()?.to_owned());
                    Some(())
                },
            ),
        )
        .bounds("name or number")
        .doc("group that the socket is given to")
        .restart(),
    ],
    check: no_check,
};

const TLS: Section<TlsFiles> = Section {
    keys: &[
        Key::<TlsFiles>::required(
            "certificate",
            "\"server.pem\"",
            Is::Path(|files, path| files.certificate = path),
        )
        .doc("the server's certificate, then those of its authorities"),
        Key::<TlsFiles>::required("key", "\"server.key\"", Is::Path(|files, path| files.key = path))
            .doc("its key, without a password"),
    ],
    check: no_check,
};

pub(super) fn blank() -> Server {
    Server {
        listen: Endpoint::Tcp(NOWHERE),
        socket: Socket { mode: 0o600, group: None },
        data_dir: PathBuf::new(),
        resolvers: Vec::new(),
        on_exit: None,
        stop_timeout: Duration::default(),
        access: Access::default(),
    }
}

fn check(server: &mut Server, given: &mut Given<'_>) {
    if given.has("tokenFile") && given.has("tokens") {
        let why = "is at odds with tokens".to_owned();
        given.conflict("tokenFile", why, "keep one of them: `phasegate token new` writes tokens");
    }
    if !given.are_sound(&["listen"]) {
        return;
    }
    match &server.listen {
        Endpoint::Unix(_) => {
            if let Tls::Here(_) = server.access.tls {
                let why = "encrypts a socket, which nobody can listen in on".to_owned();
                given.conflict("tls", why, "leave it out");
            }
        }
        Endpoint::Tcp(_) if given.has("socket") => {
            let why = "goes with a socket, and listen is an address".to_owned();
            given.conflict("socket", why, "leave it out, or write listen = \"unix:/run/phasegate.sock\"");
        }
        Endpoint::Tcp(_) => {}
    }
    if server.listen.is_local() {
        return;
    }
    let listen = &server.listen;
    if !given.has("tokenFile") && !given.has("tokens") {
        given.conflict(
            "listen",
            format!("is {listen}, where other machines could start and stop upgrades without a token"),
            "add tokens = \"phasegate.tokens\" (`phasegate token new` writes it), or listen on 127.0.0.1",
        );
    } else if !given.has("tls") {
        given.conflict(
            "listen",
            format!("is {listen}, where other machines could read the tokens on their way"),
            "add tls = { certificate = \"server.pem\", key = \"server.key\" }, or tls = \"terminated\" where \
             a proxy in front of the host encrypts",
        );
    }
}
