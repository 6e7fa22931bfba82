//! Which host a command speaks to: `--server`, else the configuration, else the default address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::args::ServerArgs;
use super::client::Client;
use super::output;
use crate::config;

/// Configuration that is looked for when none is named.
const DEFAULT_CONFIG: &str = "phasegate.toml";

/// Where a host listens unless it is told otherwise.
const DEFAULT_SERVER: &str = "127.0.0.1:8970";

/// Builds the client for a command.
///
/// # Errors
/// When the address has another form than `host:port` or `http://host:port`, or the configuration
/// or the token file cannot be read.
pub fn client(args: &ServerArgs) -> anyhow::Result<Client> {
    // An empty variable is as good as none.
    let server = args.server.as_deref().filter(|server| !server.is_empty());
    let token = args.token.as_deref().filter(|token| !token.is_empty());
    let config = match (&args.config, server) {
        // Everything that the file could tell is known already.
        (_, Some(_)) if token.is_some() => None,
        (Some(path), _) => Some(load(path)?),
        // The default file only helps out when there is nothing else to go by.
        (None, None) if Path::new(DEFAULT_CONFIG).exists() => Some(load(Path::new(DEFAULT_CONFIG))?),
        (None, _) => None,
    };
    let listen: Option<SocketAddr> = config.as_ref().map(|config| config.server.listen);
    let from_file = server.is_none() && listen.is_some();
    let server = match (server, listen) {
        (Some(server), _) => server.to_owned(),
        (None, Some(listen)) => reachable(listen).to_string(),
        (None, None) => DEFAULT_SERVER.to_owned(),
    };
    let token_file: Option<PathBuf> = config.and_then(|config| config.server.token_file);
    let token = match (token, token_file) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(path)) => Some(read_token(&path)?),
        (None, None) => None,
    };
    let client = Client::new(&authority(&server)?, token)?;
    Ok(if from_file { client.of_the_file() } else { client })
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

/// Reads the token of a token file.
///
/// # Errors
/// When the file cannot be read or holds nothing.
pub fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let token = text.trim();
    if token.is_empty() {
        bail!("token file `{}` is empty; write a long random word into it", path.display());
    }
    Ok(token.to_owned())
}

/// A host that listens on all addresses is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

fn authority(server: &str) -> anyhow::Result<String> {
    let rest = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    if rest.starts_with("https://") || rest.contains(['/', '@']) {
        bail!("server `{server}` is not `HOST:PORT` or `http://HOST:PORT`");
    }
    Ok(rest.to_owned())
}
