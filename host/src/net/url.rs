//! URLs of agents and components: `http://host:port/path?query`, and what an answer may point to.
//!
//! Resolves no names. Deliberately knows neither users nor fragments: nobody needs them here, and
//! both have been used to make one URL look like another.

use std::fmt;

use super::address::{InvalidAddressError, parse_address};
use phasegate_core::domain::Address;

/// How the other end is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS, with a verified certificate.
    Https,
}

/// A URL that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// How.
    pub scheme: Scheme,
    /// Whom.
    pub address: Address,
    /// Path and query; begins with `/`.
    pub target: String,
}

/// Why a text is not such a URL; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrlError {
    /// Another scheme, or none.
    #[error("does not begin with http:// or https://")]
    Scheme,
    /// A character that a URL cannot hold or that has no meaning here.
    #[error("contains {0:?}, which must be escaped")]
    Character(char),
    /// `user@`.
    #[error("names a user; use tokenFile instead")]
    User,
    /// The host or the port.
    #[error(transparent)]
    Address(#[from] InvalidAddressError),
    /// An answer points to somebody else.
    #[error("is not at the origin that was asked")]
    OtherOrigin,
}

impl HttpUrl {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(text: &str) -> Result<Self, InvalidUrlError> {
        check_characters(text)?;
        let (scheme, rest) = split_scheme(text).ok_or(InvalidUrlError::Scheme)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(InvalidUrlError::User);
        }
        let has_port = authority.rfind(':') > authority.rfind(']');
        let address = match (has_port, scheme) {
            (true, _) => parse_address(authority),
            (false, Scheme::Http) => parse_address(&format!("{authority}:80")),
            (false, Scheme::Https) => parse_address(&format!("{authority}:443")),
        }?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, address, target: format!("{slash}{target}") })
    }

    /// What a `Location` of an answer from here means: a URL of the same origin, or a path.
    ///
    /// # Errors
    /// When it is no URL, or one of another origin.
    pub fn resolve(&self, location: &str) -> Result<Self, InvalidUrlError> {
        let url = self.follow(location)?;
        if self.is_same_origin(&url) { Ok(url) } else { Err(InvalidUrlError::OtherOrigin) }
    }

    /// Whether scheme, host and port are the same.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        other.scheme == self.scheme
            && other.address.port == self.address.port
            && other.address.host.eq_ignore_ascii_case(&self.address.host)
    }

    /// What a `Location` of an answer from here means, wherever it points to.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn follow(&self, location: &str) -> Result<Self, InvalidUrlError> {
        check_characters(location)?;
        let with_target = |target: String| Self { target, ..self.clone() };
        let is_absolute = split_scheme(location).is_some();
        let same_scheme = match self.scheme {
            Scheme::Http => "http:",
            Scheme::Https => "https:",
        };
        let url = if is_absolute {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{same_scheme}{location}"))?
        } else if location.starts_with('/') {
            with_target(location.to_owned())
        } else if location.starts_with('?') {
            with_target(format!("{}{location}", self.path()))
        } else if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
            // Another scheme, such as `file:`.
            return Err(InvalidUrlError::Scheme);
        } else {
            let folder = self.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            with_target(format!("{folder}/{location}"))
        };
        Ok(url)
    }

    /// The same with one more parameter; the value is escaped.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let target = format!("{}{separator}{name}={}", self.target, escape(value));
        Self { target, ..self.clone() }
    }

    fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, address, target } = self;
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{address}{target}")
    }
}

/// Escapes everything that is not unreserved (RFC 3986, 2.3).
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn split_scheme(text: &str) -> Option<(Scheme, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some((Scheme::Http, rest)),
        "https" => Some((Scheme::Https, rest)),
        _ => None,
    }
}

fn check_characters(text: &str) -> Result<(), InvalidUrlError> {
    let refused = |c: &char| !c.is_ascii_graphic() || "\"#<>\\^`{|}".contains(*c);
    text.chars().find(refused).map_or(Ok(()), |seen| Err(InvalidUrlError::Character(seen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_can_be_asked() {
        for (text, shown) in [
            ("http://h", "http://h:80/"),
            ("HTTPS://h", "https://h:443/"),
            ("http://10.0.0.1:8080/a/b?c=d", "http://10.0.0.1:8080/a/b?c=d"),
            ("http://[::1]", "http://[::1]:80/"),
            ("http://[::1]:1?q", "http://[::1]:1/?q"),
            ("http://h/a%20b;c@d", "http://h:80/a%20b;c@d"),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for (text, message) in [
            ("", "does not begin with http:// or https://"),
            ("h:80/a", "does not begin with http:// or https://"),
            ("ftp://h", "does not begin with http:// or https://"),
            ("http://a b", "contains ' ', which must be escaped"),
            ("http://h/#a", "contains '#', which must be escaped"),
            ("http://h/\r\nX: y", "contains '\\r', which must be escaped"),
            ("http://é", "contains 'é', which must be escaped"),
            ("http://root:secret@h/", "names a user; use tokenFile instead"),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap_err().to_string(), message, "{text:?}");
        }
        for text in ["http://", "http:///a", "http://h:0", "http://h:", "http://[::1", "http://h%2Fa/"] {
            assert!(HttpUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn locations_stay_at_their_origin() {
        let base = HttpUrl::parse("http://h:8080/a/b?c=d").unwrap();
        for (location, target) in [
            ("http://H:8080/x", "/x"),
            ("//h:8080/x?y", "/x?y"),
            ("/x", "/x"),
            ("x/y", "/a/x/y"),
            ("", "/a/"),
            ("?x", "/a/b?x"),
        ] {
            assert_eq!(base.resolve(location).unwrap().target, target, "{location}");
        }
        for location in [
            "http://h/x",
            "https://h:8080/x",
            "http://other:8080/x",
            "//other/x",
            "file:///etc/passwd",
            "javascript:x",
            "/a b",
            "http://h:8080@other/x",
        ] {
            assert!(base.resolve(location).is_err(), "{location}");
        }
        assert_eq!(base.with_parameter("o", "u/1 &").target, "/a/b?c=d&o=u%2F1%20%26");
        assert_eq!(HttpUrl::parse("http://h").unwrap().with_parameter("o", "1").target, "/?o=1");
    }
}
