//! What a probe asks for, and which of an answer's headers are passed on.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Health;
use crate::keys::{Given, Value};
use phasegate_core::domain::{ProbeProtocol, Profile};

/// Longest request path in bytes; servers commonly refuse request lines above 8 KiB.
const PATH_LEN_MAX: usize = 4096;

/// Most headers that a plugin gets to see.
const HEADERS_MAX: usize = 32;

/// Makes the path what is asked for.
pub(super) fn request_path(health: &mut Health, given: &mut Given<'_>) {
    let text = std::mem::take(&mut health.request_path);
    if health.protocol == ProbeProtocol::Tcp {
        if !text.is_empty() {
            let hint = "leave it out, or use protocol = \"http\"";
            given.conflict("requestPath", format!("is {text:?} although protocol is \"tcp\""), hint);
        }
        return;
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    let path = match health.profile {
        Profile::Fleet => format!("{slash}{text}"),
        Profile::Azure => utf8_percent_encode(&format!("{slash}{text}"), AZURE_PATH).to_string(),
    };
    if let Some(seen) = path.chars().find(|c| !is_request_target(*c)) {
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
fn is_request_target(c: char) -> bool {
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
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
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
