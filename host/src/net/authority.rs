//! Parses `host` or `host:port`, as the `Host` header and an origin name a server.
//!
//! The one place where a `Host` header is taken apart. Resolves nothing.

use std::net::IpAddr;

use super::address::{InvalidAddressError, parse_address};

/// A host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// IP address without brackets, or host name in small letters.
    pub host: String,
    /// None where it is left out: that of the scheme.
    pub port: Option<u16>,
}

impl Authority {
    /// Parses an IPv4 address, an IPv6 address in brackets or a host name, and perhaps a port from 1 to 65535.
    ///
    /// # Errors
    /// When there is anything else in it: a user, a path, a blank, an empty port.
    pub fn parse(text: &str) -> Result<Self, InvalidAddressError> {
        let has_port = text.rfind(':').is_some_and(|colon| text.rfind(']').is_none_or(|end| end < colon));
        let complete = if has_port { text.to_owned() } else { format!("{text}:80") };
        let address = parse_address(&complete)?;
        Ok(Self { host: address.host.to_ascii_lowercase(), port: has_port.then_some(address.port) })
    }

    /// Whether it names this machine to itself: `localhost`, or an address of the loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_authority_is_parsed_and_nothing_else() {
        for (text, host, port, loopback) in [
            ("127.0.0.1:8970", "127.0.0.1", Some(8970), true),
            ("127.9.9.9", "127.9.9.9", None, true),
            ("LocalHost", "localhost", None, true),
            ("[::1]", "::1", None, true),
            ("[::1]:8970", "::1", Some(8970), true),
            ("[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", Some(1), true),
            ("fleet.example.com", "fleet.example.com", None, false),
            ("localhost.example.com:1", "localhost.example.com", Some(1), false),
            ("127.0.0.1.example.com", "127.0.0.1.example.com", None, false),
        ] {
            let parsed = Authority::parse(text).unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{text}");
            assert_eq!(parsed.is_loopback(), loopback, "{text}");
        }
        for text in [
            "",
            ":8970",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:80:80",
            "127.0.0.1 :80",
            "127.0.0.1:8970/",
            "user@127.0.0.1",
            "localhost@evil.example",
            "evil.example#@localhost",
            "127.0.0.1:8970@evil.example",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]]:80",
            "localhost\\evil.example",
            "local host",
            "localhost,evil.example",
        ] {
            assert!(Authority::parse(text).is_err(), "{text:?} must be refused");
        }
    }
}
