//! Which host a command speaks to: `--server`, else the configuration, else the default address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::args::ServerArgs;
use super::client::{Client, Server};
use super::output;
use crate::access::{Tls, TokenSource, secret};
use crate::config;
use crate::net::address::parse_address;
use crate::net::endpoint::Endpoint;
use crate::net::names::use_resolvers;
use crate::net::tls::VerifiedTls;
use phasegate_core::domain::Address;

/// Configuration that is looked for when none is named.
const DEFAULT_CONFIG: &str = "phasegate.toml";

/// Where a host listens unless it is told otherwise.
const DEFAULT_SERVER: &str = "127.0.0.1:8970";

/// Builds the client for a command.
///
/// # Errors
/// When the address has another form than `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`, or the
/// configuration, a certificate or the token file cannot be read.
pub fn client(args: &ServerArgs) -> anyhow::Result<Client> {
    // An empty variable is as good as none.
    let server = args.server.as_deref().filter(|server| !server.is_empty());
    let token = args.token.as_deref().filter(|token| !token.is_empty());
    let ca_file = args.ca_file.as_deref().filter(|path| !path.as_os_str().is_empty());
    let config = match (&args.config, server) {
        // Everything that the file could tell is known already.
        (_, Some(_)) if token.is_some() => None,
        (Some(path), _) => Some(load(path)?),
        // The default file only helps out when there is nothing else to go by.
        (None, None) if Path::new(DEFAULT_CONFIG).exists() => Some(load(Path::new(DEFAULT_CONFIG))?),
        (None, _) => None,
    };
    let config = config.map(|config| config.server);
    if let Some(config) = &config {
        use_resolvers(&config.resolvers);
    }
    let token = match (token, config.as_ref().and_then(|config| config.access.tokens.as_ref())) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(TokenSource::Single(path))) => Some(secret::read(path)?),
        // Of named tokens the file has hashes alone.
        (None, Some(TokenSource::Named(_)) | None) => None,
    };
    Ok(match (server, config) {
        (Some(server), _) => Client::new(named(server, ca_file)?, token),
        (None, Some(config)) => Client::new(of_the_file(&config, ca_file)?, token).of_the_file(),
        (None, None) => Client::new(named(DEFAULT_SERVER, ca_file)?, token),
    })
}

/// Where a host is that runs by this configuration.
fn of_the_file(config: &config::Server, ca_file: Option<&Path>) -> anyhow::Result<Server> {
    let address = match &config.listen {
        Endpoint::Unix(path) => return Ok(Server::Socket(path.clone())),
        Endpoint::Tcp(listen) => {
            let reachable = reachable(*listen);
            Address { host: reachable.ip().to_string(), port: reachable.port() }
        }
    };
    Ok(match &config.access.tls {
        Tls::Here(files) => {
            // The host's own certificate is one that can be trusted, where no other is named.
            let trusted = ca_file.unwrap_or(&files.certificate);
            Server::Tls(address, VerifiedTls::load(trusted)?)
        }
        Tls::Off | Tls::Terminated => Server::Plain(address),
    })
}

/// Parses what was typed.
///
/// # Errors
/// When it names no host, or the certificates cannot be read.
pub fn named(server: &str, ca_file: Option<&Path>) -> anyhow::Result<Server> {
    if let Some(path) = server.strip_prefix("unix:") {
        if path.is_empty() {
            bail!("server `{server}` names no socket; write for example unix:/run/phasegate.sock");
        }
        return Ok(Server::Socket(PathBuf::from(path)));
    }
    let (is_tls, rest) = match (server.strip_prefix("https://"), server.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => (false, server),
    };
    let rest = rest.trim_end_matches('/');
    if rest.contains(['/', '@']) {
        bail!("server `{server}` is not `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`");
    }
    let address = match parse_address(rest) {
        Ok(address) => address,
        Err(error) => bail!("server `{server}` {error}"),
    };
    if !is_tls {
        if ca_file.is_some() && server.starts_with("http://") {
            bail!("--ca-file goes with `https://`, and the server is `{server}`");
        }
        return Ok(Server::Plain(address));
    }
    let tls = match ca_file {
        Some(path) => VerifiedTls::load(path)?,
        None => VerifiedTls::web(None)?,
    };
    Ok(Server::Tls(address, tls))
}

/// The data directory that the configuration names.
///
/// # Errors
/// When there is no configuration, or it has problems.
pub fn data_dir(args: &ServerArgs) -> anyhow::Result<PathBuf> {
    let path = args.config.as_deref().unwrap_or_else(|| Path::new(DEFAULT_CONFIG));
    if args.config.is_none() && !path.exists() {
        bail!(
            "there is no `{DEFAULT_CONFIG}` here; name the data directory with --data-dir, or a configuration with --config"
        );
    }
    Ok(load(path)?.server.data_dir)
}

fn load(path: &Path) -> anyhow::Result<config::Config> {
    match config::load(path) {
        Ok(config) => Ok(config),
        Err(config::LoadConfigError::Invalid(problems)) => {
            output::talk(&format!("{problems}\n\n"));
            bail!(
                "`{}`, which names the host and its token, has these problems; correct them, or name the host \
                 with --server and its token with --token",
                path.display(),
            )
        }
        Err(error) => Err(error).context("the host and its token could not be looked up"),
    }
}

/// A host that listens on all addresses is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_in_four_ways() {
        for (text, shown) in [
            ("127.0.0.1:8970", "127.0.0.1:8970"),
            ("http://localhost:1/", "localhost:1"),
            ("https://fleet.example.com:443", "https://fleet.example.com:443"),
            ("unix:/run/phasegate.sock", "unix:/run/phasegate.sock"),
        ] {
            assert_eq!(named(text, None).unwrap().to_string(), shown);
        }
        for text in ["", "localhost", "http://a:1/b", "https://u@a:1", "ftp://a:1", "unix:", "a:0"] {
            assert!(named(text, None).is_err(), "{text}");
        }
        assert!(named("https://a:1", Some(Path::new("/nowhere/ca.pem"))).is_err());
    }
}
