//! What a probe asks for, and which of an answer's headers are passed on.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Health;
use crate::keys::{Given, Value};
use crate::net::placed;
use phasegate_core::domain::Profile;

/// Longest request path in bytes; servers commonly refuse request lines above 8 KiB.
pub(super) const PATH_LEN_MAX: usize = 4096;

/// Most headers that a plugin gets to see.
const HEADERS_MAX: usize = 32;

/// Makes the path what is asked for.
pub(super) fn request_path(health: &mut Health, given: &mut Given<'_>) {
    let text = std::mem::take(&mut health.request_path);
    if !health.protocol.has_path() {
        if !text.is_empty() {
            let hint = "leave it out, or use protocol = \"http\"";
            let message = format!("is {text:?} although protocol is \"{}\"", health.protocol.name());
            given.conflict("requestPath", message, hint);
        }
        return;
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    let path = match health.profile {
        Profile::Fleet => format!("{slash}{text}"),
        Profile::Azure => utf8_percent_encode(&format!("{slash}{text}"), AZURE_PATH).to_string(),
    };
    // What is put in is escaped.
    let own = match health.profile {
        Profile::Fleet => placed::without(&path),
        Profile::Azure => path.clone(),
    };
    if let Some(seen) = own.chars().find(|c| !is_request_target(*c)) {
        let hint = format!("write {}", utf8_percent_encode(&seen.to_string(), NON_ALPHANUMERIC));
        given.problem(
            "requestPath",
            format!("contains {seen:?}, which a request path cannot hold"),
            Some(hint),
        );
    } else if path.len() > PATH_LEN_MAX {
        let hint = format!("at most {PATH_LEN_MAX}");
        given.problem("requestPath", format!("is {} bytes long", path.len()), Some(hint));
    }
    health.request_path = path;
}

/// Printable ASCII without what RFC 3986 keeps out of paths and queries.
pub(super) fn is_request_target(c: char) -> bool {
    c.is_ascii_graphic() && !"\"#<>\\^`{|}".contains(c)
}

/// What Go's `url.URL` escapes in a path: `?`, `#` and `%` lose their meaning.
const AZURE_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// Longest block of headers that are sent, in bytes: what servers take at least.
const SENT_MAX: usize = 8 * 1024;

/// Headers that say how the message ends, which is the host's own affair.
const OWN: [&str; 4] = ["connection", "content-length", "transfer-encoding", "upgrade"];

/// Headers to send, as they are written; none twice.
pub(super) fn request_headers(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let mut seen = BTreeSet::new();
    let mut read_one = |value: Value<'_>| {
        let (name, text) = (value.name.to_owned(), value.string()?);
        let lower = name.to_ascii_lowercase();
        if let Some(character) = name.chars().find(|c| !is_token(*c)) {
            value.problem(
                format!("has the name {name:?} with {character:?}, which a header name cannot hold"),
                None,
            );
        } else if name.is_empty() {
            value.problem("has an empty name", "name the header".to_owned());
        } else if OWN.contains(&lower.as_str()) {
            value.problem(format!("sets {name}, which says how a request ends"), "leave it out".to_owned());
        } else if let Some(character) = text.chars().find(|c| !matches!(c, ' '..='~' | '\t')) {
            value.problem(format!("contains {character:?}"), "printable ASCII only".to_owned());
        } else if !seen.insert(lower) {
            value.problem(format!("sets {name} a second time"), "leave one out".to_owned());
        } else {
            return Some((name, text.trim().to_owned()));
        }
        None
    };
    let read: Vec<_> = value.table()?.into_entries().into_iter().map(&mut read_one).collect();
    let headers: Vec<(String, String)> = read.into_iter().collect::<Option<_>>()?;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if headers.len() > HEADERS_MAX || bytes > SENT_MAX {
        let seen = format!("are {} headers of {bytes} bytes", headers.len());
        value.problem(seen, format!("at most {HEADERS_MAX} of {SENT_MAX} bytes together"));
        return None;
    }
    Some(headers)
}

/// A character of a token of RFC 9110.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// Header names in lower case, each a token of RFC 9110, none twice.
pub(super) fn header_names(value: &Value<'_>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    let elements = value.array("an array of strings")?;
    if elements.len() > HEADERS_MAX {
        value.problem(format!("has {} names", elements.len()), format!("at most {HEADERS_MAX}"));
        return None;
    }
    for element in &elements {
        let Some(text) = element.filled() else { continue };
        if let Some(character) = text.chars().find(|c| !is_token(*c)) {
            element.problem(format!("contains {character:?}, which a header name cannot hold"), None);
            continue;
        }
        let name = text.to_ascii_lowercase();
        if !seen.insert(name.clone()) {
            element.problem(format!("names {name:?} a second time"), "leave one out".to_owned());
            continue;
        }
        names.push(name);
    }
    (names.len() == elements.len()).then_some(names)
}
