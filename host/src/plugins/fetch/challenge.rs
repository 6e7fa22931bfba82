//! Reads `WWW-Authenticate` (RFC 9110, 11.6.1) as registries send it.

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token that somebody else hands out.
    Bearer {
        /// URL of that one.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
        /// For what it is.
        scope: Option<String>,
    },
    /// User and password.
    Basic,
}

/// The challenges of one header value that are known here; what is not understood ends the list.
pub(super) fn parse(value: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (scheme, after) = token(rest);
        if scheme.is_empty() {
            return found;
        }
        let (parameters, after) = parameters(after);
        rest = after;
        let get = |name: &str| {
            let one = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            one.map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let Some(realm) = get("realm") else { continue };
            found.push(Challenge::Bearer { realm, service: get("service"), scope: get("scope") });
        }
    }
}

/// Names and values up to the next scheme, and what comes after them.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut list = Vec::new();
    let mut rest = text;
    loop {
        let start = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(start);
        let Some(value) = after.trim_start().strip_prefix('=').filter(|_| !name.is_empty()) else {
            return (list, rest);
        };
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => match unquoted(quoted) {
                Some((value, after)) => (value, after),
                None => return (list, ""),
            },
            None => {
                let (value, after) = token(value);
                (value.to_owned(), after)
            }
        };
        list.push((name.to_owned(), value));
        rest = after;
    }
}

/// Up to the closing quote, without backslashes.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

/// A token (RFC 9110, 5.6.2) at the start, and the rest.
fn token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}
