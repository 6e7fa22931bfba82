//! Lists of names: all of one, or a failure. Half of a list would say that the other half is gone.
//!
//! Keeps nothing, and limits no time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::LookUpError;
use super::ask::{Servers, family, is_loopback_name, refused};
use crate::net::text::one_line;

/// Host and port of each service of a name.
pub(super) async fn services(
    resolvers: &[SocketAddr],
    name: &str,
) -> Result<Vec<(String, u16)>, LookUpError> {
    let asked = parse(name)?;
    let resolver = Servers::read(resolvers).resolver();
    let resolver = resolver.ok_or_else(|| LookUpError::Failed("there is no server of names".to_owned()))?;
    let lookup = resolver.lookup(asked, RecordType::SRV).await.map_err(|error| refused(&error))?;
    let services = lookup.answers().iter().filter_map(|record| match &record.data {
        // The root means that the service is decidedly not there (RFC 2782).
        RData::SRV(service) if !service.target.is_root() => {
            // A name knows no case (RFC 4343), and who comes back in another one is the same.
            let host = service.target.to_ascii().to_ascii_lowercase();
            Some((host.strip_suffix('.').unwrap_or(&host).to_owned(), service.port))
        }
        _ => None,
    });
    Ok(services.collect())
}

/// The addresses of both families.
pub(super) async fn addresses(resolvers: &[SocketAddr], host: &str) -> Result<Vec<IpAddr>, LookUpError> {
    let asked = parse(host)?;
    let resolver = Servers::read(resolvers).resolver();
    let resolver = resolver.ok_or_else(|| LookUpError::Failed("there is no server of names".to_owned()))?;
    let (v4, v6) =
        tokio::join!(family(&resolver, &asked, RecordType::A), family(&resolver, &asked, RecordType::AAAA));
    let mut all = Vec::new();
    for outcome in [v4, v6] {
        match outcome {
            Ok((found, _)) => all.extend(found),
            // It has none of this family, and says so.
            Err(LookUpError::NoAddress) => {}
            Err(LookUpError::NoSuchName) if is_loopback_name(host) => {}
            Err(error) => return Err(error),
        }
    }
    if all.is_empty() && is_loopback_name(host) {
        all = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    }
    all.sort();
    all.dedup();
    if all.is_empty() { Err(LookUpError::NoAddress) } else { Ok(all) }
}

fn parse(name: &str) -> Result<Name, LookUpError> {
    Name::from_ascii(name).map_err(|error| LookUpError::Failed(one_line(&error.to_string())))
}
