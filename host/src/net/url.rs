//! URLs of agents and components: `http://host:port/path?query`, and what an answer may point to.
//!
//! Resolves no names. Deliberately knows neither users nor fragments: nobody needs them here, and
//! both have been used to make one URL look like another.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Position, Url};

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
    /// Anything else.
    #[error("is no URL: {0}")]
    Malformed(url::ParseError),
    /// An answer points to another place.
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
        let rest = after_scheme(text).ok_or(InvalidUrlError::Scheme)?;
        // Browsers make sense of these; here they are mistakes.
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() || authority.ends_with(':') {
            parse_address(authority)?;
        }
        Self::of(&Url::parse(text).map_err(|error| refused(error, authority))?)
    }

    /// What is right about a URL here: no user, an address as everywhere else.
    fn of(url: &Url) -> Result<Self, InvalidUrlError> {
        let (scheme, port) = match url.scheme() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            _ => return Err(InvalidUrlError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrlError::User);
        }
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(port));
        let address = parse_address(&format!("{host}:{port}"))?;
        let target = url[Position::BeforePath..Position::AfterQuery].to_owned();
        Ok(Self { scheme, address, target })
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
        if after_scheme(location).is_some() {
            return Self::parse(location);
        }
        let here = Url::parse(&self.to_string()).map_err(|error| refused(error, ""))?;
        Self::of(&here.join(location).map_err(|error| refused(error, location))?)
    }

    /// The same with one more parameter; the value is escaped.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let target = format!("{}{separator}{name}={}", self.target, escape(value));
        Self { target, ..self.clone() }
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

/// Everything but what is unreserved (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Escapes everything that is not unreserved.
#[must_use]
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// What comes after `http://` or `https://`.
fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    (is("http") || is("https")).then_some(rest)
}

/// Most of what the parser refuses is the address, whose own errors say more.
fn refused(error: url::ParseError, authority: &str) -> InvalidUrlError {
    let has_port = authority.rfind(':') > authority.rfind(']');
    let complete = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    match parse_address(&complete) {
        Err(address) => address.into(),
        Ok(_) => InvalidUrlError::Malformed(error),
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
            ("", "/a/b?c=d"),
            ("../x", "/x"),
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
