//! One name, asked for in both families; and the servers and files by which that is done.
//!
//! Keeps nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::{Instant, timeout};

use super::LookUpError;
use super::known::Fresh;
use crate::net::text::one_line;

/// How long the second family is waited for when the first one has addresses (RFC 8305, section 3).
const SECOND_FAMILY: Duration = Duration::from_millis(50);

/// Longest wait for one server, whatever the system says.
const SERVER_WAIT_MAX: Duration = Duration::from_secs(2);

/// Most rounds through the servers.
const ROUNDS_MAX: usize = 2;

/// Files of the system that names depend on.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// How long the loopback's own name counts.
const LOOPBACK_COUNTS: Duration = Duration::from_secs(3_600);

/// Servers and files, as they were read.
pub(super) struct Servers {
    resolver: Option<Arc<TokioResolver>>,
    read: [Option<SystemTime>; FILES.len()],
}

impl Servers {
    /// Those given, or those of the system; where that names none, the one of this machine.
    pub(super) fn read(given: &[SocketAddr]) -> Self {
        let read = changed_at();
        let (system, mut options) = read_system_conf().unwrap_or_else(|_| {
            let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
        });
        let (domain, search, servers) = system.into_parts();
        let servers = if given.is_empty() { servers } else { given.iter().map(server).collect() };
        options.timeout = options.timeout.min(SERVER_WAIT_MAX);
        options.attempts = options.attempts.clamp(1, ROUNDS_MAX);
        // What is asked for again shall be newer than what was known.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Always;
        let config = ResolverConfig::from_parts(domain, search, servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build();
        let resolver = resolver.map_err(|error| tracing::warn!("names cannot be looked up: {error}")).ok();
        Self { resolver: resolver.map(Arc::new), read }
    }

    /// Whether a file was changed since.
    pub(super) fn are_old(&self) -> bool {
        self.read != changed_at()
    }

    /// What asks.
    pub(super) fn resolver(&self) -> Option<Arc<TokioResolver>> {
        self.resolver.clone()
    }
}

fn changed_at() -> [Option<SystemTime>; FILES.len()] {
    FILES.map(|file| std::fs::metadata(file).and_then(|file| file.modified()).ok())
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let ways = vec![with_port(ConnectionConfig::udp()), with_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, ways)
}

/// Asks for both families; a name that has one does not wait long for the other.
pub(super) async fn ask(resolver: &TokioResolver, host: &str) -> Result<Fresh, LookUpError> {
    let name = Name::from_ascii(host).map_err(|error| LookUpError::Failed(one_line(&error.to_string())))?;
    resolver.clear_cache();
    let mut v4 = pin!(family(resolver, &name, RecordType::A));
    let mut v6 = pin!(family(resolver, &name, RecordType::AAAA));
    let (first, second) = tokio::select! {
        v4 = &mut v4 => {
            let second = second(&v4, v6).await;
            (v4, second)
        }
        v6 = &mut v6 => {
            let second = second(&v6, v4).await;
            (v6, second)
        }
    };
    let (mut all, mut counts, mut error) = (Vec::new(), Duration::MAX, None);
    for outcome in [Some(first), second].into_iter().flatten() {
        match outcome {
            Ok((addresses, valid)) => {
                all.extend(addresses);
                counts = counts.min(valid);
            }
            // That the name has none of this family says nothing where the other one failed.
            Err(LookUpError::NoAddress) if error.is_some() => {}
            Err(failure) => error = Some(failure),
        }
    }
    if !all.is_empty() {
        // IPv6 first, as everybody does (RFC 6724).
        all.sort_by_key(IpAddr::is_ipv4);
        return Ok(Fresh { found: all.into(), counts });
    }
    if is_loopback_name(host) {
        let both = vec![IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
        return Ok(Fresh { found: both.into(), counts: LOOPBACK_COUNTS });
    }
    Err(error.unwrap_or(LookUpError::NoAddress))
}

pub(super) type OfFamily = Result<(Vec<IpAddr>, Duration), LookUpError>;

async fn second(first: &OfFamily, other: impl Future<Output = OfFamily>) -> Option<OfFamily> {
    if first.is_ok() { timeout(SECOND_FAMILY, other).await.ok() } else { Some(other.await) }
}

pub(super) async fn family(resolver: &TokioResolver, name: &Name, kind: RecordType) -> OfFamily {
    let lookup = resolver.lookup(name.clone(), kind).await.map_err(|error| refused(&error))?;
    let addresses = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    let addresses: Vec<IpAddr> = addresses.collect();
    if addresses.is_empty() {
        return Err(LookUpError::NoAddress);
    }
    Ok((addresses, lookup.valid_until().saturating_duration_since(Instant::now().into_std())))
}

pub(super) fn refused(error: &NetError) -> LookUpError {
    if error.is_nx_domain() {
        LookUpError::NoSuchName
    } else if error.is_no_records_found() {
        LookUpError::NoAddress
    } else if matches!(error, NetError::Timeout) {
        LookUpError::Silent
    } else {
        LookUpError::Failed(one_line(&error.to_string()))
    }
}

/// Names of the loopback, which no server has to know (RFC 6761, 6.3).
pub(super) fn is_loopback_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}
