//! Where a host listens: an address, or a socket in the file system.
//!
//! Opens nothing.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Longest path of a socket in bytes: the system's own limit, less the end.
const PATH_MAX: usize = 107;

/// Begins the path of a socket.
const UNIX: &str = "unix:";

/// Where a host listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Why a text is no place; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpointError {
    /// Neither.
    #[error(
        "is not an IP address and a port; write for example 127.0.0.1:8970, [::1]:8970 or \
         unix:/run/phasegate.sock"
    )]
    Form,
    /// The system takes no such path.
    #[error("has a path of {0} bytes for a socket (1 to {PATH_MAX})")]
    Path(usize),
}

impl Endpoint {
    /// Parses `IP:port` or `unix:PATH`; a relative path starts at the folder.
    ///
    /// # Errors
    /// When it is neither, or the path is longer than 107 bytes.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, InvalidEndpointError> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return text.parse().map(Self::Tcp).map_err(|_| InvalidEndpointError::Form);
        };
        let whole = folder.join(path);
        let len = whole.as_os_str().len();
        if path.is_empty() || len > PATH_MAX {
            return Err(InvalidEndpointError::Path(if path.is_empty() { 0 } else { len }));
        }
        Ok(Self::Unix(whole))
    }

    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_addresses_or_sockets() {
        let folder = Path::new("/etc/phasegate");
        for (text, shown, local) in [
            ("127.0.0.1:8970", "127.0.0.1:8970", true),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", "0.0.0.0:1", false),
            ("unix:/run/p.sock", "unix:/run/p.sock", true),
            ("unix:p.sock", "unix:/etc/phasegate/p.sock", true),
        ] {
            let place = Endpoint::parse(text, folder).unwrap();
            assert_eq!((place.to_string().as_str(), place.is_local()), (shown, local), "{text}");
        }
        let long = format!("unix:/{}", "a".repeat(PATH_MAX));
        for text in ["", "localhost:80", "127.0.0.1", "unix:", "http://127.0.0.1:1", &long] {
            assert!(Endpoint::parse(text, folder).is_err(), "{text}");
        }
    }
}
