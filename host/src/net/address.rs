//! Parses `host:port`.
//!
//! Resolves nothing; a host name stays a name.

use std::net::{Ipv4Addr, Ipv6Addr};

use phasegate_core::domain::Address;

/// Why a text is not an address; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write host:port, for example 10.0.0.1:9100, [2001:db8::1]:9100 or db-1.example.com:9100")]
pub struct InvalidAddressError(&'static str);

/// Parses an IPv4 address, an IPv6 address in brackets (with a zone, where it needs one) or a host name, and a port.
///
/// A name is one of RFC 1123, or one with `_`, as servers of names give them to services; a dot may end it.
///
/// # Errors
/// When the text has another form, or the port is not 1 to 65535.
pub fn parse_address(text: &str) -> Result<Address, InvalidAddressError> {
    let (host, port) = text.rsplit_once(':').ok_or(InvalidAddressError("has no port"))?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let inside = rest.strip_suffix(']').ok_or(InvalidAddressError("has a [ without its ]"))?;
            let (ip, zone) = inside.split_once('%').map_or((inside, None), |(ip, zone)| (ip, Some(zone)));
            let ip: Ipv6Addr =
                ip.parse().map_err(|_| InvalidAddressError("has no IPv6 address in its brackets"))?;
            match zone {
                None => ip.to_string(),
                Some(zone) if is_zone(zone) => format!("{ip}%{zone}"),
                Some(_) => return Err(InvalidAddressError("has a zone that is no name of an interface")),
            }
        }
        None if host.contains(':') => {
            return Err(InvalidAddressError("has an IPv6 address without brackets"));
        }
        None => {
            check_host(host)?;
            host.to_owned()
        }
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = if digits { port.parse().unwrap_or(0) } else { 0 };
    if port == 0 {
        return Err(InvalidAddressError("has no port from 1 to 65535"));
    }
    Ok(Address { host, port })
}

/// Whether an interface can have this name, or number.
fn is_zone(zone: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@:".contains(&byte);
    (1..=15).contains(&zone.len()) && zone.bytes().all(may_be)
}

fn check_host(host: &str) -> Result<(), InvalidAddressError> {
    // A name that ends with a dot is whole: no domain is searched for it.
    let whole = host;
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err(InvalidAddressError("has no host"));
    }
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label_is_valid) {
        return Err(InvalidAddressError("has a host that is neither a name nor an IP address"));
    }
    // No top-level domain is a number, so this was meant to be an IPv4 address.
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && whole.parse::<Ipv4Addr>().is_err() {
        return Err(InvalidAddressError("has a host that is not a valid IPv4 address"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_addresses_and_names() {
        for (text, host, port) in [
            ("127.0.0.1:9100", "127.0.0.1", 9100),
            ("[::1]:1", "::1", 1),
            ("[2001:DB8:0::1]:65535", "2001:db8::1", 65535),
            ("localhost:80", "localhost", 80),
            ("DB-1.example.com:80", "DB-1.example.com", 80),
            ("3com.example:80", "3com.example", 80),
            ("my_db.stack_default:80", "my_db.stack_default", 80),
            ("db.example.com.:80", "db.example.com.", 80),
            ("[fe80::1%lo]:80", "fe80::1%lo", 80),
            ("[FE80::1%eth0.7]:80", "fe80::1%eth0.7", 80),
        ] {
            assert_eq!(parse_address(text), Ok(Address { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let long_label = format!("{}:80", "a".repeat(64));
        let long_name = format!("{}com:80", "a.".repeat(126));
        for text in [
            "",
            ":",
            ":80",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:+80",
            "host:-1",
            "host:8 0",
            "host:http",
            "host :80",
            "http://host:80",
            "host:80/",
            "::1:80",
            "[::1]",
            "[::1:80",
            "::1]:80",
            "[]:80",
            "[1.2.3.4]:80",
            "[fe80::1%]:80",
            "[fe80::1%a b]:80",
            "[fe80::1%a/b]:80",
            "[10.0.0.1%lo]:80",
            "fe80::1%lo:80",
            "127.0.0.1%lo:80",
            ".:80",
            "host..:80",
            "1.2.3.4.:80",
            "256.0.0.1:80",
            "1.2.3:80",
            "01.2.3.4:80",
            "80:80",
            "-a:80",
            "a-:80",
            "a..b:80",
            "hôte:80",
            &long_label,
            &long_name,
        ] {
            assert!(parse_address(text).is_err(), "{text:?} must be refused");
        }
    }
}
